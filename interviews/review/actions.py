"""Every write of grading and review."""

import logging
from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from celery import current_app
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

import grading
from grading.models import RubricVersion, Score
from interviews.accounts.models import User
from interviews.bank.actions import rubric_of
from interviews.errors import Problem
from interviews.live import actions as live
from interviews.live import events
from interviews.live.models import Event, Interview, InterviewQuestion
from interviews.live.queries import content_of
from interviews.review import letters, marking, queries
from interviews.review.models import GradeJob, Note, Override
from sandbox.actions import LAST
from sandbox.health import read as sandbox_health
from sandbox.leases import MAX_ATTEMPTS, Leased, Lost
from sandbox.models import Run

log = logging.getLogger(__name__)
MAX_NOTE = 10_000
SCORER_FAILED = "The scorer failed three times. That is our fault and counts for nothing; an interviewer can have the answer scored again."
NO_JUDGE = "No judge was there to run this code. That is our fault and counts for nothing; it can be judged and scored later."


def ring(task: str, job: Leased, priority: int | None = None) -> None:
    """Rings a grading worker for a job. When the broker is away, the reaper rings again."""
    try:
        current_app.send_task(f"interviews.review.tasks.{task}", (str(job.pk),), queue="grading", priority=priority, retry=False)
    except OperationalError as error:
        log.warning("%s %s waits for the broker: %s", task, job.pk, error)


def wake(job: GradeJob) -> None:
    ring("grade_answer", job, LAST if job.background else None)


def _queue(question: InterviewQuestion, generation: int, background: bool = False) -> None:
    job, made = GradeJob.objects.get_or_create(question=question, generation=generation, defaults={"background": background})
    if made:
        transaction.on_commit(lambda: wake(job))


@transaction.atomic
def queue_ready_answers(*, interview: Interview) -> None:
    """Queues the answers that can be graded now: all but code whose final run is not over. Safe to repeat."""
    for question in interview.questions.select_related("version", "answer"):
        if question.version.kind == "code" and queries.pending_run(question):
            continue
        _queue(question, 0)


class Outrun(Exception):
    """While the code was graded, another run of it came to count."""


@transaction.atomic
def store_grade(*, job: GradeJob, marked: grading.Score, judged: Run | None = None, code: str = "") -> Score:
    """Writes a job's score and ends it, as long as this attempt holds it. `judged` is the run that the score rests on, `code` what it judged.

    Raises:
        sandbox.leases.Lost: another attempt holds the job; nothing was written.
        Outrun: the score rests on a run that counts no more; nothing was written.
    """
    question = job.question
    interview = events.lock(question.interview_id)
    if judged is not None and queries.final_run(question, code) != judged:
        raise Outrun
    before = queries.latest_score(question)
    score = marking.store(question.answer.pk, rubric_of(question.version, question.seed), marked)
    if before is not None:
        _carry_over(before, score)
    _end_job(job, interview, score)
    return score


def _carry_over(before: Score, score: Score) -> None:
    """Gives a new score what a person decided about the answer."""
    if score.state == Score.State.NOT_SCORED:
        return
    decided = queries.holding(before, score.rubric_id).values()
    Override.objects.bulk_create(Override(score=score, criterion=old.criterion, points=old.points, reason=old.reason, by=old.by, at=old.at) for old in decided)


def _rubric_for_people(question: InterviewQuestion) -> RubricVersion:
    """The rubric with the numbers that were asked, by which a person may give the points. To make or to read that may be what failed: then the version's, as
    it stands there."""
    try:
        with transaction.atomic():
            return rubric_of(question.version, question.seed)
    except Exception:
        log.exception("the rubric of question %s can't be made", question.pk)
        return question.version.rubric


@transaction.atomic
def store_no_grade(*, job: GradeJob, reason: str, row: QuerySet[GradeJob] | None = None) -> Score:
    """Ends a job without a score, saying why; with `row`, as long as it still is as that says.

    Raises:
        sandbox.leases.Lost: another attempt holds the job, or its row is another by now; nothing was written.
    """
    question = job.question
    interview = events.lock(question.interview_id)
    rubric = _rubric_for_people(question)
    maximum = sum(criterion["points"] for criterion in rubric.body["criteria"])
    score = marking.store_not_scored(question.answer.pk, rubric, maximum, reason)
    _end_job(job, interview, score, row)
    return score


