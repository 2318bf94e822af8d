"""Criteria that prose has no part in: judged test groups, fields that hold a number with a unit, and short answers."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pint import Unit

from grading.gates import taken_back
from grading.lexicon import IS_UNTRUE, NEGATORS, UNTRUE
from grading.result import Answer, ClaimMark, CriterionScore, Evidence, Unsure
from grading.rubric import TEXT, Criterion, Quantity
from grading.short import FILLING, contrast, free_words, normal, parted, same_form, same_quantity, same_short, without
from grading.text import MAX_CHARS, Document, read, unfenced
from grading.units import Found, UnitError, compare, find_quantities, is_count, other_prefix, quantity, read_quantity, registry, stands_for


def judge_tests(criterion: Criterion, groups: Mapping[str, Sequence[Any]]) -> CriterionScore:
    """Points for the judged test groups that a criterion names: points x earned / possible, rounded down.

    `groups` maps a group's name to [earned, possible]. A group with nothing possible counts as nothing earned.
    """
    earned = sum(max(0.0, float(groups[name][0])) for name in criterion.tests)
    possible = sum(max(0.0, float(groups[name][1])) for name in criterion.tests)
    share = min(1.0, earned / possible) if possible else 0.0
    points = float(math.floor(criterion.points * share + 1e-9))
    missed = tuple(f"Tests of the group “{name}” failed ({groups[name][0]:g} of {groups[name][1]:g} points)."
                   for name in criterion.tests if float(groups[name][0]) < float(groups[name][1]))
    marks = tuple(ClaimMark(name, "tests", float(groups[name][0]) >= float(groups[name][1]) > 0,
                            float(groups[name][0]) / float(groups[name][1] or 1), 1.0, "judged by tests") for name in criterion.tests)
    return CriterionScore(criterion.id, criterion.title, points, criterion.points, (),
                          f"{earned:g} of {possible:g} points in the hidden tests.", missed, 1.0, marks)


def judge_quantities(criterion: Criterion, answer: Answer) -> CriterionScore:
    """Points for numbers with units. The right dimension and order of magnitude earn a part; a wrong unit earns nothing."""
    points, marks, missed, evidence = 0.0, list[ClaimMark](), list[str](), list[Evidence]()
    for i, wanted in enumerate(criterion.quantities):
        share, why, span = (_in_text if wanted.field == "text" else _in_field)(wanted, answer)
        points += share * wanted.points
        if share:
            evidence.append(span)
        if share < 1.0:
            missed.append(f"{wanted.label or wanted.field}: {why}.")
        marks.append(ClaimMark(f"{wanted.field}-{i + 1}", "quantity", share == 1.0, share, 1.0, why, (span,) if span.text else ()))
    points = float(math.floor(points + 1e-9)) if float(criterion.points).is_integer() else points
    met = sum(mark.met for mark in marks)
    return CriterionScore(criterion.id, criterion.title, points, criterion.points, tuple(dict.fromkeys(evidence)),
                          f"{met} of {len(marks)} values right.", tuple(missed), 1.0, tuple(marks))


BARE = "a bare number"


def _in_field(wanted: Quantity, answer: Answer) -> tuple[float, str, Evidence]:
    typed = str(answer.fields.get(wanted.field, ""))
    span = Evidence("fields", 0, len(typed), typed, wanted.field)
    if not typed.strip():
        return 0.0, "nothing was filled in", span
    try:
        found = read_quantity(typed)
    except UnitError as error:
        return 0.0, str(error), span
    expected = [(quantity(number.value, number.unit), number.tolerance) for number in wanted.accepted]
    got = {compare(found, value, tolerance) for value, tolerance in expected}
    if "exact" in got:
        return 1.0, "right", span
    if "order" in got:
        slip = next(filter(None, (other_prefix(found, value, tolerance) for value, tolerance in expected)), "")
        return wanted.part, slip or "the unit and the order of magnitude are right, the value is not", span
    if "value" in got:
        return 0.0, "the value is off by more than a factor of ten", span
    unit = BARE if found.dimensionless else f"“{found.units:~P}”"
    return 0.0, f"{unit} can't stand for {f'“{wanted.unit}”' if wanted.unit else BARE}", span


MAX_FIGURES, MAX_COUNTS = 30, 60  # different figures of one dimension, and bare numbers, that working out an estimate may take


# What stands between a negation and the figure that it denies: "isn't really about $15.60". A bound ("not more than 140 GB"), a limit ("can't hold 140 GB")
# and a part ("not 140 GB alone") deny no figure, and what a word such as "the" takes for granted is said.
_LIGHT = (r"(?:\s*(?:\b(?:be|been|being|really|actually|exactly|quite|at|to|an?|about|around|roughly|approximately|close|equals?|some|USD|EUR)\b"
          r"|US\$|[~≈=$€(\-−–]))*\s*$")
_NOT = r"(?:\b(?:not|never|neither|nor)\b|n['’]t\b|≠|!=)"
_EQUATES = r"(?:amount|come|weigh|total|cost|take|need|require|occupy|make(?:\s+up)?)"
_DENIES = re.compile(rf"(?:(?<!whether or ){_NOT}|\b(?:do|does|did)(?:\s+not|n['’]t)\s+{_EQUATES}\b){_LIGHT}", re.I)
_FALSE_THAT = re.compile(rf"\b(?:it(?:['’]s| is| was| would be) (?:{UNTRUE}|(?:not|never) so)|it (?:isn|wasn)['’]t (?:true|correct|right|the case|so)"
                         r"|I (?:doubt|deny|disagree)|nobody (?:should|would) (?:think|believe|say))\b(?:\s+that\b)?"
                         rf"|\b(?:is|are) {UNTRUE}\s*:|^\W*{UNTRUE}\s*[:.–—-]", re.I)  # "Wrong, 140 GB" speaks of what was said before
_NOT_THE = (r"(?: (?:is|are|was|were) (?:not|never)| (?:is|are|was|were)n['’]t) (?:the|our|my|an?) (?:(?:right|correct|true|final) )?"
            r"(?:answer|figure|number|value|result|size)\b")
_AT_ALL = r"(?!,?\s+(?:if|when|unless|for)\b)"  # where something else would hold, it may be so here
_FALSE_FIGURE = re.compile(rf"\W{{0,3}}(?:\s?(?:per|an?|of|in|for)\s\w+){{0,2}}(?:{IS_UNTRUE}|{_NOT_THE}){_AT_ALL}|\s*(?:#+|//+)\s*{UNTRUE}{_AT_ALL}", re.I)
_PARTLY = re.compile(r"\s?(?:alone|only)\b", re.I)
_ANEW = r";|\b(?:but|because|whereas|while|instead|rather|actually|right|correct)\b"  # where a sentence goes on with what is so
_ANEW_BELOW = re.compile(_ANEW, re.I)  # behind "false:" stands a list
_ANEW_THEN = re.compile(_ANEW + r"|,(?!\s+(?:(?:and|or|nor)\s+)?that\b)", re.I)
_NAMED = re.compile(r"[A-Za-z][\w-]*(?: [\w-]+){0,4} ?[:=]")  # a line that begins with the name of what it holds
NEAR = 80  # characters in which a negation stands before the figure that it denies


@dataclass(frozen=True, slots=True)
class _Step:
    """A figure of the prose, its place in the answer, and whether the answer says that it is so."""

    found: Found
    said: bool


@lru_cache(maxsize=8)
def _steps(text: str) -> tuple[_Step, ...]:
    """Every figure that a reader sees, in prose or in code. What is struck out or hidden isn't there."""
    document, out = read(unfenced(text[:MAX_CHARS])), list[_Step]()
    flow, sentences, unsaid = _flow(document), document.sentences, taken_back(document)[0]
    false = [_false(sentence.text) for sentence in sentences]
    begins = [sentence.at for sentence in sentences]
    line = flow.replace("\n", " ")
    for found in find_quantities(flow):
        first, last = bisect_right(begins, found.start) - 1, bisect_right(begins, found.end - 1) - 1
        at = found.start - begins[first]
        nearest = bisect_right(false[first], (at, len(line))) - 1
        denied = (nearest >= 0 and at < false[first][nearest][1]) or _denied(line, found)
        start, end = document.span(sentences[first], at, found.end - begins[first])
        out.append(_Step(replace(found, start=start, end=end), not (unsaid[first] or unsaid[last] or denied)))
    return tuple(out)


