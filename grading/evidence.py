"""How well each clause of an answer states each statement of a rubric: three channels and their fusion.

Meaning (MiniLM cosine), words (recall of the statement's content words, weighted by rarity, words of the question hardly counting) and the
author's terms and numbers. No channel alone can meet a claim. The weights below were set by hand on answers written for this repository's own
bank and checked on public marked answers; nothing is fitted to an answer being graded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from grading.encoder import Encoder
from grading.gates import Gate
from grading.lexicon import NEGATORS, stem
from grading.polarity import Opposition, oppose, pole_votes, same_number
from grading.rubric import Claim, Misconception, Number
from grading.text import Clause, Token, tokenise
from grading.units import Found, find_quantities

CUT = 0.5
BIAS, W_COS, W_LEX, W_TERM, W_MISS, W_NUMBER = -0.6, 9.0, 4.0, 1.2, 3.2, 3.0
COS_0, LEX_0 = 0.58, 0.40
KNOWN = 0.25  # weight of a word that the question already said
DENIED = 0.6  # opposition from here on takes the credit
SPEAKS = 0.4  # a clause of this score speaks of the claim, whether it meets it or not
DENIED_SHARE = (0.15, 0.35)  # share of denied claims from which credit falls, and at which none is left
TURNED_SHARE = (0.20, 0.45)  # the same for words that stand where their opposite belongs


@dataclass(frozen=True, slots=True)
class Statement:
    """One way to say a claim or a misconception."""

    owner: int
    text: str
    tokens: tuple[Token, ...]
    weights: dict[str, float]  # content stem -> weight


@dataclass(frozen=True, slots=True)
class Target:
    """A claim or misconception with its statements' rows `[first, last)`."""

    item: Claim | Misconception
    first: int
    last: int
    forms: tuple[tuple[tuple[str, ...], ...], ...]  # term groups -> forms -> stems (or one raw symbol string)


@dataclass(frozen=True, slots=True)
class Match:
    """The best clause for a target: fused `score`, its parts, and what stands against it."""

    score: float
    clause: Clause | None
    cosine: float = 0.0
    lexical: float = 0.0
    terms: float = 1.0
    numbers: float = 1.0
    missing: tuple[str, ...] = ()
    denied: Opposition = field(default_factory=lambda: Opposition(0.0))
    denial: Clause | None = None
    gate: str = ""
    votes: tuple[int, int] = (0, 0)  # pole words against and for it in its clause


def rarity(encoder: Encoder, word: str) -> float:
    """A word's weight from its place in the encoder's vocabulary, which is sorted by frequency: 0.3 for "time", 1 for "softmax"."""
    if not word.isalpha():
        return 0.6
    return min(1.0, max(0.2, math.log(max(encoder.rank(word), 1996) / 1996 + 0.2) / math.log(12.0)))


def weigh(encoder: Encoder, tokens: Sequence[Token], known: frozenset[str]) -> dict[str, float]:
    return {t.stem: rarity(encoder, t.text) * (KNOWN if t.stem in known else 1.0)
            for t in tokens if t.content and t.text not in NEGATORS}


def form_stems(form: str) -> tuple[str, ...]:
    """A term's form as stems; a form with symbols (p/q, O(n^2)) as one string without blanks, marked by a leading NUL."""
    tokens = tokenise(form)
    bare = re.sub(r"[\s\-'’]", "", form)
    if not tokens or not bare.isalnum():
        return ("\0" + re.sub(r"\s", "", form.lower()),)
    return tuple(token.stem for token in tokens)


def targets(items: Sequence[Claim | Misconception]) -> tuple[list[Target], list[str]]:
    """Targets and the flat list of their statements."""
    out, texts = list[Target](), list[str]()
    for item in items:
        first = len(texts)
        texts += item.statements
        forms = tuple(tuple(form_stems(form) for form in group) for group in item.terms)
        out.append(Target(item, first, len(texts), forms))
    return out, texts


def has_form(stems: Sequence[str], squeezed: str, form: tuple[str, ...]) -> bool:
    if form[0].startswith("\0"):
        return form[0][1:] in squeezed
    n = len(form)
    return any(tuple(stems[i : i + n]) == form for i in range(len(stems) - n + 1)) or (
        n > 1 and "".join(form) in stems)


class Window:
    """A clause with its neighbours, for the terms that may stand next to it."""

    def __init__(self, sentences: Sequence[Clause]) -> None:
        self.sentences = sentences
        self._stems = [[stem(t.text) for t in s.tokens] for s in sentences]
        self._squeezed = [re.sub(r"\s", "", s.text.lower()) for s in sentences]
        self._numbers: dict[str, list[Found]] = {}

    def missing(self, clause: Clause, groups: tuple[tuple[tuple[str, ...], ...], ...]) -> list[int]:
        """Term groups of which no form stands in the clause's sentence or a neighbour."""
        near = range(max(0, clause.sentence - 1), min(len(self.sentences), clause.sentence + 2))
        return [g for g, forms in enumerate(groups)
                if not any(has_form(self._stems[i], self._squeezed[i], form) for i in near for form in forms)]

    def numbers(self, clause: Clause, wanted: Sequence[Number]) -> tuple[float, bool]:
        """(share of the wanted numbers that stand near, whether another value of the same kind stands in their place)."""
        near = [f for i in range(max(0, clause.sentence - 1), min(len(self.sentences), clause.sentence + 2))
                for f in self.found(self.sentences[i].text)]
        here = self.found(clause.text)
        matched, differ = 0, False
        for number in wanted:
            if any(same_number(f, number.value, number.unit, number.tolerance) == "match" for f in near):
                matched += 1
            elif any(same_number(f, number.value, number.unit, number.tolerance) == "differ" for f in here):
                differ = True
        return matched / len(wanted), differ

    def found(self, text: str) -> list[Found]:
        if text not in self._numbers:
            self._numbers[text] = find_quantities(text)
        return self._numbers[text]


