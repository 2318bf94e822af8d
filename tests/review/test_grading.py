"""From the end of an interview to its scores: durable, honest about failures, never invented."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.utils import timezone

import grading
import grading.scorer
from grading.models import CriterionScore, Score
from interviews.accounts.models import User
from interviews.live.models import Event, Interview, InterviewQuestion
from interviews.review import actions, marking, queries, tasks
from interviews.review.models import GradeJob
from interviews.review.tasks import grade_answer, reap
from sandbox import Outcome, leases
from sandbox import actions as sandbox_actions
from sandbox import tasks as sandbox_tasks
from sandbox.leases import MAX_ATTEMPTS
from sandbox.models import Run
from tests.conftest import People
from tests.live.helpers import question, write
from tests.review.helpers import GOOD, finish, grade_all, judged, scored

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def score_of(interview: Interview, kind: str) -> Score:
    found = queries.latest_score(question(interview, kind))
    assert found is not None
    return found


def test_a_good_answer_earns_points_with_its_own_words(make: Make) -> None:
    interview = scored(make())
    score = score_of(interview, "written")
    assert score.total == score.max == 28
    for row in score.criteria.all():
        assert row.evidence
        for span in row.evidence:
            assert GOOD[span["start"] : span["end"]] == span["text"]
    assert interview.status == "scored"
    assert interview.events.last().kind == Event.Kind.SCORED


@pytest.mark.parametrize("text", ["", "fine", "asdf qwer zxcv", "What limits prefill and decode?"])
def test_what_says_nothing_earns_nothing(make: Make, text: str) -> None:
    interview = scored(make(), text=text)
    assert score_of(interview, "written").total == 0


def test_code_points_come_from_the_judged_groups_and_the_rest_from_the_notes(make: Make) -> None:
    interview = make()
    write(question(interview, "code"), text=GOOD)
    scored(interview)
    rows = {row.criterion: row.points for row in score_of(interview, "code").criteria.all()}
    assert (rows["t0"], rows["t1"]) == (4, 2)
    assert rows["c0"] == 4


def test_code_is_graded_only_after_it_was_judged(make: Make) -> None:
    interview = finish(make())
    grade_all(interview)
    assert interview.status == "grading"
    assert queries.latest_score(question(interview, "code")) is None
    judged(interview, points={"admission": (4, 4)})
    assert grade_all(interview).status == "scored"


def test_a_judge_error_means_not_scored_and_not_zero(make: Make) -> None:
    interview = finish(make())
    judged(interview, verdict="JE")
    grade_all(interview)
    score = score_of(interview, "code")
    assert (score.state, score.total) == ("not_scored", None)
    assert "our fault" in score.reason.lower()
    report = queries.report(interview, interview.candidate)
    assert report["provisional"] is True
    # The answers that are scored count alone, and what the missing one could still do is said.
    assert report["max"] == 28 * (interview.questions.count() - 1)
    assert len(report["level_set"]) > 1


def test_a_scorer_that_fails_three_times_means_not_scored(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = finish(make())

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no model")

    monkeypatch.setattr(grading, "score", fail)
    job = GradeJob.objects.get(question=question(interview, "written"))
    for _ in range(MAX_ATTEMPTS):
        grade_answer(str(job.pk))
    score = score_of(interview, "written")
    assert (score.state, score.total) == ("not_scored", None)
    assert not CriterionScore.objects.filter(score=score).exists()


def test_a_scorer_that_recovers_scores(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = finish(make())
    job = GradeJob.objects.get(question=question(interview, "written"))
    with monkeypatch.context() as broken:
        broken.setattr(grading, "score", lambda *a, **k: 1 / 0)
        grade_answer(str(job.pk))
    grade_answer(str(job.pk))
    assert score_of(interview, "written").total == 28


def test_a_score_that_can_not_be_stored_is_a_scorer_that_failed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = finish(make())
    job = GradeJob.objects.get(question=question(interview, "written"))
    store = CriterionScore.objects.bulk_create
    monkeypatch.setattr(CriterionScore.objects, "bulk_create", lambda rows: store([*rows, CriterionScore(points=None)]))  # refused by any database
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert GradeJob.objects.get(pk=job.pk).state == "QU", attempt
        grade_answer(str(job.pk))
    score = score_of(interview, "written")
    assert (score.state, score.reason, Score.objects.count()) == ("not_scored", actions.SCORER_FAILED, 1)


def test_an_answer_that_can_not_be_read_means_not_scored(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = finish(make())
    monkeypatch.setattr(actions, "content_of", lambda asked: 1 / 0)
    job = GradeJob.objects.get(question=question(interview, "written"))
    for _ in range(MAX_ATTEMPTS):
        grade_answer(str(job.pk))
    assert score_of(interview, "written").state == "not_scored"


def test_rubrics_that_can_not_be_read_end_in_a_report_that_says_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = finish(make())
    judged(interview, points={"admission": (4, 4)})
    monkeypatch.setattr(grading.Rubric, "from_dict", lambda *a: 1 / 0)
    for _ in range(MAX_ATTEMPTS):
        grade_all(interview)
    assert interview.status == "scored"
    scores = [item["score"] for item in queries.report(interview, interview.candidate)["questions"]]
    assert {(score["state"], score["max"], score["reason"]) for score in scores} == {("not_scored", 28, actions.SCORER_FAILED)}


def test_a_job_delivered_twice_makes_one_score(make: Make) -> None:
    interview = finish(make())
    job = GradeJob.objects.get(question=question(interview, "written"))
    grade_answer(str(job.pk))
    grade_answer(str(job.pk))
    assert Score.objects.filter(subject=question(interview, "written").answer.pk).count() == 1


def test_the_reaper_takes_a_job_from_a_dead_worker(make: Make) -> None:
    interview = finish(make())
    job = GradeJob.claim(GradeJob.objects.get(question=question(interview, "written")).pk)
    assert job is not None
    GradeJob.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    reap()
    grade_answer(str(job.pk))
    assert score_of(interview, "written").total == 28
    job.refresh_from_db()
    assert job.attempt == 2


def test_a_last_grader_that_lives_after_all_is_not_given_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = finish(make())
    job = GradeJob.claim(GradeJob.objects.get(question=question(interview, "written")).pk)
    assert job is not None
    with monkeypatch.context() as renewed:
        renewed.setattr(GradeJob, "requeue_expired", lambda: ([], [job.pk]))  # and then it renewed
        reap()
    assert queries.latest_score(question(interview, "written")) is None
    actions.grade(job)
    assert score_of(interview, "written").total == 28


@pytest.mark.parametrize("patience", ["as it is", "none"])
def test_each_forgotten_grading_is_rung_for_in_its_turn_however_many_stand_before_it(make: Make, monkeypatch: pytest.MonkeyPatch, patience: str) -> None:
    if patience == "none":  # each is due again at once, as the first are where there are thousands
        monkeypatch.setattr(leases, "RING_AFTER", timedelta(0))
        monkeypatch.setattr(leases, "RING_LATEST", timedelta(0))
    ago, asked = timezone.now() - timedelta(minutes=1), question(make(), "written")
    many = GradeJob.objects.bulk_create(GradeJob(question=asked, generation=n, queued_at=ago) for n in range(tasks.RINGS + 5))
    rung: list[GradeJob] = []
    monkeypatch.setattr(actions, "wake", rung.append)
    reap()
    assert len(rung) == tasks.RINGS
    reap()
    assert set(rung) == set(many)
    reap()
    assert len(rung) == (len(many) if patience == "as it is" else 3 * tasks.RINGS)


def test_answers_that_take_long_are_graded_one_after_the_other_and_keep_no_short_one_waiting(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(), make()
    write(question(second, "code"), code="x = 1\n" * 6000)  # much to store, little to read
    long, short = (finish(interview, text=GOOD * 110) for interview in (first, second)), question(second, "estimate")
    jobs = [*(question(interview, "written").grade_jobs.get() for interview in long), short.grade_jobs.get()]
    asked = [*(job.question for job in jobs), question(second, "code")]
    assert [queries.takes_long(one) for one in asked] == [True, True, False, False]
    graded: list[GradeJob] = []

    def grade(job: GradeJob) -> None:
        if job == jobs[0]:
            for other in jobs:  # what the worker's other thread is given meanwhile
                grade_answer(str(other.pk))
            assert graded == [jobs[2]]
        graded.append(job)

    monkeypatch.setattr(actions, "grade", grade)
    grade_answer(str(jobs[0].pk))
    assert graded == [jobs[2], jobs[0], jobs[1]]


class Killed(BaseException):
    """What nothing in the process catches."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("graded", ["for the first time", "again"])
