"""How sure a mark is: a law over the points of each criterion and of the answer, and the set of levels that can't be ruled out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import fmean

import numpy as np

from grading.calibration import COVER, SCALE, Calibration
from grading.result import ClaimMark, CriterionScore, asserted
from grading.rubric import BELOW, Criterion, Rubric

DOUBTFUL = "The level could be"  # how the reason for a review begins when it is this
# The claims of one answer err together: who puts things in unforeseen words does so throughout. COMMON is the standard deviation, in logits, by which the
# chances of all claims of an answer are too low or too high; with it the level sets hold the level of answers to questions that no weight was fitted to as
# often as COVER says (`python -m grading marked interviews/bank/marked/held-out`). A claim that asks for no terms counts with BARE, a check of a drawing,
# which is read and not guessed at, with DRAWN.
COMMON, BARE, DRAWN = 1.2, 2.0, 0.6
NODES = 7  # of the Gauss-Hermite quadrature over it
SLIGHT = 1e-6  # a probability that is not told


def chance(mark: ClaimMark, calibration: Calibration | None = None) -> float:
    """P(a careful reader would call the claim met): from marks that people gave, or else from the fused score itself."""
    if calibration is not None and calibration.curve:
        return calibration.chance(mark.score)
    return min(0.98, max(0.02, mark.score if mark.met or mark.score < mark.cut else mark.cut - 0.01))


def common_error(rubric: Rubric) -> float:
    """By how much the chances of all claims and checks of an answer are off together, in logits: the mean of COMMON, BARE and DRAWN over them."""
    each = [COMMON if claim.terms else BARE for criterion in rubric.criteria for claim in criterion.claims]
    each += [DRAWN for criterion in rubric.criteria for _ in criterion.diagram]
    return fmean(each) if each else COMMON


@lru_cache(maxsize=8)
def _shifts(common: float) -> tuple[tuple[float, float], ...]:
    """(logits, weight): a normal law of this standard deviation as a few points."""
    if not common:
        return ((0.0, 1.0),)
    at, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return tuple((common * float(x), float(w)) for x, w in zip(at, weights / weights.sum(), strict=True))


def _moved(p: float, logits: float) -> float:
    return 1.0 / (1.0 + (1.0 - p) / p * math.exp(-logits)) if logits else p


def points_law(criterion: Criterion, marks: Sequence[ClaimMark], calibration: Calibration | None = None, shift: float = 0.0) -> dict[float, float]:
    """Points -> probability, with the chance of every claim moved by `shift` logits; given that, claims are independent. Misconceptions as decided."""
    counts = [1.0]
    for mark in (mark for mark in marks if mark.kind != "misconception"):
        p = _moved(chance(mark, calibration), shift)
        counts = [(counts[k] if k < len(counts) else 0.0) * (1 - p) + (counts[k - 1] * p if k else 0.0) for k in range(len(counts) + 1)]
    deduct, law = criterion.deduction(asserted(marks)), dict[float, float]()
    for met, p in enumerate(counts):
        points = criterion.points_for(met, deduct)
        law[points] = law.get(points, 0.0) + p
    return law


def confidence(criterion: Criterion, points: float, marks: Sequence[ClaimMark], calibration: Calibration | None = None, common: float = 0.0) -> float:
    """P(a careful reader would give the criterion these points). `common`: see `common_error`."""
    sure = sum(weight * points_law(criterion, marks, calibration, shift).get(points, 0.0) for shift, weight in _shifts(common))
    return min(1.0, sure)  # a hair of float error would make it more where the points can be no others


def add(one: Mapping[float, float], other: Mapping[float, float]) -> dict[float, float]:
    """The law of the sum of two independent counts of points."""
    out = dict[float, float]()
    for a, p in one.items():
        for b, q in other.items():
            out[a + b] = out.get(a + b, 0.0) + p * q
    return out


def total_law(rubric: Rubric, criteria: Sequence[CriterionScore], calibration: Calibration | None = None, common: float = 0.0) -> dict[float, float]:
    """Points of the whole answer -> probability, by rising points. `common`: see `common_error`. With enough marks from people: even, over the spread."""
    out = dict[float, float]()
    if calibration is not None and calibration.spread is not None and _any_weighed(rubric, criteria):
        total, reach = sum(c.points for c in criteria), calibration.spread * rubric.max / SCALE
        near = [n / 2 for n in range(int(2 * rubric.max) + 1) if abs(n / 2 - total) <= reach] or [total]
        return dict.fromkeys(near, 1 / len(near))
    for shift, weight in _shifts(common):
        law = {0.0: weight}
        for criterion, scored in zip(rubric.criteria, criteria, strict=True):
            law = add(law, points_law(criterion, scored.marks, calibration, shift) if _weighed(criterion, scored) else {scored.points: 1.0})
        for points, p in law.items():
            out[points] = out.get(points, 0.0) + p
    return {points: p for points, p in sorted(out.items()) if p >= SLIGHT}


def _weighed(criterion: Criterion, scored: CriterionScore) -> bool:
    """Whether its marks are judgements of words or of a drawing: not results, and not made of nothing, as those of a blank answer are."""
    return bool(criterion.claims or criterion.diagram) and bool(scored.marks) and scored.confidence < 1.0


def _any_weighed(rubric: Rubric, criteria: Sequence[CriterionScore]) -> bool:
    return any(_weighed(criterion, scored) for criterion, scored in zip(rubric.criteria, criteria, strict=True))


def doubtful(levels: Sequence[str]) -> str:
    """A level set of two and more as a sentence: "The level could be below L5, L5 or L6."."""
    named = [f"below {levels[1]}" if name == BELOW else name for name in levels]
    return f"{DOUBTFUL} {', '.join(named[:-1])} or {named[-1]}."


def run_of_levels(law: Mapping[float, float], bands: Sequence[tuple[str, float]], given: str) -> tuple[str, ...]:
    """The smallest run of levels around the one `given` whose probability reaches COVER, lowest first. `bands`: (name, least points), rising."""
    names, lines = [BELOW, *(name for name, _ in bands)], [-math.inf, *(least - 1e-9 for _, least in bands), math.inf]
    mass = {name: sum(p for points, p in law.items() if least <= points < above) for name, (least, above) in zip(names, pairwise(lines), strict=True)}
    low = high = names.index(given)
    while sum(mass[name] for name in names[low : high + 1]) < COVER * sum(mass.values()) and (low > 0 or high < len(names) - 1):
        below = mass[names[low - 1]] if low > 0 else -1.0
        above = mass[names[high + 1]] if high < len(names) - 1 else -1.0
        if below >= above:
            low -= 1
        else:
            high += 1
    return tuple(names[low : high + 1])


def _open_bands(rubric: Rubric, criteria: Sequence[CriterionScore]) -> list[tuple[str, float]]:
    """The bands that the answer can reach: not those that lack a must-have criterion of which nothing is in doubt, such as judged tests."""
    lacking = {c.id for c, scored in zip(rubric.criteria, criteria, strict=True) if not _weighed(c, scored) and 2 * scored.points < c.points}
    return [(name, least) for name, least in rubric.bands if not lacking.intersection(rubric.must_have.get(name, ()))]


def level_set(rubric: Rubric, criteria: Sequence[CriterionScore], law: Mapping[float, float], calibration: Calibration | None = None) -> tuple[str, ...]:
    """The levels that can't be ruled out, lowest first. `law`: that of the answer's points.

    With enough marks from people: those that a total within the conformal spread would give. Otherwise a run of levels with COVER of the law.
    """
    if not rubric.bands:
        return ()
    given, bands = rubric.level({c.id: c.points for c in criteria}), _open_bands(rubric, criteria)
    if calibration is None or calibration.spread is None or not _any_weighed(rubric, criteria):
        return run_of_levels(law, bands, given)
    total, reach = sum(c.points for c in criteria), calibration.spread * rubric.max / SCALE
    edges = [(BELOW, -1.0), *bands, ("", float("inf"))]
    return tuple(name for (name, least), (_, above) in pairwise(edges)
                 if name == given or (least <= total + reach + 1e-9 and above > total - reach + 1e-9))
