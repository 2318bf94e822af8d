"""Fits the weights of `grading.fusion` to answers that were marked claim by claim, and measures them on questions that the fit did not see.

A ridge-penalised logistic regression by Newton's method. Which of a claim's clauses is looked at depends on the weights, so that choice and fit take turns
(as in multiple-instance learning, Andrews et al. 2002); a feature whose weight would be negative is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grading.encoder import encoder
from grading.fusion import FEATURES, Weights
from grading.marked import MarkedAnswer, MarkedQuestion, report
from grading.rubric import Criterion, Misconception
from grading.scorer import lay_beside, read_answer

RIDGE = 10.0
TURNS = 4
FOREIGN = 0.1  # trust in a claim not being met by an answer to another question
FOURTH = 4  # of a question that shares no topic every fourth answer is taken, and its exemplar for L7
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Example:
    """One claim or misconception beside one answer: `features` [candidates, 6], the answer's `doubt` and `away`, and whether the markers found it. `trust` is
    less than 1 for answers to another question, of which nobody marked anything: of the same field, they say some things by the way. `bare`: of a rubric that
    asks for no terms."""

    question: str
    wrong: bool
    features: Matrix
    against: tuple[float, float]
    met: bool
    trust: float = 1.0
    bare: bool = False


def stripped(question: MarkedQuestion) -> MarkedQuestion:
    """The question with a rubric as a first draft has it: claims with one paraphrase at most, without terms and contradictions."""
    def bare(criterion: Criterion) -> Criterion:
        return replace(criterion, claims=tuple(replace(c, paraphrases=c.paraphrases[:1], terms=(), contradictions=()) for c in criterion.claims))

    rubric = question.folder.rubric
    return replace(question, folder=replace(question.folder, rubric=replace(rubric, criteria=tuple(map(bare, rubric.criteria)))))


def examples(question: MarkedQuestion, others: Sequence[MarkedQuestion] = ()) -> list[Example]:
    """All claims and misconceptions of a question beside its answers that can earn anything, and beside some answers to `others`, where none is met."""
    out = list[Example]()
    for answer in question.answers:
        out += _beside(question, answer.text, answer)
    for other in others:
        best = other.folder.best
        for text in [*(answer.text for answer in other.answers[::FOURTH]), *([best.text] if best else [])]:
            out += _beside(question, text)
    return out


def _beside(question: MarkedQuestion, text: str, marked: MarkedAnswer | None = None) -> Iterator[Example]:
    """`marked`: the answer with its marks; without one it is an answer to another question."""
    rubric, asked = question.folder.rubric, question.folder.question
    beside = lay_beside(rubric, rubric.criteria, read_answer(text, asked, encoder()), asked)
    if beside is None:
        return
    for (criterion, name), target in beside.book.targets.items():
        wrong = isinstance(target.item, Misconception)
        if name.startswith("!~") or (wrong and marked is None):
            continue  # nobody marked what a claim excludes, or what an answer to another question gets wrong
        met = marked is not None and target.item.id in (marked.final[criterion].misconceptions if wrong else marked.final[criterion].claims)
        features = np.array([c.features for c in beside.candidates((criterion, name))])
        yield Example(question.folder.path.name, wrong, features, (beside.doubt, beside.away), met, 1.0 if marked else FOREIGN, not target.forms)


def logistic(x: Matrix, y: Matrix, trust: Matrix, ridge: float = RIDGE) -> Matrix:
    """Weights of the standardised columns, told for the columns as they are, with the bias last; none but the bias is negative."""
    kept = list(range(x.shape[1]))
    while True:
        part = x[:, kept]
        mean, scale = part.mean(axis=0), part.std(axis=0) + 1e-9
        a = np.c_[(part - mean) / scale, np.ones(len(x))]
        w = np.zeros(a.shape[1])
        penalty = np.diag([*[ridge] * len(kept), 1e-6])
        for _ in range(25):
            p = 1.0 / (1.0 + np.exp(-a @ w))
            w -= np.linalg.solve((a * (trust * p * (1 - p))[:, None]).T @ a + penalty, a.T @ (trust * (p - y)) + penalty @ w)
        told = w[:-1] / scale
        if (told >= 0).all():
            out = np.zeros(x.shape[1] + 1)
            out[kept] = told
            out[-1] = w[-1] - float((mean * told).sum())
            return out
        kept.pop(int(told.argmin()))


def _fit(rows: Sequence[Example], columns: Sequence[int], against: bool) -> Matrix:
    """Bias-last weights of these feature columns, and between them with `against` those of what is taken off."""
    y, trust = np.array([row.met for row in rows], float), np.array([row.trust for row in rows])
    off = -np.array([row.against for row in rows]) if against else np.zeros((len(rows), 0))
    pick = [row.features[0] for row in rows]
    for _ in range(TURNS):
        w = logistic(np.c_[np.array([p[list(columns)] for p in pick]), off], y, trust)
        pick = [row.features[int((row.features[:, list(columns)] @ w[: len(columns)]).argmax())] for row in rows]
    return w


def fit(rows: Sequence[Example]) -> Weights:
    """The weights that fit these examples. What an answer says wrong and how far it is away is weighed on claims with terms, for all."""
    def of(rows: Sequence[Example], names: Sequence[str], against: bool) -> tuple[list[float], list[float], float]:
        columns = [FEATURES.index(name) for name in names]
        found = [round(float(w), 4) for w in _fit(rows, columns, against)]
        told = [0.0] * len(FEATURES)
        for column, weight in zip(columns, found, strict=False):
            told[column] = weight
        return told, found[len(columns) : -1], found[-1]

    claim, (doubt, away), bias = of([row for row in rows if not row.wrong and not row.bare], FEATURES, True)
    bare, _, bare_bias = of([row for row in rows if not row.wrong and row.bare], FEATURES[2:], True)
    wrong, _, wrong_bias = of([row for row in rows if row.wrong], ("nearness", "lead"), False)
    return Weights(tuple(claim), bias, tuple(bare), bare_bias, doubt, away, (wrong[2], wrong[3]), wrong_bias)


def cross_validated(questions: Sequence[MarkedQuestion]) -> tuple[Weights, dict[str, Any], dict[str, Any]]:
    """(the weights by all questions, the report in which each question is scored with the weights by the others, the same for rubrics as stripped)."""
    rows = [row for q in questions for others in [[other for other in questions if not q.folder.topics & other.folder.topics]]
            for row in (*examples(q, others), *(row for row in examples(stripped(q), others) if not row.wrong))]
    held = {q.folder.path.name: fit([row for row in rows if row.question != q.folder.path.name]) for q in questions}
    return fit(rows), report(questions, held), report([stripped(q) for q in questions], held)
