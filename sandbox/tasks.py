"""Celery's side of judging: claim the row, keep the lease, write each result as it arrives."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from sandbox import JudgeRequest, Outcome, judge, labs
from sandbox.actions import end, notify, tell_end, wake
from sandbox.leases import MAX_ATTEMPTS, RING_LATEST, UNHEARD_SINCE, Lost
from sandbox.models import Run, TestResult
from sandbox.worker import pool

log = logging.getLogger(__name__)
ABORT_POLL_SECONDS = 0.25
RINGS_PER_LAB, TELLS = 20, 50  # in one round of the reaper
OURS = "The judge failed, not your code: this run does not count against you."


class _Recorder:
    """Writes what the judge reports, as long as the lease is ours."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.position = 0

    @transaction.atomic
    def __call__(self, event: dict[str, Any]) -> None:
        # Renewing under the row's condition makes a result of a lost attempt impossible.
        if event["type"] == "planned":
            self.run.advance(state=Run.State.GRADING, planned=event["n"])
            notify(self.run.id, "started")
        elif event["type"] == "test":
            self.run.renew()
            TestResult.objects.create(run=self.run, position=self.position, **event["test"])
            self.position += 1
            notify(self.run.id, "test")


class _Abort:
    """Asks the row whether somebody pressed Abort, a few times a second at most."""

    def __init__(self, run: Run, lost: Any) -> None:
        self.run, self.lost = run, lost
        self.next, self.answer = 0.0, False

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self.answer and now >= self.next:
            self.next = now + ABORT_POLL_SECONDS
            self.answer = self.lost.is_set() or Run.objects.filter(pk=self.run.pk, abort_requested=True).exists()
        return self.answer


@transaction.atomic
def _finish(run: Run, outcome: Outcome) -> None:
    end(
        run,
        run.mine(),
        verdict=outcome.verdict,
        score=outcome.score,
        max_score=outcome.max_score,
        message=outcome.message,
        driver=outcome.driver,
        flight=outcome.flight,
    )


def _fail(run: Run, why: str) -> None:
    """Queues the run again, or after the last attempt ends it as JE.

    Raises:
        Lost: this attempt no longer holds the run.
    """
    if run.attempt < MAX_ATTEMPTS:
        with transaction.atomic():
            run.advance(state=Run.State.QUEUED, lease_until=None)
            transaction.on_commit(lambda: wake(run))
        return
    _end_as_judge_error(run, run.mine(), why)


@transaction.atomic
def _end_as_judge_error(run: Run, row: QuerySet[Run], why: str) -> None:
    """Ends the run, if its row still is as `row` says.

    Raises:
        Lost: it is not.
    """
    end(run, row, verdict="JE", score=0, message=f"{OURS} ({why})")


@transaction.atomic
def _sweep(run: Run) -> None:
    """Removes what a worker that died half way left, unless this one was itself believed dead: then the results are its successor's.

    Raises:
        Lost: it was.
    """
    run.renew()
    run.tests.all().delete()


@shared_task
def judge_run(run_id: str) -> None:
    """Judges one run. Safe to be delivered twice or late: only the claim decides."""
    run = Run.claim(UUID(run_id))
    if run is None:
        return
    try:
        with run.heartbeat() as lost:
            _sweep(run)
            request = JudgeRequest(lab=run.lab, source=run.source, hidden=run.kind == Run.Kind.HIDDEN)
            outcome = judge(request, on_event=_Recorder(run), should_abort=_Abort(run, lost), pool=pool())
        if lost.is_set():
            raise Lost(f"{run.id}: the lease ran out")
        if outcome.verdict == "JE":
            _fail(run, outcome.message)
        else:
            _finish(run, outcome)
    except Lost:
        log.warning("run %s: attempt %s lost its lease", run_id, run.attempt)
    except Exception as error:
        log.exception("run %s: attempt %s failed", run_id, run.attempt)
        try:
            _fail(run, type(error).__name__)
        except Lost:
            pass


@shared_task
def reap() -> None:
    """Queues again what dead workers held, ends what is out of attempts, rings for rows that no message stands for, and tells of ends that nobody heard of."""
    requeued, exhausted = Run.requeue_expired()
    _each(Run.objects.filter(pk__in=exhausted), lambda run: _end_as_judge_error(run, run.lapsed(), "its workers died"))
    _each(Run.objects.filter(pk__in=requeued), _ring)
    due = Run.unheard()
    # By labs, so that those whose queue nobody serves do not keep the others waiting.
    for lab in due.order_by().values_list("lab", flat=True).distinct():
        _each(due.filter(lab=lab).order_by("background", UNHEARD_SINCE)[:RINGS_PER_LAB], _ring)
    _each(Run.objects.filter(tell_at__lt=timezone.now()).order_by("tell_at")[:TELLS], _tell)


def _each(runs: Iterable[Run], mend: Callable[[Run], None]) -> None:
    for run in runs:
        try:
            mend(run)
        except Lost:
            continue
        except Exception:
            # One that can't be mended must not keep the others waiting; the next round tries it again.
            log.exception("run %s could not be mended", run.id)


def _ring(run: Run) -> None:
    """Rings for a queued run, or ends it where its lab is gone."""
    try:
        labs.load(run.lab)
    except (labs.UnknownLab, labs.BadLab) as error:
        log.error("run %s can't be judged: %s", run.id, error)
        _end_as_judge_error(run, Run.objects.filter(pk=run.pk, state=Run.State.QUEUED), "its lab is not installed here any more, or can't be read")
        return
    run.rung()
    wake(run)


def _tell(run: Run) -> None:
    """Tells of an end. Where that fails, it is tried again later, behind the others."""
    Run.objects.filter(pk=run.pk, tell_at__isnull=False).update(tell_at=timezone.now() + RING_LATEST)
    tell_end(run.pk)
