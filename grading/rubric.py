"""The rubric: what earns points, as frozen data.

`Rubric.from_dict` takes what `yaml.safe_load` gives for a `rubric.yaml`, checks its shape against `rubric.schema.json` and then the
rules that a schema can't say. A fault is a `RubricError` that names the place, such as `rubric.yaml: criteria[2].claims[0].terms`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

BELOW = "below"  # the level of an answer that reaches no band
LEVELS = ("L5", "L6", "L7")  # band names whose order is known; others rank by their points alone
TEXT = "text"  # what a rubric calls the prose where it names a field
EVIDENCE = ("claims", "tests", "quantities", "accepted", "diagram")  # a criterion has exactly one of these


class RubricError(ValueError):
    """A rubric that can't be used. `path` is the place in the document, `problem` what is wrong there."""

    def __init__(self, path: str, problem: str, source: str = "rubric.yaml") -> None:
        super().__init__(f"{source}: {path}: {problem}" if path else f"{source}: {problem}")
        self.path, self.problem, self.source = path, problem, source


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    unit: str = ""
    tolerance: float = 0.05  # relative


@dataclass(frozen=True, slots=True)
class Claim:
    """One atomic statement. `polarity="deny"`: only a clause that negates meets it. `contradictions`: to say one of them excludes it."""

    id: str
    text: str
    paraphrases: tuple[str, ...] = ()
    terms: tuple[tuple[str, ...], ...] = ()
    numbers: tuple[Number, ...] = ()
    polarity: str = "affirm"
    contradictions: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()

    @property
    def statements(self) -> tuple[str, ...]:
        return (self.text, *self.paraphrases)


@dataclass(frozen=True, slots=True)
class Misconception:
    """A wrong statement; to assert it costs `deduct` points of its criterion."""

    id: str
    text: str
    deduct: float
    paraphrases: tuple[str, ...] = ()
    terms: tuple[tuple[str, ...], ...] = ()
    numbers: tuple[Number, ...] = ()
    feedback: str = ""

    @property
    def statements(self) -> tuple[str, ...]:
        return (self.text, *self.paraphrases)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit that a field must hold; `field="text"` looks for it in the prose. `part` of the points goes to the right
    dimension and order of magnitude. `alternatives` are other quantities that say the same, such as a rate per hour for one per second."""

    field: str
    value: float
    points: float
    unit: str = ""
    tolerance: float = 0.05
    part: float = 0.5
    label: str = ""
    alternatives: tuple[Number, ...] = ()

    @property
    def accepted(self) -> tuple[Number, ...]:
        """Every quantity that earns the points, the main one first."""
        return (Number(self.value, self.unit, self.tolerance), *self.alternatives)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a drawing must show; `text` says it in words, and is what counts when the answer says it instead of drawing it.

    `parts` are any-of names: of the box (`node`), of the arrow's ends (`edge`: from, to), of the boxes in their order (`path`), of the inner
    and the outer box (`inside`). `label` is what an arrow may be labelled with.
    """

    id: str
    text: str
    kind: str
    parts: tuple[tuple[str, ...], ...]
    label: tuple[str, ...] = ()
    paraphrases: tuple[str, ...] = ()

    @property
    def claim(self) -> Claim:
        """The check as a claim on prose."""
        return Claim(self.id, self.text, self.paraphrases, (*self.parts, *([self.label] if self.label else [])))


