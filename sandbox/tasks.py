"""Celery's side of judging: claim the row, keep the lease, write each result as it arrives."""

import logging
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from sandbox import JudgeRequest, Outcome, judge
from sandbox.actions import notify, wake
from sandbox.leases import MAX_ATTEMPTS, Lost
from sandbox.models import Run, TestResult
from sandbox.worker import pool

log = logging.getLogger(__name__)
ABORT_POLL_SECONDS = 0.25
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
    run.advance(
        state=Run.State.DONE,
        verdict=outcome.verdict,
        score=outcome.score,
        max_score=outcome.max_score,
        message=outcome.message,
        driver=outcome.driver,
        flight=outcome.flight,
        finished_at=timezone.now(),
        lease_until=None,
    )
    notify(run.id, "finished")


def _fail(run: Run, why: str) -> None:
    """Queues the run again, or after the last attempt ends it as JE."""
    if run.attempt < MAX_ATTEMPTS:
        with transaction.atomic():
            run.advance(state=Run.State.QUEUED, lease_until=None)
            transaction.on_commit(lambda: wake(run))
        return
    _end_as_judge_error(run, why)


@transaction.atomic
def _end_as_judge_error(run: Run, why: str) -> None:
    run.advance(state=Run.State.DONE, verdict="JE", score=0, message=f"{OURS} ({why})", finished_at=timezone.now())
    notify(run.id, "finished")


@shared_task
def judge_run(run_id: str) -> None:
    """Judges one run. Safe to be delivered twice or late: only the claim decides."""
    run = Run.claim(UUID(run_id))
    if run is None:
        return
    try:
        # A worker that died half way may have left results.
        run.tests.all().delete()
        with run.heartbeat() as lost:
            request = JudgeRequest(lab=run.lab, source=run.source, hidden=run.kind == Run.Kind.HIDDEN)
            outcome = judge(request, on_event=_Recorder(run), should_abort=_Abort(run, lost), pool=pool())
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
    """Queues again what dead workers held, ends what is out of attempts, and rings for rows that no message stands for."""
    requeued, exhausted = Run.requeue_expired()
    for run in Run.objects.filter(pk__in=exhausted, state__in=Run.ACTIVE):
        try:
            _end_as_judge_error(run, "its workers died")
        except Lost:
            continue
    forgotten = Run.objects.filter(state=Run.State.QUEUED, queued_at__lt=timezone.now() - timedelta(seconds=30))
    # Ringing twice is harmless, but a long queue need not be rung for whole every few seconds.
    for run in [*Run.objects.filter(pk__in=requeued), *forgotten.order_by("background", "queued_at")[:20]]:
        wake(run)
