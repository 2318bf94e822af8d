"""Agreement between two markers: r, quadratic weighted kappa, RMSE, standardised mean difference, with bootstrap over questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Groups = NDArray[np.int64]  # the question of each answer, by number


def pearson(a: Array, b: Array) -> float | None:
    """Pearson's r; None when one side does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def per_question_r(questions: Groups, a: Array, b: Array) -> float | None:
    """Pearson's r within each question, weighted by its answers; questions of fewer than five answers or without spread are left out."""
    order, starts = _sorted(questions)
    counts = np.diff(starts, append=len(order))
    kept, squares = counts >= 5, []
    apart = [values[order] - np.repeat(np.add.reduceat(values[order], starts) / counts, counts) for values in (a, b)]
    for values, off in zip((a[order], b[order]), apart, strict=True):
        kept &= np.maximum.reduceat(values, starts) > np.minimum.reduceat(values, starts)
        squares.append(np.add.reduceat(off * off, starts))
    if not kept.any():
        return None
    r = np.add.reduceat(apart[0] * apart[1], starts)[kept] / np.sqrt(squares[0] * squares[1])[kept]
    return float(np.average(r, weights=counts[kept]))


def _sorted(questions: Groups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(indices that put answers to one question beside each other, where each question begins there)."""
    order = np.argsort(questions, kind="stable")
    return order, np.flatnonzero(np.r_[True, np.diff(questions[order]) != 0])


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


def numbered(questions: Sequence[str]) -> Groups:
    """The questions of some answers as numbers, in the order in which they first come."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(questions))}
    return np.array([numbers[name] for name in questions], np.int64)


def bootstrap(questions: Groups, measure: Callable[[NDArray[np.int64]], float | None], rounds: int = 200, seed: int = 7) -> list[float] | None:
    """95 % interval of `measure(indices)` with whole questions drawn again."""
    order, starts = _sorted(questions)
    groups = np.split(order, starts[1:])
    if len(groups) < 3:
        return None
    rng = np.random.default_rng(seed)
    values = [measure(np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])) for _ in range(rounds)]
    kept = [v for v in values if v is not None]
    return [float(v) for v in np.percentile(kept, [2.5, 97.5])] if kept else None


def agreement(questions: Sequence[str], true: Array, predicted: Array, scale: float, steps: int, intervals: bool = True) -> dict[str, Any]:
    """All measures of shares in 0..1; `rmse` is told on the scale 0..`scale`."""
    asked = numbered(questions)
    out: dict[str, Any] = {"n": len(true), "questions": len(set(questions))}
    if not len(true):
        return out
    measures: dict[str, Callable[[NDArray[np.int64]], float | None]] = {
        "r": lambda i: pearson(true[i], predicted[i]),
        "r_within_questions": lambda i: per_question_r(asked[i], true[i], predicted[i]),
        "qwk": lambda i: qwk(true[i], predicted[i], steps),
        "rmse": lambda i: scale * rmse(true[i], predicted[i]),
        "smd": lambda i: smd(true[i], predicted[i]),
    }
    everything = np.arange(len(true))
    for name, measure in measures.items():
        out[name] = measure(everything)
    if intervals:
        out["intervals"] = {name: bootstrap(asked, measure) for name, measure in measures.items()}
    out["mean"], out["mean_predicted"] = scale * float(true.mean()), scale * float(predicted.mean())
    return out