@dataclass(frozen=True, slots=True)
class Criterion:
    id: str
    title: str
    points: float
    levels: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    rule: tuple[tuple[int, float], ...] = ()  # (claims met, points), rising; empty: points in proportion, unrounded
    tests: tuple[str, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    field: str = TEXT  # where the short answer stands that `accepted` is about: the prose, or what a field holds
    misconceptions: tuple[Misconception, ...] = ()
    probe: str = ""
    note: str = ""
    diagram: tuple[Check, ...] = ()

    def points_for(self, met: int, deduct: float = 0.0) -> float:
        """Points for a count of claims met, less what wrong statements cost, and never below 0."""
        share = self.points * met / max(1, len(self.claims or self.diagram))
        return max(0.0, (max((points for need, points in self.rule if need <= met), default=0.0) if self.rule else share) - deduct)

    def supported(self, met: Iterable[str]) -> set[str]:
        """Of the claims met (by id) those that rest on no claim that is not."""
        kept = set(met)
        while loose := {c.id for c in self.claims if c.id in kept and not set(c.depends_on) <= kept}:
            kept -= loose
        return kept

    def deduction(self, asserted: Iterable[str]) -> float:
        """What the misconceptions asserted (by id) cost."""
        said = set(asserted)
        return sum(m.deduct for m in self.misconceptions if m.id in said)


@dataclass(frozen=True, slots=True)
class Rubric:
    criteria: tuple[Criterion, ...]
    bands: tuple[tuple[str, float], ...] = ()  # rising
    must_have: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    language: str = "en"

    @property
    def max(self) -> float:
        return sum(criterion.points for criterion in self.criteria)

    def criterion(self, id: str) -> Criterion:
        for criterion in self.criteria:
            if criterion.id == id:
                return criterion
        raise KeyError(f"the rubric has no criterion {id!r}")

    def level(self, points: Mapping[str, float]) -> str:
        """The highest band whose total and must-have criteria (each at half its points or more) are reached, or `BELOW`.

        `points` maps criterion ids to points; a criterion that is not there has none.
        """
        total, level = sum(points.get(c.id, 0.0) for c in self.criteria), BELOW
        for name, least in self.bands:
            halves = (points.get(id, 0.0) * 2 >= self.criterion(id).points for id in self.must_have.get(name, ()))
            if total >= least and all(halves):
                level = name
        return level

    @property
    def id(self) -> str:
        """SHA-256 of the canonical JSON: two rubrics with the same id mark alike."""
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_dict(cls, data: Any, path: str = "rubric.yaml") -> Rubric:
        """Check and build. Raises RubricError with the place of the first fault; `path` is the file named in it."""
        data = _plain(data)
        error = next(iter(sorted(_validator().iter_errors(data), key=_depth)), None)
        if error is not None:
            raise RubricError(_place(error), _problem(error), path)
        criteria = tuple(_criterion(item, f"criteria[{i}]", path) for i, item in enumerate(data["criteria"]))
        _unique((c.id for c in criteria), "criteria", path)
        # Sorted, because JSON as PostgreSQL keeps it has an order of keys of its own.
        rubric = cls(criteria, tuple(sorted(data.get("bands", {}).items(), key=lambda band: band[1])),
                     {k: tuple(v) for k, v in data.get("must_have", {}).items()}, data.get("language", "en"))
        _check_bands(rubric, path)
        return rubric

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes; optional keys at their defaults are left out."""
        out: dict[str, Any] = {}
        if self.bands:
            out["bands"] = dict(self.bands)
        if self.must_have:
            out["must_have"] = {level: list(ids) for level, ids in self.must_have.items()}
        out["criteria"] = [_criterion_dict(criterion) for criterion in self.criteria]
        return out


@cache
def schema() -> dict[str, Any]:
    """The published JSON Schema (draft 2020-12) of `rubric.yaml`."""
    loaded: dict[str, Any] = json.loads((Path(__file__).parent / "rubric.schema.json").read_text("utf-8"))
    return loaded


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def _plain(value: Any) -> Any:
    """Mapping keys as strings: YAML reads the keys of `rule: {1: 1}` as integers, JSON has only strings."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _depth(error: ValidationError) -> tuple[int, str]:
    return len(error.absolute_path), _place(error)


def _place(error: ValidationError) -> str:
    place = ""
    for part in error.absolute_path:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    return place


def _problem(error: ValidationError) -> str:
    if isinstance(error.instance, bool) and error.validator == "type":
        return f"YAML read this as {error.instance}; put it in quotes"
    if isinstance(error.instance, dict) and error.validator == "type" and "string" in error.validator_value:
        return "this is a mapping, not a text; a text with a colon needs quotes"
    message = str(error.message)
    return message if len(message) < 300 else message[:300] + " …"


def _unique(ids: Iterable[str], place: str, path: str) -> None:
    seen: set[str] = set()
    for i, id in enumerate(ids):
        if id in seen:
            raise RubricError(f"{place}[{i}].id", f"{id!r} is used twice", path)
        seen.add(id)


def _terms(item: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(form) for form in group) for group in item.get("terms", ()))


def _numbers(item: Mapping[str, Any]) -> tuple[Number, ...]:
    return tuple(Number(float(n["value"]), n.get("unit", ""), float(n.get("tolerance", 0.05)))
                 for n in item.get("numbers", ()))