def test_code_whose_judge_died_before_it_could_tell_is_logged_and_graded(make: Make, monkeypatch: pytest.MonkeyPatch, graded: str) -> None:
    def judge(*args: Any, on_event: Callable[..., None], **kwargs: Any) -> Outcome:
        on_event({"type": "planned", "n": 2})
        for group in ("admission", "budget"):
            told = {"name": group, "group": group, "verdict": "AC", "points": 4, "max_points": 4, "seconds": 0.1, "message": "", "stdout": ""}
            on_event({"type": "test", "test": told})
        return Outcome(verdict="AC", score=8, max_score=8, tests=())

    def die(**_: Any) -> None:
        raise Killed

    monkeypatch.setattr("sandbox.actions.current_app.send_task", lambda *a, **k: None)
    monkeypatch.setattr(sandbox_tasks, "judge", judge)
    interview = finish(make())
    if graded == "again":
        judged(interview, verdict="JE")
        grade_all(interview)
        actions.rescore(interview=interview, actor=interview.candidate)
        assert score_of(interview, "code").state == "not_scored"
    run = Run.objects.get(state="QU")
    with monkeypatch.context() as dying, pytest.raises(Killed):
        dying.setattr("interviews.live.receivers.actions.note_run", lambda *, run_id, kind: die() if kind == "finished" else None)
        sandbox_tasks.judge_run(str(run.pk))
    Run.objects.filter(tell_at__isnull=False).update(tell_at=timezone.now() - timedelta(seconds=1))
    sandbox_tasks.reap()
    sandbox_actions.tell_end(run.pk)  # as somebody does who was slow
    ends = interview.events.filter(kind=Event.Kind.RUN_FINISHED)
    assert [event.body["run"]["verdict"] for event in ends if event.body["run"]["id"] == str(run.pk)] == ["AC"]
    assert grade_all(interview).status == "scored"
    assert score_of(interview, "code").total == 8


