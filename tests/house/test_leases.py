"""A job belongs to the attempt that holds its lease, and to nobody when that attempt is dead."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from sandbox import leases
from sandbox.leases import MAX_ATTEMPTS, Lost
from sandbox.models import Run
from tests.conftest import People


@pytest.fixture
def run(people: People) -> Run:
    return Run.objects.create(user=people.candidate.user, lab="continuous-batcher", kind="public", source="")


def expire(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_a_job_is_claimed_once(run: Run) -> None:
    first = Run.claim(run.pk)
    assert first is not None
    assert first.attempt == 1
    assert Run.claim(run.pk) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_exactly_one_gets_the_job(run: Run) -> None:
    won: list[Run] = []

    def claim() -> None:
        try:
            if claimed := Run.claim(run.pk):
                won.append(claimed)
        finally:
            connection.close()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


@pytest.mark.django_db
def test_a_lease_that_runs_out_puts_the_job_back(run: Run) -> None:
    Run.claim(run.pk)
    assert Run.requeue_expired() == ([], [])
    expire(run)
    assert Run.requeue_expired() == ([run.pk], [])
    run.refresh_from_db()
    assert run.state == Run.State.QUEUED


@pytest.mark.django_db
def test_a_worker_believed_dead_can_write_nothing_any_more(run: Run) -> None:
    dead = Run.claim(run.pk)
    expire(run)
    Run.requeue_expired()
    successor = Run.claim(run.pk)
    assert dead is not None
    assert successor is not None
    with pytest.raises(Lost):
        dead.advance(state=Run.State.DONE, verdict="AC")
    successor.advance(state=Run.State.GRADING)
    run.refresh_from_db()
    assert (run.state, run.verdict, run.attempt) == (Run.State.GRADING, "", 2)


@pytest.mark.django_db
def test_after_the_last_attempt_the_job_is_given_up(run: Run) -> None:
    for _ in range(MAX_ATTEMPTS):
        assert Run.claim(run.pk)
        expire(run)
        requeued, exhausted = Run.requeue_expired()
    assert (requeued, exhausted) == ([], [run.pk])


@pytest.mark.django_db(transaction=True)
def test_a_heart_that_beats_keeps_the_lease_and_says_when_it_is_lost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.02)
    held = Run.claim(run.pk)
    assert held is not None
    before = held.lease_until
    with held.heartbeat() as lost:
        assert not lost.wait(0.3)
        run.refresh_from_db()
        assert run.lease_until > before
        Run.objects.filter(pk=run.pk).update(attempt=9)
        assert lost.wait(10)


@pytest.mark.django_db(transaction=True)
def test_a_heart_goes_on_after_an_error_of_the_database_until_the_lease_is_over(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.02)
    held = Run.claim(run.pk)
    assert held is not None
    before, renew, failed, renewed = held.lease_until, Run.renew, threading.Event(), threading.Event()

    def fails_once(self: Run) -> None:
        if not failed.is_set():
            failed.set()
            raise OperationalError("the database is starting up")
        renew(self)
        renewed.set()

    def fails(self: Run) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(Run, "renew", fails_once)
    with held.heartbeat() as lost:
        assert renewed.wait(30)
        assert not lost.is_set()
    run.refresh_from_db()
    assert run.lease_until > before
    monkeypatch.setattr(Run, "renew", fails)
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=0.1))
    with held.heartbeat() as lost:
        assert lost.wait(30)
