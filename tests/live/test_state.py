"""GET /api/interviews/<id>/: who sees it, what it says, what it costs."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from interviews.live.models import Interview
from sandbox import labs
from tests.conftest import People
from tests.live.helpers import pass_deadline

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def url(interview: Interview) -> str:
    return f"/api/interviews/{interview.pk}/"


def test_the_candidate_and_reviewers_see_it_and_nobody_else(people: People, make: Make) -> None:
    interview = make()
    codes = {person.name: person.client.get(url(interview)).status_code for person in people}
    assert codes == {"candidate": 200, "other": 404, "interviewer": 200, "admin": 200, "stranger": 403}


def test_questions_are_not_shown_before_the_start(people: People, make: Make) -> None:
    state = people.candidate.client.get(url(make(started=False))).json()
    assert state["status"] == "ready"
    assert state["questions"] == []
    assert len(state["outline"]) >= 3
    assert state["remaining_ms"] == 60 * 60_000


def test_a_running_interview_shows_what_the_room_needs(people: People, make: Make) -> None:
    state = people.candidate.client.get(url(make())).json()
    assert state["can_write"] is True
    assert 0 < state["remaining_ms"] <= 60 * 60_000
    kinds = {question["kind"]: question for question in state["questions"]}
    assert {"written", "estimate", "code"} <= kinds.keys()
    assert '<span class="math">a &lt; b</span>' in kinds["written"]["prompt_html"]
    assert kinds["estimate"]["fields"] == [{"id": "size", "label": "Size", "hint": "in GiB"}]
    assert kinds["code"]["lab"]["slug"] == "continuous-batcher"
    assert kinds["code"]["lab"]["public_tests"]
    assert kinds["code"]["lab"]["starter"] == labs.load("continuous-batcher").starter


def test_no_rubric_and_no_model_answer_is_in_it(people: People, make: Make) -> None:
    body = people.candidate.client.get(url(make())).content.decode()
    for secret in ("memory bandwidth", "Criterion", "paraphrases", "hidden_tests"):
        assert secret not in body


def test_a_reviewer_looks_but_may_not_write(people: People, make: Make) -> None:
    assert people.interviewer.client.get(url(make())).json()["can_write"] is False


def test_after_the_deadline_no_time_is_granted(people: People, make: Make) -> None:
    interview = make()
    pass_deadline(interview)
    state = people.candidate.client.get(url(interview)).json()
    assert (state["remaining_ms"], state["can_write"]) == (0, False)


def test_the_number_of_queries_does_not_grow_with_runs(people: People, make: Make) -> None:
    from sandbox.models import Run, TestResult

    interview = make()
    answer = interview.questions.get(version__kind="code").answer

    def count() -> int:
        with CaptureQueriesContext(connection) as caught:
            people.candidate.client.get(url(interview))
        return len(caught)

    def run() -> None:
        made = Run.objects.create(user=people.candidate.user, subject=answer.pk, lab="continuous-batcher", kind="public", state="D")
        TestResult.objects.create(run=made, position=0, name="a", group="b", verdict="AC", points=1, max_points=1, seconds=0)

    run()
    first = count()
    for _ in range(5):
        run()
    assert count() == first
    assert first < 20


def test_an_interview_that_is_none_is_not_found(people: People) -> None:
    assert people.candidate.client.get("/api/interviews/00000000-0000-4000-8000-000000000000/").status_code == 404


@pytest.mark.parametrize(("typed", "answer"), [
    ("168 gib", {"read": "168 gibibytes"}),
    ("1,5 GB", {"problem": "a decimal is written with a point, not with a comma"}),
    ("many", {"problem": "there is no number here"}),
])
def test_a_field_is_told_how_it_is_read(people: People, typed: str, answer: dict[str, str]) -> None:
    assert people.candidate.client.get("/api/quantity/", {"text": typed}).json() == answer


def test_a_field_is_read_only_for_who_is_signed_in_and_types_one(people: People) -> None:
    assert people.stranger.client.get("/api/quantity/", {"text": "1 GB"}).status_code == 403
    assert [people.candidate.client.get("/api/quantity/", query).status_code for query in ({}, {"text": "9" * 201}, {"text": "1\0"})] == [400, 400, 400]
