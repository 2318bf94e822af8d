"""From what is measured of a clause to the chance that it states a claim: evidence of three channels, its rivals, and fitted weights.

For each clause and each way to say something there is one figure of nearness: meaning (cosine of sentence embeddings), words (weighted recall) and words
by meaning (recall of BERTScore, Zhang et al. 2020). A claim is judged by six features of its best clauses, by how much the answer as a whole says what
the rubric calls wrong (`doubt`), and by how far it is from the rubric's subject (`away`). The weights are those of a logistic regression on the
repository's own marked answers (`python -m grading fit`, `weights.json`). None is negative, and the last two are taken off, so that more evidence never
counts against a claim.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grading.alignment import order_recall, word_vectors
from grading.encoder import WIDTH, Encoder
from grading.lexicon import NEGATORS
from grading.text import Clause, Token

Array = NDArray[np.float32]
FEATURES = ("terms", "here", "nearness", "lead", "right", "order")
COS_0, LEX_0, SOFT_0 = 0.58, 0.40, 0.60  # what two sentences of one subject have in common anyway
COS, LEX, SOFT = 9.0, 4.0, 8.0
SHUT = 6.0  # nearness that a closed gate takes away
CAP = 5.0  # a margin beyond this says no more
DOUBT_0 = 2.0  # nearness, and lead over the claims, from which on a wrong statement counts as said
BEHIND = 3.0  # how much more it weighs that a claim is nearer
NEARLY = 5.0  # nearness from which on a clause says a statement nearly word by word
NO_RIVAL = -9.0
NEAR = -1.0  # a claim speaks for an answer's being on the subject by how much nearer than this the answer comes to it
ENOUGH = 0.25  # how much of that is needed for each claim of the rubric; 1 for each of the answer's sentences of the field, if that is less
FAR = -2.0  # nearness to any claim below which a sentence of the field begins to be about something else than the rubric, and one less, at which it is
LONG, MORE = 42.0, 1.5  # such sentences beyond which more is needed, and how much for each: who writes down the whole field meets each claim by chance
FIELD = -7.0, -5.0  # nearness to any claim from which a sentence begins to count as one of the field, and from which it does
HERE = 4.0  # nearness that all of a claim's terms in one clause are worth there, against none of them
FILE = Path(__file__).with_name("weights.json")


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts how much: for a claim `claim` (in the order of FEATURES), `claim_bias`, for one without terms `bare` and `bare_bias`, and taken off the
    `doubt` and how far `away` the answer is; for a misconception `wrong` (nearness, lead) and `wrong_bias`."""

    claim: tuple[float, ...]
    claim_bias: float
    bare: tuple[float, ...]
    bare_bias: float
    doubt: float
    away: float
    wrong: tuple[float, float]
    wrong_bias: float

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Weights:
        return cls(tuple(float(data["claim"][name]) for name in FEATURES), float(data["claim_bias"]),
                   tuple(float(data["bare"][name]) for name in FEATURES), float(data["bare_bias"]), float(data["doubt"]), float(data["away"]),
                   (float(data["wrong"]["nearness"]), float(data["wrong"]["lead"])), float(data["wrong_bias"]))

    def to_dict(self) -> dict[str, Any]:
        return {"claim": dict(zip(FEATURES, self.claim, strict=True)), "claim_bias": self.claim_bias,
                "bare": dict(zip(FEATURES, self.bare, strict=True)), "bare_bias": self.bare_bias, "doubt": self.doubt, "away": self.away,
                "wrong": {"nearness": self.wrong[0], "lead": self.wrong[1]}, "wrong_bias": self.wrong_bias}


@cache
def shipped() -> Weights:
    """The weights in `weights.json`."""
    return Weights.from_dict(json.loads(FILE.read_text("utf-8")))


@dataclass(frozen=True, slots=True)
class Statement:
    """One way to say a claim or a misconception."""

    text: str
    tokens: tuple[Token, ...]
    weights: dict[str, float]  # content stem -> weight


