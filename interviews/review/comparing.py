"""What judging again would change, in words and numbers. No writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import QuerySet

from interviews.accounts.models import Role, User
from interviews.live.models import InterviewQuestion
from interviews.review import trials
from interviews.review.models import Rejudge, RejudgedRun
from sandbox.models import Run, TestResult

Change = Literal["waiting", "failed", "better", "worse", "same", "other"]
WORDS: dict[Change, str] = {
    "better": "better", "worse": "worse", "other": "same points, other tests", "same": "the same", "failed": "not judged", "waiting": "still being judged",
}  # fmt: skip
ENDED_BY_US = ("JE", "AB", "")  # verdicts that say nothing of the code


@dataclass(frozen=True)
class TestChange:
    """A test before and after; None where it was not, or is no more."""

    name: str
    before: tuple[str, float] | None
    after: tuple[str, float] | None


def change_of(before: Run, after: Run) -> Change:
    """What the second run says against the first. A run that ended through our own fault says nothing, and is never worse than a verdict."""
    if after.state != Run.State.DONE:
        return "waiting"
    if after.verdict in ENDED_BY_US:
        return "failed"
    if before.verdict in ENDED_BY_US:
        return "better"
    if abs(after.score - before.score) > 1e-9:
        return "better" if after.score > before.score else "worse"
    return "other" if changed_tests(before, after) or before.verdict != after.verdict else "same"


def changed_tests(before: Run, after: Run) -> list[TestChange]:
    """The tests whose verdict or points differ, in the order of the later run."""

    def told(tests: QuerySet[TestResult]) -> dict[str, tuple[str, float]]:
        return {test.name: (test.verdict, test.points) for test in tests.all()}

    old, new = told(before.tests), told(after.tests)
    names = dict.fromkeys([*new, *old])
    return [TestChange(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def rows_of(rejudge: Rejudge) -> QuerySet[RejudgedRun]:
    return trials.whose(rejudge.rows.all()).select_related("before", "after").prefetch_related("before__tests", "after__tests")


def _told(run: Run) -> dict[str, Any]:
    return {"id": str(run.pk), "state": run.state, "verdict": run.verdict or None, "score": run.score, "max_score": run.max_score, "message": run.message}


def row_json(row: RejudgedRun) -> dict[str, Any]:
    change = change_of(row.before, row.after)
    tests = changed_tests(row.before, row.after) if change not in ("waiting", "failed") else []
    return {
        **trials.told_row(row),
        "before": _told(row.before),
        "after": _told(row.after),
        "change": change,
        "words": WORDS[change],
        "tests": [{"name": test.name, "before": test.before, "after": test.after} for test in tests],
    }


def title_of(rejudge: Rejudge, row: RejudgedRun | None) -> str:
    """What was judged again, in words. `row`: its first."""
    if rejudge.scope == Rejudge.Scope.LAB:
        return f"Lab {rejudge.target}"
    if row is None:
        return rejudge.target
    interview: Any = row.question.interview
    whose = f"{interview.candidate.display_name}, {interview.title}"
    return whose if rejudge.scope == Rejudge.Scope.INTERVIEW else f"{row.question.version.title} ({whose})"


def rejudge_json(rejudge: Rejudge) -> dict[str, Any]:
    """A rejudge with its rows and their sum."""
    rows = [row_json(row) for row in rows_of(rejudge)]
    counts = {change: sum(row["change"] == change for row in rows) for change in WORDS}
    return {
        **trials.told(rejudge, title_of),
        "ready": not counts["waiting"],
        "counts": counts,
        "rows": rows,
    }


def page_of(rejudge: Rejudge, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the page of a rejudge shows. `asked`: how it was asked for."""
    shown = rejudge_json(rejudge)
    return {"trial": shown, "rows": len(shown["rows"]), "waiting": shown["counts"]["waiting"]}


def offered(user: User) -> dict[str, Any]:
    """What the list of rejudges offers to begin: to admins, the labs."""
    return {"labs": labs_judged() if user.role == Role.ADMIN else []}


def labs_judged() -> list[str]:
    """Labs that code of finished interviews was written for."""
    asked = InterviewQuestion.objects.filter(version__kind="code", interview__finished_at__isnull=False)
    return sorted(set(asked.values_list("version__lab", flat=True)) - {""})
