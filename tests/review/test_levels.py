"""Points to levels."""

import math
import random
import time
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interviews.review.decided import Row, law_of
from interviews.review.levels import BANDS, Mark, law_of_all, level_of, standing

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


def partly_decided(drawn: random.Random) -> Mark:
    """An answer that was scored again, of which a person decided a criterion or two before: its law lies between the points, in a way of its own."""
    centre, width = drawn.uniform(20, 23), drawn.uniform(2, 5)
    law = {float(n): math.exp(-(((n - centre) / width) ** 2) / 2) for n in range(29)}
    law = {points: p / sum(law.values()) for points, p in law.items()}
    given = max(law, key=law.__getitem__)
    own = [given // 7 + (n < given % 7) for n in range(7)]
    rows = [Row(f"c{n}", own[n], 4, drawn.uniform(0.3, 0.99), 2 if n < drawn.randint(1, 2) else None) for n in range(7)]
    return Mark(sum(row.points for row in rows), 28, True, law_of(rows, law, False))


def convolved(marks: list[Mark], fine: int = 48) -> Mapping[float, float]:
    """The law of the sum, on a grid so fine that it matters little where on it something lies."""
    out = np.ones(1)
    for mark in marks:
        law = np.zeros(28 * fine + 1)
        for points, p in mark.law.items():
            law[round(points * fine)] += p
        out = np.convolve(out, law)
    return {n / fine: float(p) for n, p in enumerate(out)}


@pytest.mark.parametrize("seed", range(8))
def test_answers_that_people_decided_in_part_add_up_to_all_of_the_probability_and_at_once(seed: int) -> None:
    drawn = random.Random(seed)
    marks = [partly_decided(drawn) for _ in range(9)]
    assert any(points % 0.5 for mark in marks for points in mark.law)
    began = time.process_time()
    where = standing(marks)
    assert time.process_time() - began < 0.5
    law, fine = law_of_all(marks), convolved(marks)
    assert sum(law.values()) == pytest.approx(1, abs=1e-9)
    mean = [sum(points * p for points, p in one.items()) for one in (law, fine)]
    assert mean[0] == pytest.approx(mean[1], abs=0.1)
    chances = [sum(p for points, p in one.items() if points * 28 / 252 >= least) for least in BANDS.values() for one in (law, fine)]
    assert chances[::2] == pytest.approx(chances[1::2], abs=0.01)
    assert where.level_set == standing([Mark(where.total, 252, True, fine)]).level_set


def test_laws_on_halves_and_thirds_are_added_exactly() -> None:
    one, other = Mark(1, 4, law={0.5: 0.25, 1: 0.75}), Mark(4 / 3, 4, law={4 / 3: 0.5, 2.0: 0.5})
    found = law_of_all([one, other])
    expected = {0.5 + 4 / 3: 0.125, 1 + 4 / 3: 0.375, 2.5: 0.125, 3.0: 0.375}
    assert list(found) == pytest.approx(list(expected)) and list(found.values()) == pytest.approx(list(expected.values()))


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
