"""How sure a mark is: a law over the points of each criterion, and the set of levels that can't be ruled out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

from grading.calibration import COVER, SCALE, Calibration
from grading.result import ClaimMark, CriterionScore, asserted
from grading.rubric import BELOW, Criterion, Rubric

DOUBTFUL = "The level could be"  # how the reason for a review begins when it is this
HALF = 0.5  # what strays is taken for continuous: a band then begins half a point under its first
# Points of 28 (standard deviation) by which the default scorer's totals of prose stray beyond that law: claims are not independent, and their chances not
# calibrated. With it the sets hold the level of the repository's marked answers as often as COVER says (`python -m grading fit`).
SPREAD = 3.0


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


def astray(rubric: Rubric) -> float:
    """SPREAD for the points of this rubric that claims give."""
    return SPREAD / SCALE * sum(c.points for c in rubric.criteria if c.claims)


def doubtful(levels: Sequence[str]) -> str:
    """A level set of two and more as a sentence: "The level could be below L5, L5 or L6."."""
    named = [f"below {levels[1]}" if name == BELOW else name for name in levels]
    return f"{DOUBTFUL} {', '.join(named[:-1])} or {named[-1]}."


def level_set(rubric: Rubric, criteria: Sequence[CriterionScore], calibration: Calibration | None = None, stray: float = 0.0) -> tuple[str, ...]:
    """The levels that can't be ruled out, lowest first. `stray`: points (standard deviation) by which the total strays beyond the law of points.

    With enough marks from people: those that a total within the conformal spread would give. Otherwise the smallest run of levels around the one
    given whose probability under that law reaches COVER.
    """
    if not rubric.bands:
        return ()
    if calibration is not None and calibration.spread is not None:
        total, reach = sum(c.points for c in criteria), calibration.spread * rubric.max / SCALE
        given = rubric.level({c.id: c.points for c in criteria})
        edges = [(BELOW, -1.0), *rubric.bands, ("", float("inf"))]
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
    names = [BELOW, *(name for name, _ in rubric.bands)]
    normal = NormalDist(0.0, max(stray, 1e-12))
    lines = [-float("inf"), *(least - (HALF if stray else 1e-9) for _, least in rubric.bands), float("inf")]
    mass = {name: sum(p * (normal.cdf(above - total) - normal.cdf(least - total)) for total, p in totals.items())
            for name, (least, above) in zip(names, pairwise(lines), strict=True)}
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