def _flow(document: Document) -> str:
    """The sentences in their places, and between them what no figure reaches across. A line end stays where one line may go on in the next:
    "140" and "GB" are a figure, while "Bytes of a number: 2" below "Heads: 8" begins with a name."""
    out, last = ["\0"] * len(document.text), 0
    for sentence in document.sentences:
        gap, end = document.text[last : sentence.at], sentence.at + len(sentence.text)
        if gap.strip(" ") == "\n" and not _NAMED.match(sentence.text):
            out[last : sentence.at] = gap
        out[sentence.at : end] = document.text[sentence.at : end]
        last = end
    return "".join(out)


def _false(sentence: str) -> list[tuple[int, int]]:
    """The parts of a sentence that it calls false, from "it is wrong that" up to where it says something else."""
    out = list[tuple[int, int]]()
    for m in _FALSE_THAT.finditer(sentence):
        if out and m.start() < out[-1][1]:
            continue
        anew = (_ANEW_BELOW if m[0].rstrip()[-1] in ":.–—-" else _ANEW_THEN).search(sentence, m.end())
        out.append((m.end(), anew.start() if anew else len(sentence)))
    return out


def _denied(text: str, found: Found) -> bool:
    """Whether the words around a figure say that it isn't this one. "Not 70 GB but 140 GB" denies 70 GB."""
    if _FALSE_FIGURE.match(text, found.end):
        return True
    return _DENIES.search(text[max(0, found.start - NEAR) : found.start]) is not None and not _PARTLY.match(text, found.end)


