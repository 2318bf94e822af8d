from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "interviews.review"
    label = "review"

    def ready(self) -> None:
        from interviews.review import checks, receivers  # noqa: F401  (register, connect)
