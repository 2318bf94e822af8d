"""What is in doubt where people decided some of an answer's criteria."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grading import Rubric
from interviews.review.decided import Row, law_of, levels_of

LEVELS = ["below", "L5", "L6", "L7"]


def rubric(**must_have: list[str]) -> Rubric:
    criteria = [{"id": f"c{n}", "title": "C", "points": 4, "levels": ["0", "1", "2", "3", "4"], "tests": ["g"]} for n in range(7)]
    return Rubric.from_dict({"bands": {"L5": 14, "L6": 20, "L7": 25}, "must_have": must_have, "criteria": criteria})


def rows(own: list[float], confidence: float = 0.8, **decided: float) -> list[Row]:
    return [Row(f"c{n}", points, 4, confidence, decided.get(f"c{n}")) for n, points in enumerate(own)]


def about(total: float) -> dict[float, float]:
    """A law that the points may be four more or less."""
    return {at: 1 / 9 for at in (total + n for n in range(-4, 5)) if 0 <= at <= 28}


def test_what_people_decided_all_of_is_not_in_doubt() -> None:
    asked = rows([4] * 7, **{f"c{n}": 0 for n in range(7)})
    law = law_of(asked, about(28), True)
    assert law == {0: 1.0}
    assert levels_of(rubric(), asked, law) == ("below",)


def test_the_rest_keeps_its_part_of_the_doubt_about_the_new_points() -> None:
    asked = rows([3] * 7, c0=0, c1=0, c2=0)
    law = law_of(asked, about(21), True)
    assert min(law) == pytest.approx(12 - 4 * (4 / 7) ** 0.5)
    assert max(law) == pytest.approx(12 + 4 * (4 / 7) ** 0.5)
    assert levels_of(rubric(), asked, law) == ("below", "L5")


def test_it_is_no_more_than_the_rest_can_give() -> None:
    asked = rows([0] * 7, **{f"c{n}": 4 for n in range(6)})
    law = law_of(asked, dict.fromkeys(range(29), 1 / 29), True)
    assert (min(law), max(law)) == (24, 28)


def test_judged_tests_are_not_in_doubt_either() -> None:
    asked = [Row("c0", 2, 4, 1.0), *rows([2] * 7, **{f"c{n}": 2 for n in range(1, 7)})[1:]]
    assert law_of(asked, about(14), True) == {14: 1.0}


@pytest.mark.parametrize("confidence", [1.0000000000000002, 1.0, 1 - 1e-16, 0.9999999999999998])
def test_a_hair_more_or_less_than_sure_is_sure(confidence: float) -> None:
    asked = [Row("c0", 0, 4, confidence), *rows([2] * 7, **{f"c{n}": 2 for n in range(1, 7)})[1:]]
    law = law_of(asked, about(12), False)
    assert law == {12: 1.0}
    assert levels_of(rubric(L5=["c0"]), asked, law) == ("below",)


def test_what_can_earn_nothing_is_in_no_doubt_to_be_shared() -> None:
    assert law_of([Row("c0", 0, 0, 0.5)], {0.0: 0.5, 1.0: 0.5}, True) == {0: 1.0}


def test_of_what_was_not_read_anything_is_possible_that_is_not_decided() -> None:
    asked = rows([0] * 7, confidence=0.0, c0=4, c1=4, c2=4, c3=4)
    law = law_of(asked, {}, False)
    assert (min(law), max(law), len(law)) == (16, 28, 13)
    assert levels_of(rubric(), asked, law) == ("L5", "L6", "L7")
    assert law_of(asked, {}, True) == {16: 1.0}


def test_a_must_have_that_a_person_denied_rules_levels_out() -> None:
    asked = rows([4] * 7, c0=1)
    law = law_of(asked, about(28), True)
    assert levels_of(rubric(L7=["c0"]), asked, law) == ("L6",)
    assert "L7" in levels_of(rubric(), asked, law)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1), st.one_of(st.none(), st.integers(0, 4))), min_size=7, max_size=7))
def test_the_law_is_one_within_reach_and_the_level_that_is_shown_in_the_set(drawn: list[tuple[int, float, int | None]]) -> None:
    asked = [Row(f"c{n}", own, 4, confidence, to) for n, (own, confidence, to) in enumerate(drawn)]
    law = law_of(asked, about(sum(row.own for row in asked)), True)
    assert sum(law.values()) <= 1 + 1e-9
    low = sum(row.points for row in asked if row.certain)
    assert all(low <= points <= low + 4 * sum(not row.certain for row in asked) for points in law)
    found = levels_of(rubric(), asked, law)
    assert rubric().level({row.id: row.points for row in asked}) in found
    assert list(found) == LEVELS[LEVELS.index(found[0]) : LEVELS.index(found[-1]) + 1]
