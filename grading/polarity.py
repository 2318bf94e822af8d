"""Does a clause say what a statement says, or its opposite?

Signs of a contradiction, each explained in words: a negation that one side has and the other hasn't; a word whose opposite stands in its place; two pairs
of opposites joined crosswise; the two sides of a directed relation, of a contrast or of cause and effect exchanged. Two signs may take each other
back ("less at large sizes" is "more at small ones"). `python -m grading statements` measures how often they speak up rightly. Numbers are compared in
`same_number`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from grading.lexicon import AUXILIARIES, LOOSE, NEGATORS, NOT_NEGATING, poles
from grading.text import Token
from grading.units import Found, UnitError, quantity, registry

EVEN = 0.5  # what a denial counts where a second one may take it back
MAIN = 24  # words in which a sentence says whether it denies
SCOPE = 6  # content words that a negator reaches
REACH, BESIDE = 8, 60  # words on either side of "or" that it joins; characters from a "may or may not" to what it leaves open
_STOPS = frozenset(["but", "because", "whereas", "while", "although", "though", "since", "so", "if", "when", "unless", "which", "that"])
_NEGATES_TO = frozenset(["fails", "fail", "failed", "failing", "unable", "refuse", "refuses"])  # only before "to"
_CONTRAST = {("rather", "than"), ("instead", "of"), ("as", "opposed"), ("contrary", "to")}  # "rather than X": X is denied, up to the comma
_UNLESS = r"(?! to (?:overlook|ignore|forget|neglect|deny|doubt|underestimate|miss))"  # "it is wrong to ignore that C" says C
_WHOLE = re.compile(r"\b(?:it(?:'s| is| was) (?:not|never) (?:true|correct|right|the case|so)|it (?:isn't|wasn't) (?:true|correct|right|the case|so)"
                    r"|it(?:'s| is| was) (?:false|wrong|incorrect|untrue)" + _UNLESS + r"|(?:is|are) (?:false|wrong|incorrect|untrue)\s*[:,]"
                    r"|it(?:'s| is| was) an? (?:\w+ )?(?:myth|mistake|misconception|error|lie)" + _UNLESS + r"|I (?:doubt|deny|disagree)"
                    r"|nobody should (?:think|believe|say))\b"
                    r"|^(?:false|wrong|incorrect|untrue)\s*[:,.–—-]", re.I)
_DIRECTED = frozenset(["than", "before", "after", "to", "into", "from", "over", "onto", "via", "precedes", "follows", "exceeds"])
_CONTRASTING = frozenset(["while", "whereas", "unlike", "but"])  # what stands on one side of them belongs together
_CAUSAL = frozenset(["because", "since"])
_VERB = "(?:is|are|was|were|does|do|did|has|have|can|could|may|might|will|would|must|should|need|needs)"
_OR_NOT = re.compile(rf"\b{_VERB}\b(?: \w+){{0,3}}?,? (?:and/)?or (?:{_VERB}(?:n['’]t| not)\b|cannot\b|not\b)", re.I)  # "may or may not", "is needed or not"
_UNDECIDED = frozenset(["whether", "if", "when", "unless", "once"])  # "whether it is kept or dropped" leaves nothing open
_TURNED = {"before": "after", "after": "before", "from": "to", "to": "from", "into": "from"}


@dataclass(frozen=True, slots=True)
class Opposition:
    """How strongly a clause denies a statement, 0..1, and why in words."""

    strength: float
    why: str = ""


def negated(tokens: Sequence[Token], text: str, known: Set[str] | None = None) -> list[float]:
    """For each token how many negations reach it. With `known` (stems), a negator whose first content word is not among them, and so
    denies something else, counts half."""
    reach = [0.0] * len(tokens)
    for i, token in enumerate(tokens[: _otherwise(tokens)]):
        word, stops, first = token.text, _STOPS, 1
        after = tokens[i + 1].text if i + 1 < len(tokens) else ""
        if (word, after) in _CONTRAST:
            start, left = i + 2, 4
            if word == "contrary":  # "contrary to the belief that X, C", "contrary to intuition, C"
                stops, first = frozenset[str](), 0
        elif (word in _NEGATES_TO and after == "to") or (word in NEGATORS and after not in NOT_NEGATING and not (
                word == "no" and (after in ("matter", "more") or _answers(tokens, i, text)))):
            start, left = i + 1, SCOPE
        elif word == "unlike":
            start, left = i + 1, 3
        else:
            continue
        j = start
        head = next((t.stem for t in tokens[start : start + 4] if t.content), "")
        weight = 1.0 if known is None or head in known else 0.5
        if word == "nothing" and i and tokens[i - 1].content:
            reach[i - 1] += 1.0  # "guarantees nothing"
        while j < len(tokens) and left:
            between = text[tokens[j - 1].end : tokens[j].start]
            if j > start and (tokens[j].text in stops or ";" in between or ":" in between or "." in between or ("," in between and j > start + first)):
                break
            reach[j] += weight
            left -= tokens[j].content
            j += 1
    whole = _WHOLE.search(text)
    if whole:
        start = whole.end() if any(t.start >= whole.end() for t in tokens) else 0
        reach = [n + (token.start >= start) for n, token in zip(reach, tokens, strict=True)]
    return reach


def _otherwise(tokens: Sequence[Token]) -> int:
    """Where a text begins to tell what would be if it weren't as it says: "the same tokenizer, otherwise p and q don't match". What is denied there isn't."""
    return next((i for i, t in enumerate(tokens) if t.text == "otherwise" or (t.text == "else" and i and tokens[i - 1].text == "or")), len(tokens))