def _claim(item: Mapping[str, Any]) -> Claim:
    return Claim(item["id"], item["text"], tuple(item.get("paraphrases", ())), _terms(item), _numbers(item),
                 item.get("polarity", "affirm"), tuple(item.get("contradictions", ())), tuple(item.get("depends_on", ())))


def _criterion(item: Mapping[str, Any], place: str, path: str) -> Criterion:
    has = [kind for kind in EVIDENCE if kind in item]
    if len(has) != 1:
        said = " and ".join(has) or "none of them"
        raise RubricError(place, f"needs exactly one of {', '.join(EVIDENCE)}; it has {said}", path)
    claims = tuple(_claim(claim) for claim in item.get("claims", ()))
    for kind in ("claims", "misconceptions", "diagram"):
        _unique((entry["id"] for entry in item.get(kind, ())), f"{place}.{kind}", path)
    _check_depends(claims, place, path)
    rule = tuple(sorted((int(met), float(points)) for met, points in item.get("rule", {}).items()))
    criterion = Criterion(
        id=item["id"], title=item["title"], points=item["points"], levels=tuple(item.get("levels", ())), claims=claims,
        rule=rule, tests=tuple(item.get("tests", ())),
        quantities=tuple(_quantity(q, f"{place}.quantities[{i}]", path) for i, q in enumerate(item.get("quantities", ()))),
        accepted=tuple(item.get("accepted", ())), rejected=tuple(item.get("rejected", ())), field=item.get("field", TEXT),
        misconceptions=tuple(Misconception(
            m["id"], m["text"], float(m["deduct"]), tuple(m.get("paraphrases", ())), _terms(m), _numbers(m),
            m.get("feedback", "")) for m in item.get("misconceptions", ())),
        probe=item.get("probe", ""), note=item.get("note", ""), diagram=tuple(_check(check) for check in item.get("diagram", ())))
    if "field" in item and not criterion.accepted:
        raise RubricError(f"{place}.field", "only `accepted` is about one field; a quantity names its own", path)
    if criterion.levels and len(criterion.levels) != criterion.points + 1:
        raise RubricError(f"{place}.levels", f"{criterion.points:g} points need {criterion.points + 1:g} descriptors, "
                          f"from 0 up; there are {len(criterion.levels)}", path)
    _check_rule(criterion, place, path)
    if criterion.quantities and abs(sum(q.points for q in criterion.quantities) - criterion.points) > 1e-9:
        raise RubricError(f"{place}.quantities", f"their points must add up to {criterion.points:g}", path)
    return criterion


def _check(item: Mapping[str, Any]) -> Check:
    kind = next(kind for kind in ("node", "edge", "path", "inside") if kind in item)
    body = item[kind]
    parts = [body] if kind == "node" else body if kind == "path" else [body[key] for key in {"edge": ("from", "to"), "inside": ("node", "of")}[kind]]
    label = body.get("label", ()) if kind == "edge" else ()
    return Check(item["id"], item["text"], kind, tuple(tuple(map(str, part)) for part in parts), tuple(map(str, label)), tuple(item.get("paraphrases", ())))


def _check_dict(check: Check) -> dict[str, Any]:
    parts = [list(part) for part in check.parts]
    body: Any = {"node": parts[0], "path": parts, "edge": {"from": parts[0], "to": parts[-1]} | ({"label": list(check.label)} if check.label else {}),
                 "inside": {"node": parts[0], "of": parts[-1]}}[check.kind]
    return _slim({"id": check.id, "text": check.text, "paraphrases": check.paraphrases}, {"paraphrases": ()}) | {check.kind: body}


def _quantity(item: Mapping[str, Any], place: str, path: str) -> Quantity:
    from grading.units import UnitError, parse_unit  # units.py needs no rubric; imported late to keep start-up light

    tolerance, alternatives = float(item.get("tolerance", 0.05)), item.get("alternatives", ())
    for at, unit in ((place, item.get("unit", "")), *((f"{place}.alternatives[{i}]", n.get("unit", "")) for i, n in enumerate(alternatives))):
        try:
            parse_unit(unit)
        except UnitError as error:
            raise RubricError(f"{at}.unit", str(error), path) from None
    return Quantity(item["field"], float(item["value"]), float(item["points"]), item.get("unit", ""), tolerance, float(item.get("part", 0.5)),
                    item.get("label", ""), tuple(Number(float(n["value"]), n.get("unit", ""), float(n.get("tolerance", tolerance))) for n in alternatives))


