"""A run from the queue to its end, as a worker does it: judged for real, written as it goes, and never twice."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from sandbox import Outcome, actions, labs, tasks
from sandbox.models import Run
from sandbox.signals import run_changed
from tests.conftest import People

LAB = "continuous-batcher"


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been sent to a worker."""
    sent: list[str] = []
    monkeypatch.setattr("sandbox.actions.current_app.send_task", lambda name, args, **_: sent.append(args[0]))
    return sent


def request(people: People, source: str, kind: str = "public") -> Run:
    return actions.request_run(user=people.candidate.user, subject=None, lab=LAB, source=source, kind=kind)


@pytest.mark.django_db(transaction=True)
def test_a_run_is_judged_and_each_result_is_told_as_it_comes(people: People) -> None:
    told: list[str] = []

    def listen(sender: Any, run_id: object, kind: str, **_: Any) -> None:
        told.append(kind)

    run_changed.connect(listen)
    try:
        run = request(people, labs.load(LAB).reference)
        tasks.judge_run(str(run.pk))
    finally:
        run_changed.disconnect(listen)
    run.refresh_from_db()
    assert (run.state, run.verdict, run.score) == ("D", "AC", run.max_score)
    assert run.tests.count() == run.planned == 4
    assert told == ["queued", "started", *["test"] * 4, "finished"]
    assert run.flight["steps"]
    assert run.driver == "bwrap"


@pytest.mark.django_db(transaction=True)
def test_a_run_delivered_twice_is_judged_once(people: People) -> None:
    run = request(people, labs.load(LAB).reference)
    tasks.judge_run(str(run.pk))
    tasks.judge_run(str(run.pk))
    run.refresh_from_db()
    assert (run.attempt, run.tests.count()) == (1, 4)


@pytest.mark.django_db(transaction=True)
def test_an_abort_ends_a_run_that_is_being_judged(people: People) -> None:
    run = request(people, "while True: pass", "hidden")

    def work() -> None:
        try:
            tasks.judge_run(str(run.pk))
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    deadline = time.monotonic() + 20
    while Run.objects.get(pk=run.pk).state == "QU" and time.monotonic() < deadline:
        time.sleep(0.05)
    actions.abort_run(run=Run.objects.get(pk=run.pk))
    worker.join(30)
    run.refresh_from_db()
    assert (run.state, run.verdict) == ("D", "AB")


@pytest.mark.django_db(transaction=True)
def test_what_a_dead_worker_left_is_judged_again_from_the_start(people: People, no_broker: list[str]) -> None:
    run = request(people, labs.load(LAB).reference)
    dead = Run.claim(run.pk)
    assert dead is not None
    tasks._Recorder(dead)({"type": "planned", "n": 4})
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    no_broker.clear()
    tasks.reap()
    assert no_broker == [str(run.pk)]
    tasks.judge_run(str(run.pk))
    run.refresh_from_db()
    assert (run.verdict, run.attempt, run.tests.count()) == ("AC", 2, 4)


@pytest.mark.django_db(transaction=True)
def test_after_three_dead_workers_it_is_the_judges_error(people: People) -> None:
    run = request(people, "x = 1")
    for _ in range(3):
        Run.claim(run.pk)
        Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        tasks.reap()
    run.refresh_from_db()
    assert (run.state, run.verdict) == ("D", "JE")
    assert "does not count against you" in run.message


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failure", ["raises", "says JE"])
def test_a_judge_that_fails_is_tried_three_times_and_then_owns_up(people: People, monkeypatch: pytest.MonkeyPatch, failure: str) -> None:
    def judge(*args: Any, **kwargs: Any) -> Outcome:
        if failure == "raises":
            raise OSError("no space left")
        return Outcome(verdict="JE", score=0, max_score=0, tests=())

    monkeypatch.setattr(tasks, "judge", judge)
    run = request(people, "x = 1")
    for _ in range(3):
        tasks.judge_run(str(run.pk))
    run.refresh_from_db()
    assert (run.state, run.verdict, run.attempt) == ("D", "JE", 3)