def _end_job(job: GradeJob, interview: Interview, score: Score, row: QuerySet[GradeJob] | None = None) -> None:
    job.advance(row, state=GradeJob.State.DONE, score=score, finished_at=timezone.now(), lease_until=None)
    events.append(interview, Event.Kind.GRADED, body={"question_id": str(job.question_id), "score_id": str(score.pk)})
    graded = GradeJob.objects.filter(question__interview=interview, score__isnull=False).values("question").distinct().count()
    if interview.status == Interview.Status.GRADING and graded == interview.questions.count():
        interview.status = Interview.Status.SCORED
        interview.save(update_fields=["status"])
        events.append(interview, Event.Kind.SCORED, body={"state": {"status": interview.status}})


@transaction.atomic
def release(*, job: GradeJob) -> None:
    """Gives a job back after a failure, to be tried again."""
    job.advance(state=GradeJob.State.QUEUED, lease_until=None)
    transaction.on_commit(lambda: wake(job))


@transaction.atomic
def give_up(*, job: GradeJob) -> None:
    """Ends a job whose workers died as often as they may.

    Raises:
        sandbox.leases.Lost: the last of them lives after all.
    """
    store_no_grade(job=job, reason=SCORER_FAILED, row=job.lapsed())


@transaction.atomic
def rescore(*, interview: Interview, actor: User, only: Collection[UUID] | None = None, background: bool = False) -> list[UUID]:
    """Grades every answer again, or those to the questions `only`, with the scorer as it is now. Old scores stay. Returns the questions whose answers are
    graded again: none while one is already. `background`: behind all gradings that somebody waits for.

    Code that was never judged, because the judge failed, is judged first; its grading follows when that run is over. While it waits in vain for a judge
    that is not there, the other answers can be graded again, it is not.

    Raises:
        Problem: the interview is not scored yet.
    """
    interview = events.lock(interview.pk)
    _check_scored(interview)
    if queries.being_graded(interview):
        return []
    queued, asked = list[UUID](), interview.questions.select_related("version", "answer", "interview__candidate")
    for question in asked if only is None else asked.filter(pk__in=only):
        if question.version.kind == "code":
            if queries.pending_run(question):
                continue
            live.judge_final_code(question)
        if _queue_next(question, background):
            queued.append(question.pk)
    if queued:
        events.append(interview, Event.Kind.RESCORED, actor=actor)
    return queued


def _queue_next(question: InterviewQuestion, background: bool = False) -> bool:
    """Queues the next generation, unless one is under way. Code that is being judged waits for `regrade_judged`."""
    last = question.grade_jobs.order_by("-generation").first()
    if last is not None and last.state != GradeJob.State.DONE:
        return False
    if question.version.kind != "code" or queries.pending_run(question) is None:
        _queue(question, last.generation + 1 if last else 0, background)
    return True


@transaction.atomic
def regrade_judged(*, question: InterviewQuestion) -> None:
    """Grades code that was given up, and perhaps marked by a person then, and is judged after all."""
    score = queries.gradings(question).first()
    if score is not None and (score.state == Score.State.NOT_SCORED or score.scorer == marking.BY_HAND):
        _queue_next(question)


@transaction.atomic
def grade_again(*, question: InterviewQuestion) -> None:
    """Grades one answer again, because the run that counts for it is another, behind all gradings that somebody waits for. The score so far stays."""
    _queue_next(question, background=True)


def _check_scored(interview: Interview) -> None:
    if interview.status not in (Interview.Status.SCORED, Interview.Status.PUBLISHED):
        raise Problem("not_scored", "The interview is not scored yet.", 409)


def check_reviewer(interview: Interview, user: User) -> None:
    """Raises Problem unless this person may review this interview: interviewers and admins, but not their own."""
    if not user.reviews:
        raise Problem("not_reviewer", "Only interviewers review.", 403)
    if interview.candidate_id == user.pk:
        raise Problem("own_interview", "Nobody reviews their own interview. Ask a colleague.", 403)


def _lock_for_points(interview: Interview, actor: User, score_id: UUID) -> tuple[Interview, InterviewQuestion]:
    """The interview, locked, and the question that the score is of, for somebody who gives points. Raises Problem where they may not."""
    check_reviewer(interview, actor)
    interview = events.lock(interview.pk)
    _check_scored(interview)
    question = queries.question_of_score(interview, score_id)
    if question is None:
        raise Problem("no_score", "This score is not of this interview.", 404)
    return interview, question


