"""From points to a level, for a whole interview. Pure.

An interview's points are scaled to 28, the size of one rubric, and compared with the same bands. Answers that are not scored yet
count neither way. The level set holds the levels that they could still lead to, and those that can't be ruled out because the scorer is not sure
of its marks: how sure it is of each answer adds up as the laws of independent sums do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from grading import BELOW, doubtful, run_of_levels

SCALE = 28
BANDS = {"L5": 14, "L6": 20, "L7": 25}
GRAIN = 12  # steps of a point on which laws are added: on it lie halves, thirds and quarters


@dataclass(frozen=True)
class Mark:
    """One answer's points, or None while it has none, whether a person should look at it, and how likely other points are.

    `law`: points -> probability; without one, `level_set` holds the levels that the answer could have. Neither: it is settled.
    """

    points: float | None
    max: float
    review: bool = False
    law: Mapping[float, float] = field(default_factory=dict)
    level_set: Sequence[str] = ()

    @property
    def likely(self) -> Mapping[float, float]:
        """The law, or one that knows nothing but the levels: even over the points that give them."""
        if self.law or len(self.level_set) < 2:
            return self.law or {self.points or 0.0: 1.0}
        edges = [0, *BANDS.values(), SCALE + 1]
        at = [[BELOW, *BANDS].index(name) for name in self.level_set if name in (BELOW, *BANDS)] or [0, len(BANDS)]
        points = [n * self.max / SCALE for n in range(edges[min(at)], edges[max(at) + 1])]
        return dict.fromkeys(points, 1 / len(points))


@dataclass(frozen=True)
class Standing:
    """Where an interview stands. `scaled` is out of 28, rounded to a tenth."""

    total: float
    max: float
    scaled: float | None
    level: str
    level_set: tuple[str, ...]
    provisional: bool
    why: str


def level_of(scaled: float) -> str:
    """The highest band that the points reach."""
    return max((name for name, least in BANDS.items() if scaled >= least), key=BANDS.__getitem__, default=BELOW)


def label(level: str) -> str:
    return "below L5" if level == BELOW else level


def _between(low: str, high: str) -> tuple[str, ...]:
    order = [BELOW, *BANDS]
    return tuple(order[order.index(low) : order.index(high) + 1])


def _scaled(points: float, maximum: float) -> float:
    # A hair of float error must not cost a band.
    return round(points / maximum * SCALE, 6) if maximum else 0.0


def _steps(mark: Mark) -> tuple[int, npt.NDArray[np.float64]]:
    """A mark's law on steps of 1 / GRAIN from its points: where it begins, in steps, and the probability of each. What lies between two steps is parted
    between them so that the mean stays."""
    given = mark.points or 0.0
    at = [(math.floor(steps), steps % 1, p) for points, p in mark.likely.items() for steps in [round((points - given) * GRAIN, 6)]]
    first = min(step for step, _, _ in at)
    law = np.zeros(max(step for step, _, _ in at) - first + 2)
    for step, part, p in at:
        law[step - first] += p * (1.0 - part)
        law[step - first + 1] += p * part
    return first, law


def law_of_all(marks: Sequence[Mark]) -> dict[float, float]:
    """Points of all these answers together -> probability, as of independent sums. `marks` have points.

    Laws lie anywhere between points, each in its own way, where people decided some of an answer. Sums of such would hardly ever meet, and there would be
    more of them with each answer, none likely; so they are added on one grid, that of the points given, of which none is dropped.
    """
    first, law = 0, np.ones(1)
    for mark in marks:
        begins, steps = _steps(mark)
        first, law = first + begins, np.convolve(law, steps)
    total = sum(mark.points or 0.0 for mark in marks)
    return {total + (first + n) / GRAIN: float(p) for n, p in enumerate(law) if p > 0}


def _likely(law: Mapping[float, float], total: float, more: float, maximum: float) -> tuple[str, ...]:
    """The levels that can't be ruled out if the answers without a score earn `more` points."""
    scaled: dict[float, float] = {}
    for points, p in law.items():
        at = _scaled(points + more, maximum)
        scaled[at] = scaled.get(at, 0.0) + p
    return run_of_levels(scaled, tuple(BANDS.items()), level_of(_scaled(total + more, maximum)))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _answers(count: int) -> str:
    return "One answer is" if count == 1 else f"{count} answers are"


def standing(marks: Sequence[Mark]) -> Standing:
    """The level of an interview and why it is that."""
    scored = [mark for mark in marks if mark.points is not None]
    missing = len(marks) - len(scored)
    total = sum(mark.points or 0.0 for mark in scored)
    maximum = sum(mark.max for mark in scored)
    if not scored:
        return Standing(0, 0, None, "", tuple(_between(BELOW, "L7")), True, "No answer has been scored yet.")
    scaled = _scaled(total, maximum)
    level = level_of(scaled)
    everything = sum(mark.max for mark in marks)
    law = law_of_all(scored)
    level_set = _between(_likely(law, total, 0.0, everything)[0], _likely(law, total, everything - maximum, everything)[-1])
    review = sum(mark.review for mark in scored)
    sentences = [f"{_number(total)} of {_number(maximum)} points are {_number(scaled)} of {SCALE}: {label(level)}."]
    above = next(((name, least) for name, least in BANDS.items() if scaled < least), None)
    if above:
        sentences.append(f"{above[0]} starts at {above[1]}, which is {_number(above[1] - scaled)} more.")
    if missing:
        sentences.append(f"{_answers(missing)} not scored and counted neither way.")
    if review:
        sentences.append(f"{_answers(review)} marked for review: the scorer is not sure, an interviewer should look.")
    if len(level_set) > 1:
        sentences.append(doubtful(level_set))
    return Standing(total, maximum, round(scaled, 1), level, level_set, bool(missing or review or len(level_set) > 1), " ".join(sentences))
