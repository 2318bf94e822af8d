"""Judging code again, because a test or the judge itself was mended: run it, look at what would change, and only then let it count.

A new run belongs to no answer until it is applied, so nothing that anybody reads changes before. Applying gives it to the answer, where it is
the newest run of that code and therefore the one that counts; the old run stays, and so does the old score beside the new one.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from interviews.accounts.models import Role, User
from interviews.errors import Problem
from interviews.live import events
from interviews.live.models import Event, Interview, InterviewQuestion
from interviews.live.queries import content_of, run_state
from interviews.review import actions, queries
from interviews.review.comparing import change_of
from interviews.review.models import Rejudge, RejudgedRun
from sandbox import actions as sandbox_actions
from sandbox.errors import Refused
from sandbox.models import Run


class Undecided(Problem):
    """An earlier rejudge of the same target is open and does not say what judging again would say today.

    `behind`: it lacks runs that count by now; otherwise all of it is judged, perhaps by tests that were mended since.
    """

    def __init__(self, rejudge: Rejudge, behind: bool) -> None:
        why = "other runs count by now" if behind else "all of it is judged"
        when = date_format(rejudge.at, "j M Y, H:i")
        where = reverse("rejudge", args=[rejudge.pk])
        detail = f"The one of {when} UTC is undecided, and {why}. Let it count or discard it first, then judge again: {where}"
        super().__init__("undecided", detail, 409)
        self.rejudge, self.behind = rejudge, behind


def check_reviews(user: User) -> None:
    """Raises Problem unless this person reviews."""
    if not user.reviews:
        raise Problem("not_reviewer", "Only interviewers and admins judge again.", 403)


def rejudge_for(user: User, pk: UUID) -> Rejudge:
    """A rejudge, for those who review.

    Raises:
        Problem: not a reviewer, or no such thing.
    """
    check_reviews(user)
    rejudge = Rejudge.objects.select_related("by", "ended_by").filter(pk=pk).first()
    if rejudge is None:
        raise Problem("not_found", "There is no such rejudge.", 404)
    return rejudge


OVER = (Interview.Status.SCORED, Interview.Status.PUBLISHED)
MOVED_ON = "Another run of this code counts by now."


def _questions(scope: str, target: str, actor: User) -> list[InterviewQuestion]:
    """The code questions that a rejudge is about, of interviews that this person may review.

    Raises:
        Problem: no such thing, or not for this person.
    """
    asked = InterviewQuestion.objects.filter(version__kind="code").order_by("interview_id", "position")
    asked = asked.select_related("version", "answer", "interview__candidate")
    if scope == Rejudge.Scope.LAB:
        if actor.role != Role.ADMIN:
            raise Problem("not_admin", "Only admins judge a whole lab again.", 403)
        return list(asked.filter(version__lab=target, interview__status__in=OVER).exclude(interview__candidate=actor))
    try:
        key = UUID(target)
    except ValueError:
        raise Problem("bad_target", f"{target!r} is not the id of {'a run' if scope == Rejudge.Scope.RUN else 'an interview'}.") from None
    if scope == Rejudge.Scope.RUN:
        run = Run.objects.filter(pk=key, subject__isnull=False).first()
        asked = asked.filter(answer__id=run.subject) if run else asked.none()
    else:
        asked = asked.filter(interview_id=key)
    found = list(asked)
    if not found:
        raise Problem("not_found", "There is no code to judge again: no such run or interview, or it has no code question.", 404)
    actions.check_reviewer(found[0].interview, actor)
    if found[0].interview.status not in OVER:
        raise Problem("not_scored", "The interview is not scored yet; its code is still being judged.", 409)
    return found


def counted(*, scope: str, target: str, actor: User) -> list[tuple[InterviewQuestion, Run]]:
    """What a rejudge would judge again: questions, each with the run that counts for it.

    Raises:
        Problem: no such target, nothing to judge there, or not for this person.
    """
    if scope not in Rejudge.Scope.values:
        raise Problem("bad_scope", "Judge again one run, a lab, or an interview.")
    pairs = []
    for question in _questions(scope, target, actor):
        run = queries.final_run(question, content_of(question).code)
        if run is not None and (scope != Rejudge.Scope.RUN or str(run.pk) == target):
            pairs.append((question, run))
    if not pairs:
        what = "This run does not count: a later one of the same answer does." if scope == Rejudge.Scope.RUN else "No code was judged there yet."
        raise Problem("nothing", what, 409)
    return pairs


def going_on(*, scope: str, target: str, pairs: Sequence[tuple[InterviewQuestion, Run]]) -> Rejudge | None:
    """The rejudge of exactly these runs that is being judged at the moment, if there is one.

    Raises:
        Undecided: one is open for this target, but is over or about other runs.
    """
    rejudge = Rejudge.objects.filter(scope=scope, target=target, state=Rejudge.State.OPEN).first()
    if rejudge is None:
        return None
    rows = list(rejudge.runs.select_related("after"))
    behind = {row.before_id for row in rows} != {run.pk for _, run in pairs}
    if behind or all(row.after.state == Run.State.DONE for row in rows):
        raise Undecided(rejudge, behind)
    return rejudge


@transaction.atomic
def start(*, scope: str, target: str, actor: User) -> Rejudge:
    """Queues the code that counts to be judged again, behind all runs that somebody waits for. While the same is being judged again, that is answered.

    Raises:
        Undecided: an earlier one must be decided first.
        Problem: no such target, nothing to judge there, or not for this person.
    """
    pairs = counted(scope=scope, target=target, actor=actor)
    if (same := going_on(scope=scope, target=target, pairs=pairs)) is not None:
        return same
    try:
        with transaction.atomic():
            rejudge = Rejudge.objects.create(scope=scope, target=target, by=actor)
    except IntegrityError:  # somebody pressed at the same moment
        return Rejudge.objects.get(scope=scope, target=target, state=Rejudge.State.OPEN)
    for question, run in pairs:
        try:
            again = sandbox_actions.judge_again(run=run)
        except Refused as why:
            raise Problem(why.code, str(why), 409) from why
        RejudgedRun.objects.create(rejudge=rejudge, question=question, before=run, after=again)
    return rejudge


def check_may_end(rejudge: Rejudge, actor: User) -> None:
    """Raises Problem unless this person may apply or discard: who may start it may end it, too."""
    _questions(rejudge.scope, rejudge.target, actor)


def _lock(rejudge: Rejudge, actor: User) -> Rejudge:
    check_may_end(rejudge, actor)
    if rejudge.runs.filter(question__interview__candidate=actor).exists():
        raise Problem("own_interview", "Your own interview is among them. Ask a colleague.", 403)
    return Rejudge.objects.select_for_update().get(pk=rejudge.pk)


def _end(rejudge: Rejudge, state: str, actor: User) -> None:
    rejudge.state, rejudge.ended_by, rejudge.ended_at = state, actor, timezone.now()
    rejudge.save(update_fields=["state", "ended_by", "ended_at"])


@transaction.atomic
def apply(*, rejudge: Rejudge, actor: User) -> Rejudge:
    """Lets the new runs count and grades the answers that they change again. A second apply changes nothing.

    What our judge failed on stays as it was, and so does what another run was judged for meanwhile.

    Raises:
        Problem: some are still being judged, it was discarded, or not for this person.
    """
    rejudge = _lock(rejudge, actor)
    if rejudge.state == Rejudge.State.APPLIED:
        return rejudge
    if rejudge.state == Rejudge.State.DISCARDED:
        raise Problem("discarded", "This was discarded. Judge again to see what would change now.", 409)
    rows = list(rejudge.runs.select_related("question__version", "question__answer", "before", "after").order_by("question__interview_id", "id"))
    if any(row.after.state != Run.State.DONE for row in rows):
        raise Problem("not_ready", "Some runs are still being judged. Wait until all are.", 409)
    for row in rows:
        _apply_one(row, actor)
    _end(rejudge, Rejudge.State.APPLIED, actor)
    return rejudge


def _apply_one(row: RejudgedRun, actor: User) -> None:
    interview = events.lock(row.question.interview_id)
    change = change_of(row.before, row.after)
    now = queries.final_run(row.question, content_of(row.question).code)
    if change == "failed":
        row.note = "The judge failed on it; what was judged before stands."
    elif now is None or now.pk != row.before_id:
        row.note = MOVED_ON
    else:
        sandbox_actions.count_instead(run=row.after, of=row.before)
        row.applied = True
        body = {"question_id": str(row.question_id), "run": run_state(row.after, row.question_id), "before": str(row.before_id)}
        events.append(interview, Event.Kind.REJUDGED, actor=actor, body=body)
        if change != "same":
            actions.grade_again(question=row.question)
    row.save(update_fields=["applied", "note"])


@transaction.atomic
def discard(*, rejudge: Rejudge, actor: User) -> Rejudge:
    """Ends it without a change; what is not judged yet is aborted. A second discard changes nothing.

    Raises:
        Problem: it was applied, or not for this person.
    """
    rejudge = _lock(rejudge, actor)
    if rejudge.state == Rejudge.State.APPLIED:
        raise Problem("applied", "This was applied already. Judge again to see what would change now.", 409)
    if rejudge.state == Rejudge.State.OPEN:
        for row in rejudge.runs.select_related("after").exclude(after__state=Run.State.DONE):
            sandbox_actions.abort_run(run=row.after)
        _end(rejudge, Rejudge.State.DISCARDED, actor)
    return rejudge
