"""How well the scorer agrees with marks that people gave. Nothing is fitted on the file unless a number of marked answers is granted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from grading.metrics import Array, agreement, auc, pearson, qwk
from grading.reference import grade
from grading.rubric import Rubric, RubricError

BANDS = (("0-33 %", 0.0, 1 / 3), ("33-66 %", 1 / 3, 2 / 3), ("66-100 %", 2 / 3, 1.01))
_NO_ANSWER = ("no submission", "no response", "no answer", "n/a", "none")


class DataError(ValueError):
    """A line that can't be used; the message names the file and the line."""


def load(path: str, rubric: Rubric | None = None) -> list[dict[str, Any]]:
    """The marked answers of a JSON-lines file, each with its texts as text and `references` as a list. With a `rubric` for all, lines need no reference.

    Raises DataError for the first bad line.
    """
    rows = []
    for number, line in enumerate(Path(path).read_text("utf-8-sig").split("\n"), 1):  # U+2028 may stand in a JSON string, and ends no line
        if line.strip():
            try:
                rows.append(_row(json.loads(line), rubric is not None))
            except DataError as error:
                raise DataError(f"{path}:{number}: {error}") from None
            except RecursionError:
                raise DataError(f"{path}:{number}: not JSON that can be read: nested too deeply") from None
            except ValueError as error:  # malformed, or a whole number of thousands of digits
                raise DataError(f"{path}:{number}: not JSON: {error}") from None
    if not rows:
        raise DataError(f"{path}: no answers")
    return rows


def _row(row: Any, has_rubric: bool) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError("a line is one JSON object")
    lacking = [key for key in ("question_id", "answer", "score", "max_score") if key not in row]
    if lacking:
        raise DataError(f"lacks {', '.join(lacking)}")
    row["rubric"] = _rubric(row.get("rubric"))
    reference = row.get("reference")
    references = [_text(r) for r in (reference if isinstance(reference, list) else [reference])]
    row["references"] = [r for r in references if r.strip()]
    if not (row["references"] or row["rubric"] or has_rubric):
        raise DataError("lacks a reference or a rubric")
    row["score"], row["max_score"] = _number(row["score"], "score"), _number(row["max_score"], "max_score")
    if row["max_score"] <= 0:
        raise DataError("max_score must be above 0")
    if isinstance(row.get("raters"), list):
        row["raters"] = [_number(mark, "a rater's mark") for mark in row["raters"] if mark is not None]
    row["answer"], row["question"] = _text(row["answer"]), _text(row.get("question"))
    return row


def _rubric(body: Any) -> Rubric | None:
    """A line's own rubric; null and {} are none."""
    if not isinstance(body or {}, dict):
        raise DataError("a rubric is an object")
    if not body:
        return None
    try:
        return _read_rubric(json.dumps(body, sort_keys=True))
    except RubricError as error:
        raise DataError(f"a rubric that can't be used: {error}") from None


@lru_cache(maxsize=512)
def _read_rubric(text: str) -> Rubric:
    """All lines of a question carry the same rubric."""
    return Rubric.from_dict(json.loads(text), "rubric")


