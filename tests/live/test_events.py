"""The log: numbers without gaps, and an old state plus the events since is the fresh state."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from interviews.live import actions, queries
from interviews.live.models import Event, Interview
from sandbox.models import Run, TestResult
from tests.conftest import People
from tests.live.helpers import question, write

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def url(interview: Interview, since: object) -> str:
    return f"/api/interviews/{interview.pk}/events/?since={since}"


def apply(state: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    """What the browser does (frontend/src/room/state.ts)."""
    state = copy.deepcopy(state)
    for event in events:
        state.update(event["body"].get("state", {}))
        state["seq"] = event["seq"]
        if run := event["body"].get("run"):
            runs = next(q for q in state["questions"] if q["id"] == run["question_id"])["runs"]
            runs[:] = [run if old["id"] == run["id"] else old for old in runs] + ([] if run["id"] in {r["id"] for r in runs} else [run])
    return state


def comparable(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key not in ("remaining_ms", "server_now", "sandbox")}


def test_old_state_and_events_make_the_fresh_state(people: People, make: Make, django_capture_on_commit_callbacks: Any) -> None:
    interview, user = make(), people.candidate.user
    states = [queries.state(interview, user)]

    def step(change: Callable[[], object]) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            change()
        interview.refresh_from_db()
        states.append(queries.state(interview, user))

    def judged() -> None:
        run = Run.claim(Run.objects.get(state="QU").pk)
        run.advance(state="GR", planned=1)
        actions.note_run(run_id=run.pk, kind="started")
        TestResult.objects.create(run=run, position=0, name="a", group="b", verdict="AC", points=1, max_points=1, seconds=0.1)
        actions.note_run(run_id=run.pk, kind="test")
        run.advance(state="D", verdict="AC", score=1, max_score=1)
        actions.note_run(run_id=run.pk, kind="finished")

    step(lambda: actions.request_run(question=question(interview, "code"), actor=user, kind="public"))
    step(judged)
    step(lambda: write(question(interview, "written"), text="Words."))
    step(lambda: actions.finish(interview=interview, actor=user))
    fresh = states[-1]
    for old in states:
        events = queries.events_since(interview, old["seq"], user)["events"]
        assert comparable(apply(old, events)) == comparable(fresh)


def test_numbers_have_no_gaps(people: People, make: Make) -> None:
    interview = make()
    actions.finish(interview=interview, actor=people.candidate.user)
    numbers = list(interview.events.values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    interview.refresh_from_db()
    assert interview.seq == numbers[-1]


def test_since_gives_what_came_after(people: People, make: Make) -> None:
    interview = make()
    body = people.candidate.client.get(url(interview, 1)).json()
    assert [event["seq"] for event in body["events"]] == [2]
    assert body["seq"] == 2
    assert people.candidate.client.get(url(interview, 2)).json() == {"seq": 2, "events": []}


def test_who_may_read_it(people: People, make: Make) -> None:
    interview = make()
    codes = {person.name: person.client.get(url(interview, 0)).status_code for person in people}
    assert codes == {"candidate": 200, "other": 404, "interviewer": 200, "admin": 200, "stranger": 403}


def test_since_must_be_a_number(people: People, make: Make) -> None:
    answer = people.candidate.client.get(url(make(), "yesterday"))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_since")


def test_the_log_can_not_be_rewritten(people: People, make: Make) -> None:
    make()
    with pytest.raises(DatabaseError, match="written once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE live_event SET kind = 'x'")
    assert Event.objects.exists()
