"""How sure a mark is: a law over the points of each criterion, and the set of levels that can't be ruled out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from grading.calibration import COVER, SCALE, Calibration
from grading.result import ClaimMark, CriterionScore, asserted
from grading.rubric import Criterion, Rubric


def chance(mark: ClaimMark, calibration: Calibration | None = None) -> float:
    """P(a careful reader would call the claim met): from marks that people gave, or else from the fused score itself."""
    if calibration is not None and calibration.curve:
        return calibration.chance(mark.score)
    return min(0.98, max(0.02, mark.score if mark.met or mark.score < mark.cut else mark.cut - 0.01))


def points_law(criterion: Criterion, marks: Sequence[ClaimMark], calibration: Calibration | None = None) -> dict[float, float]:
    """Points -> probability, claims taken as independent; misconceptions as decided."""
    claims = [mark for mark in marks if mark.kind != "misconception"]
    deduct = criterion.deduction(asserted(marks))
    counts = [1.0]
    for mark in claims:
        p = chance(mark, calibration)
        counts = [(counts[k] if k < len(counts) else 0.0) * (1 - p) + (counts[k - 1] * p if k else 0.0) for k in range(len(counts) + 1)]
    law: dict[float, float] = {}
    for met, p in enumerate(counts):
        points = criterion.points_for(met, deduct)
        law[points] = law.get(points, 0.0) + p
    return law


def level_set(rubric: Rubric, criteria: Sequence[CriterionScore], calibration: Calibration | None = None) -> tuple[str, ...]:
    """The levels that can't be ruled out, lowest first.

    With enough marks from people: those that a total within the conformal spread would give. Otherwise the smallest run of levels around the one
    given whose probability under the law of points reaches COVER.
    """
    if not rubric.bands:
        return ()
    if calibration is not None and calibration.spread is not None:
        total, reach = sum(c.points for c in criteria), calibration.spread * rubric.max / SCALE
        given = rubric.level({c.id: c.points for c in criteria})
        edges = [("below", -1.0), *rubric.bands, ("", float("inf"))]
        return tuple(name for (name, least), (_, above) in pairwise(edges)
                     if name == given or (least <= total + reach + 1e-9 and above > total - reach + 1e-9))
    totals = {0.0: 1.0}
    for criterion, scored in zip(rubric.criteria, criteria, strict=True):
        law = points_law(criterion, scored.marks) if scored.marks and criterion.claims else {scored.points: 1.0}
        new: dict[float, float] = {}
        for total, p in totals.items():
            for points, q in law.items():
                new[total + points] = new.get(total + points, 0.0) + p * q
        totals = new
    names = ["below", *(name for name, _ in rubric.bands)]
    mass = dict.fromkeys(names, 0.0)
    for total, p in totals.items():
        mass[next((name for name, least in reversed(rubric.bands) if total >= least - 1e-9), "below")] += p
    given = rubric.level({c.id: c.points for c in criteria})
    low = high = names.index(given)
    while sum(mass[name] for name in names[low : high + 1]) < COVER and (low > 0 or high < len(names) - 1):
        below = mass[names[low - 1]] if low > 0 else -1.0
        above = mass[names[high + 1]] if high < len(names) - 1 else -1.0
        if below >= above:
            low -= 1
        else:
            high += 1
    return tuple(names[low : high + 1])
