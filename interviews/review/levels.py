"""From points to a level, for a whole interview. Pure.

An interview's points are scaled to 28, the size of one rubric, and compared with the same bands. Answers that are not scored yet
count neither way; the levels that they could still lead to are the level set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SCALE = 28
BANDS = {"L5": 14, "L6": 20, "L7": 25}
BELOW = "below"


@dataclass(frozen=True)
class Mark:
    """One answer's points, or None while it has none, and whether a person should look at it."""

    points: float | None
    max: float
    review: bool = False


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
    open_points = everything - maximum
    level_set = _between(level_of(_scaled(total, everything)), level_of(_scaled(total + open_points, everything)))
    review = sum(mark.review for mark in scored)
    sentences = [f"{_number(total)} of {_number(maximum)} points are {_number(scaled)} of {SCALE}: {label(level)}."]
    above = next(((name, least) for name, least in BANDS.items() if scaled < least), None)
    if above:
        sentences.append(f"{above[0]} starts at {above[1]}, which is {_number(above[1] - scaled)} more.")
    if missing:
        sentences.append(f"{_answers(missing)} not scored and counted neither way.")
    if review:
        sentences.append(f"{_answers(review)} marked for review: the scorer is not sure, an interviewer should look.")
    return Standing(total, maximum, round(scaled, 1), level, level_set, bool(missing or review), " ".join(sentences))