def _answers(tokens: Sequence[Token], i: int, text: str) -> bool:
    """Whether the "no" there answers what stands before it ("No, C") and so denies nothing behind it."""
    return i + 1 < len(tokens) and text[tokens[i].end : tokens[i + 1].start].lstrip()[:1] in tuple(",.:;–—")


def refused(tokens: Sequence[Token], text: str) -> list[bool]:
    """Whether each word stands denied: within one negation, or an odd number of them."""
    return [n % 2 >= 0.5 for n in negated(tokens, text)]


def oppose(clause: Sequence[Token], clause_text: str, statement: Sequence[Token], statement_text: str,
           weights: Mapping[str, float]) -> Opposition:
    """How `clause` stands against `statement`; both are token lists with the text that they came from.

    `weights` are those of the statement's content stems: opposition counts as far as the two speak of the same thing.
    """
    mine = [t for t in clause if t.content and t.text not in NEGATORS]
    theirs = [t for t in statement if t.content and t.text not in NEGATORS]
    shared = {t.stem for t in mine} & {t.stem for t in theirs}
    if not shared:
        return Opposition(0.0)
    cover = min(1.0, sum(weights.get(w, 0.0) for w in shared) / (0.5 * sum(weights.values()) or 1.0))
    best = max((_parity(clause, clause_text, statement, statement_text, shared, weights),
                _antonym(clause, clause_text, statement, shared),
                _other_pole(clause, clause_text, statement, statement_text),
                _crossed(clause, statement), _swapped(clause, statement, shared),
                _exchanged(clause, clause_text, statement, statement_text)), key=lambda o: o.strength)
    return Opposition(best.strength * cover, best.why)


def denies(tokens: Sequence[Token], text: str) -> bool:
    """Whether a sentence as a whole is a denial: an auxiliary with "not" before any "but", "because", "which", or "it is not true that"."""
    end = next((i for i, t in enumerate(tokens) if i and t.text in _STOPS), len(tokens))
    return any(_denies_at(tokens, i) for i in range(min(end, MAIN))) or bool(_WHOLE.search(text))


def _denies_at(tokens: Sequence[Token], i: int) -> bool:
    """Whether an auxiliary with "not" stands there."""
    word, after = tokens[i].text, tokens[i + 1].text if i + 1 < len(tokens) else ""
    full = word in ("not", "never") and i > 0 and tokens[i - 1].text in AUXILIARIES
    return (full or word.endswith("n't") or word == "cannot") and after not in NOT_NEGATING


