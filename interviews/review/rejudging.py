"""Judging code again, because a test or the judge itself was mended: run it, look at what would change, and only then let it count.

A new run belongs to no answer until it is applied, so nothing that anybody reads changes before. Applying gives it to the answer, where it is
the newest run of that code and therefore the one that counts; the old run stays, and so does the old score beside the new one.
"""

from uuid import UUID

from django.db import transaction

from interviews.accounts.models import Role, User
from interviews.errors import Problem
from interviews.live import events
from interviews.live.models import Event, InterviewQuestion
from interviews.live.queries import content_of, run_state
from interviews.review import actions, queries, trials
from interviews.review.comparing import change_of
from interviews.review.models import Rejudge, RejudgedRun
from sandbox import actions as sandbox_actions
from sandbox.errors import Refused
from sandbox.models import Run

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
        return list(asked.filter(version__lab=target, interview__status__in=trials.OVER).exclude(interview__candidate=actor))
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
    if found[0].interview.status not in trials.OVER:
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


@transaction.atomic
def start(*, scope: str, target: str, actor: User) -> Rejudge:
    """Queues the code that counts to be judged again, behind all runs that somebody waits for. While the same is being judged again, that is answered.

    Raises:
        trials.Undecided: an earlier one must be decided first.
        Problem: no such target, nothing to judge there, or not for this person.
    """
    pairs = counted(scope=scope, target=target, actor=actor)
    rejudge, new = trials.begin(Rejudge, scope, target, actor, [run.pk for _, run in pairs])
    for question, run in pairs if new else ():
        try:
            again = sandbox_actions.judge_again(run=run)
        except Refused as why:
            raise Problem(why.code, str(why), 409) from why
        RejudgedRun.objects.create(rejudge=rejudge, question=question, before=run, after=again)
    return rejudge


def _lock(rejudge: Rejudge, actor: User) -> Rejudge:
    _questions(rejudge.scope, rejudge.target, actor)  # who may begin it may end it, too
    return trials.lock(rejudge, actor)


@transaction.atomic
def apply(*, trial: Rejudge, actor: User) -> Rejudge:
    """Lets the new runs count and grades the answers that they change again. A second apply changes nothing.

    What our judge failed on stays as it was, and so does what another run was judged for meanwhile.

    Raises:
        Problem: some are still being judged, it was discarded, or not for this person.
    """
    rejudge = _lock(trial, actor)
    if trials.to_apply(rejudge):
        for row in rejudge.rows.select_related("question__version", "question__answer", "before", "after").order_by("question__interview_id", "id"):
            _apply_one(row, actor)
        trials.end(rejudge, Rejudge.State.APPLIED, actor)
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
def discard(*, trial: Rejudge, actor: User) -> Rejudge:
    """Ends it without a change; what is not judged yet is aborted. A second discard changes nothing.

    Raises:
        Problem: it was applied, or not for this person.
    """
    rejudge = _lock(trial, actor)
    if trials.to_discard(rejudge):
        for row in trials.waiting(rejudge).select_related("after"):
            sandbox_actions.abort_run(run=row.after)
        trials.end(rejudge, Rejudge.State.DISCARDED, actor)
    return rejudge
