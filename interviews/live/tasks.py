"""The sweep: a deadline is a timestamp that every write compares; this closes what nobody wrote to."""

import logging

from celery import shared_task
from django.utils import timezone

from interviews.live import actions
from interviews.live.models import Interview

log = logging.getLogger(__name__)


@shared_task
def sweep() -> None:
    """Ends interviews whose time is over, so that what was acknowledged is graded."""
    expired = Interview.objects.filter(status=Interview.Status.RUNNING, deadline__lte=timezone.now())
    for pk in expired.values_list("pk", flat=True):
        try:
            actions.expire(interview_id=pk)
        except Exception:
            # One that can't be ended must not keep the others open; the next sweep tries it again.
            log.exception("interview %s could not be ended", pk)
