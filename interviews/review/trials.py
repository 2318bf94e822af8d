"""What is done again to be looked at before it counts, whatever it is: code that is judged again, answers that are scored again.

A trial is begun over a target, workers fill its rows, and whoever may begin it lets it count or discards it, once. Of a target one is open at a time.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, Min, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from interviews.accounts.models import User
from interviews.errors import Problem
from interviews.live.models import Interview
from interviews.review.models import Trial, TrialRow

T = TypeVar("T", bound=Trial)
R = TypeVar("R", bound=TrialRow)
OVER = (Interview.Status.SCORED, Interview.Status.PUBLISHED)  # the interviews of which something may be done again


class Undecided(Problem):
    """An earlier trial of the same target is open and does not say what doing it again would say today.

    `behind`: it lacks what counts by now; otherwise all of it is done, perhaps by what was mended since.
    """

    def __init__(self, trial: Trial, behind: bool) -> None:
        why = f"other {trial.WHAT} count by now" if behind else f"all of it is {trial.DONE}"
        when = date_format(trial.at, "j M Y, H:i")
        where = reverse(trial._meta.model_name, args=[trial.pk])
        detail = f"The one of {when} UTC is undecided, and {why}. Let it count or discard it first, then {trial.AGAIN}: {where}"
        super().__init__("undecided", detail, 409)
        self.trial, self.behind = trial, behind


def check_reviews(model: type[Trial], user: User) -> None:
    """Raises Problem unless this person reviews."""
    if not user.reviews:
        raise Problem("not_reviewer", f"Only interviewers and admins {model.AGAIN}.", 403)


def find(model: type[T], user: User, pk: UUID) -> T:
    """A trial, for those who review.

    Raises:
        Problem: not a reviewer, or no such thing.
    """
    check_reviews(model, user)
    trial = model.objects.select_related("by", "ended_by").filter(pk=pk).first()
    if trial is None:
        raise Problem("not_found", f"There is no such {model._meta.verbose_name}.", 404)
    return trial


def waiting(trial: Trial) -> QuerySet[TrialRow]:
    """The rows that are not done."""
    return trial.rows.filter(trial.rows.model.WAITING)


def going_on(model: type[T], scope: str, target: str, counted: Collection[Any]) -> T | None:
    """The trial of exactly what counts, ids of which are given, that is under way at the moment, if there is one.

    Raises:
        Undecided: one is open for this target, but is over or about something else.
    """
    trial = model.objects.filter(scope=scope, target=target, state=Trial.State.OPEN).first()
    if trial is None:
        return None
    behind = set(trial.rows.values_list("before_id", flat=True)) != set(counted)
    if behind or not waiting(trial).exists():
        raise Undecided(trial, behind)
    return trial


def begin(model: type[T], scope: str, target: str, actor: User, counted: Collection[Any]) -> tuple[T, bool]:
    """A trial of what counts, ids of which are given, and whether it is new: where the same is under way, or somebody presses at the same moment, that.

    Raises:
        Undecided: an earlier one must be decided first.
    """
    if (same := going_on(model, scope, target, counted)) is not None:
        return same, False
    try:
        with transaction.atomic():
            return model.objects.create(scope=scope, target=target, by=actor), True
    except IntegrityError:
        return model.objects.get(scope=scope, target=target, state=Trial.State.OPEN), False


def lock(trial: T, actor: User) -> T:
    """The trial's row, for whoever is about to decide it and may begin it.

    Raises:
        Problem: an interview of their own is among it.
    """
    if trial.rows.filter(question__interview__candidate=actor).exists():
        raise Problem("own_interview", "Your own interview is among them. Ask a colleague.", 403)
    return type(trial).objects.select_for_update().get(pk=trial.pk)


def to_apply(trial: Trial) -> bool:
    """Whether a locked trial is to be applied: not a second time.

    Raises:
        Problem: it was discarded, or some of it is not done.
    """
    if trial.state == Trial.State.DISCARDED:
        raise Problem("discarded", f"This was discarded. {trial.AGAIN.capitalize()} to see what would change now.", 409)
    if trial.state == Trial.State.OPEN and waiting(trial).exists():
        raise Problem("not_ready", f"Some {trial.WHAT} are still being {trial.DONE}. Wait until all are.", 409)
    return trial.state == Trial.State.OPEN


def to_discard(trial: Trial) -> bool:
    """Whether a locked trial is to be discarded: not a second time.

    Raises:
        Problem: it was applied.
    """
    if trial.state == Trial.State.APPLIED:
        raise Problem("applied", f"This was applied already. {trial.AGAIN.capitalize()} to see what would change now.", 409)
    return trial.state == Trial.State.OPEN


def end(trial: Trial, state: str, actor: User) -> None:
    trial.state, trial.ended_by, trial.ended_at = state, actor, timezone.now()
    trial.save(update_fields=["state", "ended_by", "ended_at"])


def whose(rows: QuerySet[R]) -> QuerySet[R]:
    """The rows with what is told of their answers, and not the files of the questions."""
    return rows.select_related("question__interview__candidate", "question__version").defer("question__version__files")


def listed(trials: QuerySet[T], title: Callable[[T, Any], str]) -> Iterable[tuple[T, str, int]]:
    """Each of them with its title, which its first row says, and the number of its rows."""
    found = list(trials.annotate(count=Count("rows"), first=Min("rows")))
    rows = whose(trials.model.rows.rel.related_model.objects.all()).in_bulk([one.first for one in found])
    return [(one, title(one, rows.get(one.first)), one.count) for one in found]


def told(trial: Trial, title: Callable[[Any, Any], str]) -> dict[str, Any]:
    """What is told of any trial, but for what it found."""
    return {
        "id": str(trial.pk),
        "scope": trial.scope,
        "target": trial.target,
        "title": title(trial, whose(trial.rows.all()).first()),
        "state": trial.state,
        "by": trial.by.display_name,
        "at": trial.at.isoformat(),
        "ended_by": trial.ended_by.display_name if trial.ended_by else None,
        "ended_at": trial.ended_at.isoformat() if trial.ended_at else None,
    }


def told_row(row: TrialRow) -> dict[str, Any]:
    """What is told of any row, but for what was found."""
    interview = row.question.interview
    return {
        "interview": {"id": str(interview.pk), "title": interview.title, "candidate": interview.candidate.display_name},
        "question": {"id": str(row.question_id), "title": row.question.version.title},
        "applied": row.applied,
        "note": row.note,
    }
