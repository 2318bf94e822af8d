"""GET /api/interviews/<id>/report/."""

import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grading.models import Score
from interviews.bank.actions import edit_question
from interviews.bank.models import Question
from interviews.live import actions as live
from interviews.live.models import Interview
from interviews.review import actions
from tests.conftest import People, Person
from tests.review.helpers import GOOD, finish, grade_all, judged, scored

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def url(interview: Interview) -> str:
    return f"/api/interviews/{interview.pk}/report/"


def test_who_reads_it(people: People, make: Make) -> None:
    interview = scored(make())
    codes = {person.name: person.client.get(url(interview)).status_code for person in people}
    assert codes == {"candidate": 200, "other": 404, "interviewer": 200, "admin": 200, "stranger": 403}


def test_it_travels_compressed(people: People, make: Make) -> None:
    address = url(scored(make()))
    whole = people.candidate.client.get(address)
    small = people.candidate.client.get(address, headers={"accept-encoding": "gzip"})
    assert small["Content-Encoding"] == "gzip" and len(small.content) < len(whole.content) / 2
    assert json.loads(gzip.decompress(small.content)) == whole.json()


def test_there_is_none_before_the_end(people: People, make: Make) -> None:
    answer = people.candidate.client.get(url(make()))
    assert (answer.status_code, answer.json()["code"]) == (409, "not_finished")


def test_it_says_the_level_and_why(people: People, make: Make) -> None:
    report = people.candidate.client.get(url(scored(make()))).json()
    assert report["level"] in ("below", "L5", "L6", "L7")
    assert f"{report['scaled_28']:g} of 28" in report["why"]
    assert report["bands"] == {"L5": 14, "L6": 20, "L7": 25}
    assert report["total"] == sum(question["score"]["total"] for question in report["questions"])
    assert report["interview"]["status"] == "scored"


def test_each_criterion_says_what_earned_and_what_was_missed(people: People, make: Make) -> None:
    report = people.candidate.client.get(url(scored(make()))).json()
    for question in report["questions"]:
        for criterion in question["score"]["criteria"]:
            assert 0 <= criterion["points"] <= criterion["max"]
            assert len(criterion["levels"]) == 5
            if criterion["points"] and question["kind"] != "code":
                assert criterion["evidence"]
            assert criterion["reason"]


def test_while_answers_are_graded_it_shows_what_there_is(people: People, make: Make) -> None:
    interview = grade_all(finish(make()))
    report = people.candidate.client.get(url(interview)).json()
    assert report["provisional"] is True
    by_kind = {question["kind"]: question["score"] for question in report["questions"]}
    assert by_kind["code"] is None
    assert by_kind["written"]["total"] == 28


def test_it_says_which_answers_are_being_scored_again(people: People, make: Make) -> None:
    interview = finish(make())

    def kinds() -> set[str]:
        report = people.interviewer.client.get(url(interview)).json()
        return {question["kind"] for question in report["questions"] if question["rescoring"]}

    found = [kinds()]
    judged(interview, points={"admission": (4, 4), "budget": (2, 4)})
    grade_all(interview)
    found.append(kinds())
    actions.rescore(interview=interview, actor=people.interviewer.user)
    found.append(kinds())
    grade_all(interview)
    assert [*found, kinds()] == [set(), set(), {"written", "estimate", "code"}, set()]


HALF_SURE = "Decode reads all the weights for each token, so it waits for memory. Prefill is different, since it has many tokens to work on at once."


def test_a_score_keeps_how_likely_other_points_are(people: People, make: Make) -> None:
    interview = scored(make(), text=HALF_SURE)
    kept = {s.rubric_id: s.law for s in Score.objects.all()}
    assert all(sum(p for _, p in law) == pytest.approx(1.0, abs=1e-3) for law in kept.values())
    report = people.candidate.client.get(url(interview)).json()
    written = next(q["score"] for q in report["questions"] if q["kind"] == "written")
    assert written["state"] == "review"
    assert not written["settled"]
    assert any(c["confidence"] < 0.9 for c in written["criteria"])


def test_what_the_scorer_decided_by_little_is_told_to_who_reviews(people: People, make: Make) -> None:
    interview = scored(make(), text="Decode is slow.")

    def told(who: Person) -> list[dict[str, str]]:
        report = who.client.get(url(interview)).json()
        return [look for q in report["questions"] for c in q["score"]["criteria"] for look in c["unsure"]]

    looks = told(people.interviewer)
    text = "Decode is bound by memory bandwidth because every step reads all weights."
    assert looks[0] == {"kind": "missed", "id": "decode", "text": text, "words": "Decode is slow."}
    assert told(people.candidate) == []
    Interview.objects.update(candidate=people.interviewer.user)
    assert told(people.interviewer) == []  # of their own interview, an interviewer is the candidate


