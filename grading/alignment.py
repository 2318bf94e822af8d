"""Words of a model answer looked up one by one in an answer: by meaning in context, and by order.

The first is the recall of BERTScore (Zhang et al. 2020) with the statement's own word weights; the second the recall of ROUGE-L (Lin 2004) over stems.
Unlike the cosine of whole sentences neither is moved by how much else an answer says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from grading.encoder import WIDTH, Array, Encoder
from grading.text import Token


def word_vectors(encoder: Encoder, texts: Sequence[str], tokens: Sequence[Sequence[Token]]) -> list[Array]:
    """For each text, float32 [its tokens, 384]: the mean state of each word's pieces; zero for what lies beyond the encoder's length."""
    out = list[Array]()
    for (offsets, states), words in zip(encoder.states(texts), tokens, strict=True):
        rows = np.zeros((len(words), WIDTH), np.float32)
        piece = 0
        for i, word in enumerate(words):
            while piece < len(offsets) and offsets[piece][1] <= word.start:
                piece += 1
            end = piece
            while end < len(offsets) and offsets[end][0] < word.end:
                end += 1
            if end > piece:
                rows[i] = states[piece:end].mean(axis=0)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(norms > 0, norms, 1.0)
        out.append(rows)
    return out


def soft_recall(statement: Sequence[Token], vectors: Array, weights: Mapping[str, float], answer: Array, factors: NDArray[np.float32]) -> float:
    """Weighted mean, over the statement's words in `weights`, of their greatest cosine with a word of the answer ([words, 384]).

    `factors` [words] in 0..1 scale what each word of the answer can give.
    """
    rows = [i for i, token in enumerate(statement) if token.stem in weights]
    if not rows or not len(answer):
        return 0.0
    best = (vectors[rows] @ answer.T * factors).max(axis=1)
    return float(np.average(best, weights=[weights[statement[i].stem] for i in rows]))


def order_recall(statement: Sequence[str], answer: Sequence[str]) -> float:
    """Length of the longest common subsequence of two lists of stems, as a share of the first."""
    row = [0] * (len(answer) + 1)
    for word in statement:
        before = 0
        for j, other in enumerate(answer, 1):
            kept = row[j]
            row[j] = before + 1 if word == other else max(row[j], row[j - 1])
            before = kept
    return row[-1] / max(1, len(statement))
