"""Starting, finishing, and the deadline that nobody can move."""

from collections.abc import Callable

import pytest
from pycrdt import Doc

from interviews.errors import Problem
from interviews.live import actions
from interviews.live.models import Event, Interview
from interviews.live.queries import content_of
from interviews.live.tasks import sweep
from interviews.review.models import GradeJob
from sandbox.models import Run
from tests.conftest import People
from tests.live.helpers import pass_deadline, question, typed, write

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def post(person, interview: Interview, verb: str):  # type: ignore[no-untyped-def]
    return person.client.post(f"/api/interviews/{interview.pk}/{verb}/", "{}", content_type="application/json")


@pytest.mark.parametrize("verb", ["start", "finish"])
def test_only_the_candidate_may(people: People, make: Make, verb: str) -> None:
    interview = make(started=verb == "finish")
    codes = {person.name: post(person, interview, verb).status_code for person in reversed(list(people))}
    assert codes == {"candidate": 200, "other": 404, "interviewer": 403, "admin": 403, "stranger": 403}


def test_a_second_start_moves_no_deadline(people: People, make: Make) -> None:
    interview = make(started=False)
    post(people.candidate, interview, "start")
    interview.refresh_from_db()
    first = interview.deadline
    post(people.candidate, interview, "start")
    interview.refresh_from_db()
    assert interview.deadline == first
    assert interview.events.filter(kind=Event.Kind.STARTED).count() == 1


def test_finishing_sends_every_answer_to_be_graded_once(people: People, make: Make) -> None:
    interview = make()
    write(question(interview, "written"), text="Decode reads all weights.")
    for _ in range(2):
        assert post(people.candidate, interview, "finish").json()["status"] == "grading"
    # The code answer still holds the starter: it is judged first, and graded when that is over.
    assert GradeJob.objects.filter(question__interview=interview).count() == interview.questions.exclude(version__kind="code").count()
    assert Run.objects.filter(kind="hidden").count() == 1
    assert interview.events.filter(kind=Event.Kind.FINISHED).count() == 1


def test_finishing_before_the_start_is_refused(people: People, make: Make) -> None:
    answer = post(people.candidate, make(started=False), "finish")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_started")


def test_a_write_after_the_deadline_is_refused_and_what_was_acknowledged_stays(people: People, make: Make) -> None:
    interview = make()
    asked = question(interview, "written")
    write(asked, text="In time.")
    pass_deadline(interview)
    with pytest.raises(Problem) as refusal:
        write(asked, text="Too late.")
    assert refusal.value.detail.code == "deadline"
    assert content_of(asked).text == "In time."


def test_the_sweep_ends_what_is_over_and_grades_what_was_acknowledged(people: People, make: Make) -> None:
    over, running = make(), make()
    write(question(over, "written"), text="In time.")
    pass_deadline(over)
    sweep()
    over.refresh_from_db()
    running.refresh_from_db()
    assert (over.status, running.status) == ("grading", "running")
    assert over.events.last().kind in (Event.Kind.EXPIRED, Event.Kind.RUN_QUEUED)
    assert GradeJob.objects.filter(question__interview=over, question__version__kind="written").exists()


def test_code_that_was_judged_as_it_stands_is_not_judged_again(people: People, make: Make) -> None:
    interview = make()
    asked = question(interview, "code")
    code = content_of(asked).code
    Run.objects.create(
        user=people.candidate.user, subject=asked.answer.pk, lab="continuous-batcher", kind="hidden", source=code, state="D", verdict="PA"
    )
    actions.finish(interview=interview, actor=people.candidate.user)
    assert Run.objects.count() == 1
    assert GradeJob.objects.filter(question=asked).exists()


def test_a_judge_error_counts_as_not_judged(people: People, make: Make) -> None:
    interview = make()
    asked = question(interview, "code")
    code = content_of(asked).code
    Run.objects.create(
        user=people.candidate.user, subject=asked.answer.pk, lab="continuous-batcher", kind="hidden", source=code, state="D", verdict="JE"
    )
    actions.finish(interview=interview, actor=people.candidate.user)
    assert Run.objects.filter(state="QU").count() == 1


def test_the_starter_is_in_the_document_once_and_from_the_start(people: People, make: Make) -> None:
    from sandbox import labs

    assert content_of(question(make(), "code")).code == labs.load("continuous-batcher").starter


def test_code_that_the_judge_does_not_take_keeps_no_interview_open(people: People, make: Make) -> None:
    large, other = make(), make()
    write(question(large, "code"), code="x = 1\n" * 60_000)
    for interview in (large, other):
        pass_deadline(interview)
    sweep()
    for interview in (large, other):
        interview.refresh_from_db()
        assert interview.status == "grading"


def test_an_interview_that_can_not_be_ended_keeps_no_other_open(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, other = make(), make()
    for interview in (broken, other):
        pass_deadline(interview)
    expire = actions.expire

    def fail(*, interview_id: object) -> bool:
        if interview_id == broken.pk:
            raise RuntimeError("a disk that is full")
        return expire(interview_id=interview_id)

    monkeypatch.setattr(actions, "expire", fail)
    sweep()
    other.refresh_from_db()
    assert other.status == "grading"


def test_a_snapshot_keeps_an_update_that_waits_for_another(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "SNAPSHOT_EVERY", 1)
    interview, source = make(), Doc()
    first, second = typed("world", into=source), typed("hello ", into=source)
    answer = question(interview, "written").answer
    for update in (second, first):
        actions.store_update(answer_id=answer.pk, actor=interview.candidate, data=update)
        actions.snapshot(answer_id=answer.pk)
    assert content_of(question(interview, "written")).text == "hello world"
