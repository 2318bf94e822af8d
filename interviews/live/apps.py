from django.apps import AppConfig


class LiveConfig(AppConfig):
    name = "interviews.live"
    label = "live"
    verbose_name = "Live interviews"

    def ready(self) -> None:
        from interviews.live import receivers  # noqa: F401  (connects)
