"""Points to levels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interviews.review.levels import BANDS, Mark, level_of, standing

BORDERS = [(0, "below"), (13.9, "below"), (14, "L5"), (19.9, "L5"), (20, "L6"), (24.9, "L6"), (25, "L7"), (28, "L7")]


@pytest.mark.parametrize(("points", "level"), BORDERS)
def test_the_borders(points: float, level: str) -> None:
    assert level_of(points) == level


def test_nothing_scored_is_no_level() -> None:
    where = standing([Mark(None, 28), Mark(None, 28)])
    assert (where.scaled, where.level, where.provisional) == (None, "", True)


def test_an_answer_without_a_score_counts_neither_way_and_widens_the_set() -> None:
    where = standing([Mark(21, 28), Mark(None, 28)])
    assert (where.level, where.scaled) == ("L6", 21)
    assert where.level_set == ("below", "L5", "L6")
    assert "not scored" in where.why


def test_a_third_of_a_point_does_not_fall_between_the_cracks() -> None:
    assert standing([Mark(60, 84)]).level == "L6"


def sure(points: float, doubt: float, max: float = 28) -> Mark:
    """An answer that a careful reader would give two points more or less, each with probability `doubt`."""
    return Mark(points, max, True, {points - 2: doubt, points: 1 - 2 * doubt, points + 2: doubt})


def test_what_the_scorer_is_not_sure_of_widens_the_set_and_is_said() -> None:
    where = standing([sure(21, 0.2)])
    assert (where.level, where.level_set, where.provisional) == ("L6", ("L5", "L6"), True)
    assert where.why.endswith("The level could be L5 or L6.")
    assert standing([sure(22, 0.2)]).level_set == ("L6",)
    assert standing([sure(21, 0.04)]).level_set == ("L6",)


def test_doubts_of_several_answers_add_up_and_partly_cancel() -> None:
    assert standing([sure(20.5, 0.2)] * 4).level_set == ("L5", "L6")
    assert standing([sure(21, 0.2)] * 4).level_set == ("L6",)  # that all four are two points lower is unlikely


def test_an_answer_without_doubt_leaves_those_of_the_others() -> None:
    assert standing([sure(21, 0.2), Mark(21, 28)]).level_set == ("L6",)
    assert standing([sure(20.5, 0.2), Mark(20, 28)]).level_set == ("L5", "L6")


marks = st.lists(st.builds(Mark, st.one_of(st.none(), st.floats(0, 28)), st.just(28.0), st.booleans()), min_size=1, max_size=6)


@given(marks)
def test_the_level_shown_is_in_the_set_or_there_is_none(found: list[Mark]) -> None:
    where = standing(found)
    order = ["below", *BANDS]
    assert list(where.level_set) == [name for name in order if name in where.level_set]
    if all(mark.points is not None for mark in found):
        assert where.level_set == (where.level,)


@given(st.lists(st.floats(0, 28), min_size=1, max_size=5), st.integers(0, 4), st.floats(0, 28))
def test_more_points_never_lower_the_level(points: list[float], index: int, more: float) -> None:
    index %= len(points)
    better = [*points]
    better[index] = min(28, points[index] + more)
    order = ["below", *BANDS]
    low, high = (standing([Mark(p, 28) for p in some]).level for some in (points, better))
    assert order.index(low) <= order.index(high)
