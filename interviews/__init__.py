"""The site. Importing it makes the Celery application the current one, so that a task can be sent by its name from anywhere."""

from interviews.celery import app as celery_app

__all__ = ["celery_app"]