def words(tokens: Sequence[Token]) -> frozenset[str]:
    """Stems of the words that say something, negators among them."""
    return frozenset(t.stem for t in tokens if t.content or t.text in NEGATORS)


def telling(wrong: Statement, right: Sequence[Statement]) -> tuple[frozenset[str], frozenset[str]] | None:
    """The words that tell a contradiction from what it contradicts: (those of none of the ways to say the claim, those of the nearest one alone).

    Who says the right thing in few words often comes nearer to the contradiction, which repeats most of it. A clause with a word of the second kind and none
    of the first is no contradiction. None where order or a denial makes all the difference.
    """
    said = words(wrong.tokens)
    ways = [words(s.tokens) for s in right]
    nearest = max(ways, key=lambda way: len(way & said) / (len(way | said) or 1))
    told = said.difference(*ways), nearest - said
    return told if all(told) else None


def repeats(clause: Clause, wrong: Statement, right: Statement) -> bool:
    """Whether a clause that is near to both has what tells `wrong` from `right`: most of its words, or where they have the same, their order."""
    own, one, other = words(clause.tokens), words(wrong.tokens), words(right.tokens)
    if own & (other - one):
        return False
    if one - other:
        return 2 * len(own & (one - other)) > len(one - other)
    said, *ways = ([t.stem for t in tokens if t.content] for tokens in (clause.tokens, wrong.tokens, right.tokens))
    return order_recall(ways[0], said) > order_recall(ways[1], said)


@dataclass(frozen=True, slots=True)
class Words:
    """The content words of many statements, end to end: `vectors` [words, 384], `weights` [words], where each statement `starts`, and its `totals`."""

    vectors: Array
    weights: Array
    starts: NDArray[np.int64]
    totals: Array

    @classmethod
    def of(cls, encoder: Encoder, statements: Sequence[Statement]) -> Words:
        vectors, weights, starts = list[Array](), list[float](), list[int]()
        for statement, rows in zip(statements, word_vectors(encoder, [s.text for s in statements], [s.tokens for s in statements]), strict=True):
            kept = [i for i, token in enumerate(statement.tokens) if statement.weights.get(token.stem)]
            starts.append(len(weights))
            vectors.append(rows[kept] if kept else np.zeros((1, WIDTH), np.float32))
            weights += [statement.weights[statement.tokens[i].stem] for i in kept] or [1e-6]
        told = np.array(weights, np.float32)
        begins = np.array(starts, np.int64)
        return cls(np.concatenate(vectors) if vectors else np.zeros((0, WIDTH), np.float32), told, begins,
                   np.add.reduceat(told, begins) if len(begins) else told)


def plain(cosine: Any, lex: Any) -> Any:
    """Nearness by meaning and words alone, of numbers or arrays."""
    return COS * (cosine - COS_0) + LEX * (lex - LEX_0)


def lexical(clauses: Sequence[Clause], statements: Sequence[Statement]) -> Array:
    """[clauses, statements]: weighted share of the statement's content words that the clause has."""
    vocabulary: dict[str, int] = {}
    for s in statements:
        for word in s.weights:
            vocabulary.setdefault(word, len(vocabulary))
    have = np.zeros((len(clauses), len(vocabulary)), np.float32)
    for i, clause in enumerate(clauses):
        for word in clause.stems:
            if word in vocabulary:
                have[i, vocabulary[word]] = 1.0
    need = np.zeros((len(vocabulary), len(statements)), np.float32)
    for j, s in enumerate(statements):
        total = sum(s.weights.values()) or 1.0
        for word, weight in s.weights.items():
            need[vocabulary[word], j] = weight / total
    out: Array = have @ need
    return out


