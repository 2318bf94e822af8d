"""Judging again: seen before it counts, decided once, nothing lost."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from grading.models import Score
from interviews.errors import Problem
from interviews.live.models import Event, Interview
from interviews.review import actions, queries, rejudging
from interviews.review.comparing import change_of, changed_tests, rejudge_json
from interviews.review.models import GradeJob, Rejudge
from interviews.review.tasks import grade_answer
from sandbox import actions as sandbox_actions
from sandbox import queries as sandbox_queries
from sandbox import tasks as sandbox_tasks
from sandbox.models import Run, TestResult
from tests.conftest import People, queries_of
from tests.live.helpers import question
from tests.review.helpers import end, grade_all, scored

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]
Points = dict[str, tuple[float, float]]
BETTER: Points = {"admission": (4, 4), "budget": (4, 4)}
SAME: Points = {"admission": (4, 4), "budget": (2, 4)}
WORSE: Points = {"admission": (0, 4), "budget": (2, 4)}


def judge_waiting(points: Points, verdict: str = "PA") -> None:
    """Ends every background run as a worker would have."""
    for waiting in Run.objects.filter(background=True, state="QU"):
        end(waiting, points, verdict)


def begun(people: People, interview: Interview) -> Rejudge:
    return rejudging.start(scope="interview", target=str(interview.pk), actor=people.interviewer.user)


def code_score(interview: Interview) -> Score:
    score = queries.latest_score(question(interview, "code"))
    assert score is not None
    return score


def counted(interview: Interview) -> Run:
    asked = question(interview, "code")
    run = queries.final_run(asked, queries.content_of(asked).code)
    assert run is not None
    return run


def everything(interview: Interview) -> tuple[Any, ...]:
    """What anybody could notice."""
    interview.refresh_from_db()
    return interview.seq, counted(interview).pk, code_score(interview).pk, queries.report(interview, interview.candidate)


def test_nothing_changes_before_it_is_applied(people: People, make: Make) -> None:
    interview = scored(make())
    before = everything(interview)
    rejudge = begun(people, interview)
    again = Run.objects.get(background=True)
    assert (again.source, again.kind, again.subject, again.user) == (counted(interview).source, "hidden", None, interview.candidate)
    assert rejudge_json(rejudge)["counts"]["waiting"] == 1
    judge_waiting(BETTER)
    assert rejudge_json(rejudge)["counts"]["better"] == 1
    assert everything(interview) == before


def test_applied_it_counts_and_is_graded_beside_the_score_before(people: People, make: Make) -> None:
    interview = scored(make())
    old_run, old_score = counted(interview), code_score(interview)
    rejudge = begun(people, interview)
    judge_waiting(BETTER)
    rejudging.apply(trial=rejudge, actor=people.interviewer.user)
    grade_all(interview)
    now = code_score(interview)
    assert counted(interview).background and now.pk != old_score.pk
    rows = {row.criterion: row.points for row in now.criteria.all()}
    assert (rows["t0"], rows["t1"]) == (4, 4)
    code = next(q for q in queries.report(interview, people.interviewer.user)["questions"] if q["kind"] == "code")
    assert code["score"]["before"]["points"]["t1"] == 2  # the score before is shown beside it
    assert Run.objects.get(pk=old_run.pk).tests.count() == 2  # and the run before can still be read
    event = interview.events.get(kind=Event.Kind.REJUDGED)
    assert (event.actor, event.body["before"], event.body["run"]["score"]) == (people.interviewer.user, str(old_run.pk), 8.0)
    assert [e.seq for e in interview.events.all()] == list(range(1, interview.events.count() + 1))


def test_a_second_apply_changes_nothing(people: People, make: Make) -> None:
    interview = scored(make())
    rejudge = begun(people, interview)
    judge_waiting(BETTER)
    first = rejudging.apply(trial=rejudge, actor=people.interviewer.user)
    grade_all(interview)
    state = everything(interview)
    second = rejudging.apply(trial=rejudge, actor=people.admin.user)
    assert (second.ended_by, second.ended_at) == (first.ended_by, first.ended_at)
    assert everything(interview) == state


def test_what_the_judge_failed_on_keeps_its_verdict(people: People, make: Make) -> None:
    interview = scored(make())
    before = counted(interview), code_score(interview)
    rejudge = begun(people, interview)
    judge_waiting({}, verdict="JE")
    assert rejudge_json(rejudge)["counts"]["failed"] == 1
    rejudging.apply(trial=rejudge, actor=people.interviewer.user)
    grade_all(interview)
    assert (counted(interview), code_score(interview)) == before
    assert "stands" in rejudge_json(rejudge)["rows"][0]["note"]


def test_the_same_result_is_not_graded_again(people: People, make: Make) -> None:
    interview = scored(make())
    jobs = GradeJob.objects.count()
    rejudge = begun(people, interview)
    judge_waiting(SAME)
    assert rejudge_json(rejudge)["counts"]["same"] == 1
    rejudging.apply(trial=rejudge, actor=people.interviewer.user)
    assert GradeJob.objects.count() == jobs


def test_not_before_all_are_judged(people: People, make: Make) -> None:
    rejudge = begun(people, scored(make()))
    with pytest.raises(Problem, match="still being judged"):
        rejudging.apply(trial=rejudge, actor=people.interviewer.user)


def test_a_discard_aborts_what_waits_and_can_not_be_applied(people: People, make: Make) -> None:
    interview = scored(make())
    before = counted(interview)
    rejudge = begun(people, interview)
    rejudging.discard(trial=rejudge, actor=people.interviewer.user)
    rejudging.discard(trial=rejudge, actor=people.interviewer.user)
    assert Run.objects.get(background=True).verdict == "AB"
    with pytest.raises(Problem, match="discarded"):
        rejudging.apply(trial=rejudge, actor=people.interviewer.user)
    assert counted(interview) == before
    assert begun(people, interview).pk != rejudge.pk  # one may begin anew


def test_an_applied_one_can_not_be_discarded(people: People, make: Make) -> None:
    rejudge = begun(people, scored(make()))
    judge_waiting(WORSE)
    assert rejudge_json(rejudge)["counts"]["worse"] == 1
    rejudging.apply(trial=rejudge, actor=people.interviewer.user)
    with pytest.raises(Problem, match="applied already"):
        rejudging.discard(trial=rejudge, actor=people.interviewer.user)


def test_two_who_start_at_once_get_the_same(people: People, make: Make) -> None:
    interview = scored(make())
    assert begun(people, interview) == begun(people, interview)
    assert Run.objects.filter(background=True).count() == 1


def test_an_old_one_that_is_undecided_is_not_given_for_a_new_one(people: People, make: Make) -> None:
    interview = scored(make())
    lab, admin = question(interview, "code").version.lab, people.admin
    first = rejudging.start(scope="lab", target=lab, actor=admin.user)
    scored(make())
    with pytest.raises(Problem, match="other runs count by now"):  # though the first is still being judged
        rejudging.start(scope="lab", target=lab, actor=admin.user)
    judge_waiting(BETTER)
    for ask in (admin.client.get, admin.client.post):
        page = ask("/review/rejudges/new/", {"lab": lab}, follow=True)
        assert page.redirect_chain[-1][0] == f"/review/rejudges/{first.pk}/" and "is undecided" in page.content.decode()
    with pytest.raises(CommandError, match="is undecided"):
        call_command("rejudge", lab=lab, by="admin@example.test")
    rejudging.discard(trial=first, actor=admin.user)
    assert rejudging.start(scope="lab", target=lab, actor=admin.user).rows.count() == 2
    mine = begun(people, interview)
    judge_waiting(BETTER)  # by tests that may have been mended since
    body = json.dumps({"scope": "interview", "target": str(interview.pk)})
    answer = people.interviewer.client.post("/api/rejudges/", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "undecided")
    assert "all of it is judged" in answer.json()["detail"] and str(mine.pk) in answer.json()["detail"]


def test_what_another_run_was_judged_for_meanwhile_stays(people: People, make: Make) -> None:
    interview = scored(make())
    first = rejudging.start(scope="run", target=str(counted(interview).pk), actor=people.interviewer.user)
    second = begun(people, interview)
    judge_waiting(BETTER)
    rejudging.apply(trial=second, actor=people.interviewer.user)
    newest = counted(interview)
    rejudging.apply(trial=first, actor=people.interviewer.user)
    assert counted(interview) == newest
    assert rejudge_json(first)["rows"][0]["note"] == rejudging.MOVED_ON


def test_a_lab_is_judged_again_by_admins_and_not_their_own_interviews(people: People, make: Make) -> None:
    theirs = [scored(make()), scored(make())]
    lab = question(theirs[0], "code").version.lab
    with pytest.raises(Problem, match="Only admins"):
        rejudging.start(scope="lab", target=lab, actor=people.interviewer.user)
    rejudge = rejudging.start(scope="lab", target=lab, actor=people.admin.user)
    assert {row.question.interview_id for row in rejudge.rows.all()} == {one.pk for one in theirs}
    user = people.candidate.user
    assert user is not None
    user.role = "admin"
    user.save()
    judge_waiting(BETTER)
    with pytest.raises(Problem, match="own interview"):
        rejudging.apply(trial=rejudge, actor=user)
    with pytest.raises(Problem, match="No code was judged there"):
        rejudging.start(scope="lab", target=lab, actor=user)


def test_the_list_says_what_each_was_and_costs_no_queries_for_each(people: People, make: Make) -> None:
    interviews = [scored(make()) for _ in range(3)]
    lab = question(interviews[0], "code").version.lab
    rejudging.start(scope="lab", target=lab, actor=people.admin.user)
    costs = [queries_of(people.interviewer, "/review/rejudges/")]
    for interview in interviews:
        rejudging.start(scope="run", target=str(counted(interview).pk), actor=people.interviewer.user)
    costs.append(queries_of(people.interviewer, "/review/rejudges/"))
    assert costs[0] == costs[1]
    shown = [one for one, _, _ in people.interviewer.client.get("/review/rejudges/").context["trials"]]
    assert shown == sorted(shown, key=lambda one: one.at, reverse=True) and len(shown) == 4
    found = {(title, count) for _, title, count in people.interviewer.client.get("/review/rejudges/").context["trials"]}
    asked = question(interviews[0], "code")
    assert found == {(f"Lab {lab}", 3), (f"{asked.version.title} (Candidate, {interviews[0].title})", 1)}


def test_a_score_that_rests_on_the_old_run_is_not_written_after_the_new_one_counts(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = scored(make())
    rejudge = begun(people, interview)
    judge_waiting(BETTER)
    actions.rescore(interview=interview, actor=people.interviewer.user)
    job = GradeJob.objects.get(question=question(interview, "code"), state="QU")
    whole = actions.marking.mark

    def slow(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(actions.marking, "mark", whole)
        marked = whole(*args, **kwargs)
        rejudging.apply(trial=rejudge, actor=people.interviewer.user)
        return marked

    monkeypatch.setattr(actions.marking, "mark", slow)
    before = code_score(interview)
    grade_answer(str(job.pk))
    assert code_score(interview) == before
    job.refresh_from_db()
    assert job.state == "QU"
    grade_answer(str(job.pk))
    assert {row.criterion: row.points for row in code_score(interview).criteria.all()}["t1"] == 4


def test_background_runs_wait_behind_everybody_and_count_against_nobody(people: People, make: Make, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = scored(make())
    rejudge = begun(people, interview)
    again = Run.objects.get(background=True)
    settings.SANDBOX = {**settings.SANDBOX, "user_concurrent": 1, "queue_cap": 1, "runs_per_minute": 2}
    Run.objects.filter(background=False).delete()
    live = sandbox_actions.request_run(user=people.candidate.user, subject=None, lab=again.lab, source="x = 1\n", kind="public")
    assert sandbox_queries.position(live) == 0
    assert sandbox_queries.position(again) == 1
    sent: list[tuple[str, Any]] = []
    monkeypatch.setattr(sandbox_actions.current_app, "send_task", lambda name, args, priority, **_: sent.append((args[0], priority)))
    sandbox_actions.wake(live)
    sandbox_actions.wake(again)
    assert sent == [(str(live.pk), None), (str(again.pk), sandbox_actions.LAST)]
    assert rejudge.state == "open"


def test_the_tests_that_changed_are_named(people: People, make: Make) -> None:
    interview = scored(make())
    rejudge = begun(people, interview)
    judge_waiting({"admission": (4, 4), "stops": (0, 4)})
    row = rejudge.rows.get()
    changes = {test.name: (test.before, test.after) for test in changed_tests(row.before, row.after)}
    assert changes == {"test_stops": (None, ("WA", 0.0)), "test_budget": (("WA", 2.0), None)}
    assert change_of(row.before, row.after) == "worse"


@pytest.mark.django_db(transaction=True)  # the heartbeat looks through a connection of its own
def test_a_real_worker_judges_the_same_source_again(people: People, make: Make) -> None:
    interview = scored(make())
    rejudge = begun(people, interview)
    sandbox_tasks.judge_run(str(Run.objects.get(background=True).pk))
    row = rejudge_json(rejudge)["rows"][0]
    assert row["after"]["state"] == "D" and row["after"]["verdict"] not in ("JE", None)
    assert TestResult.objects.filter(run__background=True).exists()


def test_doors(people: People, make: Make) -> None:
    interview = scored(make())
    body = json.dumps({"scope": "interview", "target": str(interview.pk)})
    codes = {person.name: person.client.post("/api/rejudges/", body, content_type="application/json").status_code for person in people}
    assert codes == {"candidate": 403, "other": 403, "interviewer": 201, "admin": 201, "stranger": 403}
    path = f"/api/rejudges/{Rejudge.objects.get().pk}/"
    assert {p.name: p.client.get(path).status_code for p in people} == codes | {"interviewer": 200, "admin": 200}
    judge_waiting(BETTER)
    assert {p.name: p.client.post(path + "apply/").status_code for p in people} == codes | {"interviewer": 200, "admin": 200}
    assert people.interviewer.client.post(path + "discard/").status_code == 409
    for target in ("nonsense", "0d5d9f3e-0000-4000-8000-000000000000"):
        answer = people.admin.client.post("/api/rejudges/", json.dumps({"scope": "run", "target": target}), content_type="application/json")
        assert answer.status_code in (400, 404)


def test_the_pages_show_what_would_change_and_decide(people: People, make: Make) -> None:
    interview = scored(make())
    client = people.interviewer.client
    assert "Nothing was judged again so far" in client.get("/review/rejudges/").content.decode()
    page = client.get(f"/review/rejudges/new/?interview={interview.pk}").content.decode()
    assert "Judge 1 run again?" in page and "6 of 8" in page
    detail = client.post("/review/rejudges/new/", {"interview": str(interview.pk)}).url
    page = client.get(detail).content.decode()
    assert 'data-live="2"' in page and "0 of 1 judged" in page and "disabled" in page
    judge_waiting(BETTER)
    page = client.get(detail).content.decode()
    assert "data-live" not in page and "1 better" in page and "test_budget" in page and "disabled" not in page
    client.post(detail, {"apply": ""})
    page = client.get(detail).content.decode()
    assert "Let the new results count" not in page and "decided by <bdi>Interviewer</bdi>" in page
    assert detail in client.get("/review/rejudges/").content.decode()
    assert "A whole lab" in people.admin.client.get("/review/rejudges/").content.decode()
    assert people.candidate.client.get("/review/rejudges/").status_code == 403
    assert client.get("/review/rejudges/new/?interview=x", follow=True).status_code == 200


def test_the_command_prints_before_and_after(people: People, make: Make) -> None:
    interview = scored(make())
    begun(people, interview)
    judge_waiting(WORSE)
    out = StringIO()
    call_command("rejudge", interview=str(interview.pk), by="interviewer@example.test", stdout=out)
    assert "worse" in out.getvalue() and "PA 6 -> PA 2" in out.getvalue() and "test_admission: AC 4 -> WA 0" in out.getvalue()
    assert Rejudge.objects.get().state == "open"
    out = StringIO()
    call_command("rejudge", interview=str(interview.pk), by="interviewer@example.test", apply=True, json=True, stdout=out)
    assert json.loads(out.getvalue())["state"] == "applied"
    with pytest.raises(CommandError, match="not an interviewer"):
        call_command("rejudge", interview=str(interview.pk), by="candidate@example.test")
