from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "interviews.review"
    label = "review"