def by_meaning(encoder: Encoder, sentences: Sequence[Clause], words: Words) -> Array:
    """[sentences, statements]: weighted mean, over a statement's content words, of their greatest cosine with a content word of the sentence."""
    if not len(words.starts):
        return np.zeros((len(sentences), 0), np.float32)
    best = np.zeros((len(sentences), len(words.weights)), np.float32)
    for i, (sentence, rows) in enumerate(zip(sentences, word_vectors(encoder, [s.text for s in sentences], [s.tokens for s in sentences]), strict=True)):
        kept = [k for k, token in enumerate(sentence.tokens) if token.content]
        if kept:
            best[i] = (rows[kept] @ words.vectors.T).max(axis=0)
    out: Array = (np.add.reduceat(best * words.weights, words.starts, axis=1) / words.totals).astype(np.float32)
    return out


@dataclass(frozen=True, slots=True)
class Evidence:
    """An answer beside a rubric. `nearness`, `cosine`, `lexical`: [clauses, statements]; `claimed`, `wronged`: [clauses], how near each comes to any claim and
    to anything wrong."""

    nearness: Array
    cosine: Array
    lexical: Array
    claimed: Array
    wronged: Array

    @classmethod
    def of(cls, cosine: Array, lex: Array, soft: Array, shut: Array, is_claim: NDArray[np.bool_]) -> Evidence:
        """`soft` has a row for each clause (that of its sentence); `shut` [clauses, statements]: how far a clause may not stand for a statement, 0 to 1;
        `is_claim`: [statements]."""
        near = plain(cosine, lex) + SOFT * (soft - SOFT_0) - SHUT * shut
        nothing = np.full(len(cosine), NO_RIVAL, np.float32)
        return cls(near, cosine, lex, near[:, is_claim].max(axis=1) if is_claim.any() else nothing,
                   near[:, ~is_claim].max(axis=1) if not is_claim.all() else nothing)

    def rivals(self, rows: slice, is_claim: NDArray[np.bool_]) -> Array:
        """[clauses]: how near each clause comes to a claim other than the one in `rows`."""
        others = is_claim.copy()
        others[rows] = False
        return self.nearness[:, others].max(axis=1) if others.any() else np.full(len(self.nearness), NO_RIVAL, np.float32)

    def wrong(self, rows: slice) -> Array:
        """[clauses]: how plainly each says the wrong thing in `rows`, the sum of its nearness and its lead over the claims."""
        return plainly(self.nearness[:, rows].max(axis=1), self.claimed)


def plainly(wrong: Array, claimed: Array) -> Array:
    """How plainly clauses say something wrong: how near they come, and their lead over what is right, which weighs more where it is none."""
    lead = wrong - claimed
    out: Array = wrong + np.where(lead < 0.0, BEHIND * lead, lead)
    return out


def doubt(wrong: Sequence[float]) -> float:
    """How many of the things that the rubric calls wrong an answer seems to say. What it says rightly lies nearer to a claim, and adds nothing."""
    return float((1.0 / (1.0 + np.exp(DOUBT_0 - np.clip(np.array(wrong, float), -30.0, 30.0)))).sum())


def subject(near: float, here: float) -> float:
    """How much a clause speaks for a claim's subject: its nearness, and the share of the claim's terms that stand in it."""
    return near + HERE * (here - 0.5)


def away(best: Sequence[float], claimed: Array) -> float:
    """What an answer lacks to be about the rubric's subject at all.

    `best`: for each claim the most that a clause speaks for its subject; `claimed`: [sentences], how near each comes to any claim. A dense answer to another
    question of the field always comes near to something, so near misses don't count, one claim counts once, and more sentences have to show more.
    Sentences about nothing of the field change nothing.
    """
    sentences = np.clip((claimed - FIELD[0]) / (FIELD[1] - FIELD[0]), 0.0, 1.0)
    far = float((sentences * np.clip(FAR - claimed, 0.0, 1.0)).sum())
    owed = min(ENOUGH * len(best), float(sentences.sum())) + MORE * max(0.0, far - LONG)
    return max(0.0, owed - sum(max(0.0, b - NEAR) for b in best))


def margin(value: float, rival: float) -> float:
    """How far a value is before its rival. Where there is no rival that says nothing, for or against."""
    if rival == NO_RIVAL:
        return 0.0
    return min(CAP, max(-CAP, value - rival))
