"""How sure an answer's points are where people decided some of them. Pure.

A score keeps the scorer's law of the points in all, and of each criterion how sure the scorer is. Where a person decided a criterion, there is no doubt.
Of the rest the doubt stays: the law as it lies about the scorer's points, narrowed to the part of its spread that the rest accounts for (variances add, so by
the root of their share) and held within what the rest can give.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grading import Rubric, run_of_levels

SURE = 1.0 - 1e-9  # of scores that are stored, some say a hair more than 1


@dataclass(frozen=True)
class Row:
    """A criterion: the scorer's points and how sure it is of them, and a person's points, where one decided."""

    id: str
    own: float
    max: float
    confidence: float | None
    decided: float | None = None

    @property
    def points(self) -> float:
        return self.own if self.decided is None else self.decided

    @property
    def doubt(self) -> float:
        """What it adds to the variance of the scorer's law, as far as its confidence says."""
        return self.max**2 * max(0.0, 1.0 - (self.confidence or 0.0))

    @property
    def certain(self) -> bool:
        return self.decided is not None or (self.confidence or 0.0) >= SURE


def law_of(rows: Sequence[Row], law: Mapping[float, float], known: bool) -> dict[float, float]:
    """Points of the answer -> probability. `law`: the scorer's, {} for none; `known`: whether that means that it had no doubt, and not that it read nothing."""
    total, own = sum(row.points for row in rows), sum(row.own for row in rows)
    low = sum(row.points for row in rows if row.certain)
    left = [row for row in rows if not row.certain]
    high = low + sum(row.max for row in left)
    if not left or (known and not law):
        return {total: 1.0}
    if not law:
        even = [low + n for n in range(int(high - low) + 1)]
        return dict.fromkeys(even, 1 / len(even))
    doubt = sum(row.doubt for row in rows)
    share = math.sqrt(sum(row.doubt for row in left) / doubt) if doubt else 0.0
    out: dict[float, float] = {}
    for points, p in law.items():
        at = min(high, max(low, total + share * (points - own)))
        out[at] = out.get(at, 0.0) + p
    return out


def levels_of(rubric: Rubric, rows: Sequence[Row], law: Mapping[float, float]) -> tuple[str, ...]:
    """The levels that can't be ruled out, lowest first. Not those that lack a must-have criterion of which nothing is in doubt."""
    if not rubric.bands:
        return ()
    lacking = {row.id for row in rows if row.certain and 2 * row.points < row.max}
    bands = [(name, least) for name, least in rubric.bands if not lacking.intersection(rubric.must_have.get(name, ()))]
    return run_of_levels(law, bands, rubric.level({row.id: row.points for row in rows}))
