from django.apps import AppConfig


class BankConfig(AppConfig):
    name = "interviews.bank"
    label = "bank"
    verbose_name = "Question bank"
