from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "interviews.accounts"
    label = "accounts"

    def ready(self) -> None:
        from interviews.accounts import checks  # noqa: F401  (registers itself)