def pole_votes(clause: Sequence[Token], statements: Sequence[Sequence[Token]]) -> tuple[int, int]:
    """(against, for): on how many axes the clause stands at the pole that no statement names while they name its opposite, and on how many
    it stands where they do. One such word is often chance ("the first block" where a statement says "last"); many are not."""
    mine = {place for t in clause if t.content for place in poles(t.text)}
    theirs = {place for tokens in statements for t in tokens if t.content for place in poles(t.text)}
    against = sum((axis, -pole) in theirs and (axis, pole) not in theirs and (axis, -pole) not in mine for axis, pole in mine)
    return against, len(mine & theirs)


def hedged(sentence: Sequence[Token], text: str, statements: Sequence[Sequence[Token]]) -> bool:
    """Whether a sentence leaves open what the statements settle: it offers by "or" a pole that they name beside its opposite ("memory-bound or
    compute-bound"), a thing and its denial ("must or need not"), one of their numbers and another, or by "either" words of theirs and others.

    One such sentence is mostly innocent ("each token is either kept or replaced"); many are an answer that doesn't choose."""
    theirs = {t.stem for tokens in statements for t in tokens if t.content}
    ours = [t.start for t in sentence if t.content and t.stem in theirs]
    if any(bisect_left(ours, m.end() - BESIDE) < bisect_left(ours, m.end() + BESIDE) for m in _OR_NOT.finditer(text)):
        return True
    named = {place for tokens in statements for t in tokens if t.content for place in poles(t.text)}
    figures = {t.text for tokens in statements for t in tokens if t.text[0].isdigit()}
    for left, right, either in _alternatives(sentence, text):
        mine, other = ({place for t in part for place in poles(t.text)} for part in (left, right))
        if any((axis, -pole) in other and ((axis, pole) in named) != ((axis, -pole) in named) for axis, pole in mine):
            return True
        one, two = (part[0].text if part and part[0].text[0].isdigit() else "" for part in (left[-1:], right[:1]))
        if one and two and (one in figures) != (two in figures):
            return True
        here, there = ([t.stem for t in part if t.content] for part in (left, right))
        there = there[: len(here)]  # what follows is said of both: "either sixteen or forty tokens"
        if either and bool((set(here) - set(there)) & theirs) != bool((set(there) - set(here)) & theirs):
            return True
    return False


def _alternatives(tokens: Sequence[Token], text: str) -> Iterator[tuple[Sequence[Token], Sequence[Token], bool]]:
    """(what stands before, what stands behind, whether "either" opens it) of each "or" or stroke that offers a choice. "Whether X or Y" offers none."""
    breaks = [0, *(i for i in range(1, len(tokens)) if any(c in text[tokens[i - 1].end : tokens[i].start] for c in ",;:.")), len(tokens)]
    for i in range(1, len(tokens)):
        joined = tokens[i].text != "or"
        stroke = "/" in text[tokens[i - 1].end : tokens[i].start] and not tokens[i].text[0].isdigit()  # 40/16 is a quotient
        if (joined and not stroke) or (not joined and i + 1 == len(tokens)):
            continue
        left = tokens[max(breaks[bisect_left(breaks, i) - 1], i - REACH) : i]
        first = i if joined else i + 1
        right = tokens[first : min(breaks[bisect_left(breaks, first + 1)], first + REACH)]
        opening = max((k for k, t in enumerate(left) if t.text == "either"), default=-1)
        if opening >= 0 or not any(t.text in _UNDECIDED for t in left):
            yield left[opening + 1 :], right, opening >= 0


def _denied_verbs(tokens: Sequence[Token]) -> set[str]:
    """Stems of the verbs that an auxiliary with "not" denies: "is not allocated", "does not scale", "cannot grow"."""
    out = set()
    for i in range(len(tokens) - 1):
        if _denies_at(tokens, i):
            head = next((t for t in tokens[i + 1 : i + 3] if t.content and t.text not in NEGATORS), None)
            if head is not None:
                out.add(head.stem)
    return out


def _permitted(tokens: Sequence[Token]) -> set[str]:
    """Stems of the verbs that "may" or "can" allows: "may be removed", "can stay"."""
    heads = (next((t for t in tokens[i + 1 : i + 4] if t.content), None) for i, t in enumerate(tokens) if t.text in ("may", "can"))
    return {head.stem for head in heads if head is not None and head.text not in NEGATORS}


