"""Celery's side of grading."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from interviews.live.models import Interview
from interviews.review import actions
from interviews.review.models import GradeJob
from sandbox.leases import LEASE, Lost

log = logging.getLogger(__name__)
Row = TypeVar("Row", GradeJob, Interview)


@shared_task
def grade_answer(job_id: str) -> None:
    """Grades one answer. Safe to be delivered twice or late: only the claim decides."""
    job = GradeJob.claim(UUID(job_id))
    if job is None:
        return
    try:
        with job.heartbeat():
            actions.grade(job)
    except Lost:
        pass


def _each(rows: Iterable[Row], mend: Callable[[Row], None]) -> None:
    for row in rows:
        try:
            mend(row)
        except Lost:
            continue
        except Exception:
            # One that can't be mended must not keep the others waiting; the next round tries it again.
            log.exception("%s %s could not be mended", type(row).__name__, row.pk)


@shared_task
def reap() -> None:
    """Queues again what dead workers held or the broker lost, ends what is out of attempts, and mends interviews that wait."""
    requeued, exhausted = GradeJob.requeue_expired()
    ended = GradeJob.objects.filter(pk__in=exhausted, state__in=GradeJob.ACTIVE).select_related("question__version__rubric")
    _each(ended, lambda job: actions.give_up(job=job))
    forgotten = GradeJob.objects.filter(state=GradeJob.State.QUEUED, queued_at__lt=timezone.now() - 2 * LEASE)
    _each([*GradeJob.objects.filter(pk__in=requeued), *forgotten.order_by("queued_at")[:50]], actions.wake)
    waiting = Interview.objects.filter(status=Interview.Status.GRADING, finished_at__lt=timezone.now() - LEASE)
    _each(waiting, lambda interview: actions.mend_stuck(interview=interview))
