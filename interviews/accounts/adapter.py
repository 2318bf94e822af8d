"""Sign-ins: a failure counts against who failed, so that nobody can lock somebody else out."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import ratelimit
from allauth.core.internal.ratelimit import get_ip
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from interviews.accounts.models import User

KNOWN = "known_browser"
KNOWN_SECONDS = 365 * 24 * 3600
ANYWHERE = "login_failed_anywhere"


class AccountAdapter(DefaultAccountAdapter):
    """Counts failed sign-ins twice: tightly by account and network address, loosely by account alone.

    The loose count slows guessing from many addresses. It does not hold for a browser in which the account was signed in before.
    """

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        # Only looked at here and counted when it fails: however many try at once, the tight count lets few of each address through.
        if not self._known(request, credentials) and not ratelimit.consume(request, action=ANYWHERE, key=_account(credentials), dry_run=True):
            raise self.validation_error("too_many_login_attempts")
        super().pre_authenticate(request, **credentials)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        ratelimit.consume(request, action=ANYWHERE, key=_account(credentials))

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        response = super().post_login(request, user, **kwargs)
        flags = {"secure": settings.SESSION_COOKIE_SECURE, "httponly": True, "samesite": "Lax"}
        response.set_signed_cookie(KNOWN, user.pk, salt=KNOWN, max_age=KNOWN_SECONDS, **flags)
        return response

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """The tight count's key. The library's own is the account alone."""
        known = "known" if self._known(request, credentials) else "new"
        return f"{get_ip(request)}:{known}:{super()._get_login_attempts_cache_key(request, **credentials)}"

    def _known(self, request: HttpRequest, credentials: dict[str, Any]) -> bool:
        pk = request.get_signed_cookie(KNOWN, default=None, salt=KNOWN, max_age=KNOWN_SECONDS)
        return pk is not None and User.objects.filter(pk=pk, email=_account(credentials)).exists()


def _account(credentials: dict[str, Any]) -> str:
    return str(credentials.get("email", "")).lower()
