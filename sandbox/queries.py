"""Reads of runs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Avg, F, QuerySet
from django.utils import timezone

from sandbox.models import Run, TestResult

DEFAULT_SECONDS = 6.0


def queued() -> QuerySet[Run]:
    """Runs that wait for a worker and that somebody waits for."""
    return Run.objects.filter(state=Run.State.QUEUED, background=False)


def unfinished_of(user: Any) -> QuerySet[Run]:
    """A user's runs that wait or are judged."""
    return Run.objects.filter(user=user, background=False).exclude(state=Run.State.DONE)


def seconds_until_allowed(user: Any, per_minute: int) -> float:
    """Seconds until the user may start another run; 0 when now."""
    now = timezone.now()
    window = Run.objects.filter(user=user, background=False, queued_at__gt=now - timedelta(minutes=1)).order_by("queued_at")
    times = list(window.values_list("queued_at", flat=True))
    if len(times) < per_minute:
        return 0.0
    return max(1.0, (times[-per_minute] + timedelta(minutes=1) - now).total_seconds())


def typical_seconds(lab: str) -> float:
    """Mean duration of the lab's last hour of runs, for the expected wait."""
    recent = Run.objects.filter(
        lab=lab, state=Run.State.DONE, started_at__isnull=False, finished_at__gt=timezone.now() - timedelta(hours=1)
    ).aggregate(mean=Avg(F("finished_at") - F("started_at")))["mean"]
    return recent.total_seconds() if recent else DEFAULT_SECONDS


def position(run: Run) -> int | None:
    """How many runs wait before this one; None once it has started."""
    if run.state != Run.State.QUEUED:
        return None
    before = queued() if run.background else queued().filter(queued_at__lt=run.queued_at)
    behind = Run.objects.filter(state=Run.State.QUEUED, background=True, queued_at__lt=run.queued_at) if run.background else Run.objects.none()
    return before.count() + behind.count()


def _stamp(moment: Any) -> str | None:
    return moment.isoformat() if moment else None


def test_json(result: TestResult) -> dict[str, Any]:
    """One test as the room shows it."""
    names = ("name", "group", "verdict", "points", "max_points", "seconds", "message", "stdout")
    return {name: getattr(result, name) for name in names}


def run_json(run: Run, flight: dict[str, Any] | None) -> dict[str, Any]:
    """A run as the API tells it, with this flight record: the contract's Run without `question_id`."""
    ahead = position(run)
    wait = None
    if ahead is not None:
        wait = round((ahead + 1) * typical_seconds(run.lab) / settings.SANDBOX["concurrency"], 1)
    return {
        "id": str(run.id),
        "kind": run.kind,
        "state": run.state,
        "verdict": run.verdict or None,
        "score": run.score,
        "max_score": run.max_score,
        "position": ahead,
        "expected_wait_s": wait,
        "queued_at": _stamp(run.queued_at),
        "started_at": _stamp(run.started_at),
        "finished_at": _stamp(run.finished_at),
        "message": run.message,
        "planned": run.planned,
        "tests": [test_json(result) for result in run.tests.all()],
        "flight": flight,
    }


def public_flight(run: Run) -> dict[str, Any] | None:
    """The flight record of the last run of the same code for the same answer against the public tests, which hide nothing."""
    same = Run.objects.filter(subject=run.subject, lab=run.lab, kind=Run.Kind.PUBLIC, state=Run.State.DONE, source=run.source)
    record: dict[str, Any] | None = same.order_by("-finished_at").values_list("flight", flat=True).first()
    return record


def runs_of(subjects: list[UUID]) -> QuerySet[Run]:
    """The runs of these answers, oldest first, with their tests."""
    return Run.objects.filter(subject__in=subjects).prefetch_related("tests")
