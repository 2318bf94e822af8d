"""Scoring a question's answers again: looked at before it counts, done once, and not where anything moved on."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import TestCase
from django.utils import timezone

import grading
import grading.scorer
from grading.models import FittedCalibration, Score
from interviews.errors import Problem
from interviews.live.models import Event, Interview
from interviews.review import actions, queries, rejudging, rescoring, tasks, trials
from interviews.review.differing import Difference, Side, by_weight, summary
from interviews.review.models import GradeJob, RescoredAnswer, Rescoring
from interviews.review.rescored import page_of, picture, rescoring_json
from sandbox.actions import LAST
from sandbox.leases import MAX_ATTEMPTS, Lost
from tests.conftest import People, queries_of
from tests.live.helpers import question
from tests.review.helpers import GOOD, end, finish, grade_all, judged, scored

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def look_all() -> None:
    """Does the waiting rows, as the workers would."""
    for pk in RescoredAnswer.objects.filter(state="QU").values_list("pk", flat=True):
        tasks.look_again(str(pk))


def begun(people: People, interview: Interview, kind: str = "written", **target: str) -> Rescoring:
    """A rescoring of the question of this kind that the interview asks."""
    target = target or {"scope": "question", "target": str(question(interview, kind).version.question_id)}
    return rescoring.start(**target, actor=people.admin.user)


def counts(interview: Interview, kind: str = "written") -> Score:
    score = queries.latest_score(question(interview, kind))
    assert score is not None
    return score


def row_of(trial: Rescoring, interview: Interview) -> RescoredAnswer:
    """The row of its written answer."""
    return trial.rows.get(question=question(interview, "written"))


@pytest.fixture
def stricter(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What makes the scorer find nothing stated any more."""
    return lambda: monkeypatch.setattr(grading.scorer, "CUT", 1.1)


def test_nothing_changes_before_it_is_applied_and_then_both_scores_are_shown(people: People, make: Make, stricter: Callable[[], None]) -> None:
    interview = scored(make())
    old, report = counts(interview), queries.report(interview, interview.candidate)
    stricter()
    trial = begun(people, interview)
    assert (trial.by, trial.state, rescoring_json(trial)["counts"]["waiting"]) == (people.admin.user, "open", 1)
    with pytest.raises(Problem, match="still being scored"):
        rescoring.apply(trial=trial, actor=people.admin.user)
    look_all()
    shown = rescoring_json(trial)
    assert (shown["ready"], shown["answers"], shown["otherwise"], shown["levels"], shown["mean"]) == (True, 1, 1, 1, -old.total)
    (row,) = shown["rows"]
    assert (row["before"]["total"], row["before"]["level"], row["after"]["total"], row["after"]["level"]) == (old.total, old.level, 0, "below")
    assert (row["change"], row["points"]) == ("worse", -old.total)
    assert ("c0", 4.0, 0.0) in row["criteria"]
    interview.refresh_from_db()
    assert queries.report(interview, interview.candidate) == report

    rescoring.apply(trial=trial, actor=people.admin.user)
    assert GradeJob.objects.filter(state="QU").count() == 1  # of that answer alone
    assert page_of(trial, {})["regrading"] == 0  # read before it was applied
    trial.refresh_from_db()
    assert page_of(trial, {})["regrading"] == 1
    grade_all(interview)
    assert (counts(interview).total, Score.objects.filter(pk=old.pk).exists()) == (0, True)
    asked = next(q for q in queries.report(interview, interview.candidate)["questions"] if q["kind"] == "written")
    assert (asked["score"]["total"], asked["score"]["before"]["total"]) == (0, old.total)
    assert interview.events.get(kind=Event.Kind.RESCORED).actor == people.admin.user
    assert (row_of(trial, interview).applied, row_of(trial, interview).note) == (True, "")
    assert page_of(trial, {})["regrading"] == 0
    assert rescoring_json(trial)["rows"][0]["before"]["total"] == old.total  # what was looked at stays to be read


