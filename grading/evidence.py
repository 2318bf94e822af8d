"""How well the clauses of an answer state each claim of a rubric: features, their fusion, and what stands against it.

Meaning, words, words by meaning (`grading.fusion`), the author's terms and numbers. No channel alone can meet a claim. Nothing is fitted to an
answer being graded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from grading.alignment import order_recall
from grading.encoder import Encoder
from grading.fusion import Evidence, Statement, Weights, margin, subject
from grading.gates import Gate
from grading.lexicon import NEGATORS
from grading.polarity import Opposition, hedged, oppose, pole_votes, same_number
from grading.result import CUT
from grading.rubric import Claim, Misconception, Number
from grading.text import Clause, Token, tokenise
from grading.units import Found, find_quantities

WANTED, MISSING, W_NUMBER = 4, 3.2, 3.0  # clauses looked at closely; nearness that all terms are worth in choosing them; logits of the numbers
BARE, STEEP = -3.0, 0.5  # nearness below which a claim without terms loses besides, and logits for each of it
FAR = 3.0  # nearness behind the nearest statement from which on another has no say in whether a clause denies the claim
CLEARLY = 0.5  # nearness by which a denial has to come nearer than what else meets the claim
KNOWN = 0.25  # weight of a word that the question already said
DENIED = 0.6  # opposition from here on takes the credit
SPEAKS = 0.4  # a clause of this score speaks of the claim, whether it meets it or not
DENIED_SHARE = (0.15, 0.35)  # share of denied claims from which credit falls, and at which none is left
TURNED_SHARE = (0.20, 0.45)  # the same for words that stand where their opposite belongs
HEDGED_SHARE = (0.15, 0.35)  # the same for claims that an "or" leaves open


@dataclass(frozen=True, slots=True)
class Target:
    """A claim or misconception with its statements' rows `[first, last)`."""

    item: Claim | Misconception
    first: int
    last: int
    forms: tuple[tuple[tuple[str, ...], ...], ...]  # term groups -> forms -> stems (or one raw symbol string)

    @property
    def rows(self) -> slice:
        return slice(self.first, self.last)


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
    score_alone: float = 0.0  # the score that the clause would have in an answer against which nothing speaks
    doubted: str = ""  # what speaks against it, where that tips the scale
    votes: tuple[int, int] = (0, 0)  # pole words against and for it in its clause
    hedged: bool = False  # its sentence leaves it open by "or"


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
    if n == 1:
        return form[0] in stems
    return "".join(form) in stems or (form[0] in stems and any(tuple(stems[i : i + n]) == form for i in range(len(stems) - n + 1)))


class Window:
    """A clause with its neighbours, for the terms and numbers that may stand next to it. `told`: the sentences that count; one that is taken back
    lends nothing."""

    def __init__(self, sentences: Sequence[Clause], told: Set[int]) -> None:
        self.sentences = sentences
        self.told = told
        self._numbers: dict[str, list[Found]] = {}
        self._words: dict[str, tuple[list[str], str]] = {}
        self._held: dict[tuple[str, tuple[str, ...]], bool] = {}

    def missing(self, clause: Clause, groups: tuple[tuple[tuple[str, ...], ...], ...]) -> list[int]:
        """Term groups of which no form stands in the clause's sentence or a neighbour."""
        near = self._near(clause)
        return [g for g, forms in enumerate(groups) if not any(self._holds(part, form) for part in near for form in forms)]

    def here(self, clause: Clause, groups: tuple[tuple[tuple[str, ...], ...], ...]) -> float:
        """Share of the term groups of which a form stands in the clause itself."""
        return sum(any(self._holds(clause, form) for form in forms) for forms in groups) / len(groups) if groups else 1.0

    def _near(self, clause: Clause) -> Sequence[Clause]:
        """The clause's sentence and its neighbours."""
        return [s for s in self.sentences[max(0, clause.sentence - 1) : clause.sentence + 2] if s.sentence in self.told]

    def _holds(self, part: Clause, form: tuple[str, ...]) -> bool:
        key = part.text, form  # the clauses of a claim share sentences, claims share clauses and forms
        if key not in self._held:
            if part.text not in self._words:
                self._words[part.text] = [t.stem for t in part.tokens], re.sub(r"\s", "", part.text.lower())
            self._held[key] = has_form(*self._words[part.text], form)
        return self._held[key]

    def numbers(self, clause: Clause, wanted: Sequence[Number]) -> tuple[float, bool]:
        """(share of the wanted numbers that stand near, whether another value of the same kind stands in their place)."""
        near = [f for part in self._near(clause) for f in self.found(part.text)]
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