@pytest.mark.django_db(transaction=True)
def test_when_the_broker_is_away_the_row_waits_and_the_reaper_rings_again(
    people: People, monkeypatch: pytest.MonkeyPatch, no_broker: list[str]
) -> None:
    from kombu.exceptions import OperationalError

    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("no broker")

    with monkeypatch.context() as broken:
        broken.setattr("sandbox.actions.current_app.send_task", away)
        run = request(people, "x = 1")
    assert Run.objects.get(pk=run.pk).state == "QU"
    Run.objects.filter(pk=run.pk).update(queued_at=timezone.now() - timedelta(minutes=1))
    tasks.reap()
    assert no_broker == [str(run.pk)]


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_stalls_after_its_claim_leaves_its_successors_results_alone(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    run = request(people, labs.load(LAB).reference)
    stalled = Run.claim(run.pk)
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.reap()
    tasks.judge_run(str(run.pk))
    monkeypatch.setattr(Run, "claim", lambda pk: stalled)
    tasks.judge_run(str(run.pk))
    run.refresh_from_db()
    assert (run.verdict, run.attempt, run.tests.count()) == ("AC", 2, 4)


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_lease_ran_out_writes_no_verdict(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def away(self: Run) -> Iterator[threading.Event]:
        lost = threading.Event()
        lost.set()
        yield lost

    monkeypatch.setattr(Run, "heartbeat", away)
    run = request(people, labs.load(LAB).reference)
    tasks.judge_run(str(run.pk))  # it stops as if aborted, which nobody asked for
    run.refresh_from_db()
    assert (run.state, run.verdict) == ("GR", "")


@pytest.mark.django_db(transaction=True)
def test_a_last_attempt_that_lives_after_all_is_not_ended(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    run = request(people, "x = 1")
    Run.claim(run.pk)
    monkeypatch.setattr(Run, "requeue_expired", lambda: ([], [run.pk]))  # and then its worker renewed
    tasks.reap()
    run.refresh_from_db()
    assert (run.state, run.verdict) == ("PR", "")


class Killed(BaseException):
    """What nothing in the process catches."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ended", ["judged", "given up", "aborted"])
def test_an_end_that_a_dead_process_did_not_tell_of_is_told_once(people: People, ended: str) -> None:
    told: list[object] = []
    dies = [Killed(), ValueError("a listener's fault")]

    def listen(sender: Any, run_id: object, kind: str, **_: Any) -> None:
        if kind == "finished" and dies:
            raise dies.pop(0)
        told.append((run_id, kind))

    def late() -> None:
        Run.objects.filter(tell_at__isnull=False).update(tell_at=timezone.now() - timedelta(seconds=1))

    run = request(people, labs.load(LAB).reference)
    run_changed.connect(listen)
    try:
        with pytest.raises(Killed):
            if ended == "aborted":
                actions.abort_run(run=run)
            elif ended == "judged":
                tasks.judge_run(str(run.pk))
            else:
                Run.claim(run.pk)
                Run.objects.update(attempt=3, lease_until=timezone.now() - timedelta(seconds=1))
                tasks.reap()
        assert Run.objects.get(pk=run.pk).state == "D"
        told.clear()
        tasks.reap()  # not yet: the worker that ended it may be telling
        assert told == [] and len(dies) == 1
        late()
        tasks.reap()  # fails, and keeps no other waiting
        tasks.reap()
        assert told == [] and not dies
        late()
        actions.tell_end(run.pk)
        tasks.reap()
        late()
        tasks.reap()
    finally:
        run_changed.disconnect(listen)
    assert told == [(run.pk, "finished")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lab", ["removed", "faulty"])
def test_a_run_whose_lab_is_gone_ends_and_keeps_nobody_waiting(
    people: People, monkeypatch: pytest.MonkeyPatch, no_broker: list[str], lab: str
) -> None:
    load = labs.load

    def faulty(slug: str) -> labs.Lab:
        if slug == "faulty":
            raise labs.BadLab("no groups")
        return load(slug)

    monkeypatch.setattr(labs, "load", faulty)
    run, other = request(people, "x = 1"), request(people, "x = 1")
    Run.objects.filter(pk=run.pk).update(lab=lab)
    tasks.judge_run(str(run.pk))  # fails, and its bell is not rung in vain
    Run.objects.update(queued_at=timezone.now() - timedelta(minutes=1))
    no_broker.clear()
    tasks.reap()
    run.refresh_from_db()
    assert (run.state, run.verdict) == ("D", "JE")
    assert "its lab" in run.message
    assert no_broker == [str(other.pk)]


@pytest.mark.django_db(transaction=True)
def test_each_forgotten_run_is_rung_for_in_its_turn_and_not_without_end(people: People, no_broker: list[str]) -> None:
    ago = timezone.now() - timedelta(minutes=1)
    many = Run.objects.bulk_create(Run(user=people.candidate.user, lab=LAB, kind="public", source="", queued_at=ago) for _ in range(tasks.RINGS_PER_LAB + 5))
    lone = Run.objects.create(user=people.candidate.user, lab="speculative-decoder", kind="public", source="", queued_at=timezone.now() - timedelta(seconds=40))
    rounds = []
    for _ in range(3):
        no_broker.clear()
        tasks.reap()
        rounds.append(set(no_broker))
    assert [len(rung) for rung in rounds] == [tasks.RINGS_PER_LAB + 1, 5, 0]
    assert str(lone.pk) in rounds[0]  # though the other lab's have waited longer
    assert rounds[0] | rounds[1] == {str(run.pk) for run in [*many, lone]}
    Run.objects.filter(pk=lone.pk).update(ring_at=timezone.now())
    no_broker.clear()
    tasks.reap()
    assert no_broker == [str(lone.pk)]
