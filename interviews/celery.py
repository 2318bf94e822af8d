"""The Celery application. Jobs are rows with leases; Celery is their alarm clock."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "interviews.settings")

app = Celery("roofline")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
