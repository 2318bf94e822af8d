from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "interviews.accounts"
    label = "accounts"
