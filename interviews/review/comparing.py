"""What judging again would change, in words and numbers. No writes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Count, Min, QuerySet

from interviews.live.models import InterviewQuestion
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
    related = ("question__interview__candidate", "question__version", "before", "after")
    return rejudge.runs.select_related(*related).prefetch_related("before__tests", "after__tests")


def _told(run: Run) -> dict[str, Any]:
    return {"id": str(run.pk), "state": run.state, "verdict": run.verdict or None, "score": run.score, "max_score": run.max_score, "message": run.message}


def row_json(row: RejudgedRun) -> dict[str, Any]:
    change = change_of(row.before, row.after)
    tests = changed_tests(row.before, row.after) if change not in ("waiting", "failed") else []
    interview = row.question.interview
    return {
        "interview": {"id": str(interview.pk), "title": interview.title, "candidate": interview.candidate.display_name},
        "question": {"id": str(row.question_id), "title": row.question.version.title},
        "before": _told(row.before),
        "after": _told(row.after),
        "change": change,
        "words": WORDS[change],
        "tests": [{"name": test.name, "before": test.before, "after": test.after} for test in tests],
        "applied": row.applied,
        "note": row.note,
    }


def _whose(rows: QuerySet[RejudgedRun]) -> QuerySet[RejudgedRun]:
    """The rows with what a title says of them, and not the files of their questions."""
    return rows.select_related("question__interview__candidate", "question__version").defer("question__version__files")


def title_of(rejudge: Rejudge) -> str:
    """What was judged again, in words."""
    return _title(rejudge, _whose(rejudge.runs.all()).first())


def listed(rejudges: QuerySet[Rejudge]) -> Iterable[tuple[Rejudge, str, int]]:
    """Each of them with its title and the number of its runs."""
    found = list(rejudges.annotate(count=Count("runs"), first=Min("runs")))
    rows = _whose(RejudgedRun.objects.all()).in_bulk([one.first for one in found])
    return [(one, _title(one, rows.get(one.first)), one.count) for one in found]


def _title(rejudge: Rejudge, row: RejudgedRun | None) -> str:
    """`row`: its first."""
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
        "id": str(rejudge.pk),
        "scope": rejudge.scope,
        "target": rejudge.target,
        "title": title_of(rejudge),
        "state": rejudge.state,
        "by": rejudge.by.display_name,
        "at": rejudge.at.isoformat(),
        "ended_by": rejudge.ended_by.display_name if rejudge.ended_by else None,
        "ended_at": rejudge.ended_at.isoformat() if rejudge.ended_at else None,
        "ready": not counts["waiting"],
        "counts": counts,
        "rows": rows,
    }


def labs_judged() -> list[str]:
    """Labs that code of finished interviews was written for."""
    asked = InterviewQuestion.objects.filter(version__kind="code", interview__finished_at__isnull=False)
    return sorted(set(asked.values_list("version__lab", flat=True)) - {""})
