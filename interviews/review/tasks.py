"""Celery's side of grading.

A worker grades in two threads. Of answers that take long it grades one at a time, in the order in which they came, so that the other thread is always for the
rest: neither waits for the other, whatever comes.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from interviews.live.models import Interview
from interviews.review import actions, queries
from interviews.review.models import GradeJob
from sandbox.leases import LEASE, UNHEARD_SINCE, Lost

log = logging.getLogger(__name__)
RINGS = 50  # in one round of the reaper
_long, _lane = deque[UUID](), threading.Lock()  # the jobs that take long and wait, and what the thread holds that grades them
Row = TypeVar("Row", GradeJob, Interview)


@shared_task
def grade_answer(job_id: str) -> None:
    """Grades one answer, or leaves it to the thread that is grading another one that takes long. Safe to be delivered twice or late: only the claim decides."""
    pk = UUID(job_id)
    if not queries.takes_long(pk):
        _grade(pk)
        return
    _long.append(pk)
    # Asked again after the release: one that came just before it found the lane taken.
    while _long and _lane.acquire(blocking=False):
        try:
            while _long:
                _grade(_long.popleft())
        finally:
            _lane.release()


def _grade(pk: UUID) -> None:
    job = GradeJob.claim(pk)
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


def _ring(job: GradeJob) -> None:
    job.rung()
    actions.wake(job)


@shared_task
def reap() -> None:
    """Queues again what dead workers held or the broker lost, ends what is out of attempts, and mends interviews that wait."""
    requeued, exhausted = GradeJob.requeue_expired()
    ended = GradeJob.objects.filter(pk__in=exhausted, state__in=GradeJob.ACTIVE).select_related("question__version__rubric")
    _each(ended, lambda job: actions.give_up(job=job))
    _each(GradeJob.objects.filter(pk__in=requeued), _ring)
    _each(GradeJob.unheard().order_by(UNHEARD_SINCE)[:RINGS], _ring)
    waiting = Interview.objects.filter(status=Interview.Status.GRADING, finished_at__lt=timezone.now() - LEASE)
    _each(waiting, lambda interview: actions.mend_stuck(interview=interview))