def lexical(clauses: Sequence[Clause], statements: Sequence[Statement]) -> NDArray[np.float32]:
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
    out: NDArray[np.float32] = have @ need
    return out


def opposition(clause: Clause, raw: NDArray[np.float32], statements: Sequence[Statement]) -> Opposition:
    """How a clause stands against the ways to say a claim, each counted by how near it is (`raw`: [statements])."""
    weights = np.exp(raw - raw.max())
    found = [oppose(clause.tokens, clause.text, s.tokens, s.text, s.weights) for s in statements]
    strength = float(sum(w * o.strength for w, o in zip(weights, found, strict=True)) / weights.sum())
    return Opposition(strength, max(zip(weights, found, strict=True), key=lambda pair: float(pair[0]) * pair[1].strength)[1].why)


def match(target: Target, clauses: Sequence[Clause], gates: Sequence[Gate], cosine: NDArray[np.float32], lex: NDArray[np.float32],
          statements: Sequence[Statement], window: Window, rival: NDArray[np.float32] | None = None) -> Match:
    """The best evidence for one target. `cosine`, `lex`: [clauses, all statements].

    `rival` [clauses] is, for a misconception, how near each clause comes to the rubric's claims: what says a claim better is no error.
    """
    if not clauses:
        return Match(0.0, None)
    rows = slice(target.first, target.last)
    raw = W_COS * (cosine[:, rows] - COS_0) + W_LEX * (lex[:, rows] - LEX_0)
    per_clause = raw.max(axis=1)
    best, denied = Match(0.0, None), list[tuple[float, Opposition, Clause]]()
    for i in np.argsort(-per_clause)[:12]:
        clause = clauses[i]
        j = int(raw[i].argmax())
        missing = window.missing(clause, target.forms)
        z = float(per_clause[i]) + BIAS
        share = 1.0 - len(missing) / len(target.forms) if target.forms else 1.0
        if target.forms:
            z += W_TERM - W_MISS * (1.0 - share) * (1.5 if share == 0 else 1.0)
        number, differ = window.numbers(clause, target.item.numbers) if target.item.numbers else (1.0, False)
        z += (0.5 if target.item.numbers and number == 1.0 else 0.0) - W_NUMBER * (1.0 - number)
        if rival is not None:
            z -= max(0.0, 2.0 * float(rival[i] - per_clause[i])) + (4.0 if len(clause.stems) < 3 else 0.0)
        score = gates[i].factor / (1.0 + math.exp(-z))
        against = Opposition(0.0)
        if score > 0.2:
            against = opposition(clause, raw[i], statements[rows])
        if differ and number == 0.0:
            against = Opposition(0.9, "gives another number")
        if against.strength >= DENIED:
            denied.append((score, against, clause))
            score *= 1.0 - against.strength
        if score > best.score or best.clause is None:
            best = Match(score, clause, float(cosine[i, target.first + j]), float(lex[i, target.first + j]), share, number,
                         tuple(target.item.terms[g][0] for g in missing), gate=gates[i].why)
    if denied:
        score, against, clause = max(denied, key=lambda d: d[0])
        if score > best.score + 0.05:
            fields = {name: getattr(best, name) for name in Match.__slots__}
            best = Match(**(fields | {"denied": against, "denial": clause, "score": min(best.score, 1.0 - score)}))
    speaks = best.denial or (best.clause if best.score >= SPEAKS else None)
    if speaks is None:
        return best
    return replace(best, votes=pole_votes(speaks.tokens, [s.tokens for s in statements[rows]]))


@dataclass(frozen=True, slots=True)
class Coherence:
    """What an answer's claims keep of their scores, and why, when too many of the things that it speaks of stand the wrong way round."""

    factor: float = 1.0
    why: str = ""


def coherence(found: Iterable[Match], least: int = 4, turned: tuple[float, float] = TURNED_SHARE) -> Coherence:
    """Judge the whole answer by what it says of the claims that it speaks of. What it does not speak of plays no part, so filler and length don't either.

    A genuine answer denies a claim here and there and has a stray opposite; an answer turned round does so throughout. Single words are weak
    signs of that, their share over many claims is a strong one. `least`: words that must stand turned round before
    any share counts; `turned`: the shares from which credit falls, and at which none is left.
    """
    found = list(found)
    denied = sum(m.denial is not None for m in found)
    spoken = denied + sum(m.score >= CUT for m in found)
    against, agree = (sum(m.votes[k] for m in found) for k in (0, 1))
    keep = Coherence()
    if denied >= 3:
        factor = 1.0 - (denied / spoken - DENIED_SHARE[0]) / (DENIED_SHARE[1] - DENIED_SHARE[0])
        keep = Coherence(min(1.0, max(0.0, factor)), f"the answer denies {denied} of the {spoken} things that it speaks of")
    if against >= least:
        factor = 1.0 - (against / (against + agree) - turned[0]) / (turned[1] - turned[0])
        if factor < keep.factor:
            keep = Coherence(max(0.0, factor), f"{against} of {against + agree} telling words stand where their opposite belongs")
    return keep if keep.factor < 1.0 else Coherence()
