from django.urls import path

from interviews.bank import views

urlpatterns = [
    path("bank/", views.packs, name="bank"),
    path("bank/new/", views.new, name="new_question"),
    path("bank/upload/", views.upload, name="upload_pack"),
    path("bank/upload/<uuid:id>/look/", views.uploaded, name="bank_upload"),
    path("bank/<slug:pack>.zip", views.download, name="download_pack"),
    path("bank/<slug:pack>/<slug:slug>/", views.question, name="bank_question"),
    path("bank/<slug:pack>/<slug:slug>/hold/", views.hold, name="hold_question"),
]
