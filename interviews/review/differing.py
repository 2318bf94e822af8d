"""What scoring answers again would change, in words and numbers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import grading
from interviews.review.comparing import Change

WORDS: dict[Change, str] = {
    "better": "more points", "worse": "fewer points", "other": "otherwise", "same": "the same", "failed": "not scored", "waiting": "still being scored",
}  # fmt: skip
NOT_SCORED = "not_scored"
HAIR = 1e-9  # of float error


@dataclass(frozen=True)
class Side:
    """An answer's marks as they count, or would: with what people decided. Without a total it is not scored, and `reason` says why."""

    total: float | None
    level: str
    state: str
    scorer: str = ""
    reason: str = ""
    points: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def none(cls, reason: str, scorer: str = "") -> "Side":
        return cls(None, "", NOT_SCORED, scorer, reason)

    @classmethod
    def of(cls, rubric: grading.Rubric, points: Mapping[str, float], decided: Mapping[str, float], **told: str) -> "Side":
        counted = {name: decided.get(name, value) for name, value in points.items()}
        return cls(sum(counted.values()), rubric.level(counted) if rubric.bands else "", points=counted, **told)


@dataclass(frozen=True)
class Difference:
    """The marks that count, and those that the scorer would give now."""

    before: Side
    after: Side

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Difference":
        return cls(Side(**told["before"]), Side(**told["after"]))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def points(self) -> float | None:
        """How many more; None where a side has none."""
        if self.before.total is None or self.after.total is None:
            return None
        return self.after.total - self.before.total

    @property
    def criteria(self) -> list[tuple[str, float | None, float | None]]:
        """The criteria with other points, before and after; None where one is not, or is no more."""
        old, new = self.before.points, self.after.points
        return [(name, old.get(name), new.get(name)) for name in dict.fromkeys([*new, *old]) if old.get(name) != new.get(name)]

    @property
    def moved(self) -> bool:
        """Whether the level would be another."""
        return self.points is not None and self.before.level != self.after.level

    @property
    def change(self) -> Change:
        if self.after.total is None:
            return "failed"
        if self.points is None:
            return "better"
        if abs(self.points) > HAIR:
            return "better" if self.points > 0 else "worse"
        same = (self.before.level, self.before.state, self.before.points) == (self.after.level, self.after.state, self.after.points)
        return "same" if same else "other"

    @property
    def counts(self) -> bool:
        """Whether scoring it again in earnest would change anything."""
        return self.change in ("better", "worse", "other")


@dataclass(frozen=True)
class Summary:
    """Many differences in a few numbers. `otherwise`: those that would change anything; `mean`: points more, over what has a score before and after."""

    answers: int
    otherwise: int
    levels: int
    failed: int
    mean: float


def summary(differences: Sequence[Difference]) -> Summary:
    more = [one.points for one in differences if one.points is not None]
    return Summary(
        answers=len(differences),
        otherwise=sum(one.counts for one in differences),
        levels=sum(one.moved for one in differences),
        failed=sum(one.change == "failed" for one in differences),
        mean=sum(more) / len(more) if more else 0.0,
    )


def by_weight(one: Difference) -> tuple[int, float]:
    """What deserves a look first: another level, what failed, then the larger change."""
    rank = 0 if one.moved else 1 if one.change == "failed" else 2 if one.counts else 3
    return rank, -abs(one.points or 0.0)
