"""Cuts and certainty fitted to marks that people gave.

A person marks a criterion, not its claims. Which claims they took for met is inferred by the least change: the count of claims whose points come nearest to
theirs, reached by turning the claims that lie nearest to their cuts. From these labels follow a cut for each claim that was marked often enough, the
probability that a claim of a given score is met (isotonic regression, Barlow et al. 1972, by pooling adjacent violators), and the 90 % quantile of
the error of totals, which gives level sets their coverage (split conformal prediction, Lei et al. 2018). Everything is measured on answers that the fit
did not see.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grading.metrics import Array, bootstrap, qwk
from grading.result import CUT, ClaimMark, CriterionScore, Score, asserted
from grading.rubric import Claim, Criterion, Rubric

SCALE = 28.0
COVER = 0.90  # a level set holds the level that a person would give this often
LEAST = 8  # labels that a claim needs for a cut of its own
DOUBT = 6.0  # labels' worth of trust in the cut that everybody starts with
ENOUGH = 20  # answers that a coverage of 90 % needs to mean something
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Calibration:
    """`cuts`: key of a claim (`claim_key`) -> cut. `curve`: rising (score, probability) knots. `spread`: points of 28, or None for too few marks."""

    cuts: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[tuple[float, float], ...] = ()
    spread: float | None = None
    answers: int = 0

    def cut(self, claim: Claim) -> float:
        return self.cuts.get(claim_key(claim), CUT)

    def chance(self, score: float) -> float:
        """P(a person takes a claim of this score for met)."""
        xs, ys = zip(*self.curve, strict=True)
        return float(min(0.98, max(0.02, np.interp(score, xs, ys))))

    def to_dict(self) -> dict[str, Any]:
        return {"cuts": dict(self.cuts), "curve": [list(knot) for knot in self.curve], "spread": self.spread, "answers": self.answers}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        return cls(dict(data["cuts"]), tuple((float(x), float(y)) for x, y in data["curve"]), data["spread"], int(data["answers"]))

    @property
    def name(self) -> str:
        """Short hash, for the name of the scorer that a score carries."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Marked:
    """One answer with the scorer's score (under no calibration) and a person's points by criterion."""

    rubric: Rubric
    score: Score
    points: Mapping[str, float]
    question: str = ""


def claim_key(claim: Claim) -> str:
    """A claim by its content: a cut outlives new versions of the question that leave the claim alone."""
    return hashlib.sha256("\n".join(claim.statements).encode()).hexdigest()[:16]


def met_of(criterion: Criterion, marks: Sequence[ClaimMark], cuts: Mapping[str, float]) -> set[str]:
    """Claims met under given cuts (by claim id)."""
    return criterion.supported(m.id for m in marks if m.kind == "claim" and m.score >= cuts.get(m.id, CUT))


def labels(criterion: Criterion, scored: CriterionScore, points: float) -> list[tuple[Claim, float, bool]]:
    """(claim, score, whether the person took it for met), by the least change."""
    marks = [m for m in scored.marks if m.kind == "claim"]
    met = {m.id for m in marks if m.met}
    deduct = criterion.deduction(asserted(scored.marks))
    counts = range(len(criterion.claims) + 1)
    count = min(counts, key=lambda k: (abs(criterion.points_for(k, deduct) - points), abs(k - len(met))))
    up = count > len(met)
    turned = sorted((m for m in marks if (m.id in met) != up), key=lambda m: abs(m.score - m.cut))[: abs(count - len(met))]
    met = met | {m.id for m in turned} if up else met - {m.id for m in turned}
    return [(claim, m.score, claim.id in met) for claim, m in zip(criterion.claims, marks, strict=True)]