def _counted(found: Found) -> Unit | str:
    """The unit of a bare number: percent, or none, whatever it counts."""
    return found.unit if found.unit is not None and found.unit.dimensionless else ""


def _in_text(wanted: Quantity, answer: Answer) -> tuple[float, str, Evidence]:
    """A step stated in the prose: any number of the text that is the wanted quantity. Where so many figures of its kind stand that some would
    hit anything, none counts."""
    steps, why = _steps(answer.text), "this step is not in the text"
    for number in wanted.accepted:
        value = quantity(number.value, number.unit)
        alike = [(step, registry().Quantity(f.value, _counted(f) if value.dimensionless else f.unit or "")) for step in steps for f in [step.found]
                 if (is_count(f.unit) if value.dimensionless else f.unit is not None and stands_for(f.unit, value.units))]
        if len({float(q.to_base_units().magnitude) for _, q in alike}) > (MAX_COUNTS if value.dimensionless else MAX_FIGURES):
            why = "the text holds so many figures of this kind that none can be taken for the step"
            continue
        for step, said in alike:
            if compare(said, value, number.tolerance) != "exact":
                continue
            if step.said:
                return 1.0, "right", Evidence("text", step.found.start, step.found.end, answer.text[step.found.start : step.found.end])
            why = "the text names this step only to say that it isn't so"
    return 0.0, why, Evidence("text", 0, 0, "")


MAX_SHORT, NAMED = 300, 3  # characters of a quick-fire answer, and how many accepted forms are named beside one that is none


def _short(criterion: Criterion, said: str, free: Set[str]) -> tuple[bool, bool, bool]:
    """Whether a short answer is an accepted one, whether it is a rejected one, and whether it denies something."""
    bare = without(said, free)
    listed = any(same_form(said, form) for form in criterion.accepted)
    refused = any(normal(said) == normal(form) or bare == without(form, FILLING) or (not listed and same_quantity(said, form)) for form in criterion.rejected)
    denies = bool(set(normal(said).split()) & NEGATORS) and not any(set(normal(form).split()) & NEGATORS for form in criterion.accepted)
    whole = bare == normal(said)  # then a quantity is as it was typed: Ms are no ms
    same = any(same_short(said, form) or (not (whole and same_quantity(said, form) is False) and same_short(bare, without(form, FILLING)))
               for form in criterion.accepted)
    right = same and not refused and not denies
    return right, refused, denies


def judge_short(criterion: Criterion, answer: Answer) -> CriterionScore:
    """Quick-fire: all points for an accepted form, none for anything else, a rejected form or a denial. Words of the criterion's title said back are free.

    Two accepted forms side by side are one answer said twice, and a rejected form may be denied beside an accepted one.

    Whether words that are no accepted form say the same, a person sees at a glance and a list can't tell: those are to be looked at first.
    """
    prose = criterion.field == TEXT
    written = answer.text if prose else str(answer.fields.get(criterion.field, ""))
    said = written.strip()
    typed = said[:MAX_SHORT]
    free = free_words(criterion.title, criterion.accepted, criterion.rejected)
    answered, denied = contrast(typed)
    if not any(same_form(denied, form) for form in criterion.rejected):
        answered = typed
    right, refused, denies = _short(criterion, answered, free)
    twice = not (right or refused or denies) and any(all(_short(criterion, part, free)[0] for part in parts) for parts in parted(answered))
    met = (right or twice) and len(said) <= MAX_SHORT
    wrong = "a wrong answer" if refused else "not an accepted answer" if said else "nothing was said"
    why = "an accepted answer" if met else wrong
    start = written.find(said) if said and prose else 0
    span = (Evidence("text", start, start + len(said), said) if prose else Evidence("fields", 0, len(written), written, criterion.field),) if met else ()
    words = typed and not (met or refused or denies) and all(same_quantity(said, form) is None for form in criterion.accepted)
    unsure = (Unsure("unlisted", criterion.id, " or ".join(criterion.accepted[:NAMED]), typed),) if words else ()
    told = f"{why[0].upper()}{why[1:]}."
    return CriterionScore(criterion.id, criterion.title, criterion.points if met else 0.0, criterion.points, span, told, () if met else (told,), 1.0,
                          (ClaimMark("accepted", "short", met, float(met), 1.0, why, span),), unsure)