def test_a_published_report_is_no_longer_provisional(people: People, make: Make) -> None:
    interview = scored(make(), text=HALF_SURE)
    before = people.interviewer.client.get(url(interview)).json()
    actions.publish(interview=interview, actor=people.interviewer.user)
    after = people.candidate.client.get(url(interview)).json()
    assert before["provisional"] is True
    assert (after["provisional"], after["level"], after["level_set"]) == (False, before["level"], [before["level"]])
    assert "should look" not in after["why"]
    written = next(q["score"] for q in after["questions"] if q["kind"] == "written")
    assert (written["state"], written["settled"]) == ("scored", True)
    assert written["reason"].startswith("An interviewer has looked")


def test_a_rescore_after_the_review_is_nobodys_yet(people: People, make: Make) -> None:
    interview = scored(make(), text=HALF_SURE)
    actions.publish(interview=interview, actor=people.interviewer.user)
    actions.rescore(interview=interview, actor=people.interviewer.user)
    grade_all(interview)
    report = people.candidate.client.get(url(interview)).json()
    assert report["provisional"] is True
    assert not any(question["score"]["settled"] for question in report["questions"] if question["kind"] == "written")


def test_a_change_that_a_rescore_takes_over_settles_nothing(people: People, make: Make) -> None:
    interview, actor = scored(make(), text=HALF_SURE), people.interviewer.user

    def written() -> dict[str, Any]:
        report = people.interviewer.client.get(url(interview)).json()
        return next(q["score"] for q in report["questions"] if q["kind"] == "written")

    def change() -> None:
        actions.override(interview=interview, actor=actor, score_id=UUID(written()["id"]), criterion_id="c0", points=1, reason="No.")

    change()
    assert written()["settled"]
    actions.rescore(interview=interview, actor=actor)
    grade_all(interview)
    again = written()
    assert again["criteria"][0]["override"]["points"] == 1
    assert (again["settled"], again["state"]) == (False, "review")
    assert not again["reason"].startswith("An interviewer has looked")
    change()
    assert written()["settled"]


def test_it_says_when_a_published_review_is_behind(people: People, make: Make) -> None:
    interview, client = scored(make(), text=HALF_SURE), people.interviewer.client

    def behind() -> bool:
        return client.get(url(interview)).json()["publish_again"]

    found = [behind()]
    actions.publish(interview=interview, actor=people.interviewer.user)
    found.append(behind())
    actions.rescore(interview=interview, actor=people.interviewer.user)
    grade_all(interview)
    found.append(behind())
    actions.publish(interview=interview, actor=people.interviewer.user)
    assert [*found, behind()] == [False, False, True, False]


def test_a_rubric_without_bands_gives_no_level(people: People, bank: Path, make: Make) -> None:
    for asked in Question.objects.filter(current__kind="written"):
        files = asked.current.files
        edit_question(question=asked, files=files | {"rubric.yaml": files["rubric.yaml"].split("\n", 1)[1]}, by=None)
    interview = scored(make())
    for _ in range(2):
        report = people.interviewer.client.get(url(interview)).json()
        written = next(q["score"] for q in report["questions"] if q["kind"] == "written")
        assert (written["total"], written["level"], written["level_set"], written["bands"]) == (28, "", [], {})
        actions.publish(interview=interview, actor=people.interviewer.user)


def test_the_number_of_queries_is_bounded(people: People, make: Make) -> None:
    interview = scored(make())
    with CaptureQueriesContext(connection) as caught:
        people.candidate.client.get(url(interview))
    # Session and user, the interview, its questions, scores with criteria and overrides, open gradings, notes; and per question its document and run.
    assert len(caught) <= 14 + 4 * interview.questions.count()


def test_the_pages_around_it(people: People, make: Make) -> None:
    running, done = make(), scored(make())
    assert people.candidate.client.get(f"/interviews/{running.pk}/report/").url == f"/interviews/{running.pk}/"
    pages = {person.name: person.client.get(f"/interviews/{done.pk}/report/").status_code for person in people}
    assert pages == {"candidate": 200, "other": 404, "interviewer": 200, "admin": 200, "stranger": 302}


@pytest.mark.parametrize("started", [False, True])
def test_what_answers_a_question_is_withheld_while_it_is_open_in_another_interview(people: People, make: Make, started: bool) -> None:
    interview = scored(make())
    other = make(started=started)
    both = {question.version.question_id for question in other.questions.all()}
    twice = {str(question.pk) for question in interview.questions.all() if question.version.question_id in both}
    shown = people.candidate.client.get(url(interview)).json()["questions"]
    assert {question["id"] for question in shown if question["withheld"]} == twice != set()
    for question in (question for question in shown if question["withheld"]):
        assert question["model_answer_html"] == ""
        assert not any(criterion["missed"] or criterion["levels"] for criterion in question["score"]["criteria"])
    assert not any(question["withheld"] for question in people.interviewer.client.get(url(interview)).json()["questions"])
    finish(other if started else live.start(interview=other, actor=people.candidate.user))
    shown = people.candidate.client.get(url(interview)).json()["questions"]
    assert not any(question["withheld"] for question in shown)
    assert any(criterion["missed"] for question in shown for criterion in question["score"]["criteria"])


