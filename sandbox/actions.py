"""Every write to runs."""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from sandbox import labs, queries
from sandbox.errors import Refused
from sandbox.leases import Lost
from sandbox.models import Run
from sandbox.signals import run_changed

log = logging.getLogger(__name__)
MAX_SOURCE_BYTES = 256 * 1024
TELL_AFTER = timedelta(seconds=30)
LAST = 9  # of Redis's priorities 0 to 9, 0 is served first, and is what a message without one has


def notify(run_id: UUID, kind: str) -> None:
    """Tells listeners after commit."""
    transaction.on_commit(lambda: run_changed.send(sender=Run, run_id=run_id, kind=kind))


class _Told(Exception):
    """Somebody else told of the end meanwhile."""


def tell_end(run_id: UUID) -> None:
    """Tells listeners that a run is over, and notes that it did, in one transaction: so that each end is told once, whoever dies between the two."""
    try:
        with transaction.atomic():
            run_changed.send(sender=Run, run_id=run_id, kind="finished")
            # Behind what listeners lock, as everybody who holds that and writes to a run.
            if not Run.objects.filter(pk=run_id, tell_at__isnull=False).update(tell_at=None):
                raise _Told
    except _Told:
        log.info("run %s: its end was told already", run_id)


def end(run: Run, row: QuerySet[Run], **outcome: Any) -> None:
    """Ends a run, if its row still is as `row` says, and tells of it after commit; the reaper does where this process dies before. Call inside a transaction.

    Raises:
        Lost: the row is another by now.
    """
    now = timezone.now()
    run.advance(row, state=Run.State.DONE, finished_at=now, tell_at=now + TELL_AFTER, lease_until=None, **outcome)
    transaction.on_commit(lambda: tell_end(run.pk))


def wake(run: Run) -> None:
    """Rings a worker. When the broker is away, or the lab is, the row stays queued; the reaper rings again, or ends it."""
    try:
        queue = f"sandbox.{labs.load(run.lab).queue}"
        # By name: the web process need not import the judge.
        current_app.send_task("sandbox.tasks.judge_run", (str(run.id),), queue=queue, priority=LAST if run.background else None, retry=False)
    except OperationalError as error:
        log.warning("run %s waits for the broker: %s", run.id, error)
    except (labs.UnknownLab, labs.BadLab) as error:
        log.warning("run %s can't be judged: %s", run.id, error)


def _check_limits(user: Any) -> None:
    limits = settings.SANDBOX
    if queries.queued().count() >= limits["queue_cap"]:
        raise Refused("queue_full", "The judge's queue is full. Try again in a minute.", 429, retry_after=60)
    if queries.unfinished_of(user).count() >= limits["user_concurrent"]:
        raise Refused("busy", "Your last run is still being judged. Wait for it, or abort it.", 429, retry_after=2)
    if wait := queries.seconds_until_allowed(user, limits["runs_per_minute"]):
        raise Refused("too_fast", f"Too many runs in a minute. Try again in {wait:.0f} s.", 429, retry_after=wait)


@transaction.atomic
def request_run(*, user: Any, subject: UUID | None, lab: str, source: str, kind: str, limited: bool = True) -> Run:
    """Queues a run of `source` against a lab's tests. `limited=False` is for runs that the site itself needs, such as the one at a deadline.

    Raises:
        Refused: no such lab, source too large, or a rate, concurrency or queue limit (429 with seconds).
    """
    if lab not in labs.slugs():
        raise Refused("no_lab", "This question's lab is not installed here.", 409)
    if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE_BYTES:
        raise Refused("too_large", f"The file is larger than {MAX_SOURCE_BYTES // 1024} KiB. Shorten it and run again.", 413)
    if limited:
        # The user's row is the lock under which the limits are counted.
        get_user_model()._default_manager.select_for_update().get(pk=user.pk)
        _check_limits(user)
    # PostgreSQL's text holds neither NUL nor lone surrogates; Python refuses both in source, and so the judge says CE either way.
    clean = source.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    run = Run.objects.create(user=user, subject=subject, lab=lab, source=clean, kind=kind)
    transaction.on_commit(lambda: wake(run))
    notify(run.id, "queued")
    return run


@transaction.atomic
def judge_again(*, run: Run) -> Run:
    """Queues a run of the very source of an earlier one, behind everybody's, against the tests as they are now. It belongs to no answer until
    somebody gives it to one (`count_instead`).

    Raises:
        Refused: the lab is not installed any more.
    """
    if run.lab not in labs.slugs():
        raise Refused("no_lab", f"The lab {run.lab} is not installed here.", 409)
    again = Run.objects.create(user=run.user, subject=None, lab=run.lab, source=run.source, kind=run.kind, background=True)
    transaction.on_commit(lambda: wake(again))
    return again


@transaction.atomic
def count_instead(*, run: Run, of: Run) -> None:
    """Gives a finished run to the answer of an earlier one. The earlier one stays as it was. That it counts is news, that it is over no more."""
    Run.objects.filter(pk=run.pk, state=Run.State.DONE, subject=None).update(subject=of.subject, tell_at=None)
    run.subject = of.subject


@transaction.atomic
def abort_run(*, run: Run) -> Run:
    """Ends a run: at once while it waits, within a moment while it is judged. A run that is over stays as it was."""
    try:
        end(run, Run.objects.filter(pk=run.pk, state=Run.State.QUEUED), verdict="AB", message="Aborted before it started.")
    except Lost:
        Run.objects.filter(pk=run.pk).exclude(state=Run.State.DONE).update(abort_requested=True)
    run.refresh_from_db()
    return run
