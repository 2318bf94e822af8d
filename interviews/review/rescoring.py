"""Scoring answers again, because the scorer was mended or taught: see what would change, and only then have it done.

A look marks the answer as a grading would and keeps the marks in a row of its own, so nothing that anybody reads changes. To apply a rescoring is to have
the answers that would change graded again (`actions.rescore`), beside the scores that they have. What moved on since the look stays as it is.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

import grading
from grading.models import RubricVersion, Score
from interviews.accounts.models import Role, User
from interviews.bank.actions import rubric_of
from interviews.bank.models import Question, QuestionVersion
from interviews.errors import Problem
from interviews.live import events
from interviews.live.models import Event, Interview, InterviewQuestion
from interviews.review import actions, marking, queries, trials
from interviews.review.differing import Difference, Side
from interviews.review.models import RescoredAnswer, Rescoring
from sandbox.actions import LAST
from sandbox.leases import MAX_ATTEMPTS, Lost

log = logging.getLogger(__name__)
ALL = "all"  # the one target that a rescoring of the bank has
MOVED_ON = {
    Event.Kind.GRADED: "it was scored again",
    Event.Kind.SCORE_OVERRIDE: "a person changed its points",
    Event.Kind.REJUDGED: "its code was judged again",
    Event.Kind.PUBLISHED: "the review was published",
}


def over() -> QuerySet[InterviewQuestion]:
    """What was asked in interviews that have been scored, in whatever version."""
    asked = InterviewQuestion.objects.filter(interview__status__in=trials.OVER).select_related("version__question", "answer", "interview__candidate")
    return asked.defer("version__files").order_by("version__question__slug", "version", "interview__finished_at", "pk")


def _exists(model: type[Question | QuestionVersion], target: str) -> bool:
    try:
        return model.objects.filter(pk=target).exists()
    except (ValueError, ValidationError):  # no number, no uuid
        return False


def _asked(scope: str, target: str, actor: User) -> QuerySet[InterviewQuestion]:
    """What a rescoring is about, but for the actor's own interviews.

    Raises:
        Problem: no such thing, or not for this person.
    """
    trials.check_reviews(Rescoring, actor)
    asked = over().exclude(interview__candidate=actor)
    if scope == Rescoring.Scope.BANK and target == ALL:
        if actor.role != Role.ADMIN:
            raise Problem("not_admin", "Only admins score the answers to all questions again.", 403)
        return asked
    if scope == Rescoring.Scope.QUESTION and _exists(Question, target):
        return asked.filter(version__question=target)
    if scope == Rescoring.Scope.VERSION and _exists(QuestionVersion, target):
        return asked.filter(version=target)
    if scope not in Rescoring.Scope.values:
        raise Problem("bad_scope", "Score again the answers to a question, to a version of one, or to the whole bank.")
    raise Problem("not_found", f"There is no {scope} {target!r}.", 404)


def counted(*, scope: str, target: str, actor: User) -> list[tuple[InterviewQuestion, Score]]:
    """What a rescoring would look at: questions as they were asked, each with the score that counts for its answer.

    Raises:
        Problem: no such target, no answer with a score, or not for this person.
    """
    asked = _asked(scope, target, actor)
    scores = queries.counting_of(asked)
    pairs = [(question, scores[question.answer.pk]) for question in asked if question.answer.pk in scores]
    if not pairs:
        raise Problem("nothing", "No such answer has been scored.", 409)
    return pairs


@transaction.atomic
def start(*, scope: str, target: str, actor: User) -> Rescoring:
    """Queues the answers to be looked at one by one, behind all gradings that somebody waits for. While the same are being looked at, that is answered.

    Raises:
        trials.Undecided: an earlier one must be decided first.
        Problem: no such target, no answer with a score, or not for this person.
    """
    pairs = counted(scope=scope, target=target, actor=actor)
    rescoring, new = trials.begin(Rescoring, scope, target, actor, [score.pk for _, score in pairs])
    if new:
        rows = RescoredAnswer.objects.bulk_create(RescoredAnswer(rescoring=rescoring, question=question, before=score) for question, score in pairs)
        transaction.on_commit(lambda: wake(rows[0]))
    return rescoring


def wake(row: RescoredAnswer) -> None:
    """Rings for a row. When that is done, it is rung for the next one: no rescoring has more than one in the workers' queue."""
    actions.ring("look_again", row, LAST)


def _wake_next(rescoring: Rescoring) -> None:
    row = rescoring.rows.filter(state=RescoredAnswer.State.QUEUED).first()
    if row is not None:
        wake(row)


def _side(score: Score) -> Side:
    """The marks of a score as they count."""
    if score.state == Score.State.NOT_SCORED:
        return Side.none(score.reason, score.scorer)
    points = {row.criterion: row.points for row in score.criteria.all()}
    return _side_of(score.rubric, points, score, score)


def _side_of(rubric: RubricVersion, points: Mapping[str, float], marks: Score | grading.Score, counts: Score) -> Side:
    decided = {name: override.points for name, override in queries.holding(counts, rubric.pk).items()}
    return Side.of(grading.Rubric.from_dict(rubric.body), points, decided, state=marks.state, scorer=marks.scorer, reason=marks.reason)


