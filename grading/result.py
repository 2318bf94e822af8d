"""What goes into the scorer and what comes out, as frozen data. Offsets count Unicode code points in the text as given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, NamedTuple

SCORER = "claims-11"  # the name and version of the default scorer, as scores tell it
CUT = 0.5  # a claim's score from which it is met, unless people's marks have moved it
State = Literal["scored", "review", "not_scored"]
Channel = Literal["text", "code", "fields", "scene"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the candidate wrote: prose, code, the fields of an estimate or a quick-fire round (field id -> what was typed), and a whiteboard's scene as JSON."""

    text: str
    code: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    scene: str = ""

    @property
    def blank(self) -> bool:
        """Whether nothing was written, filled in or drawn."""
        return not any(part.strip() for part in (self.text, self.code, self.scene, *(str(value) for value in self.fields.values())))


@dataclass(frozen=True, slots=True)
class Question:
    """What the candidate was asked. Words of the prompt earn nothing by being said back."""

    prompt: str
    title: str = ""
    kind: str = "written"


class Evidence(NamedTuple):
    """A span of the answer: `text == answer[start:end]` of its channel. For a field `text` is what it holds and `field` its id, for a scene what is drawn."""

    channel: Channel
    start: int
    end: int
    text: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class ClaimMark:
    """How one claim, misconception, quantity or check was decided: `score` in 0..1 against `cut`; `why` in plain words."""

    id: str
    kind: str
    met: bool
    score: float
    cut: float
    why: str
    evidence: tuple[Evidence, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)


def asserted(marks: Iterable[ClaimMark]) -> set[str]:
    """Ids of the misconceptions that an answer states."""
    return {mark.id for mark in marks if mark.kind == "misconception" and mark.met}


class Unsure(NamedTuple):
    """A judgement that a person should look at first: a claim that was `counted` or `missed` by little, what may be a `wrong` statement and cost nothing, or
    a short answer that is `unlisted`, neither among those that are accepted nor known to be wrong. `text`: the rubric's; `words`: those of the answer that
    come nearest, "" for none."""

    kind: Literal["counted", "missed", "wrong", "unlisted"]
    id: str
    text: str
    words: str


@dataclass(frozen=True, slots=True)
class CriterionScore:
    """`points` of `max`; `missed` holds one sentence for each thing not earned; `confidence` is P(points are right) in 0..1; `unsure` what to look at first."""

    id: str
    title: str
    points: float
    max: float
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""
    missed: tuple[str, ...] = ()
    confidence: float = 1.0
    marks: tuple[ClaimMark, ...] = ()
    unsure: tuple[Unsure, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """The mark of one answer.

    `level` is a band of the rubric, "below", or "" for a rubric without bands; `level_set` the levels that can't be ruled out, lowest
    first. `state`: "review" asks for a person, with `reason` saying why; "not_scored" has no points (the total is 0 and means nothing).
    `law`: points -> probability that a careful reader would give them in all, by rising points.
    """

    total: float
    max: float
    level: str
    level_set: tuple[str, ...]
    state: State
    criteria: tuple[CriterionScore, ...]
    flags: tuple[str, ...] = ()
    reason: str = ""
    scorer: str = ""
    law: Mapping[float, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        data: dict[str, Any] = _plain(self)
        return data


def _plain(value: Any) -> Any:
    if isinstance(value, Evidence | Unsure):
        return value._asdict()
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