def _parity(a: Sequence[Token], a_text: str, b: Sequence[Token], b_text: str, shared: set[str], weights: Mapping[str, float]) -> Opposition:
    """Shared words that one side negates and the other does not. Their weighted share among the shared words is the strength."""
    def odd(tokens: Sequence[Token], text: str) -> dict[str, float]:
        out: dict[str, float] = {}
        for token, n in zip(tokens, negated(tokens, text, shared), strict=True):
            if token.stem in shared and token.text not in NEGATORS:  # a word that also stands outside the negation is not denied
                odd = 1.0 - abs(n % 2.0 - 1.0)
                out[token.stem] = min(out.get(token.stem, 1.0), odd)
        return out

    left, right = odd(a, a_text), odd(b, b_text)
    hit = sum((weights.get(w, 0.1) + 0.2) * abs(left.get(w, 0.0) - right.get(w, 0.0)) for w in shared)
    if not hit:
        return Opposition(0.0)
    even = EVEN if (_turns(a, a_text) - _turns(b, b_text)) % 2 == 0 or _denies_the_opposite(a, a_text, b) else 1.0
    flat = {head for head in _denied_verbs(a) & shared if left.get(head, 0.0) >= 0.5 > right.get(head, 0.0)}
    if flat:  # "is not allocated" denies the statement that says "allocated", however much else they share
        return Opposition(0.85 * even, "says the opposite (negation)")
    if {head for head in _permitted(a) & _denied_verbs(b) & shared if right.get(head, 0.0) >= 0.5 > left.get(head, 0.0)}:
        return Opposition(0.85 * even, "allows what must not be")
    share = hit / sum(weights.get(w, 0.1) + 0.2 for w in shared)
    return Opposition(min(1.0, 1.3 * share) * even, "says the opposite (negation)")


def _turns(tokens: Sequence[Token], text: str) -> int:
    """How many words of a text turn its sense round. Where two texts differ by an even number, one may well say the other: "without a belt it doesn't run".

    Up to four words before a colon introduce the sentence and turn nothing in it ("nothing of the kind: ...")."""
    first = next((i for i in range(1, min(5, len(tokens))) if ":" in text[tokens[i - 1].end : tokens[i].start]), 0)
    whole = _WHOLE.search(text)  # "it is false that" turns round without a negator
    words = {t.text for t in tokens if whole and whole.start() <= t.start < whole.end()}
    turning = [t for i, t in enumerate(tokens[: _otherwise(tokens)])
               if i >= first and t.text in NEGATORS and not (t.text == "no" and _answers(tokens, i, text))]
    return len(turning) + (whole is not None and not words & NEGATORS)


def _denies_the_opposite(a: Sequence[Token], a_text: str, b: Sequence[Token]) -> bool:
    """Whether what `a` denies is the opposite of what `b` says: "does not take quadratic time", where it takes linear."""
    said = {place for t in b if t.content for place in poles(t.text)}
    return any((axis, -pole) in said and (axis, pole) not in said for axis, pole in _places(a, a_text, True))


def _places(tokens: Sequence[Token], text: str, denied: bool) -> set[tuple[int, int]]:
    """The poles that a text names within a negation, or without one."""
    return {place for t, no in zip(tokens, refused(tokens, text), strict=True) if no == denied and t.content for place in poles(t.text)}


def _antonym(clause: Sequence[Token], clause_text: str, statement: Sequence[Token], shared: set[str]) -> Opposition:
    """A word of the statement that the clause lacks, while its opposite, which the statement lacks, stands in the clause and is not denied there."""
    theirs = [t for t in statement if t.content and t.text not in NEGATORS]
    mine = [(t, no) for t, no in zip(clause, refused(clause, clause_text), strict=True) if t.content and t.text not in NEGATORS]
    have = {place: t for t, no in mine if t.stem not in shared and not no for place in poles(t.text)}
    own = {place for t in theirs for place in poles(t.text)}
    both = {place for t, _ in mine for place in poles(t.text)}
    flipped = dict[str, tuple[float, str]]()
    for token in theirs:
        if token.stem in shared:
            continue
        for axis, pole in poles(token.text):
            other = (axis, -pole)
            if other in have and other not in own and (axis, pole) not in both:
                loose = (token.text in LOOSE or have[other].text in LOOSE) and not _alike(clause, statement, have[other], token)
                flipped.setdefault(token.text, (0.5 if loose else 0.9, f"says “{have[other].text}” where “{token.text}” is right"))
    if not flipped:
        return Opposition(0.0)
    strength, why = max(flipped.values())
    even = len(flipped) % 2 == 0 or _turned_about(clause, statement, shared)  # "more at small sizes" is "less at large ones"
    return Opposition(strength * (EVEN if even else 1.0), why)


