"""What a rescoring found: as JSON, for its page, and as a picture. No writes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q

from interviews.accounts.models import Role, User
from interviews.review import levels
from interviews.review.differing import WORDS, Difference, Summary, by_weight, summary
from interviews.review.models import GradeJob, RescoredAnswer, Rescoring
from interviews.review.trials import told, told_row, waiting, whose

PER_PAGE = 50  # answers
SIZE = 300  # of the picture's square, in its own units


def title_of(rescoring: Rescoring, row: RescoredAnswer | None) -> str:
    """What was scored again, in words. `row`: its first."""
    if rescoring.scope == Rescoring.Scope.BANK or row is None:
        return "The whole bank"
    version = row.question.version
    return version.title if rescoring.scope == Rescoring.Scope.QUESTION else f"{version.title} (version {version.hash[:8]})"


def row_json(row: RescoredAnswer) -> dict[str, Any]:
    """A row that is done."""
    difference = Difference.read(row.told)
    found = {"change": difference.change, "words": WORDS[difference.change], "points": difference.points, "moved": difference.moved}
    return {**told_row(row), **difference.to_dict(), **found, "criteria": difference.criteria if difference.counts else []}


def _head(rescoring: Rescoring, found: list[Difference]) -> dict[str, Any]:
    waits = waiting(rescoring).count()
    counts = Counter(one.change for one in found) | Counter(waiting=waits)
    return {
        **told(rescoring, title_of),
        "ready": not waits,
        "counts": {change: counts[change] for change in WORDS},
        **asdict(summary(found)),
    }


def rescoring_json(rescoring: Rescoring) -> dict[str, Any]:
    """A rescoring with its sum and the rows that are done."""
    rows = list(whose(rescoring.rows.filter(told__isnull=False)))
    return {**_head(rescoring, [Difference.read(row.told) for row in rows]), "rows": [row_json(row) for row in rows]}


@dataclass(frozen=True)
class Dot:
    """Answers with the same marks before and after, in the picture."""

    x: float
    y: float
    r: float
    change: str
    words: str


def picture(found: Iterable[Difference]) -> dict[str, Any]:
    """Before from left to right, after from below upwards, each of the most that there is: what lies above the diagonal would have more points."""
    scale = SIZE / levels.SCALE
    same = Counter((one.before.total, one.after.total, one.change) for one in found if one.points is not None)
    dots = [
        Dot(round(before * scale, 1), round(SIZE - after * scale, 1), round(3 + n**0.5, 1), change, f"{n} from {before:g} to {after:g}")
        for (before, after, change), n in sorted(same.items(), key=lambda item: -item[1])
    ]
    bands = [(name, round(least * scale, 1), round(SIZE - least * scale, 1)) for name, least in levels.BANDS.items()]
    return {"size": SIZE, "dots": dots, "bands": bands}


def _by_question(found: Iterable[tuple[str, Difference]]) -> list[tuple[str, Summary]]:
    """What would change, question by question, the most first."""
    each: dict[str, list[Difference]] = {}
    for title, one in found:
        each.setdefault(title, []).append(one)
    return sorted(((title, summary(own)) for title, own in each.items()), key=lambda item: (-item[1].levels, -item[1].otherwise, item[0]))


def page_of(rescoring: Rescoring, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the page of a rescoring shows. `asked`: how it was asked for, with the number of its part of the rows."""
    done = rescoring.rows.filter(told__isnull=False).values_list("pk", "told", "question__version__title", "question__interview__published_at")
    found = [(pk, Difference.read(one), title, published) for pk, one, title, published in done]
    differences = [one for _, one, _, _ in found]
    order = sorted(found, key=lambda item: by_weight(item[1]))
    page = Paginator([pk for pk, *_ in order], PER_PAGE).get_page(asked.get("page"))
    rows = whose(rescoring.rows.all()).in_bulk(list(page))
    regrading = Q(question__in=rescoring.rows.filter(applied=True).values("question")) & ~Q(state=GradeJob.State.DONE)
    return {
        "trial": _head(rescoring, differences),
        "rows": rescoring.rows.count(),
        "waiting": waiting(rescoring).count(),
        "page": page,
        "shown": [row_json(rows[pk]) for pk in page],
        "questions": _by_question((title, one) for _, one, title, _ in found) if rescoring.scope == Rescoring.Scope.BANK else [],
        "picture": picture(differences),
        "published": sum(one.counts and published is not None for _, one, _, published in found),
        "regrading": GradeJob.objects.filter(regrading).count() if rescoring.state == Rescoring.State.APPLIED else 0,
    }


def offered(user: User) -> dict[str, Any]:
    """What the list of rescorings offers to begin: to admins, the whole bank."""
    return {"bank": user.role == Role.ADMIN}
