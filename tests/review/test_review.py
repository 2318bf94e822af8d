"""The review desk: overrides, notes, publishing."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import grading
from grading.models import CriterionScore, Score
from interviews.live.models import Event, Interview
from interviews.review import actions, queries
from interviews.review.models import Note, Override
from sandbox.leases import MAX_ATTEMPTS
from sandbox.models import Run
from tests.conftest import People, Person
from tests.live.helpers import question, write
from tests.review.helpers import finish, grade_all, judged, scored

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def post(person: Person, interview: Interview, what: str, body: dict[str, Any] | None = None):  # type: ignore[no-untyped-def]
    return person.client.post(f"/api/interviews/{interview.pk}/{what}/", json.dumps(body or {}), content_type="application/json")


def written(people: People, interview: Interview) -> dict[str, Any]:
    report = people.interviewer.client.get(f"/api/interviews/{interview.pk}/report/").json()
    return next(question for question in report["questions"] if question["kind"] == "written")["score"]


def change(people: People, interview: Interview, **changes: Any) -> dict[str, Any]:
    score = written(people, interview)
    return {"score_id": score["id"], "criterion_id": score["criteria"][0]["id"], "points": 1, "reason": "It contradicts itself."} | changes


def test_an_override_counts_and_the_scorers_points_stay(people: People, make: Make) -> None:
    interview = scored(make())
    before = written(people, interview)
    answer = post(people.interviewer, interview, "overrides", change(people, interview))
    assert answer.status_code == 200
    after = written(people, interview)
    assert (after["total"], after["auto_total"]) == (before["total"] - 3, before["total"])
    changed = after["criteria"][0]
    assert (changed["points"], changed["auto_points"]) == (1, 4)
    assert changed["override"]["by"] == "Interviewer"
    assert changed["override"]["reason"] == "It contradicts itself."
    assert CriterionScore.objects.get(score_id=after["id"], criterion=changed["id"]).points == 4
    assert interview.events.last().kind == Event.Kind.SCORE_OVERRIDE
    assert interview.events.last().actor == people.interviewer.user


def test_the_latest_override_counts_and_all_are_kept(people: People, make: Make) -> None:
    interview = scored(make())
    for points in (1, 3):
        post(people.interviewer, interview, "overrides", change(people, interview, points=points))
    assert written(people, interview)["criteria"][0]["points"] == 3
    assert list(Override.objects.values_list("points", flat=True)) == [1, 3]


def test_an_override_can_change_the_level(people: People, make: Make) -> None:
    interview = scored(make())
    assert written(people, interview)["level"] == "L7"
    for criterion in written(people, interview)["criteria"]:
        post(people.interviewer, interview, "overrides", change(people, interview, criterion_id=criterion["id"], points=2))
    assert written(people, interview)["level"] == "L5"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reason": "  "}, "no_reason"),
        ({"points": 5}, "bad_points"),
        ({"points": -1}, "bad_points"),
        ({"points": 1.3}, "bad_points"),
        ({"points": 1e400}, "invalid"),
        ({"criterion_id": "none"}, "no_criterion"),
        ({"score_id": "00000000-0000-4000-8000-000000000000"}, "no_score"),
        ({"score_id": "x"}, "invalid"),
    ],
)
def test_an_override_that_makes_no_sense_changes_nothing(people: People, make: Make, changes: dict[str, Any], code: str) -> None:
    interview = scored(make())
    answer = post(people.interviewer, interview, "overrides", change(people, interview, **changes))
    assert answer.status_code in (400, 404)
    assert answer.json()["code"] in (code, "error", "parse_error")
    assert not Override.objects.exists()


def test_a_score_of_another_interview_can_not_be_reached_through_this_one(people: People, make: Make) -> None:
    mine, theirs = scored(make()), scored(make())
    answer = post(people.interviewer, mine, "overrides", change(people, theirs))
    assert answer.json()["code"] == "no_score"


@pytest.mark.parametrize("what", ["overrides", "notes", "publish", "rescore"])
def test_only_reviewers_review(people: People, make: Make, what: str) -> None:
    interview = scored(make())
    body = change(people, interview) if what == "overrides" else {"text": "Well done."}
    codes = {person.name: post(person, interview, what, body).status_code for person in people}
    assert codes == {"candidate": 403, "other": 404, "interviewer": 200, "admin": 200, "stranger": 403}


def test_nobody_reviews_their_own_interview(people: People, make: Make) -> None:
    interview = scored(make())
    user = people.candidate.user
    assert user is not None
    user.role = "interviewer"
    user.save()
    answer = post(people.candidate, interview, "publish")
    assert (answer.status_code, answer.json()["code"]) == (403, "own_interview")


def test_the_candidate_reads_notes_once_the_review_is_published(people: People, make: Make) -> None:
    interview = scored(make())
    post(people.interviewer, interview, "notes", {"text": "Say more about the residual."})

    def notes() -> list[str]:
        return [note["text"] for note in people.candidate.client.get(f"/api/interviews/{interview.pk}/report/").json()["notes"]]

    assert notes() == []
    post(people.interviewer, interview, "publish")
    assert notes() == ["Say more about the residual."]


def test_the_candidate_reads_overrides_once_the_review_is_published(people: People, make: Make) -> None:
    interview = scored(make())
    post(people.interviewer, interview, "overrides", change(people, interview, reason="Not sure yet."))
    post(people.interviewer, interview, "notes", {"text": "Not sure either."})

    def seen() -> tuple[str, float, list[str]]:
        client = people.candidate.client
        report = client.get(f"/api/interviews/{interview.pk}/report/")
        log = client.get(f"/api/interviews/{interview.pk}/events/?since=0")
        score = next(question for question in report.json()["questions"] if question["kind"] == "written")["score"]
        return report.content.decode() + log.content.decode(), score["total"], [event["seq"] for event in log.json()["events"]]

    text, total, numbers = seen()
    assert "Not sure" not in text
    assert total == 28
    assert numbers == list(range(1, len(numbers) + 1))
    post(people.interviewer, interview, "publish")
    text, total, _ = seen()
    assert text.count("Not sure yet.") == 2
    assert total == 25


@pytest.mark.parametrize("text", [" ", "NUL \0", "long" * 3000])
def test_a_note_that_can_not_be_kept_is_refused(people: People, make: Make, text: str) -> None:
    assert post(people.interviewer, scored(make()), "notes", {"text": text}).status_code == 400
    assert not Note.objects.exists()


def test_publishing_twice_is_publishing_once(people: People, make: Make) -> None:
    interview = scored(make())
    for _ in range(2):
        assert post(people.interviewer, interview, "publish").json()["interview"]["status"] == "published"
    assert interview.events.filter(kind=Event.Kind.PUBLISHED).count() == 1


def test_what_is_being_scored_again_can_not_be_published(people: People, make: Make) -> None:
    interview = scored(make())
    post(people.interviewer, interview, "rescore")
    answer = post(people.interviewer, interview, "publish")
    assert (answer.status_code, answer.json()["code"]) == (409, "grading")
    grade_all(interview)
    assert post(people.interviewer, interview, "publish").status_code == 200


def unjudged(make: Make) -> Interview:
    """A scored interview whose code the judge failed on."""
    interview = make()
    write(question(interview, "code"), code="x = 1\n")
    finish(interview)
    judged(interview, verdict="JE")
    return grade_all(interview)


def test_code_that_is_judged_after_all_is_being_scored_again(people: People, make: Make) -> None:
    interview = unjudged(make)

    def code() -> dict[str, Any]:
        report = people.interviewer.client.get(f"/api/interviews/{interview.pk}/report/").json()
        return next(asked for asked in report["questions"] if asked["kind"] == "code")

    post(people.interviewer, interview, "rescore")
    grade_all(interview)
    assert code()["rescoring"]
    answer = post(people.interviewer, interview, "publish")
    assert (answer.status_code, answer.json()["code"]) == (409, "grading")
    run = judged(interview, points={"admission": (4, 4), "budget": (2, 4)})
    grade_all(interview)
    Run.objects.filter(pk=run.pk).update(tell_at=timezone.now())  # as between the end of a run and its telling
    assert code()["rescoring"]
    Run.objects.filter(pk=run.pk).update(tell_at=None)
    assert not code()["rescoring"] and code()["score"]["total"] is not None
    assert post(people.interviewer, interview, "publish").status_code == 200


def test_while_code_is_judged_for_a_rescore_nothing_else_is_graded_once_more(people: People, make: Make) -> None:
    interview = unjudged(make)

    def rescored() -> tuple[int, int]:
        post(people.interviewer, interview, "rescore")
        grade_all(interview)
        return Score.objects.count(), interview.events.filter(kind=Event.Kind.RESCORED).count()

    before, each = Score.objects.count(), interview.questions.count() - 1  # all but the code
    assert rescored() == rescored() == (before + each, 1)
    # While it waits in vain, the others can be graded again. What is told of that is no more than what is done.
    Run.objects.filter(state="QU").update(queued_at=timezone.now() - timedelta(minutes=11))
    assert rescored() == (before + 2 * each, 2)
    assert len(actions.rescore(interview=interview, actor=people.interviewer.user)) == each


def test_code_that_waits_for_a_judge_that_is_not_there_keeps_no_review_from_being_published(people: People, make: Make) -> None:
    interview = unjudged(make)
    post(people.interviewer, interview, "rescore")
    grade_all(interview)
    Run.objects.filter(state="QU").update(queued_at=timezone.now() - timedelta(minutes=11))
    with pytest.MonkeyPatch.context() as judge:
        judge.setattr("interviews.review.queries.sandbox_health", lambda: {"jail": {"ok": True}})
        assert post(people.interviewer, interview, "publish").json()["code"] == "grading"
    assert post(people.interviewer, interview, "publish").status_code == 200


def scorer_fails(interview: Interview) -> None:
    """Grades what waits with a scorer that fails three times."""
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(grading, "score", lambda *a, **k: 1 / 0)
        for _ in range(MAX_ATTEMPTS):
            grade_all(interview)


def test_an_answer_that_could_not_be_scored_gets_its_points_by_hand(people: People, make: Make) -> None:
    interview = finish(make())
    judged(interview, points={"admission": (4, 4), "budget": (2, 4)})
    scorer_fails(interview)

    def read(person: Person) -> dict[str, Any]:
        report = person.client.get(f"/api/interviews/{interview.pk}/report/").json()
        return next(question for question in report["questions"] if question["kind"] == "written")["score"]

    score = read(people.interviewer)
    body = {"score_id": score["id"], "points": {criterion["id"]: 3 for criterion in score["to_mark"]}, "reason": "Read line by line."}
    assert (len(body["points"]), score["total"], read(people.candidate)["to_mark"]) == (7, None, [])
    assert post(people.interviewer, interview, "marks", body).json()["total"] == 21
    now = read(people.interviewer)
    assert (now["total"], now["max"], now["level"], now["level_set"], now["state"]) == (21, 28, "L6", ["L6"], "scored")
    assert (now["settled"], now["scorer"], now["to_mark"]) == (True, "a person", [])
    assert {criterion["override"]["reason"] for criterion in now["criteria"]} == {"Read line by line."}
    assert (interview.events.last().kind, interview.events.last().actor) == (Event.Kind.SCORE_OVERRIDE, people.interviewer.user)
    # From there it is as with any score: a criterion can be changed, and the candidate reads it once it is published.
    post(people.admin, interview, "overrides", change(people, interview, points=4))
    assert read(people.candidate)["total"] is None
    post(people.interviewer, interview, "publish")
    assert read(people.candidate)["total"] == 22
    # A rescore that fails hides nothing, and one that succeeds takes over what the person decided.
    post(people.interviewer, interview, "rescore")
    scorer_fails(interview)
    assert (read(people.candidate)["total"], read(people.candidate)["scorer"]) == (22, "a person")
    post(people.interviewer, interview, "rescore")
    grade_all(interview)
    now = read(people.candidate)
    assert (now["total"], now["auto_total"], now["before"]["total"], now["scorer"] != "a person") == (22, 28, 22, True)


def by_hand(interview: Interview) -> dict[str, Any]:
    """Points for the code, which was not scored."""
    score = Score.objects.get(subject=question(interview, "code").answer.pk)
    return {"score_id": str(score.pk), "points": {row["id"]: 3 for row in score.rubric.body["criteria"]}, "reason": "Read."}


def test_code_with_points_by_hand_is_graded_when_it_is_judged_after_all(people: People, make: Make) -> None:
    interview = unjudged(make)
    assert post(people.interviewer, interview, "marks", by_hand(interview)).status_code == 200
    post(people.interviewer, interview, "rescore")
    judged(interview, points={"admission": (4, 4), "budget": (2, 4)})
    grade_all(interview)
    report = people.interviewer.client.get(f"/api/interviews/{interview.pk}/report/").json()
    score = next(asked for asked in report["questions"] if asked["kind"] == "code")["score"]
    tests = [row for row in score["criteria"] if row["id"].startswith("t")]
    assert score["scorer"] != "a person"
    assert [(row["auto_points"], row["points"]) for row in tests] == [(4, 3), (2, 3)]
    assert (score["total"], score["before"]["total"], score["settled"]) == (21, 21, False)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reason": " "}, "no_reason"),
        ({"points": {}}, "bad_points"),
        ({"points": {"c0": 1}}, "bad_points"),
        ({"points": {f"{kind}{n}": 5 for kind, many in (("t", 2), ("c", 5)) for n in range(many)}}, "bad_points"),
        ({"points": "x"}, "invalid"),
        ({"score_id": "00000000-0000-4000-8000-000000000000"}, "no_score"),
    ],
)
def test_points_by_hand_that_make_no_sense_are_not_given(people: People, make: Make, changes: dict[str, Any], code: str) -> None:
    interview = unjudged(make)
    answer = post(people.interviewer, interview, "marks", by_hand(interview) | changes)
    assert (answer.status_code in (400, 404), answer.json()["code"]) == (True, code)
    assert not Override.objects.exists() and not Score.objects.filter(scorer="a person").exists()


def test_points_by_hand_are_only_for_what_has_none(people: People, make: Make) -> None:
    interview = scored(make())
    seen = written(people, interview)
    body = {"score_id": seen["id"], "points": {criterion["id"]: 3 for criterion in seen["criteria"]}, "reason": "Read."}
    assert post(people.interviewer, interview, "marks", body).json()["code"] == "old_score"
    waiting = unjudged(make)
    body = by_hand(waiting)
    assert post(people.candidate, waiting, "marks", body).status_code == 403
    post(people.admin, waiting, "rescore")
    assert post(people.interviewer, waiting, "marks", body).json()["code"] == "grading"


def test_only_the_scores_that_were_looked_at_are_published(people: People, make: Make) -> None:
    interview = scored(make())

    def shown() -> list[str]:
        report = people.interviewer.client.get(f"/api/interviews/{interview.pk}/report/").json()
        return [question["score"]["id"] for question in report["questions"]]

    seen = shown()
    post(people.admin, interview, "rescore")
    grade_all(interview)
    for scores in (seen, shown()[1:], []):
        answer = post(people.interviewer, interview, "publish", {"scores": scores})
        assert (answer.status_code, answer.json()["code"]) == (409, "old_score")
    assert post(people.interviewer, interview, "publish", {"scores": ["x"]}).status_code == 400
    assert post(people.interviewer, interview, "publish", {"scores": shown()}).json()["interview"]["status"] == "published"


def test_the_log_says_who_had_it_scored_again(people: People, make: Make) -> None:
    interview = scored(make())
    for _ in range(2):  # the second time all of it is under way
        post(people.admin, interview, "rescore")
    event = interview.events.get(kind=Event.Kind.RESCORED)
    assert event.actor == people.admin.user
    assert list(interview.events.values_list("seq", flat=True)) == list(range(1, interview.events.count() + 1))


def test_nobody_overwrites_a_change_that_they_did_not_see(people: People, make: Make) -> None:
    interview = scored(make())
    seen = change(people, interview, points=4, reason="Confirmed.", after=0)
    post(people.admin, interview, "overrides", change(people, interview, points=0, reason="It contradicts itself."))
    answer = post(people.interviewer, interview, "overrides", seen)
    assert (answer.status_code, answer.json()["code"]) == (409, "changed")
    assert "Admin set these points to 0 meanwhile." in answer.json()["detail"]
    newest = written(people, interview)["criteria"][0]["override"]
    assert newest["reason"] == "It contradicts itself."
    for points in (4, 3):  # the second upon one's own, as from another window
        assert post(people.interviewer, interview, "overrides", seen | {"after": newest["id"], "points": points}).status_code == 200
    assert post(people.interviewer, interview, "overrides", seen | {"after": -1}).status_code == 400
    assert list(Override.objects.values_list("points", flat=True)) == [0, 4, 3]


def test_nothing_is_published_that_the_publisher_did_not_see(people: People, make: Make) -> None:
    interview = scored(make())

    def seq() -> int:
        return people.interviewer.client.get(f"/api/interviews/{interview.pk}/report/").json()["seq"]

    seen = seq()
    own = post(people.interviewer, interview, "notes", {"text": "Well done."})
    assert own.json()["seq"] == interview.events.last().seq > seen
    post(people.admin, interview, "overrides", change(people, interview, points=0, reason="Draft; to be discussed."))
    post(people.admin, interview, "notes", {"text": "Let us talk."})
    answer = post(people.interviewer, interview, "publish", {"seen": seen})
    assert (answer.status_code, answer.json()["code"]) == (409, "unseen")
    assert answer.json()["detail"].startswith("Meanwhile Admin changed points and Admin wrote a note.")
    for nonsense in ("x", -1):
        assert post(people.interviewer, interview, "publish", {"seen": nonsense}).status_code == 400
    assert post(people.interviewer, interview, "publish", {"seen": seq()}).json()["interview"]["status"] == "published"


def test_what_the_publisher_wrote_needs_no_second_look(people: People, make: Make) -> None:
    interview = scored(make())
    seen = people.interviewer.client.get(f"/api/interviews/{interview.pk}/report/").json()["seq"]
    post(people.interviewer, interview, "notes", {"text": "Well done."})
    assert post(people.interviewer, interview, "publish", {"seen": seen}).status_code == 200


def test_publishing_again_settles_what_was_scored_since(people: People, make: Make) -> None:
    interview = scored(make())
    post(people.interviewer, interview, "publish")
    post(people.interviewer, interview, "rescore")
    grade_all(interview)
    first = interview.published_at
    assert not written(people, interview)["settled"]
    for _ in range(2):
        post(people.interviewer, interview, "publish")
    interview.refresh_from_db()
    assert interview.published_at > first
    assert written(people, interview)["settled"]
    assert interview.events.filter(kind=Event.Kind.PUBLISHED).count() == 2


def test_what_is_not_scored_yet_can_not_be_published(people: People, make: Make) -> None:
    answer = post(people.interviewer, finish(make()), "publish")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_scored")


def test_the_queue_and_the_desk_open_for_reviewers_alone(people: People, make: Make) -> None:
    interview = scored(make())
    for page in ("/review/", f"/review/{interview.pk}/"):
        codes = {person.name: person.client.get(page).status_code for person in people}
        assert codes == {"candidate": 403, "other": 403, "interviewer": 200, "admin": 200, "stranger": 302}


def test_lists_lead_on_by_the_title_and_say_which_time_they_write(people: People, make: Make) -> None:
    interview = scored(make())
    for person, page, target in ((people.interviewer, "/review/", f"/review/{interview.pk}/"), (people.candidate, "/", f"/interviews/{interview.pk}/report/")):
        html = person.client.get(page).content.decode()
        assert re.search(f'<a href="{target}">{re.escape(interview.title)}', html)
        assert re.search(r'<time datetime="[^"]+\+00:00">[^<]+ UTC</time>', html)


def test_the_review_list_has_parts_and_finds_a_candidate(people: People, make: Make) -> None:
    waiting, done, going = scored(make()), scored(make()), finish(make())
    assert post(people.interviewer, done, "publish").status_code == 200
    client = people.interviewer.client

    def listed(query: str) -> set[str]:
        return set(re.findall(r'href="/review/([0-9a-f-]{36})/"', client.get(f"/review/{query}").content.decode()))

    assert listed("") == listed("?show=scored") == listed("?show=nonsense") == {str(waiting.pk)}
    assert listed("?show=published") == {str(done.pk)}
    assert listed("?show=grading") == {str(going.pk)}
    address = people.candidate.user.email
    assert listed(f"?name={address.partition('@')[0].upper()}") == {str(waiting.pk)}
    assert listed("?name=nobody%25") == set()
    assert "Nothing here of a candidate" in client.get("/review/?name=nobody").content.decode()


def badges(person: Person, page: str) -> dict[str, str]:
    """What a list says of each interview, by its id."""
    rows = re.findall(r"<tr><td>.*?</tr>", person.client.get(page).content.decode(), re.S)
    return {re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", row)[0]: re.search(r'<span class="badge[^>]*>([^<]+)', row)[1] for row in rows}  # type: ignore[index]


def test_what_was_scored_again_since_its_review_waits_for_another_one(people: People, make: Make) -> None:
    reviewed, behind = scored(make()), scored(make())
    for interview in (behind, reviewed):
        post(people.interviewer, interview, "publish")

    def rescored() -> None:
        actions.rescore(interview=behind, actor=people.admin.user)
        grade_all(behind)

    def shown() -> tuple[dict[str, str], dict[str, str], dict[str, int], str]:
        waits, done = badges(people.interviewer, "/review/"), badges(people.interviewer, "/review/?show=published")
        again = people.candidate.client.get(f"/api/interviews/{behind.pk}/report/").json()["publish_again"]
        assert again == (str(behind.pk) in waits)
        return waits, done, queries.queued(), badges(people.candidate, "/")[str(behind.pk)]

    published = {str(one.pk): "reviewed" for one in (behind, reviewed)}
    settled = ({}, published, {"scored": 0, "grading": 0, "published": 2}, "reviewed")
    told = "scored again since the review"
    waiting = ({str(behind.pk): told}, {str(reviewed.pk): "reviewed"}, {"scored": 1, "grading": 0, "published": 1}, told)
    assert shown() == settled
    with pytest.MonkeyPatch.context() as broken:  # a rescore that fails changes nothing
        broken.setattr(grading, "score", lambda *a, **k: 1 / 0)
        actions.rescore(interview=behind, actor=people.admin.user)
        for _ in range(MAX_ATTEMPTS):
            grade_all(behind)
    assert shown() == settled
    rescored()
    assert shown() == waiting
    # Each answer that a person changes is settled; of what a rescore takes over that can't be said.
    for asked in behind.questions.select_related("answer"):
        assert shown() == waiting
        score = queries.latest_score(asked)
        assert score is not None
        actions.override(interview=behind, actor=people.admin.user, score_id=score.pk, criterion_id=score.criteria.first().criterion, points=0, reason="No.")
    assert shown() == settled
    rescored()
    assert shown() == waiting
    post(people.interviewer, behind, "publish")
    assert shown() == settled


@pytest.mark.parametrize("page", ["/review/?show=published", "/review/", "/"])
def test_the_number_of_queries_of_a_list_is_that_of_one_interview(people: People, make: Make, page: str) -> None:
    person = people.candidate if page == "/" else people.interviewer

    def asked() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert person.client.get(page).status_code == 200
        return len(caught)

    counts = []
    for _ in range(2):
        for again in (False, True):
            interview = grade_all(finish(make(minutes=15), text=""))
            post(people.interviewer, interview, "publish")
            if again:
                actions.rescore(interview=interview, actor=people.admin.user)
                grade_all(interview)
        counts.append(asked())
    assert counts[0] == counts[1]


def test_the_longest_wait_comes_first_and_long_lists_have_pages(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interviews.review.views.PER_PAGE", 2)
    monkeypatch.setattr("interviews.live.views.PER_PAGE", 2)
    all_ = [str(scored(make()).pk) for _ in range(3)]
    pages = {page: people.interviewer.client.get(f"/review/?page={page}").content.decode() for page in ("1", "2", "99", "x")}
    shown = {page: re.findall(r'href="/review/([0-9a-f-]{36})/"', html) for page, html in pages.items()}
    assert shown == {"1": all_[:2], "2": all_[2:], "99": all_[2:], "x": all_[:2]}
    assert 'rel="next"' in pages["1"] and 'rel="prev"' in pages["2"]
    assert "Page 2 of 2, 3 interviews" in pages["2"]
    own = people.candidate.client.get("/?page=2").content.decode()
    assert re.findall(r'href="/interviews/([0-9a-f-]{36})/report/"', own) == all_[:1]
