"""Celery's side of grading.

A worker grades in two threads. Of answers that take long it grades one at a time, in the order in which they came, so that the other thread is always for the
rest: neither waits for the other, whatever comes. What would change if answers were scored again is looked at in the same thread, and so is what somebody tries
a rubric on, answer by answer, when nothing else waits for it.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from celery import shared_task
from celery.signals import worker_ready
from django.utils import timezone

from interviews.live.models import Interview
from interviews.review import actions, letters, marking, queries, rescoring, trying
from interviews.review.models import GradeJob, RescoredAnswer, Tryout
from sandbox.leases import LEASE, UNHEARD_SINCE, Lost

log = logging.getLogger(__name__)
RINGS = 50  # in one round of the reaper
Job = TypeVar("Job", GradeJob, RescoredAnswer, Tryout)
Row = TypeVar("Row", GradeJob, RescoredAnswer, Tryout, Interview)
# What waits for the one thread that does it: gradings that take long, and behind them all what nobody waits for. And what that thread holds.
_now, _later, _lane = deque[Callable[[], None]](), deque[Callable[[], None]](), threading.Lock()


@worker_ready.connect
def _warm_up(sender: Any, **_: Any) -> None:
    """Loads the scorer where answers will be graded, before the first one comes."""
    if "grading" in sender.app.amqp.queues.consume_from:
        threading.Thread(target=marking.make_ready, name="warm-up", daemon=True).start()


@shared_task
def grade_answer(job_id: str) -> None:
    """Grades one answer, or leaves it to the thread that is grading another one that takes long. Safe to be delivered twice or late: only the claim decides."""
    job = GradeJob.objects.select_related("question__answer").filter(pk=job_id).first()
    if job is not None and queries.takes_long(job.question):
        _in_turn(_later if job.background else _now, lambda: _grade(job_id))
    else:
        _grade(job_id)


@shared_task
def look_again(row_id: str) -> None:
    """Finds out what one answer would get by now, however long it is in the thread of those that take long: the other is for what somebody waits for."""
    _in_turn(_later, lambda: _claim(RescoredAnswer, row_id, rescoring.look))


@shared_task
def try_answers(pk: str) -> None:
    """Marks what somebody tries a rubric on, in that thread, too."""
    _in_turn(_later, lambda: _claim(Tryout, pk, lambda tryout: trying.look(tryout, _give_way)))


def _grade(job_id: str) -> None:
    _claim(GradeJob, job_id, actions.grade)


def _in_turn(queue: deque[Callable[[], None]], work: Callable[[], None]) -> None:
    """Does this, or leaves it to the thread that is doing others of its kind."""
    queue.append(work)
    # Asked again after the release: one that came just before it found the lane taken.
    while (_now or _later) and _lane.acquire(blocking=False):
        try:
            while waiting := _now or _later:
                waiting.popleft()()
        finally:
            _lane.release()


def _give_way() -> None:
    """Does first what somebody waits for, in the thread that has something of `_later` half done."""
    while _now:
        _now.popleft()()


def _claim(jobs: type[Job], pk: str, do: Callable[[Job], None]) -> None:
    job = jobs.claim(pk)
    if job is None:
        return
    try:
        with job.heartbeat():
            do(job)
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


def _mend(jobs: type[Job], give_up: Callable[[Job], None], wake: Callable[[Job], None]) -> None:
    """Queues again what dead workers held or the broker lost, and ends what is out of attempts."""

    def ring(job: Job) -> None:
        job.rung()
        wake(job)

    requeued, exhausted = jobs.requeue_expired()
    _each(jobs.objects.filter(pk__in=exhausted, state__in=jobs.ACTIVE), give_up)
    _each(jobs.objects.filter(pk__in=requeued), ring)
    _each(jobs.unheard().order_by(UNHEARD_SINCE)[:RINGS], ring)


@shared_task
def send_letters() -> None:
    """Sends what candidates are to be told by mail."""
    letters.send_due()


@shared_task
def reap() -> None:
    """Sees to the jobs of dead workers, and mends interviews that wait."""
    _mend(GradeJob, lambda job: actions.give_up(job=job), lambda job: actions.wake(job))
    _mend(Tryout, lambda tryout: trying.give_up(tryout=tryout), trying.wake)
    _mend(RescoredAnswer, lambda row: rescoring.give_up(row=row), lambda row: rescoring.wake(row))
    waiting = Interview.objects.filter(status=Interview.Status.GRADING, finished_at__lt=timezone.now() - LEASE)
    _each(waiting, lambda interview: actions.mend_stuck(interview=interview))
