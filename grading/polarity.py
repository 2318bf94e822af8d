"""Does a clause say what a statement says, or its opposite?

Four signs of a contradiction, each explained in words: a negation that one side has and the other hasn't; a word whose opposite stands in
its place; two pairs of opposites joined crosswise; the two sides of a directed relation swapped. Numbers are compared in `numbers_differ`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from grading.lexicon import LOOSE, NEGATORS, NOT_NEGATING, poles
from grading.text import Token
from grading.units import Found, registry

SCOPE = 6  # content words that a negator reaches
_STOPS = frozenset("but because whereas while although though since so if when unless which that".split())
_WHOLE = re.compile(r"\b(?:it(?:'s| is| was) (?:not|never) (?:true|correct|right|the case|so)|it(?:'s| is| was) (?:false|wrong|incorrect|untrue)|"
                    r"(?:is|are) (?:false|wrong|incorrect|untrue)\s*[:,]|it is a (?:myth|mistake|misconception)|contrary to)\b|\bno,", re.I)
_DIRECTED = frozenset("than before after to into from over by onto via precedes follows exceeds".split())
_TURNED = {"before": "after", "after": "before", "from": "to", "to": "from", "into": "from"}


@dataclass(frozen=True, slots=True)
class Opposition:
    """How strongly a clause denies a statement, 0..1, and why in words."""

    strength: float
    why: str = ""


def negated(tokens: Sequence[Token], text: str) -> list[int]:
    """For each token how many negations reach it."""
    reach = [0] * len(tokens)
    for i, token in enumerate(tokens):
        word = token.text
        if word not in NEGATORS or (i + 1 < len(tokens) and tokens[i + 1].text in NOT_NEGATING):
            continue
        if word in ("false", "wrong", "incorrect", "untrue", "wrongly", "incorrectly"):
            continue  # as a predicate these are handled by _WHOLE; as an adjective they are content
        if i + 1 < len(tokens) and word == "no" and tokens[i + 1].text in ("longer", "matter", "more"):
            if tokens[i + 1].text != "longer":
                continue
        left, j = SCOPE, i + 1
        while j < len(tokens) and left:
            between = text[tokens[j - 1].end : tokens[j].start]
            if tokens[j].text in _STOPS or ";" in between or ":" in between or ("," in between and j > i + 2):
                break
            reach[j] += 1
            left -= tokens[j].content
            j += 1
        if word in ("not", "never", "n't") and i and tokens[i - 1].content:
            reach[i - 1] += 1  # "scales not with"
    if _WHOLE.search(text):
        start = _WHOLE.search(text).end()  # type: ignore[union-attr]
        reach = [n + (token.start >= start or not any(t.start >= start for t in tokens)) for n, token in zip(reach, tokens, strict=True)]
    return reach


def oppose(clause: Sequence[Token], clause_text: str, statement: Sequence[Token], statement_text: str) -> Opposition:
    """How `clause` stands against `statement`; both are token lists with the text that they came from."""
    mine = [t for t in clause if t.content and t.text not in NEGATORS]
    theirs = [t for t in statement if t.content and t.text not in NEGATORS]
    shared = {t.stem for t in mine} & {t.stem for t in theirs}
    if not shared:
        return Opposition(0.0)
    best = max((_parity(clause, clause_text, statement, statement_text, shared), _antonym(mine, theirs, shared),
                _crossed(clause, statement), _swapped(clause, statement, shared)), key=lambda o: o.strength)
    return best


def _parity(a: Sequence[Token], a_text: str, b: Sequence[Token], b_text: str, shared: set[str]) -> Opposition:
    """A shared word that one side negates and the other does not. The share of shared words so hit is the strength."""
    def odd(tokens: Sequence[Token], text: str) -> dict[str, bool]:
        out: dict[str, bool] = {}
        for token, n in zip(tokens, negated(tokens, text), strict=True):
            if token.stem in shared and token.text not in NEGATORS:
                out[token.stem] = out.get(token.stem, False) or bool(n % 2)
        return out

    left, right = odd(a, a_text), odd(b, b_text)
    hit = [word for word in shared if left.get(word, False) != right.get(word, False)]
    if not hit:
        return Opposition(0.0)
    share = len(hit) / len(shared)
    return Opposition(min(1.0, 0.5 + share), "says the opposite (negation)")


def _antonym(mine: Sequence[Token], theirs: Sequence[Token], shared: set[str]) -> Opposition:
    """A word of the statement that the clause lacks, while its opposite, which the statement lacks, stands in the clause."""
    have = {place: t for t in mine if t.stem not in shared for place in poles(t.text, t.stem)}
    own = {place for t in theirs for place in poles(t.text, t.stem)}
    both = {place for t in mine for place in poles(t.text, t.stem)}
    for token in theirs:
        if token.stem in shared:
            continue
        for axis, pole in poles(token.text, token.stem):
            other = (axis, -pole)
            if other in have and other not in own and (axis, pole) not in both:
                loose = token.text in LOOSE or have[other].text in LOOSE
                return Opposition(0.5 if loose else 0.9, f"says “{have[other].text}” where “{token.text}” is right")
    return Opposition(0.0)


def _crossed(a: Sequence[Token], b: Sequence[Token]) -> Opposition:
    """Two axes, both poles of each on both sides, joined crosswise: prefill-compute, decode-memory against prefill-memory, decode-compute."""
    def pairs(tokens: Sequence[Token]) -> dict[tuple[int, int], set[tuple[int, int]]]:
        places = [(i, place) for i, t in enumerate(tokens) if t.content for place in poles(t.text, t.stem)]
        out: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for i, (axis, pole) in places:
            for other in {p[0] for _, p in places} - {axis}:
                near = [(abs(j - i) - 0.25 * (j > i), p) for j, p in places if p[0] == other and j != i]
                if near and len({p[1] for _, p in near}) == 2:
                    out.setdefault((axis, other), set()).add((pole, min(near)[1][1]))
        return out

    left, right = pairs(a), pairs(b)
    for key in left.keys() & right.keys():
        if len(left[key]) == len(right[key]) == 2 and not left[key] & right[key]:
            return Opposition(0.95, "joins the right words the wrong way round")
    return Opposition(0.0)


def _swapped(a: Sequence[Token], b: Sequence[Token], shared: set[str]) -> Opposition:
    """A directed word (than, before, from, to) whose nearest shared words on both sides changed places."""
    def sides(tokens: Sequence[Token]) -> list[tuple[str, set[str], set[str]]]:
        out = []
        for i, token in enumerate(tokens):
            if token.text in _DIRECTED:
                left = [t.stem for t in tokens[max(0, i - 6) : i] if t.stem in shared][-2:]
                right = [t.stem for t in tokens[i + 1 : i + 6] if t.stem in shared][:2]
                if left and right:
                    out.append((token.text, set(left), set(right)))
        return out

    for word, left, right in sides(a):
        for other, left2, right2 in sides(b):
            turned = _TURNED.get(word) == other
            if word != other and not turned:
                continue
            straight = bool(left & left2) + bool(right & right2)
            cross = bool(left & right2) + bool(right & left2)
            if (cross == 2 and straight == 0 and not turned) or (turned and straight == 2 and cross == 0 and word in ("before", "after")):
                return Opposition(0.85, "turns the relation round")
    return Opposition(0.0)


def same_number(found: Found, value: float, unit: str, tolerance: float) -> str:
    """`match`, `differ` (same dimension, other value) or `apart` (another kind of number)."""
    from grading.units import UnitError, compare, quantity

    try:
        expected = quantity(value, unit)
    except UnitError:
        return "apart"
    if found.unit is None:
        close = abs(found.value - value) <= tolerance * abs(value) + 1e-12
        near = abs(found.value - float(expected.magnitude)) <= tolerance * abs(float(expected.magnitude)) + 1e-12
        return "match" if close or near else ("differ" if expected.dimensionless else "apart")
    got = compare(registry().Quantity(found.value, found.unit), expected, tolerance)
    return {"exact": "match", "order": "differ", "value": "differ", "unit": "apart"}[got]
