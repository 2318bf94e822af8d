"""Criteria that prose has no part in: judged test groups, and fields that hold a number with a unit."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from grading.encoder import encoder
from grading.lexicon import NEGATORS
from grading.result import Answer, ClaimMark, CriterionScore, Evidence
from grading.rubric import Criterion, Quantity
from grading.units import UnitError, compare, find_quantities, is_count, other_prefix, quantity, read_quantity, registry, stands_for


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


def _in_field(wanted: Quantity, answer: Answer) -> tuple[float, str, Evidence]:
    typed = str(answer.fields.get(wanted.field, ""))
    span = Evidence("fields", 0, len(typed), typed)
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
    unit = "a bare number" if found.dimensionless else f"“{found.units:~P}”"
    return 0.0, f"{unit} can't stand for “{wanted.unit}”", span


MAX_FIGURES, MAX_COUNTS = 30, 60  # different figures of one dimension, and bare numbers, that working out an estimate may take


def _in_text(wanted: Quantity, answer: Answer) -> tuple[float, str, Evidence]:
    """A step stated in the prose: any number of the text that is the wanted quantity. Where so many figures of its kind stand that some would
    hit anything, none counts."""
    figures, why = find_quantities(answer.text[:200_000]), "this step is not in the text"
    for number in wanted.accepted:
        value = quantity(number.value, number.unit)
        alike = [(f, registry().Quantity(f.value, "" if value.dimensionless else f.unit or "")) for f in figures
                 if (is_count(f.unit) if value.dimensionless else f.unit is not None and stands_for(f.unit, value.units))]
        if len({float(q.to_base_units().magnitude) for _, q in alike}) > (MAX_COUNTS if value.dimensionless else MAX_FIGURES):
            why = "the text holds so many figures of this kind that none can be taken for the step"
            continue
        for found, said in alike:
            if compare(said, value, number.tolerance) == "exact":
                return 1.0, "right", Evidence("text", found.start, found.end, answer.text[found.start : found.end])
    return 0.0, why, Evidence("text", 0, 0, "")


MAX_SHORT = 300  # characters of a quick-fire answer
_OPPOSED = ("un", "in", "im", "ir", "il", "non", "a", "anti", "de", "dis", "over", "under", "sub", "super", "up", "down")
_SUPERSCRIPTS = "[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+"


def _short(text: str) -> str:
    """A short answer without what doesn't count. A minus sign and a decimal point do; the hyphen of "all-reduce" is a blank."""
    text = unicodedata.normalize("NFKC", re.sub(_SUPERSCRIPTS, lambda m: f"^{m[0]}", text)).casefold()
    text = re.sub(r"^\s*(?:it is|it's|its|the|an?|answer)[\s:]+", "", re.sub("[−–]", "-", text))
    text = re.sub(r"(?<=\d)\s*-\s*(?=\d)", "\0", text)  # 1-2, no sign and no blank
    text = re.sub(r"(?<=[\w)])\s*-|-(?!\s*\d|\w|\()", " ", text)
    text = re.sub(r"-\s+", "-", text).replace("\0", "-")
    return " ".join(re.sub(r"[^\w\s./%$+*^<>=-]|\.(?!\d)", " ", text).split())


def _same_quantity(said: str, form: str) -> bool | None:
    """Whether both are one quantity; None when one of them is none, as a bound ("at least 2") is. An author lists the rounded forms."""
    try:
        return compare(read_quantity(said, bounds=False), read_quantity(form, bounds=False), 1e-9) == "exact"
    except UnitError:
        return None


def same_short(said: str, accepted: str) -> bool:
    """Whether a short answer is an accepted form: equal after normalisation, the same quantity, or one slip of the fingers in a long word.

    A slip never turns one number into another, nor a word into its opposite or into another word.
    """
    a, b = _short(said), _short(accepted)
    if not a or not b:
        return False
    if a == b:
        return True
    same, words, meant = _same_quantity(said, accepted), a.split(), b.split()
    return same if same is not None else len(words) == len(meant) and all(x == y or _slip(x, y) for x, y in zip(words, meant, strict=True))


def _slip(said: str, meant: str) -> bool:
    """One slip in a word of six letters or more that begins alike; the other spelling and the plural of a word count as one.

    Neighbours swapped, or a double letter for a single one or the other way round. A wrong or a missing letter only where that makes no word.
    """
    x, y = said, meant
    if min(len(x), len(y)) < 6 or x[:2] != y[:2] or not (x + y).isalpha() or any(x == p + y or y == p + x for p in _OPPOSED):
        return False
    if _spelling(x) == _spelling(y):
        return True
    if len(x) == len(y):
        wrong = [i for i in range(len(x)) if x[i] != y[i]]
        if len(wrong) == 2:
            return wrong[1] == wrong[0] + 1 and x[wrong[0]] == y[wrong[1]] and x[wrong[1]] == y[wrong[0]]
        return len(wrong) == 1 and not _known(x)
    short, long = sorted((x, y), key=len)
    dropped = next((i for i in range(len(short)) if short[i] != long[i]), len(short))  # the last of a run of equal letters
    if long[:dropped] + long[dropped + 1 :] != short:
        return False
    return long[dropped - 1] == long[dropped] or long == short + "s" or (long == y and not _known(x))


def _spelling(word: str) -> str:
    return word.replace("z", "s").replace("our", "or")


def _known(word: str) -> bool:
    """Whether the word stands in the encoder's vocabulary."""
    return encoder().pieces(word) == 1


def judge_short(criterion: Criterion, answer: Answer) -> CriterionScore:
    """Quick-fire: all points for an accepted form, none for anything else, a rejected form or a denial."""
    said = answer.text.strip()
    typed = _short(said[:MAX_SHORT])
    listed = any(typed == _short(form) for form in criterion.accepted)
    refused = any(typed == _short(form) or (not listed and _same_quantity(said, form)) for form in criterion.rejected)
    denies = set(typed.split()) & NEGATORS and not any(set(_short(form).split()) & NEGATORS for form in criterion.accepted)
    met = not refused and not denies and len(said) <= MAX_SHORT and any(same_short(said, form) for form in criterion.accepted)
    wrong = "a wrong answer that looks like the right one" if refused else "not an accepted answer" if said else "nothing was said"
    why = "an accepted answer" if met else wrong
    start = answer.text.find(said) if said else 0
    span = (Evidence("text", start, start + len(said), said),) if met else ()
    return CriterionScore(criterion.id, criterion.title, criterion.points if met else 0.0, criterion.points, span, why + ".",
                          () if met else (why + ".",), 1.0, (ClaimMark("accepted", "short", met, float(met), 1.0, why, span),))
