"""Criteria that prose has no part in: judged test groups, and fields that hold a number with a unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from grading.lexicon import NEGATORS
from grading.result import Answer, ClaimMark, CriterionScore, Evidence
from grading.rubric import Criterion, Quantity
from grading.short import normal, same_form, same_quantity, same_short
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
def judge_short(criterion: Criterion, answer: Answer) -> CriterionScore:
    """Quick-fire: all points for an accepted form, none for anything else, a rejected form or a denial."""
    said = answer.text.strip()
    typed = said[:MAX_SHORT]
    listed = any(same_form(typed, form) for form in criterion.accepted)
    refused = any(normal(typed) == normal(form) or (not listed and same_quantity(said, form)) for form in criterion.rejected)
    denies = set(normal(typed).split()) & NEGATORS and not any(set(normal(form).split()) & NEGATORS for form in criterion.accepted)
    met = not refused and not denies and len(said) <= MAX_SHORT and any(same_short(said, form) for form in criterion.accepted)
    wrong = "a wrong answer that looks like the right one" if refused else "not an accepted answer" if said else "nothing was said"
    why = "an accepted answer" if met else wrong
    start = answer.text.find(said) if said else 0
    span = (Evidence("text", start, start + len(said), said),) if met else ()
    return CriterionScore(criterion.id, criterion.title, criterion.points if met else 0.0, criterion.points, span, why + ".",
                          () if met else (why + ".",), 1.0, (ClaimMark("accepted", "short", met, float(met), 1.0, why, span),))
