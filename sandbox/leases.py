"""Durable jobs: a row with a lease, a heartbeat and a reaper.

Celery wakes a worker up; the row decides who works. A worker claims the row under a lease and renews it while it works. When a
worker dies, the lease runs out and the reaper queues the row again, at most `MAX_ATTEMPTS` times; after that the job ends as
a failure of ours. Every write that ends or renews a job is conditional on the attempt that made it, so that a worker that was believed dead
cannot overwrite its successor.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.db import Error, close_old_connections, connection, models
from django.db.models.functions import Coalesce
from django.utils import timezone

LEASE = timedelta(seconds=15)
HEARTBEAT_SECONDS = 4.0
MAX_ATTEMPTS = 3
RING_AFTER, RING_LATEST = timedelta(seconds=30), timedelta(minutes=5)
UNHEARD_SINCE = Coalesce("ring_at", "queued_at")  # in this order each gets its turn, however many there are
log = logging.getLogger(__name__)


class Lost(Exception):
    """The lease went to someone else, or the job was ended meanwhile: stop, and write nothing."""


class Leased(models.Model):
    """The columns and moves of a durable job."""

    class State(models.TextChoices):
        QUEUED = "QU", "queued"
        PREPARING = "PR", "preparing"
        GRADING = "GR", "grading"
        DONE = "D", "done"

    state = models.CharField(max_length=2, choices=State, default=State.QUEUED, db_index=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    ring_at = models.DateTimeField(null=True)  # when the reaper may ring for it again; none where it has not rung

    class Meta:
        abstract = True

    ACTIVE: ClassVar = (State.PREPARING, State.GRADING)

    @classmethod
    def claim(cls, pk: Any) -> Self | None:
        """Takes the queued job for this worker, or returns None when somebody else has it or it is over."""
        now = timezone.now()
        taken = cls._default_manager.filter(pk=pk, state=cls.State.QUEUED).update(
            state=cls.State.PREPARING,
            attempt=models.F("attempt") + 1,
            lease_until=now + LEASE,
            started_at=now,
        )
        return cls._default_manager.get(pk=pk) if taken else None

    def mine(self) -> "models.QuerySet[Any]":
        """The row, if this attempt still holds it."""
        return type(self)._default_manager.filter(pk=self.pk, attempt=self.attempt, state__in=self.ACTIVE)

    def lapsed(self) -> "models.QuerySet[Any]":
        """The row, if this attempt still holds it and its lease has run out."""
        return self.mine().filter(lease_until__lt=timezone.now())

    def advance(self, row: "models.QuerySet[Any] | None" = None, /, **fields: Any) -> None:
        """Writes fields while the lease is held, or as long as the row still is as `row` says.

        Raises:
            Lost: this attempt no longer holds the job, or the row is another by now.
        """
        if not (self.mine() if row is None else row).update(**fields):
            raise Lost(f"{self.pk}: attempt {self.attempt} is over")
        for name, value in fields.items():
            setattr(self, name, value)

    def renew(self) -> None:
        """Pushes the lease out.

        Raises:
            Lost: this attempt no longer holds the job.
        """
        self.advance(lease_until=timezone.now() + LEASE)

    @contextmanager
    def heartbeat(self) -> Iterator[threading.Event]:
        """Renews the lease from a thread while the body works. The event that it gives is set when the lease is lost, or could not be renewed in time."""
        lost, stop = threading.Event(), threading.Event()
        began = time.monotonic()

        def beat() -> None:
            until = began + LEASE.total_seconds()
            try:
                while not stop.wait(HEARTBEAT_SECONDS):
                    now = time.monotonic()
                    try:
                        close_old_connections()
                        self.renew()
                        until = now + LEASE.total_seconds()
                    except Lost:
                        lost.set()
                        return
                    except Error as error:
                        log.warning("%s: the lease was not renewed, and is tried again: %s", self.pk, error)
                        if now > until:
                            lost.set()
                            return
            finally:
                connection.close()

        thread = threading.Thread(target=beat, name=f"heartbeat-{self.pk}", daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            stop.set()
            thread.join()

    @classmethod
    def unheard(cls) -> "models.QuerySet[Any]":
        """Queued jobs that no worker took although it was rung for them."""
        now = timezone.now()
        due = models.Q(ring_at__lt=now) | models.Q(ring_at=None, queued_at__lt=now - RING_AFTER)
        return cls._default_manager.filter(due, state=cls.State.QUEUED)

    def rung(self) -> None:
        """Notes that it was rung for a queued job, which is done again when it has waited twice as long, RING_LATEST more at most: a message that
        nobody consumes needs few others beside it.
        """
        now = timezone.now()
        type(self)._default_manager.filter(pk=self.pk).update(ring_at=now + min(max(now - self.queued_at, RING_AFTER), RING_LATEST))

    @classmethod
    def requeue_expired(cls) -> tuple[list[Any], list[Any]]:
        """Queues again what dead workers held. Returns the ids that were queued and those that are out of attempts."""
        now = timezone.now()
        expired = cls._default_manager.filter(state__in=cls.ACTIVE, lease_until__lt=now)
        requeued, exhausted = [], []
        for pk, attempt in expired.values_list("pk", "attempt"):
            if attempt >= MAX_ATTEMPTS:
                exhausted.append(pk)
            elif cls._default_manager.filter(pk=pk, attempt=attempt, state__in=cls.ACTIVE, lease_until__lt=now).update(
                state=cls.State.QUEUED, lease_until=None
            ):
                requeued.append(pk)
        return requeued, exhausted
