"""How well the scorer agrees with marks that people gave. Nothing is fitted on the file unless a number of marked answers is granted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grading.metrics import Array, agreement, auc, pearson, qwk
from grading.reference import grade
from grading.rubric import Rubric

BANDS = (("0-33 %", 0.0, 1 / 3), ("33-66 %", 1 / 3, 2 / 3), ("66-100 %", 2 / 3, 1.01))
_NO_ANSWER = ("no submission", "no response", "no answer", "n/a", "none")


class DataError(ValueError):
    """A line that can't be used; the message names the file and the line."""


def load(path: str) -> list[dict[str, Any]]:
    """The marked answers of a JSON-lines file. Raises DataError for the first bad line."""
    rows = []
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: a line is one JSON object")
        lacking = [key for key in ("question_id", "answer", "score", "max_score") if key not in row]
        if lacking or not (row.get("reference") or row.get("rubric")):
            raise DataError(f"{path}:{number}: lacks {', '.join(lacking) or 'a reference or a rubric'}")
        try:
            row["score"], row["max_score"] = float(row["score"]), float(row["max_score"])
        except (TypeError, ValueError):
            raise DataError(f"{path}:{number}: score and max_score are numbers") from None
        if row["max_score"] <= 0 or not np.isfinite(row["score"]):
            raise DataError(f"{path}:{number}: max_score must be above 0 and score finite")
        row["answer"], row["question"] = str(row["answer"] or ""), str(row.get("question") or "")
        reference = row.get("reference") or []
        row["references"] = [str(r) for r in (reference if isinstance(reference, list) else [reference]) if str(r).strip()]
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: no answers")
    return rows


def predict(row: dict[str, Any], rubric: Rubric | None = None) -> tuple[float, tuple[str, ...]]:
    """(share of full marks, flags) of one line, from its rubric or else its reference."""
    if rubric is None and isinstance(row.get("rubric"), dict):
        rubric = Rubric.from_dict(row["rubric"], f"rubric of {row['question_id']}")
    if rubric is not None:
        from grading.scorer import score

        result = score(rubric, row["answer"], row["question"])
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
    true = np.clip(np.array([row["score"] / row["max_score"] for row in rows]), 0.0, 1.0)
    scales = {row["max_score"] for row in rows}
    scale = scales.pop() if len(scales) == 1 else 1.0
    steps = int(scale) if scale.is_integer() and 2 <= scale <= 30 else 10
    kept = list(range(len(rows)))
    if calibrate:
        predicted, kept = calibrated(rows, predicted, true, calibrate)
    short = [i for i in kept if is_short(rows[i]["answer"])]
    full = [i for i in kept if not is_short(rows[i]["answer"])]

    def part(indices: Sequence[int], intervals: bool = True) -> dict[str, Any]:
        return agreement([str(rows[i]["question_id"]) for i in indices], true[indices], predicted[indices], scale, steps, intervals)

    report = part(full or kept)
    report["scale"], report["calibrated_on"] = scale, calibrate
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
        return f"{name:<22}{part.get('n', 0):>7}" + "".join(cells)

    out = [f"{'':<22}{'n':>7}{'r':>8}{'r in q':>8}{'QWK':>8}{'RMSE':>8}{'SMD':>8}   (RMSE of {report['scale']:g})", line("four words or more", report)]
    for name, (low, high) in ((n, v) for n, v in (report.get("intervals") or {}).items() if v):
        out.append(f"    95 % interval of {name}: {low:.3f} to {high:.3f}")
    out += [line(f"  band {name}", part) for name, part in report["bands"].items()]
    out += [line("blank or shorter", report["short_answers"]), line("all together", report["with_short_answers"])]
    if report.get("human_human"):
        out.append(line("one person, another", report["human_human"]))
    if report.get("contradiction_auc") is not None:
        out.append(f"AUC of correct against contradictory: {report['contradiction_auc']:.3f}")
    return "\n".join(out)