def test_a_second_apply_changes_nothing_and_a_discard_ends_what_waits(people: People, make: Make, stricter: Callable[[], None]) -> None:
    interview, admin, colleague = scored(make()), people.admin.user, people.interviewer.user
    stricter()
    waits = begun(people, interview)
    rescoring.discard(trial=waits, actor=colleague)
    look_all()
    assert (rescoring_json(waits)["rows"], trials.waiting(waits).count()) == ([], 0)
    with pytest.raises(Problem, match="was discarded"):
        rescoring.apply(trial=waits, actor=admin)
    trial = begun(people, interview)
    assert trial != waits  # one may begin anew
    look_all()
    first = rescoring.apply(trial=trial, actor=colleague)
    jobs = GradeJob.objects.count()
    second = rescoring.apply(trial=trial, actor=admin)
    assert (second.ended_by, second.ended_at, GradeJob.objects.count()) == (colleague, first.ended_at, jobs)
    with pytest.raises(Problem, match="applied already"):
        rescoring.discard(trial=trial, actor=admin)


def test_what_would_be_the_same_is_not_graded_again(people: People, make: Make) -> None:
    interview = scored(make())
    actions.publish(interview=interview, actor=people.interviewer.user)
    trial, jobs = begun(people, interview), GradeJob.objects.count()
    look_all()
    assert rescoring_json(trial)["counts"]["same"] == 1
    rescoring.apply(trial=trial, actor=people.admin.user)
    interview.refresh_from_db()
    assert (GradeJob.objects.count(), queries.report(interview, interview.candidate)["publish_again"]) == (jobs, False)


def test_what_a_person_decided_holds_before_and_after(people: People, make: Make, stricter: Callable[[], None]) -> None:
    interview, actor = scored(make()), people.interviewer.user
    score = counts(interview)
    actions.override(interview=interview, actor=actor, score_id=score.pk, criterion_id="c0", points=3, reason="Nearly.")
    stricter()
    trial = begun(people, interview)
    look_all()
    (row,) = rescoring_json(trial)["rows"]
    assert (row["before"]["total"], row["after"]["total"]) == (score.total - 1, 3)
    rescoring.apply(trial=trial, actor=people.admin.user)
    grade_all(interview)
    shown = next(q["score"] for q in queries.report(interview, actor)["questions"] if q["kind"] == "written")
    assert (shown["total"], shown["before"]["total"]) == (3, score.total - 1)  # as the rescoring said


def _rescored(people: People, interview: Interview) -> None:
    actions.rescore(interview=interview, actor=people.interviewer.user)
    grade_all(interview)


def _being_graded(people: People, interview: Interview) -> None:
    actions.rescore(interview=interview, actor=people.interviewer.user)


def _changed(people: People, interview: Interview) -> None:
    score = counts(interview)
    actions.override(interview=interview, actor=people.interviewer.user, score_id=score.pk, criterion_id="c0", points=1, reason="Hardly.")


def _published(people: People, interview: Interview) -> None:
    actions.publish(interview=interview, actor=people.interviewer.user)


def _taught(people: People, interview: Interview) -> None:
    FittedCalibration.objects.create(body={"cuts": {}, "curve": [], "spread": None, "answers": 30}, report={})


@pytest.mark.parametrize(("happens", "note"), [
    (_rescored, "meanwhile it was scored again"), (_being_graded, "being graded already"), (_changed, "meanwhile a person changed its points"),
    (_published, "meanwhile the review was published"), (_taught, "is not what it was any more"),
])  # fmt: skip
def test_what_moved_on_since_the_look_is_left_and_says_why(
    people: People, make: Make, monkeypatch: pytest.MonkeyPatch, happens: Callable[..., None], note: str
) -> None:
    other, interview = scored(make()), scored(make())
    with monkeypatch.context() as patch:
        patch.setattr(grading.scorer, "CUT", 1.1)
        trial = begun(people, interview, scope="bank", target="all")
        look_all()
    happens(people, interview)
    before, jobs = counts(interview), GradeJob.objects.filter(question__interview=interview).count()
    rescoring.apply(trial=trial, actor=people.admin.user)
    assert note in row_of(trial, interview).note and not row_of(trial, interview).applied
    assert (counts(interview), GradeJob.objects.filter(question__interview=interview).count()) == (before, jobs)
    assert row_of(trial, other).applied or happens is _taught  # of which nothing moved