def isotonic(pairs: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The rising step function nearest to (x, y) in squares, as knots for interpolation."""
    blocks: list[list[float]] = []  # sum of x, sum of y, weight
    for x, y in sorted(pairs):
        blocks.append([x, y, 1.0])
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][2] >= blocks[-1][1] / blocks[-1][2]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    return tuple((x / n, y / n) for x, y, n in blocks)


def best_cut(pairs: Sequence[tuple[float, bool]]) -> float:
    """The cut with the fewest wrong labels; departures from the common cut cost as much as `DOUBT` labels spread over the whole range."""
    scores = sorted({s for s, _ in pairs})
    middles = [(a + b) / 2 for a, b in pairwise(scores)]
    return min((CUT, *(c for c in middles if 0.1 <= c <= 0.9)), key=lambda c: (sum((s >= c) != met for s, met in pairs) + DOUBT * abs(c - CUT), abs(c - CUT)))


def fit(marked: Sequence[Marked]) -> Calibration:
    """Cuts and curve of all marks, and the spread of totals on folds held out."""
    calibration = _fit(marked)
    errors = sorted(abs(a - b) for a, b in zip(*_totals(marked, held_out(marked)), strict=True))
    rank = math.ceil((len(errors) + 1) * COVER)
    spread = errors[rank - 1] if len(errors) >= ENOUGH and rank <= len(errors) else None
    return Calibration(calibration.cuts, calibration.curve, spread, len(marked))


def _fit(marked: Sequence[Marked]) -> Calibration:
    by_claim: dict[str, list[tuple[float, bool]]] = {}
    for one in marked:
        for criterion, scored in zip(one.rubric.criteria, one.score.criteria, strict=True):
            if criterion.claims and criterion.id in one.points:
                for claim, value, met in labels(criterion, scored, one.points[criterion.id]):
                    by_claim.setdefault(claim_key(claim), []).append((value, met))
    pairs = [(value, float(met)) for found in by_claim.values() for value, met in found]
    cuts = {key: cut for key, found in by_claim.items() if len(found) >= LEAST and (cut := best_cut(found)) != CUT}
    return Calibration(cuts, isotonic(pairs) if pairs else ((0.0, 0.02), (1.0, 0.98)), None, len(marked))


def held_out(marked: Sequence[Marked]) -> list[Calibration]:
    """For each answer the calibration of the folds that it is not in. Folds are dealt in turn, so that each has some of every question."""
    order = sorted(range(len(marked)), key=lambda i: (marked[i].question, i))
    fold = {i: n % FOLDS for n, i in enumerate(order)}
    made = [_fit([one for i, one in enumerate(marked) if fold[i] != k]) for k in range(FOLDS)]
    return [made[fold[i]] for i in range(len(marked))]


def points_under(one: Marked, calibration: Calibration) -> dict[str, float]:
    """The scorer's points by criterion under other cuts."""
    out = {}
    for criterion, scored in zip(one.rubric.criteria, one.score.criteria, strict=True):
        if criterion.claims:
            met = met_of(criterion, scored.marks, {claim.id: calibration.cut(claim) for claim in criterion.claims})
            out[criterion.id] = criterion.points_for(len(met), criterion.deduction(asserted(scored.marks)))
        else:
            out[criterion.id] = scored.points
    return out


def _totals(marked: Sequence[Marked], calibrations: Sequence[Calibration]) -> tuple[Array, Array]:
    """(people's, the scorer's) totals of 28. A criterion that nobody marked counts with the scorer's points on both sides."""
    people, scorer = [], []
    for one, calibration in zip(marked, calibrations, strict=True):
        own = points_under(one, calibration)
        people.append(sum(one.points.get(name, value) for name, value in own.items()) * SCALE / one.rubric.max)
        scorer.append(sum(own.values()) * SCALE / one.rubric.max)
    return np.array(people), np.array(scorer)


def report(marked: Sequence[Marked]) -> dict[str, Any]:
    """Agreement before and after, the latter on answers that the fit did not see, with bootstrap intervals over answers."""
    before = [Calibration()] * len(marked)
    after = held_out(marked)
    each = np.arange(len(marked))

    def part(calibrations: Sequence[Calibration]) -> dict[str, Any]:
        people, scorer = _totals(marked, calibrations)
        right = np.array([np.mean([float(abs(one.points[name] - value) < 0.5) for name, value in points_under(one, c).items() if name in one.points] or [1.0])
                          for one, c in zip(marked, calibrations, strict=True)])
        measures: dict[str, Callable[[NDArray[np.int64]], float | None]] = {
            "criteria_exact": lambda i: float(right[i].mean()),
            "total_error": lambda i: float(np.abs(people[i] - scorer[i]).mean()),
            "qwk": lambda i: qwk(people[i] / SCALE, scorer[i] / SCALE, int(SCALE)),
        }
        return {name: {"value": measure(each), "interval": bootstrap(each, measure)} for name, measure in measures.items()}

    fitted = fit(marked)
    return {"answers": len(marked), "criteria": sum(len(one.points) for one in marked), "before": part(before), "after": part(after),
            "cuts_moved": len(fitted.cuts), "spread": fitted.spread}


def table(found: Mapping[str, Any]) -> str:
    """The report for people."""
    def cell(part: Mapping[str, Any]) -> str:
        value, interval = part["value"], part["interval"]
        told = "-" if value is None else f"{value:.3f}"
        return told + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")

    titles = {"criteria_exact": "criteria with the same points", "total_error": "mean error of the total, of 28", "qwk": "QWK of totals"}
    out = [f"{found['answers']} answers, {found['criteria']} criteria marked by people", f"{'':<34}{'before':<28}{'after, on answers not fitted':<28}"]
    out += [f"{title:<34}{cell(found['before'][name]):<28}{cell(found['after'][name]):<28}" for name, title in titles.items()]
    spread = found["spread"]
    within = f"{spread:.1f} of 28" if spread is not None else f"- ({ENOUGH} answers are needed)"
    out.append(f"cuts moved: {found['cuts_moved']}; 90 % of totals lie within {within}")
    return "\n".join(out)
