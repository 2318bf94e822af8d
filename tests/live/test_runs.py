"""Runs of an interview's code: queued, limited, aborted, seen by the right people."""

import json
from collections.abc import Callable

import pytest
from django.utils import timezone

from interviews.live import actions
from interviews.live.models import Interview
from interviews.review.queries import report
from sandbox.models import Run
from tests.conftest import People
from tests.live.helpers import pass_deadline, question, write

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def post(person, interview: Interview, kind: str = "public", of: str = "code"):  # type: ignore[no-untyped-def]
    asked = question(interview, of)
    path = f"/api/interviews/{interview.pk}/questions/{asked.pk}/runs/"
    return person.client.post(path, json.dumps({"kind": kind}), content_type="application/json")


def test_a_run_takes_the_code_that_the_server_has(people: People, make: Make) -> None:
    interview = make()
    write(question(interview, "code"), code="print('mine')\n")
    answer = post(people.candidate, interview)
    assert answer.status_code == 201
    assert answer.json()["state"] == "QU"
    assert answer.json()["position"] == 0
    assert Run.objects.get().source == "print('mine')\n"


def test_only_the_candidate_starts_runs(people: People, make: Make) -> None:
    interview = make()
    codes = {person.name: post(person, interview).status_code for person in people}
    assert codes == {"candidate": 201, "other": 404, "interviewer": 403, "admin": 403, "stranger": 403}


@pytest.mark.parametrize(("kind", "of", "code"), [("secret", "code", "invalid"), ("public", "written", "no_code")])
def test_a_run_that_makes_no_sense_is_refused(people: People, make: Make, kind: str, of: str, code: str) -> None:
    answer = post(people.candidate, make(minutes=60), kind, of)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_no_code_no_run(people: People, make: Make) -> None:
    interview = make()
    write(question(interview, "code"), code=" \n")
    answer = post(people.candidate, interview)
    assert answer.json()["code"] == "empty"


def test_after_the_deadline_there_are_no_runs(people: People, make: Make) -> None:
    interview = make()
    pass_deadline(interview)
    assert post(people.candidate, interview).json()["code"] == "deadline"


def test_too_many_at_once_are_refused_with_seconds(people: People, make: Make, settings: object) -> None:
    settings.SANDBOX = {**settings.SANDBOX, "user_concurrent": 1}  # type: ignore[attr-defined]
    interview = make()
    post(people.candidate, interview)
    answer = post(people.candidate, interview)
    assert (answer.status_code, answer.json()["code"]) == (429, "busy")
    assert answer.json()["retry_after"] > 0
    assert int(answer["Retry-After"]) > 0


def test_too_many_in_a_minute_are_refused_with_seconds(people: People, make: Make, settings: object) -> None:
    settings.SANDBOX = {**settings.SANDBOX, "runs_per_minute": 2, "user_concurrent": 99}  # type: ignore[attr-defined]
    interview = make()
    assert [post(people.candidate, interview).status_code for _ in range(3)] == [201, 201, 429]


def test_a_full_queue_is_refused(people: People, make: Make, settings: object) -> None:
    settings.SANDBOX = {**settings.SANDBOX, "queue_cap": 0}  # type: ignore[attr-defined]
    assert post(people.candidate, make()).json()["code"] == "queue_full"


def test_a_waiting_run_is_aborted_at_once(people: People, make: Make) -> None:
    run = post(people.candidate, make()).json()
    answer = people.candidate.client.post(f"/api/runs/{run['id']}/abort/", "{}", content_type="application/json").json()
    assert (answer["state"], answer["verdict"]) == ("D", "AB")


def test_a_run_is_seen_and_aborted_through_its_interviews_door(people: People, make: Make) -> None:
    run = post(people.candidate, make()).json()
    seen = {person.name: person.client.get(f"/api/runs/{run['id']}/").status_code for person in people}
    assert seen == {"candidate": 200, "other": 404, "interviewer": 200, "admin": 200, "stranger": 403}
    tried = {
        person.name: person.client.post(f"/api/runs/{run['id']}/abort/", "{}", content_type="application/json").status_code
        for person in (people.other, people.interviewer, people.stranger)
    }
    assert tried == {"other": 404, "interviewer": 403, "stranger": 403}
    assert Run.objects.get().state == "QU"


def test_a_module_that_is_too_large_is_refused(people: People, make: Make) -> None:
    interview = make()
    write(question(interview, "code"), code="x = 1\n" * 60_000)
    answer = post(people.candidate, interview)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_the_run_that_decides_the_score_can_not_be_aborted(people: People, make: Make) -> None:
    interview = make()
    post(people.candidate, interview, "hidden")
    actions.finish(interview=interview, actor=interview.candidate)
    run = Run.objects.get()
    answer = people.candidate.client.post(f"/api/runs/{run.pk}/abort/", "{}", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "deadline")
    assert Run.objects.get().state == "QU"


def test_the_record_of_a_hidden_run_is_for_interviewers_and_the_candidate_sees_the_public_one(people: People, make: Make) -> None:
    interview = make()
    asked = question(interview, "code")
    write(asked, code="x = 1\n")
    post(people.candidate, interview)
    post(people.candidate, interview, "hidden")
    for kind in ("public", "hidden"):
        Run.objects.filter(kind=kind).update(state="D", verdict="AC", flight={"steps": [kind]}, finished_at=timezone.now())
    runs = {run.kind: run.pk for run in Run.objects.all()}

    def seen(person, kind: str) -> object:  # type: ignore[no-untyped-def]
        return person.client.get(f"/api/runs/{runs[kind]}/").json()["flight"]

    for person, shown in ((people.candidate, "public"), (people.interviewer, "hidden"), (people.admin, "hidden")):
        assert seen(person, "public") == {"steps": ["public"]}
        assert seen(person, "hidden") == {"steps": [shown]}
        reported = next(item for item in report(interview, person.user)["questions"] if item["kind"] == "code")
        assert reported["run"]["flight"] == {"steps": [shown]}
    Run.objects.filter(kind="public").update(source="x = 2\n")  # of other code, which this record would not be true of
    assert seen(people.candidate, "hidden") is None
