"""Answers marked twice by a rubric, claim by claim: how far the two passes agree with each other, and the scorer with what was decided.

A file holds one question: `made` (how answers and marks came about, in plain words), `question` (its folder under the bank), and `answers`, each with `id`,
`kind` (what its writer was asked for), `text`, the marks `first` and `second` (criterion -> `points`, `claims` met, `misconceptions` held, `why`), and
`adjudicated`, which holds the criteria on which the passes differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from grading.evaluate import DataError
from grading.folders import Folder, read_folder
from grading.fusion import Weights
from grading.metrics import bootstrap, numbered, pearson, qwk, rmse, smd
from grading.result import Score
from grading.rubric import Criterion, Rubric
from grading.scorer import score

Marks = Mapping[str, "Mark"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What one marker found in one criterion of one answer."""

    points: float
    claims: frozenset[str]
    misconceptions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MarkedAnswer:
    """One answer and its three marks; `final` is the adjudicated mark, or where the passes agree what both said."""

    id: str
    kind: str
    text: str
    first: Marks
    second: Marks
    final: Marks


@dataclass(frozen=True, slots=True)
class MarkedQuestion:
    folder: Folder
    answers: tuple[MarkedAnswer, ...]


def read_all(folder: Path, bank: Path) -> list[MarkedQuestion]:
    """Every file of a folder. Raises DataError when it holds none, or for the first bad one."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise DataError(f"{folder}: no marked answers")
    return [read(path, bank) for path in paths]


def read(path: Path, bank: Path) -> MarkedQuestion:
    """One file, checked against the rubric that the bank has today.

    Raises:
        DataError: not of this form, or marks of criteria and claims that the rubric doesn't have; the message names file and answer.
    """
    data = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(data, dict) or not isinstance(data.get("answers"), list) or not data.get("question") or not data.get("made"):
        raise DataError(f"{path}: made, question and answers are due")
    folder = read_folder(bank / str(data["question"]))
    return MarkedQuestion(folder, tuple(_answer(row, folder.rubric, f"{path}: answer {n}") for n, row in enumerate(data["answers"], 1)))


def _answer(row: Any, rubric: Rubric, place: str) -> MarkedAnswer:
    if not isinstance(row, dict) or not str(row.get("text") or "").strip():
        raise DataError(f"{place}: an answer has a text")
    place = f"{place} ({row.get('id')})"
    first, second = (_marks(row.get(name), rubric, f"{place}: {name}") for name in ("first", "second"))
    lacking = [c.id for c in rubric.criteria if c.id not in first or c.id not in second]
    if lacking:
        raise DataError(f"{place}: no marks for {', '.join(lacking)}")
    decided = _marks(row.get("adjudicated") or {}, rubric, f"{place}: adjudicated")
    disputed = {id for id in first if first[id] != second[id]}
    if disputed != set(decided):
        raise DataError(f"{place}: the passes differ on {', '.join(sorted(disputed)) or 'nothing'}; adjudicated is {', '.join(sorted(decided)) or 'nothing'}")
    return MarkedAnswer(str(row.get("id")), str(row.get("kind")), str(row["text"]), first, second, {**first, **decided})


def _marks(data: Any, rubric: Rubric, place: str) -> dict[str, Mark]:
    if not isinstance(data, dict):
        raise DataError(f"{place}: criterion -> mark is due")
    known = {c.id: c for c in rubric.criteria}
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise DataError(f"{place}: the rubric has no criterion {', '.join(unknown)}")
    return {id: _mark(mark, known[id], f"{place}: {id}") for id, mark in data.items()}


def _mark(data: Any, criterion: Criterion, place: str) -> Mark:
    if not isinstance(data, dict) or not isinstance(data.get("points"), (int, float)) or not 0 <= data["points"] <= criterion.points:
        raise DataError(f"{place}: points from 0 to {criterion.points:g} are due")
    claims, held = frozenset(data.get("claims") or ()), frozenset(data.get("misconceptions") or ())
    unknown = sorted((claims - {c.id for c in criterion.claims}) | (held - {m.id for m in criterion.misconceptions}))
    if unknown:
        raise DataError(f"{place}: the rubric has no {', '.join(unknown)}")
    return Mark(float(data["points"]), claims, held)


@dataclass(frozen=True, slots=True)
class _Pair:
    """The marks that two markers gave one answer."""

    question: str
    kind: str
    rubric: Rubric
    true: Marks
    other: Marks

    def total(self, marks: Marks) -> float:
        return sum(mark.points for mark in marks.values())

    def level(self, marks: Marks) -> str:
        return self.rubric.level({id: mark.points for id, mark in marks.items()})


def scored(result: Score) -> dict[str, Mark]:
    """The scorer's marks in the form of a marker's."""
    def met(kind: str, marks: Iterable[Any]) -> frozenset[str]:
        return frozenset(mark.id for mark in marks if mark.kind == kind and mark.met)

    return {c.id: Mark(c.points, met("claim", c.marks), met("misconception", c.marks)) for c in result.criteria}


def report(questions: Sequence[MarkedQuestion], weights: Mapping[str, Weights] | None = None) -> dict[str, Any]:
    """Agreement of the passes, and of the scorer with the adjudicated marks. `weights`: those for each question's folder name, instead of the shipped ones."""
    passes, ours, inside, sure, looks, review = list[_Pair](), list[_Pair](), list[bool](), list[float](), Counter[str](), 0
    for question in questions:
        rubric, name = question.folder.rubric, question.folder.path.name
        for answer in question.answers:
            result = score(rubric, answer.text, question.folder.question, weights=weights[name] if weights else None)
            passes.append(_Pair(name, answer.kind, rubric, answer.first, answer.second))
            ours.append(_Pair(name, answer.kind, rubric, answer.final, scored(result)))
            inside.append(ours[-1].level(answer.final) in (result.level_set or (result.level,)))
            sure += [c.confidence for c in result.criteria]
            looks += _looks(result, answer.final)
            review += result.state == "review"
    return {
        "n": len(ours),
        "questions": len(questions),
        "passes": _compare(passes),
        "scorer": _compare(ours),
        "level_set_holds": float(np.mean(inside)),
        "sent_to_review": review / len(ours),
        "sure_of_criteria": float(np.mean(sure)),
        "unsure": {"claims": looks["unsure"] / looks["claims"], "errors": looks["found"] / max(1, looks["errors"]), "wrong": looks["wrong"],
                   "wrong_rightly": looks["rightly"]},
        "kinds": _kinds(ours),
    }