def _alike(a: Sequence[Token], b: Sequence[Token], one: Token, other: Token) -> bool:
    """Whether two texts have the same content words but for one word of each."""
    left, right = ({t.stem for t in tokens if t.content} for tokens in (a, b))
    return len(left) > 2 and left - {one.stem} == right - {other.stem}


def _turned_about(a: Sequence[Token], b: Sequence[Token], shared: set[str]) -> bool:
    """Whether what two texts compare stands on the other side of "than"."""
    def sides(tokens: Sequence[Token]) -> tuple[set[str], set[str]]:
        place = next((i for i, t in enumerate(tokens) if t.text == "than"), len(tokens))
        return _alone(tokens[:place], tokens[place:])

    (left, right), (left2, right2) = sides(a), sides(b)
    return bool(shared & left & right2 and shared & right & left2)


def _other_pole(a: Sequence[Token], a_text: str, b: Sequence[Token], b_text: str) -> Opposition:
    """The statement says one pole of an axis and denies the other ("memory, not arithmetic"); the clause says only the denied one."""
    affirmed, ruled_out, mine = _places(b, b_text, False), _places(b, b_text, True), _places(a, a_text, False)
    for axis, pole in ruled_out:
        if (axis, -pole) in affirmed and (axis, pole) not in affirmed and (axis, pole) in mine and (axis, -pole) not in mine:
            return Opposition(0.85, "says what the right answer rules out")
    return Opposition(0.0)


def _crossed(a: Sequence[Token], b: Sequence[Token]) -> Opposition:
    """Two axes, both poles of each on both sides, joined crosswise: prefill-compute, decode-memory against prefill-memory, decode-compute."""
    def pairs(tokens: Sequence[Token]) -> dict[tuple[int, int], set[tuple[int, int]]]:
        axes: dict[int, list[tuple[int, int]]] = {}  # axis -> (word, pole), in the order of the text
        for i, t in enumerate(tokens):
            for axis, pole in poles(t.text) if t.content else ():
                axes.setdefault(axis, []).append((i, pole))
        whole = {axis: places for axis, places in axes.items() if len({pole for _, pole in places}) == 2}
        return {(axis, other): {(pole, near) for i, pole in axes[axis] if (near := _nearest(whole[other], i)) is not None}
                for axis in axes for other in whole.keys() - {axis}}

    left, right = pairs(a), pairs(b)
    for key in left.keys() & right.keys():
        if len(left[key]) == len(right[key]) == 2 and not left[key] & right[key]:
            return Opposition(0.95, "joins the right words the wrong way round")
    return Opposition(0.0)


def _nearest(places: Sequence[tuple[int, int]], at: int) -> int | None:
    """The pole of the word nearest to the one at `at`, of two equally near ones the later."""
    before, after = bisect_left(places, (at, -2)), bisect_left(places, (at + 1, -2))
    if after < len(places) and (before == 0 or places[after][0] - at <= at - places[before - 1][0]):
        return places[after][1]
    return places[before - 1][1] if before else None


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

    words_a, words_b = {t.text for t in a}, {t.text for t in b}
    for word, left, right in sides(a):
        if word in ("before", "after") and ({"before", "after"} <= words_a or {"before", "after"} <= words_b):
            continue  # "before, not after"; "before the transfer and after it"
        if word == "than" and pole_votes(a, [b])[0]:
            continue  # "fewer predators than prey" is "more prey than predators"
        for other, left2, right2 in sides(b):
            turned = _TURNED.get(word) == other
            if word != other and not turned:
                continue
            straight = bool(left & left2) + bool(right & right2)
            cross = bool(left & right2) + bool(right & left2)
            if (cross == 2 and straight == 0 and not turned) or (turned and straight == 2 and cross == 0 and word in ("before", "after")):
                return Opposition(0.85, "turns the relation round")
    return Opposition(0.0)