def opposition(clause: Clause, raw: NDArray[np.float32], statements: Sequence[Statement]) -> Opposition:
    """How a clause stands against the ways to say a claim, each counted by how near it is (`raw`: [statements])."""
    kept = [j for j in range(len(statements)) if raw[j] > raw.max() - FAR]
    weights = np.exp(raw[kept] - raw.max())
    found = [oppose(clause.tokens, clause.text, s.tokens, s.text, s.weights) for s in (statements[j] for j in kept)]
    strength = float(sum(w * o.strength for w, o in zip(weights, found, strict=True)) / weights.sum())
    return Opposition(strength, max(zip(weights, found, strict=True), key=lambda pair: float(pair[0]) * pair[1].strength)[1].why)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One clause for one target: its place, `features` in the order of `fusion.FEATURES`, and the parts of which the page tells."""

    clause: int
    statement: int  # the row of the nearest statement
    features: tuple[float, ...]
    near: float  # nearness of its nearest statement
    missing: tuple[int, ...]
    number: float
    differs: bool

    @property
    def terms(self) -> float:
        return self.features[0]

    @property
    def subject(self) -> float:
        return subject(self.near, self.features[1])


def _different(clauses: Sequence[Clause], order: Iterable[int]) -> Iterator[int]:
    """The places in `order` without those of clauses that say the same words again."""
    seen = set[str]()
    for i in order:
        if clauses[i].text not in seen:
            seen.add(clauses[i].text)
            yield int(i)


def candidates(target: Target, clauses: Sequence[Clause], evidence: Evidence, statements: Sequence[Statement], window: Window,
               rivals: NDArray[np.float32]) -> list[Candidate]:
    """The clauses that come nearest to a target, nearest first. `rivals` [clauses]: how near each comes to another claim."""
    near = evidence.nearness[:, target.rows]
    nearest = near.max(axis=1)
    shares = list[tuple[float, int, tuple[int, ...], float]]()
    for i in islice(_different(clauses, np.argsort(-nearest)), 2 * WANTED):
        missing = tuple(window.missing(clauses[i], target.forms))
        share = 1.0 - len(missing) / len(target.forms) if target.forms else 1.0
        shares.append((float(nearest[i]) - MISSING * (1.0 - share), i, missing, share))
    out = list[Candidate]()
    for _, i, missing, share in sorted(shares, key=lambda s: (-s[0], s[1]))[:WANTED]:
        j = target.first + int(near[i].argmax())
        order = order_recall([t.stem for t in statements[j].tokens if t.content], [t.stem for t in clauses[i].tokens if t.content])
        number, differs = window.numbers(clauses[i], target.item.numbers) if target.item.numbers else (1.0, False)
        features = (share, window.here(clauses[i], target.forms), float(near[i].mean()), margin(float(nearest[i]), float(rivals[i])),
                    margin(float(nearest[i]), float(evidence.wronged[i])), order)
        out.append(Candidate(i, j, features, float(nearest[i]), missing, number, differs))
    return out


def logit(target: Target, candidate: Candidate, weights: Weights) -> float:
    """The log odds that the clause says what the target says, in an answer against which nothing speaks."""
    if isinstance(target.item, Misconception):
        _, _, near, lead, _, _ = candidate.features
        return weights.wrong_bias + weights.wrong[0] * near + weights.wrong[1] * lead - MISSING * (1.0 - candidate.terms)
    bias, each = (weights.claim_bias, weights.claim) if target.forms else (weights.bare_bias, weights.bare)
    z = bias + sum(w * f for w, f in zip(each, candidate.features, strict=True))
    if not target.forms:
        z -= STEEP * max(0.0, BARE - candidate.near)
    if target.item.numbers:
        z += (0.5 if candidate.number == 1.0 else 0.0) - W_NUMBER * (1.0 - candidate.number)
    return z


def match(target: Target, found: Sequence[Candidate], clauses: Sequence[Clause], gates: Sequence[Gate], evidence: Evidence, statements: Sequence[Statement],
          weights: Weights, against_all: float = 0.0) -> Match:
    """The best evidence for one target among its candidates."""
    rows = target.rows
    best, nearest, denied = Match(0.0, None), 0.0, list[tuple[float, float, Opposition, Clause]]()
    for candidate in found:
        i, j = candidate.clause, candidate.statement
        clause = clauses[i]
        z = logit(target, candidate, weights)
        alone = gates[i].factor / (1.0 + math.exp(-z))
        score = gates[i].factor / (1.0 + math.exp(against_all - z)) if isinstance(target.item, Claim) else alone
        against = Opposition(0.0)
        if score > 0.2:
            against = opposition(clause, evidence.nearness[i, rows], statements[rows])
        if candidate.differs and candidate.number == 0.0:
            against = Opposition(0.9, "gives another number")
        if against.strength >= DENIED:
            denied.append((candidate.near, score, against, clause))
            score *= 1.0 - against.strength
            alone *= 1.0 - against.strength
        if score > best.score or best.clause is None:
            nearest = candidate.near
            best = Match(score, clause, float(evidence.cosine[i, j]), float(evidence.lexical[i, j]), candidate.terms, candidate.number,
                         tuple(target.item.terms[g][0] for g in candidate.missing), gate=gates[i].why, score_alone=alone)
    if denied:
        near, score, against, clause = max(denied, key=lambda d: d[0])
        if score > best.score + 0.05 or (score >= CUT and near > nearest + CLEARLY):  # what is denied plainly is not met by a neighbour's words
            fields = {name: getattr(best, name) for name in Match.__slots__}
            best = Match(**(fields | {"denied": against, "denial": clause, "score": min(best.score, 1.0 - score)}))
    speaks = best.denial or (best.clause if best.score >= SPEAKS else None)
    if speaks is None:
        return best
    said = [s.tokens for s in statements[rows]]
    sentence = next((c for c in clauses if c.whole and c.sentence == speaks.sentence), speaks)
    return replace(best, votes=pole_votes(speaks.tokens, said), hedged=hedged(sentence.tokens, sentence.text, said))


@dataclass(frozen=True, slots=True)
class Coherence:
    """What an answer's claims keep of their scores, and why, when too many of the things that it speaks of stand the wrong way round."""

    factor: float = 1.0
    why: str = ""
    open: bool = False  # whether it leaves so much open that what it leaves open earns nothing at all

    def keeps(self, m: Match) -> float:
        """What is left of a claim's score."""
        return 0.0 if self.open and m.hedged else m.score * self.factor


def coherence(found: Iterable[Match], least: int = 4, turned: tuple[float, float] = TURNED_SHARE) -> Coherence:
    """Judge the whole answer by what it says of the claims that it speaks of. What it does not speak of plays no part, so filler and length don't either.

    A genuine answer denies a claim here and there and has a stray opposite; an answer turned round does so throughout. Single words are weak
    signs of that, their share over many claims is a strong one. So is the share of claims that stand beside what excludes them and an "or".
    `least`: words that must stand turned round, or claims left open, before any share counts; `turned`: the shares of
    words from which credit falls, and at which none is left.
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
    left_open = sum(m.hedged and (m.denial is not None or m.score >= CUT) for m in found)
    if left_open >= least and left_open / spoken > HEDGED_SHARE[0]:
        factor = 1.0 - (left_open / spoken - HEDGED_SHARE[0]) / (HEDGED_SHARE[1] - HEDGED_SHARE[0])
        if factor < keep.factor:
            keep = Coherence(max(0.0, factor), f"of the {spoken} things that it speaks of, the answer leaves {left_open} open by an “or”", True)
    return keep if keep.factor < 1.0 else Coherence()