def test_what_interviewers_wrote_is_withheld_with_it(people: People, make: Make) -> None:
    interview, actor = scored(make(), text=HALF_SURE), people.interviewer.user

    def told() -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
        report = people.candidate.client.get(url(interview))
        log = people.candidate.client.get(f"/api/interviews/{interview.pk}/events/?since=0")
        changed = [c for q in report.json()["questions"] for c in q["score"]["criteria"] if c["override"]]
        return report.content.decode() + log.content.decode(), changed, log.json()["events"]

    code = next(q["score"] for q in people.interviewer.client.get(url(interview)).json()["questions"] if q["kind"] == "code")
    actions.override(interview=interview, actor=actor, score_id=UUID(code["id"]), criterion_id="c0", points=1, reason="Bound by bandwidth.")
    actions.add_note(interview=interview, actor=actor, text="Prefill is bound by compute.", question_id=None)
    actions.publish(interview=interview, actor=actor)
    text, _, log = told()
    assert text.count("Bound by bandwidth.") == 2 and "Prefill is bound by compute." in text
    other = make()
    text, changed, less = told()
    assert "Bound by bandwidth." not in text and "Prefill is bound by compute." not in text
    assert [(c["points"], c["override"]["by"]) for c in changed] == [(1, "Interviewer")]  # what it is worth is no answer
    assert [event["seq"] for event in less] == [event["seq"] for event in log]
    live.finish(interview=other, actor=people.candidate.user)
    assert "Prefill is bound by compute." in told()[0]


@pytest.mark.parametrize("discarded", [False, True])
def test_an_interview_that_is_never_started_withholds_nothing_after_a_day(people: People, make: Make, discarded: bool) -> None:
    interview, other = scored(make()), make(started=False)

    def withheld() -> bool:
        return any(question["withheld"] for question in people.candidate.client.get(url(interview)).json()["questions"])

    if discarded:  # which tells no sooner what it would have asked
        live.discard(interview=other, actor=people.candidate.user)
    for hours, expected in ((23, True), (25, False)):
        Interview.objects.filter(pk=other.pk).update(created_at=timezone.now() - timedelta(hours=hours))
        assert withheld() is expected
    if not discarded:
        live.start(interview=other, actor=people.candidate.user)
        assert withheld()


@pytest.mark.parametrize(("text", "points", "level"), [(GOOD, 0, "below"), (HALF_SURE, 4, "L7")])
def test_after_a_rescore_nothing_contradicts_what_people_decided(people: People, make: Make, text: str, points: float, level: str) -> None:
    interview, actor = grade_all(finish(make(minutes=15), text=text)), people.interviewer.user  # one written question

    def told() -> dict[str, Any]:
        return people.candidate.client.get(url(interview)).json()

    (asked,) = told()["questions"]
    for criterion in asked["score"]["criteria"]:
        actions.override(interview=interview, actor=actor, score_id=UUID(asked["score"]["id"]), criterion_id=criterion["id"], points=points, reason="I asked.")
    actions.publish(interview=interview, actor=actor)
    published = told()
    actions.rescore(interview=interview, actor=actor)
    grade_all(interview)
    again, score = told(), told()["questions"][0]["score"]
    assert (again["level"], again["level_set"], again["why"]) == (level, [level], published["why"])
    assert (score["level"], score["level_set"], score["settled"], score["state"], score["reason"]) == (level, [level], False, "scored", "")


def test_after_a_rescore_only_what_nobody_decided_is_in_doubt(people: People, make: Make) -> None:
    interview, actor = grade_all(finish(make(minutes=15), text=HALF_SURE)), people.interviewer.user
    before = people.interviewer.client.get(url(interview)).json()["questions"][0]["score"]
    for criterion in before["criteria"][:3]:
        actions.override(interview=interview, actor=actor, score_id=UUID(before["id"]), criterion_id=criterion["id"], points=0, reason="I asked.")
    actions.rescore(interview=interview, actor=actor)
    grade_all(interview)
    (theirs,), (ours,) = (person.client.get(url(interview)).json()["questions"] for person in (people.candidate, people.interviewer))
    assert (theirs["score"]["level_set"], theirs["score"]["reason"]) == (before["level_set"], before["reason"])  # the review is not published
    assert ours["score"]["level_set"] != before["level_set"]
    assert "L7" not in ours["score"]["level_set"] and ours["score"]["level"] in ours["score"]["level_set"]
