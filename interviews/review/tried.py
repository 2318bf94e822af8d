"""How a rubric marked an answer that was tried, made ready to be shown: each thing that it looks for beside the words that met it. Pure.

What is shown is made once, with the mark, and kept as JSON: a rubric that was typed in need not be readable for ever.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from grading import Answer, Rubric, Score
from grading.fields import NAMED
from grading.result import ClaimMark, CriterionScore
from grading.rubric import Criterion

NEAR = 0.15  # a claim's score from which the words that come nearest are worth showing
SUSPECT = 0.3  # a misconception's score below which it is no news that it wasn't stated
NEAREST = 160  # characters of those words that are kept: a text without stops is one sentence to each claim
Span = tuple[int, int]
Piece = tuple[str, bool, tuple[int, ...]]


@dataclass(frozen=True)
class Tried:
    """An answer to be marked. `name` and `level` are an exemplar's; the answer that somebody wrote has neither."""

    name: str
    level: str
    text: str
    fields: dict[str, str]
    scene: str = ""

    @property
    def answer(self) -> Answer:
        return Answer(text=self.text, fields=self.fields, scene=self.scene)


def pieces(text: str, spans: Sequence[Span]) -> Iterator[Piece]:
    """The text cut where spans begin and end: each piece, whether a span covers it, and the numbers, from 1, of those that end with it."""
    edges = sorted({0, len(text), *(edge for span in spans for edge in span)})
    for start, end in pairwise(edges):
        covered = any(first <= start and end <= last for first, last in spans)
        yield text[start:end], covered, tuple(n for n, (_, last) in enumerate(spans, 1) if last == end)


def _looked_for(criterion: Criterion) -> dict[tuple[str, str], str]:
    """What a mark of this criterion is about, in the rubric's words, by its kind and id."""
    return {
        **{("claim", claim.id): claim.text for claim in criterion.claims},
        **{("misconception", wrong.id): wrong.text for wrong in criterion.misconceptions},
        **{("check", check.id): check.text for check in criterion.diagram},
        **{("quantity", f"{q.field}-{i + 1}"): f"{q.label or q.field}: {q.value:g} {q.unit}".strip() for i, q in enumerate(criterion.quantities)},
        ("short", "accepted"): " or ".join(criterion.accepted[:NAMED]),
    }


def _words(mark: ClaimMark) -> list[Span]:
    """The words of the prose that decided a mark."""
    return [(e.start, e.end) for e in mark.evidence if e.channel == "text" and e.text] if mark.met else []


def _shown(mark: ClaimMark) -> bool:
    return mark.kind != "misconception" or mark.met or mark.score >= SUSPECT


def _near(mark: ClaimMark) -> str:
    """The words that decided a mark and aren't in the prose, or that came nearest to a claim that isn't met."""
    beside = [e.text for e in mark.evidence if e.text and (e.channel != "text" or not mark.met)]
    words = " ".join(beside[0].split()) if beside and (mark.met or mark.score >= NEAR) else ""
    return words if len(words) <= NEAREST else f"{words[: NEAREST - 1]}…"


def _cut_off(share: float) -> float:
    """A share on two places, cut and not rounded: what falls short by little must not look as if it were enough."""
    return math.floor(100 * share + 1e-9) / 100


def _criterion(criterion: Criterion, scored: CriterionScore, number: dict[Span, int]) -> dict[str, Any]:
    texts = _looked_for(criterion)
    return {
        "title": scored.title,
        "points": scored.points,
        "max": scored.max,
        "reason": scored.reason,
        "confidence": scored.confidence,
        "marks": [
            {
                "kind": mark.kind,
                "text": texts.get((mark.kind, mark.id), mark.id),
                "met": mark.met,
                "why": mark.why,
                "score": _cut_off(mark.score),
                "cut": _cut_off(mark.cut),
                "numbers": [number[span] for span in _words(mark)],
                "near": _near(mark),
            }
            for mark in scored.marks
            if _shown(mark)
        ],
    }


def told(tried: Tried, rubric: Rubric, score: Score, asked: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """A mark as JSON, for `review/tried_total.html` and `tried_marks.html`. What was filled in is called as it was `asked` for."""
    labels = {field["id"]: field["label"] for field in asked}
    spans = sorted({span for criterion in score.criteria for mark in criterion.marks if _shown(mark) for span in _words(mark)})
    number = {span: n for n, span in enumerate(spans, 1)}
    return {
        "name": tried.name,
        "wanted": tried.level,
        "total": score.total,
        "max": score.max,
        "level": score.level,
        "level_set": list(score.level_set),
        "state": score.state,
        "reason": score.reason,
        "flags": list(score.flags),
        "scorer": score.scorer,
        "pieces": list(pieces(tried.text, spans)),
        "filled_in": [[labels.get(name, name), value] for name, value in tried.fields.items()],
        "criteria": [_criterion(rubric.criterion(scored.id), scored, number) for scored in score.criteria],
    }


def stored(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """Answers as JSON."""
    return [asdict(one) for one in tried]
