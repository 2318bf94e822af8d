"""Every address of the site."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from interviews import health

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # the site's own sign-in, which counts attempts

urlpatterns = [
    path("", include("interviews.live.urls")),
    path("", include("interviews.review.urls")),
    path("", include("interviews.bank.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="api_schema"),
    path("healthz", health.healthz, name="healthz"),
    path("favicon.ico", lambda request: redirect(static("icon.svg"))),  # for pages that name no icon, such as the admin site's
]