def _check_depends(claims: tuple[Claim, ...], place: str, path: str) -> None:
    order: dict[str, tuple[str, ...]] = {claim.id: claim.depends_on for claim in claims}
    for i, claim in enumerate(claims):
        for id in claim.depends_on:
            if id not in order:
                raise RubricError(f"{place}.claims[{i}].depends_on", f"this criterion has no claim {id!r}", path)
        reached, ahead = set[str](), list(claim.depends_on)
        while ahead:
            id = ahead.pop()
            if id == claim.id:
                raise RubricError(f"{place}.claims[{i}].depends_on", f"{claim.id!r} depends on itself", path)
            if id not in reached:
                reached.add(id)
                ahead.extend(order[id])


def _check_rule(criterion: Criterion, place: str, path: str) -> None:
    if not criterion.rule:
        return
    count = len(criterion.claims or criterion.diagram)
    if not count:
        raise RubricError(f"{place}.rule", "only a criterion with claims or a diagram has a rule", path)
    points = [points for _, points in criterion.rule]
    if points != sorted(points):
        raise RubricError(f"{place}.rule", "more claims may not give fewer points", path)
    if points[-1] != criterion.points:
        raise RubricError(f"{place}.rule", f"the last entry must give all {criterion.points:g} points", path)
    if criterion.rule[-1][0] > count:
        raise RubricError(f"{place}.rule", f"asks for {criterion.rule[-1][0]} claims; there are {count}", path)


def _check_bands(rubric: Rubric, path: str) -> None:
    least = [points for _, points in rubric.bands]
    named = [name for name, _ in rubric.bands if name in LEVELS]
    if any(a >= b for a, b in pairwise(least)) or named != sorted(named):
        raise RubricError("bands", "must rise", path)
    if least and least[-1] > rubric.max:
        raise RubricError("bands", f"asks for {least[-1]:g} of {rubric.max:g} points", path)
    for level, ids in rubric.must_have.items():
        if level not in dict(rubric.bands):
            raise RubricError(f"must_have.{level}", "there is no such band", path)
        for i, id in enumerate(ids):
            if id not in {c.id for c in rubric.criteria}:
                raise RubricError(f"must_have.{level}[{i}]", f"there is no criterion {id!r}", path)


def _slim(pairs: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs.items():
        if key in defaults and value == defaults[key]:
            continue
        out[key] = [list(v) if isinstance(v, tuple) else v for v in value] if isinstance(value, tuple) else value
    return out


def _statement_dict(item: Claim | Misconception) -> dict[str, Any]:
    numbers = tuple(_number_dicts(item.numbers))
    return _slim({"id": item.id, "text": item.text, "paraphrases": item.paraphrases, "terms": item.terms, "numbers": numbers},
                 {"paraphrases": (), "terms": (), "numbers": ()})


def _number_dicts(numbers: Iterable[Number]) -> list[dict[str, Any]]:
    return [_slim({"value": n.value, "unit": n.unit, "tolerance": n.tolerance}, {"unit": ""}) for n in numbers]


def _criterion_dict(c: Criterion) -> dict[str, Any]:
    out: dict[str, Any] = _slim({"id": c.id, "title": c.title, "points": c.points, "levels": c.levels}, {"levels": ()})
    if c.claims:
        out["claims"] = [_statement_dict(claim) | _slim(
            {"polarity": claim.polarity, "contradictions": claim.contradictions, "depends_on": claim.depends_on},
            {"polarity": "affirm", "contradictions": (), "depends_on": ()}) for claim in c.claims]
    if c.diagram:
        out["diagram"] = [_check_dict(check) for check in c.diagram]
    if c.rule:
        out["rule"] = {str(met): points for met, points in c.rule}
    out |= _slim({"tests": c.tests, "accepted": c.accepted, "rejected": c.rejected, "field": c.field},
                 {"tests": (), "accepted": (), "rejected": (), "field": TEXT})
    if c.quantities:
        out["quantities"] = [_slim({key: getattr(q, key) for key in Quantity.__slots__ if key != "alternatives"}, {"unit": "", "label": ""})
                             | ({"alternatives": _number_dicts(q.alternatives)} if q.alternatives else {}) for q in c.quantities]
    if c.misconceptions:
        out["misconceptions"] = [_statement_dict(m) | _slim({"deduct": m.deduct, "feedback": m.feedback}, {"feedback": ""})
                                 for m in c.misconceptions]
    return out | _slim({"probe": c.probe, "note": c.note}, {"probe": "", "note": ""})
