"""Grading from a model answer alone, for questions that have no rubric: a share of full marks in 0..1.

The model answer is split into its statements (`grading.draft`). Each earns by its best clause in the answer, through the same gates and the same
test for contradictions as the rubric scorer, on a milder scale: human markers give most of the marks to a short answer that goes the right way. An
answer that comes near none of the statements earns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np

from grading.draft import split_reference
from grading.encoder import encoder
from grading.evidence import COS_0, LEX_0, W_COS, W_LEX, Statement, lexical, opposition, weigh
from grading.result import Question
from grading.scorer import read_answer
from grading.text import tokenise

SLOPE, SHIFT = 0.4, 2.0  # fused evidence -> share of a statement's marks
FAR, NEAR = -4.2, -2.2  # evidence of the best statement: nothing below FAR, all of it from NEAR on
DENIED = 0.7  # milder tests for contradiction cost more agreement on genuine answers than they gain


@lru_cache(maxsize=1024)
def _statements(question: str, reference: str) -> tuple[Statement, ...]:
    model = encoder()
    known = frozenset(t.stem for t in tokenise(question) if t.content)
    texts = split_reference(reference) or [reference.strip() or "-"]
    return tuple(Statement(0, text, tokens, weigh(model, tokens, known)) for text in texts for tokens in [tokenise(text)])


@lru_cache(maxsize=8192)
def _repair(word: str, words: tuple[str, ...]) -> str:
    """The word of `words` that a misspelt word stands for, or the word. A word that English knows is never touched."""
    if len(word) < 5 or encoder().pieces(word) == 1:
        return word
    near = [w for w in words if len(w) >= 5 and w[:2] == word[:2] and abs(len(w) - len(word)) <= 2]
    best = max(near, key=lambda w: SequenceMatcher(None, w, word).ratio(), default=word)
    return best if SequenceMatcher(None, best, word).ratio() >= 0.82 else word


def spell(text: str, words: tuple[str, ...]) -> str:
    """`text` with its misspelt words replaced by the words of the model answer or question that they stand for."""
    return re.sub(r"[A-Za-z]{5,}", lambda m: _repair(m[0].lower(), words) if _repair(m[0].lower(), words) != m[0].lower() else m[0], text)


def grade(question: str, references: Sequence[str], answer: str) -> tuple[float, tuple[str, ...]]:
    """(share of full marks, flags). With several model answers the one that fits best counts."""
    words = tuple(sorted({t.text for text in (question, *references) for t in tokenise(text) if t.content and t.text.isalpha()}))
    reading = read_answer(spell(answer[:200_000], words), Question(question), encoder())
    if reading.void or not reading.clauses:
        return 0.0, reading.flags
    return max(_share(question, reference, reading.clauses, [gate.factor for gate in reading.gates]) for reference in references), reading.flags


def _share(question: str, reference: str, clauses: Sequence, factors: Sequence[float]) -> float:  # type: ignore[type-arg]
    model, statements = encoder(), _statements(question, reference)
    open_ = [i for i, factor in enumerate(factors) if factor > 0]
    if not open_:
        return 0.0
    clauses, gates = [clauses[i] for i in open_], np.array([factors[i] for i in open_]) ** 2
    cosine = model.encode([c.text for c in clauses]) @ model.encode([s.text for s in statements]).T
    z = W_COS * (cosine - COS_0) + W_LEX * (lexical(clauses, statements) - LEX_0)
    near = np.clip((z - FAR) / (NEAR - FAR), 0.0, 1.0)
    credit = gates[:, None] / (1.0 + np.exp(-(SLOPE * z + SHIFT)))
    earned, weights, reached = [], [], 0.0
    for j, statement in enumerate(statements):
        i = int((credit[:, j] + 1e-3 * z[:, j]).argmax())
        against = opposition(clauses[i], z[i, j : j + 1], [statement]).strength
        keep = 1.0 - against if against >= DENIED else 1.0
        earned.append(float(credit[i, j]) * keep)
        weights.append(sum(statement.weights.values()) + 0.1)
        reached = max(reached, float((near[:, j] * np.sqrt(gates)).max()))
    return float(np.average(earned, weights=weights)) * reached