@transaction.atomic
def override(
    *, interview: Interview, actor: User, score_id: UUID, criterion_id: str, points: float, reason: str, after: int | None = None
) -> Override:
    """Sets a criterion's points beside the scorer's, with a reason.

    `after`: the id of the change of this criterion that the interviewer saw last, 0 for none.

    Raises:
        Problem: not a reviewer, not scored, not the answer's latest score, no such criterion, points out of range, no reason, or somebody else changed the
            criterion since `after`.
    """
    interview, question = _lock_for_points(interview, actor, score_id)
    latest = queries.latest_score(question)
    if latest is None or latest.pk != score_id:
        raise Problem("old_score", "This answer was scored again meanwhile. Look at the new score, then choose the points again.", 409)
    criterion = latest.criteria.filter(criterion=criterion_id).first()
    if criterion is None:
        raise Problem("no_criterion", "The score has no such criterion.", 404)
    _check_points(points, criterion.max)
    reason = _reason(reason)
    newest = latest.overrides.filter(criterion=criterion_id).select_related("by").last()
    if after is not None and newest is not None and newest.pk != after and newest.by_id != actor.pk:
        told = f"{newest.by.display_name} set these points to {newest.points:g} meanwhile. Read why, then choose the points again."
        raise Problem("changed", told, 409)
    row = Override.objects.create(score=latest, criterion=criterion_id, points=points, reason=reason, by=actor)
    body = {"question_id": str(question.pk), "criterion": criterion_id, "from": criterion.points, "to": points, "reason": reason}
    events.append(interview, Event.Kind.SCORE_OVERRIDE, actor=actor, body=body)
    return row


def _check_points(points: float, maximum: float) -> None:
    if not 0 <= points <= maximum or points * 2 != int(points * 2):
        raise Problem("bad_points", f"Points go from 0 to {maximum:g}, in halves.")


def _reason(text: str) -> str:
    text = text.replace("\0", "").strip()
    if not text:
        raise Problem("no_reason", "Say why: the candidate reads it.")
    if len(text) > MAX_NOTE:
        raise Problem("too_long", f"Keep the reason under {MAX_NOTE} characters.")
    return text


@transaction.atomic
def mark_by_hand(*, interview: Interview, actor: User, score_id: UUID, points: Mapping[str, float], reason: str) -> Score:
    """Gives an answer that could not be scored its points, criterion by criterion: a score of its own, which a person stands behind and rescores take over.

    Raises:
        Problem: not a reviewer, not scored, not the answer's latest score, or one with points; being scored again; not points for every criterion; no reason.
    """
    interview, question = _lock_for_points(interview, actor, score_id)
    if question.pk in queries.being_graded(interview):
        raise Problem("grading", "The answer is being scored again. Give points if that fails, too.", 409)
    latest = queries.latest_score(question)
    if latest is None or latest.pk != score_id or latest.state != Score.State.NOT_SCORED:
        raise Problem("old_score", "This answer has a score by now. Look at that, and change what is wrong.", 409)
    most = {row["id"]: row["max"] for row in queries.to_mark(latest)}
    if points.keys() != most.keys():
        raise Problem("bad_points", "Give points for every criterion.")
    for criterion, given in points.items():
        _check_points(given, most[criterion])
    reason = _reason(reason)
    try:
        score = marking.store_by_hand(question.answer.pk, latest.rubric, points)
    except grading.RubricError as error:
        raise Problem("bad_rubric", f"The rubric can't be read, so no points can be given: {error}", 409) from error
    Override.objects.bulk_create(Override(score=score, criterion=name, points=given, reason=reason, by=actor) for name, given in points.items())
    body = {"question_id": str(question.pk), "criterion": None, "from": None, "to": score.total, "reason": reason}
    events.append(interview, Event.Kind.SCORE_OVERRIDE, actor=actor, body=body)
    return score


@transaction.atomic
def add_note(*, interview: Interview, actor: User, text: str, question_id: UUID | None) -> Note:
    """Writes a note of an interviewer.

    Raises:
        Problem: not a reviewer, an empty or very long note, or no such question.
    """
    check_reviewer(interview, actor)
    interview = events.lock(interview.pk)
    text = text.replace("\0", "").strip()
    if not text or len(text) > MAX_NOTE:
        raise Problem("bad_note", f"A note has 1 to {MAX_NOTE} characters.")
    question = interview.questions.filter(pk=question_id).first() if question_id else None
    if question_id and question is None:
        raise Problem("no_question", "The interview has no such question.", 404)
    note = Note.objects.create(interview=interview, question=question, text=text, by=actor)
    events.append(interview, Event.Kind.NOTE, actor=actor, body={"question_id": str(question_id) if question_id else None})
    return note