def _exchanged(a: Sequence[Token], a_text: str, b: Sequence[Token], b_text: str) -> Opposition:
    """Two halves joined by a contrast, whose subjects changed places ("a stack ... oldest, a queue ... newest"); or effect and cause that did.

    Only words that stand on one side alone count. In a mere change of order all of them change sides, in a repetition none; where some do
    and some don't, the halves have exchanged a part.
    """
    for one in _halves(a, a_text):
        for other in _halves(b, b_text):
            if all(x & y for x in one for y in other):
                return Opposition(0.85, "joins the right words the wrong way round")
    for effect, cause in _causes(a, a_text):
        for effect2, cause2 in _causes(b, b_text):
            if not effect & effect2 and not cause & cause2 and len(effect & cause2) >= 2 and len(cause & effect2) >= 2:
                return Opposition(0.85, "takes the effect for the cause")
    return Opposition(0.0)


def _halves(tokens: Sequence[Token], text: str) -> list[tuple[set[str], set[str]]]:
    """For each joint of a contrast, and each semicolon, the stems on one side of it alone."""
    out = []
    for i in range(1, len(tokens)):
        if tokens[i].text in _CONTRASTING:
            out.append(_alone(tokens[:i], tokens[i + 1 :]))
        elif ";" in text[tokens[i - 1].end : tokens[i].start]:
            out.append(_alone(tokens[:i], tokens[i:]))
    return out


def _causes(tokens: Sequence[Token], text: str) -> list[tuple[set[str], set[str]]]:
    """(words of the effect, words of the cause) of each "because"; one at the start ends at the comma."""
    out = []
    for i, token in enumerate(tokens):
        if token.text in _CAUSAL and i:
            out.append(_alone(tokens[:i], tokens[i + 1 :]))
        elif token.text in _CAUSAL:
            comma = next((k for k in range(1, len(tokens)) if "," in text[tokens[k - 1].end : tokens[k].start]), 0)
            out.append(_alone(tokens[comma:], tokens[1:comma]))
    return out


def _alone(left: Sequence[Token], right: Sequence[Token]) -> tuple[set[str], set[str]]:
    """Stems of the content words that stand in one part and not in the other."""
    a, b = ({t.stem for t in part if t.content} for part in (left, right))
    return a - b, b - a


def same_number(found: Found, value: float, unit: str, tolerance: float) -> str:
    """`match`, `differ` (same dimension, other value) or `apart` (another kind of number).

    Counts are left out of the dimension: "320 KiB per token" is the 320 KiB of a claim that does not say per what.
    """
    try:
        expected = quantity(value, unit)
    except UnitError:
        return "apart"
    if found.unit is None or not _kind(found.unit):
        plain = [value, float(expected.m)]
        if any(abs(found.value - v) <= tolerance * abs(v) + 1e-12 for v in plain):
            return "match"
        return "differ" if not _kind(expected.units) and found.unit == expected.units else "apart"
    if _kind(found.unit) != _kind(expected.units):
        return "apart"
    a, b = _base(found.value, found.unit), _base(float(expected.m), expected.units)
    return "match" if abs(a - b) <= tolerance * abs(b) + 1e-12 * abs(b) else "differ"


_COUNTS = frozenset(f"[{name}]" for name in ["token", "request", "layer", "gpu", "step", "user", "sequence", "parameter", "block"])


def _kind(unit: Any) -> tuple[tuple[str, float], ...]:
    return tuple(sorted((k, float(v)) for k, v in unit.dimensionality.items() if k not in _COUNTS)) or (
        (("bit", 1.0),) if "byte" in str(unit) or "bit" in str(unit) else ())


def _base(value: float, unit: Any) -> float:
    return float(registry().Quantity(value, unit).to_base_units().magnitude)