def _text(value: Any) -> str:
    """A value as text without halves of surrogate pairs, which an encoder can't read."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{name} is a number, not {value!r}") from None
    except OverflowError:
        raise DataError(f"{name} is too large") from None
    if not np.isfinite(number):
        raise DataError(f"{name} must be finite")
    return number


def predict(row: dict[str, Any], rubric: Rubric | None = None) -> tuple[float, tuple[str, ...]]:
    """(share of full marks, flags) of one line, from its rubric or else its reference."""
    rubric = rubric or row.get("rubric")
    if rubric is not None:
        from grading.scorer import score

        result = score(rubric, row["answer"], row["question"])
        if result.state == "not_scored":
            raise DataError(f"question {row['question_id']}: {result.reason}")
        return result.total / result.max, result.flags
    return grade(row["question"], row["references"], row["answer"])


def is_short(answer: str) -> bool:
    return len(answer.split()) < 4 or answer.strip(" .!").lower() in _NO_ANSWER


def calibrated(rows: Sequence[dict[str, Any]], predicted: Array, true: Array, k: int, seed: int = 7) -> tuple[Array, list[int]]:
    """Shift each question by the mean error of `k` of its answers; these leave the comparison. Returns predictions and the kept indices."""
    rng, out, kept = np.random.default_rng(seed), predicted.copy(), list[int]()
    names = np.array([str(row["question_id"]) for row in rows])
    for name in dict.fromkeys(names):
        of = np.flatnonzero(names == name)
        used = rng.permutation(of)[:k]
        if len(used):
            out[of] = np.clip(predicted[of] + (true[used] - predicted[used]).sum() / (len(used) + 2), 0.0, 1.0)  # two answers' worth of doubt
        kept += [int(i) for i in of if i not in set(used)]
    return out, sorted(kept)


def evaluate(rows: Sequence[dict[str, Any]], rubric: Rubric | None = None, calibrate: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(report, predictions line by line)."""
    found = [predict(row, rubric) for row in rows]
    predicted = np.array([share for share, _ in found])
    shares = np.array([row["score"] / row["max_score"] for row in rows])
    true = np.clip(shares, 0.0, 1.0)
    scales = {row["max_score"] for row in rows}
    scale = scales.pop() if len(scales) == 1 else 1.0
    steps = _steps(rows, scale)
    kept = list(range(len(rows)))
    if calibrate:
        predicted, kept = calibrated(rows, predicted, true, calibrate)
    short = [i for i in kept if is_short(rows[i]["answer"])]
    full = [i for i in kept if not is_short(rows[i]["answer"])]

    def part(indices: Sequence[int], intervals: bool = True) -> dict[str, Any]:
        return agreement([str(rows[i]["question_id"]) for i in indices], true[indices], predicted[indices], scale, steps, intervals)

    report = part(full or kept)
    report["scale"], report["calibrated_on"], report["all_short"] = scale, calibrate, not full
    report["clipped"] = int((shares != true).sum())
    report["bands"] = {name: part([i for i in full if low <= true[i] < high], False) for name, low, high in BANDS}
    report["short_answers"] = part(short, False) if short else {"n": 0}
    report["with_short_answers"] = part(kept, False)
    report["human_human"] = _raters([rows[i] for i in full], steps)
    if any(row.get("label") for row in rows):
        labels = np.array([str(row.get("label") or "") for row in rows])
        mask = np.isin(np.arange(len(rows)), kept)
        report["contradiction_auc"] = auc(predicted[mask & (labels == "correct")], predicted[mask & (labels == "contradictory")])
    lines = [{"question_id": row["question_id"], "score": row["score"], "max_score": row["max_score"],
              "predicted": float(p) * row["max_score"], "flags": list(flags)} for row, p, (_, flags) in zip(rows, predicted, found, strict=True)]
    return report, lines


def _steps(rows: Sequence[dict[str, Any]], scale: float) -> int:
    """Steps of the grid for kappa: points, or half points where marks have them; ten for a scale that is none of points."""
    if not scale.is_integer() or not 2 <= scale <= 30:
        return 10
    halves = any((2 * row["score"]).is_integer() and not row["score"].is_integer() for row in rows)
    return int(scale) * (2 if halves else 1)


def _raters(rows: Iterable[dict[str, Any]], steps: int) -> dict[str, Any] | None:
    pairs = [(float(row["raters"][0]) / row["max_score"], float(row["raters"][1]) / row["max_score"])
             for row in rows if isinstance(row.get("raters"), list) and len(row["raters"]) >= 2]
    if not pairs:
        return None
    a, b = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    return {"n": len(pairs), "r": pearson(a, b), "qwk": qwk(np.clip(a, 0, 1), np.clip(b, 0, 1), steps)}


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    def line(name: str, part: dict[str, Any]) -> str:
        cells = [f"{part[k]:>8.3f}" if isinstance(part.get(k), float) else f"{'-':>8}" for k in ("r", "r_within_questions", "qwk", "rmse", "smd")]
        return f"{name:<26}{part.get('n', 0):>7}" + "".join(cells)

    head = f"{'':<26}{'n':>7}{'r':>8}{'r in q':>8}{'QWK':>8}{'RMSE':>8}{'SMD':>8}   (RMSE of {report['scale']:g})"
    out = [head, line("all (none has four words)" if report["all_short"] else "four words or more", report)]
    if report["clipped"]:
        out.append(f"    {report['clipped']} scores lay outside 0 to max_score and count as the nearer of the two")
    for name, (low, high) in ((n, v) for n, v in (report.get("intervals") or {}).items() if v):
        out.append(f"    95 % interval of {name}: {low:.3f} to {high:.3f}")
    out += [line(f"  band {name}", part) for name, part in report["bands"].items()]
    out += [line("blank or shorter", report["short_answers"]), line("all together", report["with_short_answers"])]
    if report.get("human_human"):
        out.append(line("one person, another", report["human_human"]))
    if report.get("contradiction_auc") is not None:
        out.append(f"AUC of correct against contradictory: {report['contradiction_auc']:.3f}")
    return "\n".join(out)