@transaction.atomic
def publish(
    *, interview: Interview, actor: User, scores: Collection[UUID] | None = None, seen: int | None = None, address: str | None = None
) -> Interview:
    """Shows the candidate the reviewed report, notes included. A second publish changes nothing, unless there are scores since the first.

    `scores`: the scores that the interviewer looked at; `seen`: the number of the last event that what they looked at shows; `address`: of the report, for
    the mail that tells the candidate, without which none is told.

    Raises:
        Problem: not a reviewer, not scored yet, an answer is being scored again, other scores count than those that were looked at, or somebody else changed
            points or wrote a note since.
    """
    check_reviewer(interview, actor)
    interview = events.lock(interview.pk)
    _check_scored(interview)
    if queries.being_graded(interview):
        raise Problem("grading", "An answer is being scored again. Publish when that is done.", 409)
    latest = [score for question in interview.questions.select_related("answer") if (score := queries.latest_score(question))]
    if scores is not None and set(scores) != {score.pk for score in latest}:
        raise Problem("old_score", "An answer was scored again meanwhile. Look at the new score, then publish.", 409)
    if seen is not None and (told := queries.told_since(interview, seen, actor)):
        raise Problem("unseen", f"Meanwhile {told}. Look at that, then publish.", 409)
    if interview.published_at is None or any(score.created_at > interview.published_at for score in latest):
        interview.status = Interview.Status.PUBLISHED
        interview.published_at = timezone.now()
        interview.save(update_fields=["status", "published_at"])
        event = events.append(interview, Event.Kind.PUBLISHED, actor=actor, body={"state": {"status": interview.status}})
        if address is not None:
            letters.write(event, address)
    return interview


def mend_stuck(*, interview: Interview) -> None:
    """For an interview that waits for grades: queues what was forgotten, and after ten minutes without any judge says so."""
    queue_ready_answers(interview=interview)
    if interview.finished_at is None or timezone.now() - interview.finished_at < queries.JUDGE_PATIENCE or sandbox_health()["jail"]["ok"]:
        return
    for question in interview.questions.select_related("version", "answer").filter(version__kind="code", grade_jobs=None):
        run = queries.pending_run(question)
        if run is not None and run.state == Run.State.QUEUED:
            _give_up_judging(question)


@transaction.atomic
def _give_up_judging(question: InterviewQuestion) -> None:
    events.lock(question.interview_id)
    job, made = GradeJob.objects.get_or_create(question=question, generation=0)
    if made and (claimed := GradeJob.claim(job.pk)):
        store_no_grade(job=claimed, reason=NO_JUDGE)


class Now(NamedTuple):
    """What an answer gets by now, by which rubric, and the run and code that it rests on."""

    marked: grading.Score
    rubric: RubricVersion
    run: Run | None
    code: str


def mark_now(question: InterviewQuestion) -> Now:
    """Marks an answer as it stands, and keeps nothing of it.

    Raises:
        marking.NotScored: its code was never judged, for reasons that are ours.
    """
    content = content_of(question)
    rubric = rubric_of(question.version, question.seed)
    run = queries.final_run(question, content.code) if question.version.kind == "code" else None
    return Now(marking.mark(question, rubric.body, content, run), rubric, run, content.code)


def grade(job: GradeJob) -> None:
    """Grades a claimed job's answer and writes the score.

    Raises:
        sandbox.leases.Lost: another attempt holds the job.
    """
    question = InterviewQuestion.objects.select_related("version__rubric", "answer").get(pk=job.question_id)
    job.question = question
    try:
        now = mark_now(question)
        store_grade(job=job, marked=now.marked, judged=now.run, code=now.code)
    except marking.NotScored as why:
        store_no_grade(job=job, reason=why.reason)
    except Outrun:
        release(job=job)
    except Lost:
        raise
    except Exception:
        log.exception("grading %s: attempt %s failed", job.pk, job.attempt)
        if job.attempt >= MAX_ATTEMPTS:
            store_no_grade(job=job, reason=SCORER_FAILED)
        else:
            release(job=job)