def test_what_can_not_be_ended_keeps_nothing_else_waiting(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, other = finish(make()), finish(make())
    for interview, attempt in ((broken, MAX_ATTEMPTS), (other, 1)):
        job = GradeJob.claim(GradeJob.objects.get(question=question(interview, "written")).pk)
        assert job is not None
        GradeJob.objects.filter(pk=job.pk).update(attempt=attempt, lease_until=timezone.now() - timedelta(seconds=1))
    Interview.objects.update(finished_at=timezone.now() - timedelta(minutes=11))
    give_up, mend = actions.give_up, actions.mend_stuck
    woken: list[InterviewQuestion] = []
    monkeypatch.setattr(actions, "give_up", lambda *, job: 1 / 0 if job.question.interview_id == broken.pk else give_up(job=job))
    monkeypatch.setattr(actions, "mend_stuck", lambda *, interview: 1 / 0 if interview == broken else mend(interview=interview))
    monkeypatch.setattr(actions, "wake", lambda job: woken.append(job.question))
    reap()
    assert question(other, "written") in woken
    assert score_of(other, "code").state == "not_scored"  # no judge was there
    assert question(broken, "written").grade_jobs.get().state == "PR"


def test_without_any_judge_code_is_given_up_after_a_while_and_says_so(make: Make) -> None:
    interview = grade_all(finish(make()))
    reap()
    assert interview.status == "grading"
    Interview.objects.filter(pk=interview.pk).update(finished_at=timezone.now() - timedelta(minutes=11))
    reap()
    interview.refresh_from_db()
    assert interview.status == "scored"
    assert score_of(interview, "code").state == "not_scored"


def test_a_rescore_keeps_both_scores(make: Make) -> None:
    interview = scored(make())
    before = score_of(interview, "written")
    queued = actions.rescore(interview=interview, actor=interview.candidate)
    assert len(queued) == interview.questions.count()
    grade_all(interview)
    after = score_of(interview, "written")
    assert after.pk != before.pk
    assert Score.objects.filter(pk=before.pk).exists()
    assert after.total == before.total


def test_a_rescore_is_shown_beside_the_score_before_and_keeps_what_a_person_decided(make: Make, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = scored(make())
    before = score_of(interview, "written")
    first, second = before.criteria.all()[:2]
    actions.override(interview=interview, actor=people.interviewer.user, score_id=before.pk, criterion_id=first.criterion, points=0, reason="Not shown.")
    monkeypatch.setattr(grading.scorer, "CUT", 1.1)  # a scorer that finds nothing stated
    actions.rescore(interview=interview, actor=people.interviewer.user)
    grade_all(interview)

    def told(user: User) -> dict[str, Any]:
        found = queries.report(interview, user)["questions"]
        return next(q["score"] for q in found if q["kind"] == "written")

    reviewer, candidate = told(people.interviewer.user), told(interview.candidate)
    assert (reviewer["before"]["points"][first.criterion], reviewer["before"]["points"][second.criterion]) == (0, second.points)
    assert reviewer["before"]["total"] == before.total - first.points
    assert [(c["points"], c["auto_points"], bool(c["override"])) for c in reviewer["criteria"]][:2] == [(0, 0, True), (0, 0, False)]
    assert candidate["before"]["points"][first.criterion] == first.points  # the review is not published
    assert second.points > 0


def test_the_answers_to_a_question_are_compared_and_when_asked_graded_again(
    make: Make, people: People, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, blank, going = scored(make()), scored(make(), text=""), finish(make())
    before, slugs = score_of(one, "written"), [question(interview, "written").version.question.slug for interview in (one, blank)]
    assert slugs[0] != slugs[1]  # nobody is asked twice while there is something new
    monkeypatch.setattr(grading.scorer, "CUT", 1.1)  # a scorer that finds nothing stated

    def said(*args: str) -> str:
        call_command("rescore", *args)
        return capsys.readouterr().out

    rows = {row["interview"]: row for row in json.loads(said(*slugs, "--json"))}
    assert {pk: (row["before"]["total"], row["after"]["total"]) for pk, row in rows.items()} == {str(one.pk): (before.total, 0), str(blank.pk): (0, 0)}
    assert f"{slugs[0]}: 1 answer, 1 otherwise, 1 at another level, {-before.total:+.2f} points on average" in said(*slugs)
    assert f"{slugs[1]}: 1 answer, 0 otherwise, 0 at another level, +0.00 points on average" in said(slugs[1])
    assert len(json.loads(said("--json"))) == one.questions.count() + blank.questions.count()  # every question that was asked
    assert Score.objects.filter(subject=before.subject).count() == 1
    for by in ((), ("--by", people.candidate.user.email)):
        with pytest.raises(CommandError, match="--apply needs --by"):
            call_command("rescore", *slugs, "--apply", *by)
    with pytest.raises(CommandError, match="No question 'nowhere'"):
        call_command("rescore", "nowhere")

    assert "2 answers queued" in said(*slugs, "--apply", "--by", people.interviewer.user.email)
    assert "0 answers queued" in said(*slugs, "--apply", "--by", people.interviewer.user.email)  # they are being graded
    grade_all(one)
    after = score_of(one, "written")
    assert (after.total, Score.objects.filter(pk=before.pk).exists()) == (0, True)
    shown = next(q["score"] for q in queries.report(one, one.candidate)["questions"] if q["kind"] == "written")
    assert (shown["total"], shown["before"]["total"]) == (0, before.total)
    assert Score.objects.filter(subject=question(one, "estimate").answer.pk).count() == 1
    assert not Score.objects.filter(subject=question(going, "written").answer.pk).exists()


def test_a_rescore_that_fails_hides_nothing_and_loses_no_decision(make: Make, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    interview, actor = scored(make()), people.interviewer.user
    before = score_of(interview, "written")
    changed = before.criteria.first().criterion
    actions.override(interview=interview, actor=actor, score_id=before.pk, criterion_id=changed, points=0, reason="Not shown.")
    actions.publish(interview=interview, actor=actor)

    def told() -> tuple[dict[str, Any], dict[str, Any]]:
        interview.refresh_from_db()
        report = queries.report(interview, interview.candidate)
        return report, next(q["score"] for q in report["questions"] if q["kind"] == "written")

    report, shown = told()
    assert shown["rescore_failed"] is None
    with monkeypatch.context() as broken:
        broken.setattr(grading, "score", lambda *a, **k: 1 / 0)
        actions.rescore(interview=interview, actor=actor)
        for _ in range(MAX_ATTEMPTS):
            grade_all(interview)
    after, stands = told()
    assert stands == shown | {"rescore_failed": actions.SCORER_FAILED}
    assert (after["level"], after["level_set"], after["why"]) == (report["level"], report["level_set"], report["why"])
    # The score that stands can still be changed, and a rescore that succeeds takes over what was decided.
    actions.override(interview=interview, actor=actor, score_id=before.pk, criterion_id=changed, points=1, reason="A little.")
    actions.rescore(interview=interview, actor=actor)
    grade_all(interview)
    now = told()[1]
    assert (now["id"] != shown["id"], now["total"], now["before"]["total"], now["rescore_failed"]) == (True, 25, 25, None)


def test_a_score_points_at_the_rubric_that_it_was_made_with(make: Make) -> None:
    from interviews.bank.actions import edit_question

    interview = scored(make())
    asked = question(interview, "written")
    before = queries.report(interview, interview.candidate)
    files = asked.version.files | {"rubric.yaml": asked.version.files["rubric.yaml"].replace("title: Criterion 0", "title: Renamed")}
    edit_question(question=asked.version.question, files=files, by=None)
    assert queries.report(interview, interview.candidate) == before
    assert score_of(interview, "written").rubric == asked.version.rubric


def test_a_score_can_not_be_changed(make: Make) -> None:
    scored(make())
    for table in ("grading_score", "grading_criterionscore", "grading_rubricversion"):
        column = {"grading_score": "total", "grading_criterionscore": "points", "grading_rubricversion": "hash"}[table]
        with pytest.raises(DatabaseError, match="written once"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET {column} = 0")


def test_a_run_in_flight_at_the_deadline_finishes_and_counts(make: Make) -> None:
    from interviews.live import actions as live
    from interviews.live.tasks import sweep
    from tests.live.helpers import pass_deadline

    interview = make()
    write(question(interview, "written"), text=GOOD)
    live.request_run(question=question(interview, "code"), actor=interview.candidate, kind="hidden")
    pass_deadline(interview)
    sweep()
    # The code did not change after the run began, so that run is the one that counts: no second one is queued.
    judged(interview, points={"admission": (4, 4), "budget": (4, 4)})
    assert grade_all(interview).status == "scored"
    assert score_of(interview, "code").total == 8


def test_code_that_a_judge_failed_on_is_judged_and_graded_at_a_rescore(make: Make) -> None:
    interview = finish(make())
    judged(interview, verdict="JE")
    grade_all(interview)
    assert len(actions.rescore(interview=interview, actor=interview.candidate)) == interview.questions.count()
    judged(interview, points={"admission": (4, 4), "budget": (4, 4)})
    grade_all(interview)
    assert (score_of(interview, "code").state, score_of(interview, "code").total) == ("scored", 8)


def test_code_that_was_given_up_is_graded_when_a_judge_comes_back(make: Make) -> None:
    interview = grade_all(finish(make()))
    Interview.objects.filter(pk=interview.pk).update(finished_at=timezone.now() - timedelta(minutes=11))
    reap()
    assert score_of(interview, "code").state == "not_scored"
    judged(interview, points={"admission": (4, 4), "budget": (0, 4)})
    grade_all(interview)
    assert score_of(interview, "code").total == 4


def test_code_that_was_given_up_while_others_wait_to_be_graded_is_graded_all_the_same(make: Make) -> None:
    interview = finish(make())
    Interview.objects.filter(pk=interview.pk).update(finished_at=timezone.now() - timedelta(minutes=11))
    reap()
    assert score_of(interview, "code").state == "not_scored"
    judged(interview, points={"admission": (4, 4), "budget": (4, 4)})
    assert grade_all(interview).status == "scored"
    assert score_of(interview, "code").total == 8


def test_code_that_the_judge_does_not_take_earns_nothing_of_the_tests(make: Make) -> None:
    interview = make()
    write(question(interview, "code"), code="x = 1\n" * 60_000)
    interview = grade_all(finish(interview))
    score = score_of(interview, "code")
    assert (interview.status, score.total) == ("scored", 0)
    assert score.state != "not_scored"


@pytest.mark.parametrize(("queues", "warm"), [(["grading"], True), (["default", "grading"], True), (["default"], False), (["sandbox.cpu"], False)])
def test_a_worker_that_grades_is_ready_before_the_first_answer(monkeypatch: pytest.MonkeyPatch, queues: list[str], warm: bool) -> None:
    made = threading.Event()
    monkeypatch.setattr(marking, "make_ready", made.set)
    tasks._warm_up(sender=SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=dict.fromkeys(queues))))))
    assert made.wait(5 if warm else 0.2) is warm