def test_code_that_was_judged_again_since_the_look_is_left(people: People, make: Make) -> None:
    interview = scored(make())
    trial = begun(people, interview, "code")
    row = trial.rows.get()
    look_all()
    row.refresh_from_db()
    told = Difference.read(row.told)
    # As if the scorer of that time had seen more in it.
    row.told = Difference(told.before, Side(told.after.total + 1, "below", "scored", points=told.after.points)).to_dict()
    row.save()
    again = rejudging.start(scope="interview", target=str(interview.pk), actor=people.interviewer.user)
    end(again.rows.get().after, {"admission": (4, 4), "budget": (4, 4)}, "AC")
    rejudging.apply(trial=again, actor=people.interviewer.user)
    grade_all(interview)
    rescoring.apply(trial=trial, actor=people.admin.user)
    row.refresh_from_db()
    assert (row.applied, row.note) == (False, "Not done: meanwhile its code was judged again and it was scored again.")


def test_an_answer_that_can_not_be_scored_says_so_and_keeps_its_score(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = scored(make())
    trial, score = begun(people, interview), counts(interview)
    with monkeypatch.context() as broken:
        broken.setattr(grading, "score", lambda *a, **k: 1 / 0)
        for _ in range(MAX_ATTEMPTS):
            assert rescoring_json(trial)["counts"]["waiting"] == 1
            look_all()
    shown = rescoring_json(trial)
    (row,) = shown["rows"]
    assert (row["change"], row["after"]["total"], row["after"]["reason"], row["points"]) == ("failed", None, actions.SCORER_FAILED, None)
    assert (shown["failed"], shown["otherwise"], shown["mean"]) == (1, 0, 0)
    rescoring.apply(trial=trial, actor=people.admin.user)
    assert (counts(interview), row_of(trial, interview).applied) == (score, False)


def test_code_that_the_judge_failed_on_says_so(people: People, make: Make) -> None:
    interview = finish(make())
    judged(interview, verdict="JE")
    grade_all(interview)
    trial = begun(people, interview, "code")
    look_all()
    (row,) = rescoring_json(trial)["rows"]
    assert (row["change"], row["before"]["total"], row["after"]["total"]) == ("failed", None, None)
    assert "judge could not run" in row["after"]["reason"]


def test_a_worker_that_dies_leaves_a_run_that_goes_on(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = scored(make())
    trial = begun(people, interview)
    row = RescoredAnswer.claim(trial.rows.get().pk)
    assert row is not None
    rung: list[RescoredAnswer] = []
    monkeypatch.setattr(rescoring, "wake", rung.append)
    lapsed = timezone.now() - timedelta(seconds=1)
    RescoredAnswer.objects.update(lease_until=lapsed)
    tasks.reap()
    assert rung == [row]
    with pytest.raises(Lost):  # the one that was believed dead writes nothing
        rescoring.look(row)
    assert rescoring_json(trial)["rows"] == []
    look_all()
    assert rescoring_json(trial)["counts"]["same"] == 1
    RescoredAnswer.objects.update(state="PR", told=None, attempt=MAX_ATTEMPTS, lease_until=lapsed)
    tasks.reap()
    assert rescoring_json(trial)["rows"][0]["after"]["reason"] == actions.SCORER_FAILED
    RescoredAnswer.objects.update(state="QU", attempt=0, ring_at=None, queued_at=timezone.now() - timedelta(minutes=1))
    tasks.reap()  # what the broker lost
    assert len(rung) == 2


def test_looks_come_one_by_one_and_after_gradings(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    old, live = scored(make()), finish(make(), text=GOOD * 110)
    sent: list[tuple[str, Any, Any]] = []
    monkeypatch.setattr(actions.current_app, "send_task", lambda name, args, priority, **_: sent.append((name.rsplit(".", 1)[1], args[0], priority)))
    with TestCase.captureOnCommitCallbacks(execute=True):
        first, second, third = begun(people, old, scope="bank", target="all").rows.all()
    assert sent == [("look_again", str(first.pk), LAST)]  # Redis hands out what has no priority before
    with TestCase.captureOnCommitCallbacks(execute=True):
        tasks.look_again(str(first.pk))
    assert sent[1:] == [("look_again", str(second.pk), LAST)]
    # Nothing waits in vain while one of them is looked at; then it is rung for the one whose turn it is.
    RescoredAnswer.objects.update(queued_at=timezone.now() - timedelta(minutes=1))
    assert list(RescoredAnswer.unheard()) == [second]
    assert RescoredAnswer.claim(second.pk) is not None
    assert list(RescoredAnswer.unheard()) == []
    # The one thread that does looks does what takes long, too, and that first; the other is free for what is short.
    long, short, done = question(live, "written").grade_jobs.get(), question(live, "estimate").grade_jobs.get(), list[Any]()
    RescoredAnswer.objects.update(state="QU")

    def look(row: RescoredAnswer) -> None:
        if not done:
            done.append(row)
            tasks.look_again(str(third.pk))
            for job in (long, short):
                tasks.grade_answer(str(job.pk))
            assert done == [second, short]
        else:
            done.append(row)

    monkeypatch.setattr(rescoring, "look", look)
    monkeypatch.setattr(actions, "grade", done.append)
    tasks.look_again(str(second.pk))
    assert done == [second, short, long, third]


def test_what_is_applied_is_graded_behind_what_somebody_waits_for(
    people: People, make: Make, stricter: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    interview, live = scored(make(), text=GOOD * 110), finish(make(), text=GOOD * 110)
    stricter()
    trial = begun(people, interview)
    look_all()
    rung: list[tuple[GradeJob, int | None]] = []
    monkeypatch.setattr(actions, "ring", lambda task, job, priority=None: rung.append((job, priority)))
    with TestCase.captureOnCommitCallbacks(execute=True):
        rescoring.apply(trial=trial, actor=people.admin.user)
    ((job, priority),) = rung
    assert (job.question.interview, priority) == (interview, LAST)
    actions.wake(question(live, "written").grade_jobs.get())
    assert rung[-1][1] is None
    with TestCase.captureOnCommitCallbacks(execute=True):  # as does one interview that somebody looks at
        actions.rescore(interview=scored(make()), actor=people.interviewer.user)
    assert {priority for _, priority in rung[2:]} == {None}
    # The same holds of those that take long.
    first, done = question(live, "written").grade_jobs.get(), list[GradeJob]()
    third = GradeJob.objects.create(question=first.question, generation=7)

    def grade(job: GradeJob) -> None:
        if not done:
            for other in (rung[0][0], third):
                tasks.grade_answer(str(other.pk))
        done.append(job)

    monkeypatch.setattr(actions, "grade", grade)
    tasks.grade_answer(str(first.pk))
    assert done == [first, third, rung[0][0]]


def test_nobody_has_the_command_score_their_own_interview_again(people: People, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    interview, user = scored(make()), people.candidate.user
    assert user is not None
    user.role = "interviewer"
    user.save()
    call_command("rescore", question(interview, "written").version.question.slug, "--apply", "--by", user.email)
    said = capsys.readouterr()
    assert "0 answers queued" in said.out and "Nobody reviews their own interview" in said.err
    assert not GradeJob.objects.filter(state="QU").exists()


def test_scopes(people: People, make: Make) -> None:
    interviews = [scored(make()) for _ in range(3)]
    asked, versions = question(interviews[0], "estimate"), [question(one, "estimate").version_id for one in interviews]
    assert len(set(versions)) == 1
    of = {
        "version": rescoring.start(scope="version", target=str(asked.version_id), actor=people.interviewer.user),
        "question": rescoring.start(scope="question", target=str(asked.version.question_id), actor=people.interviewer.user),
        "bank": rescoring.start(scope="bank", target="all", actor=people.admin.user),
    }
    assert {scope: trial.rows.count() for scope, trial in of.items()} == {"version": 3, "question": 3, "bank": 9}
    titles = {scope: rescoring_json(trial)["title"] for scope, trial in of.items()}
    title = asked.version.title
    assert titles == {"version": f"{title} (version {asked.version.hash[:8]})", "question": title, "bank": "The whole bank"}
    with pytest.raises(Problem, match="Only admins"):
        rescoring.start(scope="bank", target="all", actor=people.interviewer.user)
    with pytest.raises(Problem, match="Only admins"):
        rescoring.apply(trial=of["bank"], actor=people.interviewer.user)
    user = people.candidate.user
    assert user is not None
    user.role = "admin"
    user.save()
    with pytest.raises(Problem, match="No such answer has been scored"):  # but their own
        rescoring.start(scope="bank", target="all", actor=user)
    look_all()
    with pytest.raises(Problem, match="own interview"):
        rescoring.apply(trial=of["bank"], actor=user)


@pytest.mark.parametrize(("scope", "target", "status"), [
    ("lab", "x", 400), ("question", "x", 404), ("question", "0d5d9f3e-0000-4000-8000-000000000000", 404), ("version", "x", 404),
    ("version", "9" * 40, 404), ("version", "-1", 404), ("bank", "some", 404), ("question", "", 400),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(people: People, make: Make, scope: str, target: str, status: int) -> None:
    body = json.dumps({"scope": scope, "target": target})
    answer = people.admin.client.post("/api/rescorings/", body, content_type="application/json")
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)
    page = people.admin.client.get("/review/rescorings/new/", {scope: target}, follow=True)
    assert page.redirect_chain[-1][0] == "/review/rescorings/"


def test_one_is_open_for_each_target(people: People, make: Make) -> None:
    interview = scored(make())
    first = begun(people, interview)
    assert begun(people, interview) == first  # while it goes on
    with pytest.raises(IntegrityError), transaction.atomic():
        Rescoring.objects.create(scope=first.scope, target=first.target, by=first.by)
    look_all()
    target = {"question": first.target}
    for ask in (people.admin.client.get, people.admin.client.post):
        page = ask("/review/rescorings/new/", target, follow=True)
        assert page.redirect_chain[-1][0] == f"/review/rescorings/{first.pk}/" and "all of it is scored. Let it count" in page.content.decode()
    with pytest.raises(Problem, match="other scores count by now"):
        _rescored(people, interview)
        begun(people, interview)


def test_doors(people: People, make: Make) -> None:
    interview = scored(make())
    body = json.dumps({"scope": "question", "target": str(question(interview, "written").version.question_id)})
    codes = {person.name: person.client.post("/api/rescorings/", body, content_type="application/json").status_code for person in people}
    assert codes == {"candidate": 403, "other": 403, "interviewer": 201, "admin": 201, "stranger": 403}
    path = f"/api/rescorings/{Rescoring.objects.get().pk}/"
    assert {p.name: p.client.get(path).status_code for p in people} == codes | {"interviewer": 200, "admin": 200}
    look_all()
    assert {p.name: p.client.post(path + "apply/").status_code for p in people} == codes | {"interviewer": 200, "admin": 200}
    assert people.interviewer.client.post(path + "discard/").status_code == 409
    for page in ("/review/rescorings/", "/review/rescorings/new/?bank=all", path.removeprefix("/api").replace("/resc", "/review/resc")):
        assert people.candidate.client.get(page).status_code == 403


def test_the_pages_lead_from_the_bank_to_the_difference_and_decide(people: People, make: Make, stricter: Callable[[], None]) -> None:
    interview, client = scored(make()), people.interviewer.client
    asked = question(interview, "written").version.question
    assert "Nothing was scored again so far" in client.get("/review/rescorings/").content.decode()
    bank = client.get(asked.get_absolute_url()).content.decode()
    start, version = f"/review/rescorings/new/?question={asked.pk}", f"/review/rescorings/new/?version={asked.current_id}"
    assert start in bank and version in bank and "Score 1 answer again" in bank
    assert "Score 1 answer again?" in client.get(start).content.decode() and "Score 1 answer again?" in client.get(version).content.decode()
    stricter()
    detail = client.post("/review/rescorings/new/", {"question": str(asked.pk)}).url
    page = client.get(detail).content.decode()
    assert 'data-live="2"' in page and "0 of 1 scored" in page and "disabled" in page
    look_all()
    page = client.get(detail).content.decode()
    assert "data-live" not in page and "-28 points" in page and "<circle" in page and "disabled" not in page
    assert f"/review/{interview.pk}/" in page
    client.post(detail, {"apply": ""})
    page = client.get(detail).content.decode()
    assert "1 answer is being graded again" in page and "data-live" in page and "Have it done" not in page
    grade_all(interview)
    assert "data-live" not in client.get(detail).content.decode()
    assert detail in client.get("/review/rescorings/").content.decode()
    assert "whole bank" in people.admin.client.get("/review/rescorings/").content.decode()
    assert "?bank=all" not in client.get("/review/rescorings/").content.decode()


def test_the_pages_cost_no_queries_for_each_answer(people: People, make: Make) -> None:
    def costs() -> list[int]:
        trial = rescoring.start(scope="bank", target="all", actor=people.admin.user)
        look_all()
        found = [queries_of(people.admin, path) for path in (f"/review/rescorings/{trial.pk}/", f"/api/rescorings/{trial.pk}/", "/review/rescorings/")]
        rescoring.discard(trial=trial, actor=people.admin.user)
        return [*found, queries_of(people.admin, "/review/rescorings/new/?bank=all")]

    scored(make())
    first = costs()
    for _ in range(2):
        scored(make())
    assert costs() == first


def test_long_ones_have_pages_and_begin_with_what_matters_most(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interviews.review.rescored.PER_PAGE", 1)
    interviews = [scored(make()) for _ in range(3)]
    trial = begun(people, interviews[0], "estimate")
    look_all()
    row = trial.rows.get(question__interview=interviews[1])
    row.told = {**row.told, "after": {**row.told["after"], "total": row.told["after"]["total"] + 1}}
    row.save()
    pages = [page_of(trial, {"page": number}) for number in ("1", "2", "99", "x")]
    assert [page["shown"][0]["change"] for page in pages] == ["better", "same", "same", "better"]
    assert "Page 2 of 3, 3 answers" in people.admin.client.get(f"/review/rescorings/{trial.pk}/?page=2").content.decode()


def _sides(before: float | None, after: float | None, levels: tuple[str, str] = ("L5", "L5"), states: tuple[str, str] = ("scored", "scored")) -> Difference:
    return Difference(Side(before, levels[0], states[0]), Side(after, levels[1], states[1]))


def test_differences_in_words_and_numbers() -> None:
    all_ = {
        "same": _sides(20, 20), "better": _sides(20, 21), "worse": _sides(20, 12, ("L6", "below")), "other": _sides(20, 20, states=("scored", "review")),
        "failed": _sides(20, None), "better, the first": _sides(None, 3),
    }  # fmt: skip
    assert {name.split(",")[0]: one.change for name, one in all_.items()} == {name.split(",")[0]: name.split(",")[0] for name in all_}
    found = summary(list(all_.values()))
    assert (found.answers, found.otherwise, found.levels, found.failed, found.mean) == (6, 4, 1, 1, (1 - 8) / 4)
    assert summary([]).mean == 0
    order = [next(name for name, one in all_.items() if one is this) for this in sorted(all_.values(), key=by_weight)]
    assert order[:2] == ["worse", "failed"] and order[-1] == "same"
    drawn = picture([*all_.values(), _sides(20, 20)])
    # The most first, below the others; and nothing of what has no points on a side.
    assert (drawn["dots"][0].words, drawn["dots"][0].change, len(drawn["dots"])) == ("2 from 20 to 20", "same", 4)