def _looks(result: Score, final: Marks) -> Counter[str]:
    """Counts of claims, of those decided otherwise than the readers did (`errors`), of those that the scorer points out (`unsure`) and that are both (`found`);
    of suspected wrong statements (`wrong`) and of those that the readers found, too (`rightly`)."""
    out = Counter[str]()
    for criterion in result.criteria:
        doubted = {look.id for look in criterion.unsure if look.kind != "wrong"}
        for mark in (mark for mark in criterion.marks if mark.kind == "claim"):
            error, unsure = mark.met != (mark.id in final[criterion.id].claims), mark.id in doubted
            out.update(claims=1, errors=error, unsure=unsure, found=error and unsure)
        for look in (look for look in criterion.unsure if look.kind == "wrong"):
            out.update(wrong=1, rightly=look.id in final[criterion.id].misconceptions)
    return out


def _compare(pairs: Sequence[_Pair]) -> dict[str, Any]:
    asked = numbered([p.question for p in pairs])
    scale = max(p.rubric.max for p in pairs)
    a = np.array([p.total(p.true) / p.rubric.max for p in pairs])
    b = np.array([p.total(p.other) / p.rubric.max for p in pairs])
    rows = [(p.rubric.criterion(id), p.true[id], p.other[id]) for p in pairs for id in p.true]
    x = np.array([true.points / c.points for c, true, _ in rows])
    y = np.array([other.points / c.points for c, _, other in rows])
    steps = int(max(c.points for c, _, _ in rows))
    levels = Counter((p.level(p.true), p.level(p.other)) for p in pairs)
    return {
        "r": pearson(a, b),
        "qwk": qwk(a, b, int(scale)),
        "qwk_interval": bootstrap(asked, lambda i: qwk(a[i], b[i], int(scale))),
        "rmse": scale * rmse(a, b),
        "smd": smd(a, b),
        "mean": [scale * float(a.mean()), scale * float(b.mean())],
        "criterion_qwk": qwk(x, y, steps),
        "criterion_exact": float(np.mean(x == y)),
        "criterion_within_1": float(np.mean(np.abs(x - y) * steps <= 1 + 1e-9)),
        "claims": _found(rows, wrong=False),
        "misconceptions": _found(rows, wrong=True),
        "same_level": sum(n for (left, right), n in levels.items() if left == right) / len(pairs),
        "levels": {f"{left} -> {right}": n for (left, right), n in sorted(levels.items())},
    }