def compare(question: InterviewQuestion, counts: Score) -> Difference:
    """The marks of an answer by the score that counts, beside those that it would get now."""
    before = _side(counts)
    try:
        now = actions.mark_now(question)
    except marking.NotScored as why:
        return Difference(before, Side.none(why.reason))
    if now.marked.state == Score.State.NOT_SCORED:
        return Difference(before, Side.none(now.marked.reason, now.marked.scorer))
    return Difference(before, _side_of(now.rubric, {row.id: row.points for row in now.marked.criteria}, now.marked, counts))


def basis_of(question: InterviewQuestion, grader: str) -> str:
    """What an answer's marks rest on, beside the answer."""
    return f"{rubric_of(question.version, question.seed).pk} {grader}"


def look(row: RescoredAnswer) -> None:
    """Finds out what a claimed row's answer would get by now.

    Raises:
        Lost: another attempt holds the row, or the rescoring was discarded.
    """
    try:
        question = InterviewQuestion.objects.select_related("version__rubric", "answer", "interview").get(pk=row.question_id)
        seq = question.interview.seq  # read before the score: what comes between is then news when it is applied
        counts = queries.latest_score(question)
        difference, basis = compare(question, counts), basis_of(question, marking.grader())
        with transaction.atomic():
            _end_look(row, difference, before=counts, seq=seq, basis=basis)
    except Lost:
        raise
    except Exception:
        log.exception("scoring %s again: attempt %s failed", row.pk, row.attempt)
        if row.attempt >= MAX_ATTEMPTS:
            give_up(row=row, held=row.mine())
        else:
            row.advance(state=RescoredAnswer.State.QUEUED, lease_until=None)
            wake(row)


def _end_look(row: RescoredAnswer, difference: Difference, held: QuerySet[RescoredAnswer] | None = None, **kept: Any) -> None:
    row.advance(held, state=RescoredAnswer.State.DONE, finished_at=timezone.now(), lease_until=None, told=difference.to_dict(), **kept)
    transaction.on_commit(lambda: _wake_next(row.rescoring))


def give_up(*, row: RescoredAnswer, held: QuerySet[RescoredAnswer] | None = None) -> None:
    """Ends a row whose answer could not be marked as often as may be tried, or whose workers died. It then says so, and never a number.

    Raises:
        Lost: the last of them lives after all.
    """
    counts = row.before  # as it is stored: to read more of it may be what failed
    before = Side(counts.total, counts.level, counts.state, counts.scorer, counts.reason)
    _end_look(row, Difference(before, Side.none(actions.SCORER_FAILED)), row.lapsed() if held is None else held)


def _lock(rescoring: Rescoring, actor: User) -> Rescoring:
    _asked(rescoring.scope, rescoring.target, actor)  # who may begin it may end it, too
    return trials.lock(rescoring, actor)


@transaction.atomic
def apply(*, trial: Rescoring, actor: User) -> Rescoring:
    """Has the answers that would change graded again; the scores so far stay. A second apply changes nothing.

    What the scorer failed on stays as it is, and so does what is not any more as it was looked at.

    Raises:
        Problem: some are still being looked at, it was discarded, or not for this person.
    """
    rescoring = _lock(trial, actor)
    if trials.to_apply(rescoring):
        rows = rescoring.rows.select_related("question__version__rubric").order_by("question__interview_id", "pk")
        changing = [row for row in rows if Difference.read(row.told).counts]
        grader = marking.grader()
        for interview_id, own in groupby(changing, lambda row: row.question.interview_id):
            _apply_to(interview_id, list(own), grader, actor)
        RescoredAnswer.objects.bulk_update(changing, ["applied", "note"])
        trials.end(rescoring, Rescoring.State.APPLIED, actor)
    return rescoring


def _apply_to(interview_id: UUID, rows: Sequence[RescoredAnswer], grader: str, actor: User) -> None:
    """Has an interview's answers graded again, or notes why not."""
    interview = events.lock(interview_id)
    for row in rows:
        row.note = _moved_on(row, interview, grader)
    queued = actions.rescore(interview=interview, actor=actor, only=[row.question_id for row in rows if not row.note], background=True)
    for row in rows:
        row.applied = row.question_id in queued
        row.note = row.note or ("" if row.applied else "Not done: an answer of this interview was being graded already.")


def _moved_on(row: RescoredAnswer, interview: Interview, grader: str) -> str:
    """Why what was looked at is not what would be changed; "" where it is."""
    if interview.seq > row.seq:
        since = interview.events.filter(seq__gt=row.seq, kind__in=MOVED_ON)
        about = [event.kind for event in since if event.body.get("question_id") in (None, str(row.question_id))]
        if about:
            return f"Not done: meanwhile {' and '.join(dict.fromkeys(MOVED_ON[Event.Kind(kind)] for kind in about))}."
    if row.basis != basis_of(row.question, grader):
        return "Not done: what marks it is not what it was any more. Score again to see what would change now."
    return ""


@transaction.atomic
def discard(*, trial: Rescoring, actor: User) -> Rescoring:
    """Ends it without a change; what was not looked at yet never is. A second discard changes nothing.

    Raises:
        Problem: it was applied, or not for this person.
    """
    rescoring = _lock(trial, actor)
    if trials.to_discard(rescoring):
        trials.waiting(rescoring).update(state=RescoredAnswer.State.DONE, finished_at=timezone.now(), lease_until=None)
        trials.end(rescoring, Rescoring.State.DISCARDED, actor)
    return rescoring
