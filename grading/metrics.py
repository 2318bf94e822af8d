"""Agreement between two markers: r, quadratic weighted kappa, RMSE, standardised mean difference, with bootstrap over questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pearson(a: Array, b: Array) -> float | None:
    """Pearson's r; None when one side does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def per_question_r(questions: Sequence[str], a: Array, b: Array) -> float | None:
    """Pearson's r within each question, weighted by its answers; questions of fewer than five answers or without spread are left out."""
    names = np.array(questions)
    found = [(pearson(a[names == q], b[names == q]), int((names == q).sum())) for q in dict.fromkeys(questions)]
    kept = [(r, n) for r, n in found if r is not None and n >= 5]
    return float(np.average([r for r, _ in kept], weights=[n for _, n in kept])) if kept else None


def qwk(a: Array, b: Array, steps: int) -> float | None:
    """Quadratic weighted kappa of shares in 0..1 put on a grid of `steps` equal steps (Cohen 1968)."""
    i, j = np.rint(a * steps).astype(int), np.rint(b * steps).astype(int)
    table = np.zeros((steps + 1, steps + 1))
    np.add.at(table, (i, j), 1.0)
    weight = (np.arange(steps + 1)[:, None] - np.arange(steps + 1)[None, :]) ** 2.0
    expected = np.outer(table.sum(1), table.sum(0)) / max(1.0, table.sum())
    bottom = float((weight * expected).sum())
    return 1.0 - float((weight * table).sum()) / bottom if bottom else None


def rmse(a: Array, b: Array) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


def smd(true: Array, predicted: Array) -> float | None:
    """(mean predicted - mean true) over the pooled standard deviation; None when neither side varies."""
    if np.ptp(true) == 0 and np.ptp(predicted) == 0:
        return None
    return float(predicted.mean() - true.mean()) / float(np.sqrt((true.var() + predicted.var()) / 2))


def auc(positive: Array, negative: Array) -> float | None:
    """The chance that a positive scores above a negative; ties count half."""
    if not len(positive) or not len(negative):
        return None
    order = np.concatenate([positive, negative]).argsort(kind="stable")
    values = np.concatenate([positive, negative])
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1, len(values) + 1)
    for value in np.unique(values):  # mean rank of ties
        same = values == value
        ranks[same] = ranks[same].mean()
    n = len(positive)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(negative)))


def bootstrap(questions: Sequence[str], measure: Callable[[NDArray[np.int64]], float | None], rounds: int = 200, seed: int = 7) -> list[float] | None:
    """95 % interval of `measure(indices)` with whole questions drawn again."""
    groups = [np.flatnonzero(np.array(questions) == q) for q in dict.fromkeys(questions)]
    if len(groups) < 3:
        return None
    rng = np.random.default_rng(seed)
    values = [measure(np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])) for _ in range(rounds)]
    kept = [v for v in values if v is not None]
    return [float(v) for v in np.percentile(kept, [2.5, 97.5])] if kept else None


def agreement(questions: Sequence[str], true: Array, predicted: Array, scale: float, steps: int, intervals: bool = True) -> dict[str, Any]:
    """All measures of shares in 0..1; `rmse` is told on the scale 0..`scale`."""
    out: dict[str, Any] = {"n": len(true), "questions": len(set(questions))}
    if not len(true):
        return out
    measures: dict[str, Callable[[NDArray[np.int64]], float | None]] = {
        "r": lambda i: pearson(true[i], predicted[i]),
        "r_within_questions": lambda i: per_question_r([questions[k] for k in i], true[i], predicted[i]),
        "qwk": lambda i: qwk(true[i], predicted[i], steps),
        "rmse": lambda i: scale * rmse(true[i], predicted[i]),
        "smd": lambda i: smd(true[i], predicted[i]),
    }
    everything = np.arange(len(true))
    for name, measure in measures.items():
        out[name] = measure(everything)
    if intervals:
        out["intervals"] = {name: bootstrap(questions, measure) for name, measure in measures.items()}
    out["mean"], out["mean_predicted"] = scale * float(true.mean()), scale * float(predicted.mean())
    return out