def _found(rows: Iterable[tuple[Criterion, Mark, Mark]], wrong: bool) -> dict[str, float | None]:
    """Precision and recall of the claims, or with `wrong` of the misconceptions, that the second side found, by the first; Cohen's kappa. None where there is
    nothing to take a share of."""
    table = np.zeros((2, 2))
    for criterion, true, other in rows:
        for item in criterion.misconceptions if wrong else criterion.claims:
            table[tuple(int(item.id in (mark.misconceptions if wrong else mark.claims)) for mark in (true, other))] += 1
    n, both, agree = float(table.sum()), float(table[1, 1]), float(np.trace(table))
    chance = float((table.sum(0) * table.sum(1)).sum()) / n if n else n
    return {"n": n, "precision": _share(both, float(table[:, 1].sum())), "recall": _share(both, float(table[1].sum())),
            "kappa": _share(agree - chance, n - chance)}


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _kinds(pairs: Sequence[_Pair]) -> dict[str, list[float]]:
    """Mean points by kind of answer: as adjudicated, as scored."""
    out = {}
    for kind in dict.fromkeys(sorted(p.kind for p in pairs)):
        of = [p for p in pairs if p.kind == kind]
        out[kind] = [float(np.mean([p.total(p.true) for p in of])), float(np.mean([p.total(p.other) for p in of]))]
    return out


def table(found: dict[str, Any]) -> str:
    """The report for people."""
    def cells(key: str, of: str = "") -> str:
        values = [(found[side][of] if of else found[side])[key] for side in ("passes", "scorer")]
        return "".join(f"{value:>14.3f}" if value is not None else f"{'-':>14}" for value in values)

    rows = [("r of the totals", "r"), ("QWK of the totals", "qwk"), ("RMSE of the totals, points", "rmse"), ("SMD of the totals", "smd"),
            ("QWK of a criterion", "criterion_qwk"), ("criterion, same points", "criterion_exact"), ("criterion, within one point", "criterion_within_1"),
            ("same level", "same_level")]
    out = [f"{found['n']} answers to {found['questions']} questions", f"{'':<30}{'pass 1, 2':>14}{'final, scorer':>14}"]
    out += [f"{label:<30}{cells(key)}" for label, key in rows]
    out += [f"{f'{of}, {key}':<30}{cells(key, of)}" for of in ("claims", "misconceptions") for key in ("precision", "recall", "kappa")]
    for side, interval in ((side, found[side]["qwk_interval"]) for side in ("passes", "scorer")):
        out.append(f"95 % interval of the {side}' QWK: {interval[0]:.3f} to {interval[1]:.3f}" if interval else "")
    out.append(f"the level set holds the level: {found['level_set_holds']:.2f}; sent to a person: {found['sent_to_review']:.2f}")
    out.append(f"criteria: {found['sure_of_criteria']:.2f} sure on average that the points are right, {found['scorer']['criterion_exact']:.2f} are")
    unsure = found["unsure"]
    out.append(f"pointed out to a person: {unsure['claims']:.2f} of the claims with {unsure['errors']:.2f} of the errors, "
               f"and {unsure['wrong']} statements as perhaps wrong, {unsure['wrong_rightly']} of them rightly")
    out.append("levels, final -> scorer: " + ", ".join(f"{name}: {n}" for name, n in found["scorer"]["levels"].items()))
    out += [f"{kind:<30}{true:>14.1f}{given:>14.1f}" for kind, (true, given) in found["kinds"].items()]
    return "\n".join(line for line in out if line)
