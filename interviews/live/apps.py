from django.apps import AppConfig


class LiveConfig(AppConfig):
    name = "interviews.live"
    label = "live"
    verbose_name = "Live interviews"
