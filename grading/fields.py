"""Criteria that prose has no part in: judged test groups, and fields that hold a number with a unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from grading.result import Answer, ClaimMark, CriterionScore, Evidence
from grading.rubric import Criterion, Quantity
from grading.units import UnitError, compare, find_quantities, quantity, read_quantity, registry


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
    expected = quantity(wanted.value, wanted.unit)
    got = compare(found, expected, wanted.tolerance)
    if got == "exact":
        return 1.0, "right", span
    if got == "order":
        return wanted.part, "the unit and the order of magnitude are right, the value is not", span
    if got == "unit":
        unit = "no unit" if found.dimensionless else f"“{found.units:~P}”"
        return 0.0, f"{unit} can't stand for “{wanted.unit}”", span
    return 0.0, "the value is off by more than a factor of ten", span


def _in_text(wanted: Quantity, answer: Answer) -> tuple[float, str, Evidence]:
    """A step stated in the prose: any number of the text that is the wanted quantity."""
    expected = quantity(wanted.value, wanted.unit)
    for found in find_quantities(answer.text[:200_000]):
        if (found.unit is None) == expected.dimensionless and compare(
                registry().Quantity(found.value, found.unit or ""), expected, wanted.tolerance) == "exact":
            return 1.0, "right", Evidence("text", found.start, found.end, answer.text[found.start : found.end])
    return 0.0, "this step is not in the text", Evidence("text", 0, 0, "")
