"""What people's marks teach the scorer: on people who are made up, so that the truth is known."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grading.calibration import Calibration, Marked, best_cut, claim_key, fit, held_out, isotonic, labels, points_under, report, table
from grading.certainty import BARE, COMMON, chance, common_error, confidence, doubtful, level_set, total_law
from grading.result import ClaimMark, CriterionScore, Score
from grading.rubric import Claim, Criterion, Misconception, Rubric
from grading.scorer import score
from tests.grading.test_scorer import RUBRIC, TRUE

CLAIMS = tuple(Claim(f"c{n}", f"Statement number {n} about pages.") for n in range(4))
ONE = Rubric(tuple(Criterion(f"k{n}", f"Criterion {n}", 4.0, claims=tuple(replace(c, text=f"{c.text} {n}") for c in CLAIMS)) for n in range(7)),
             bands=(("L5", 14.0), ("L6", 20.0), ("L7", 25.0)))  # fmt: skip


def scored(rubric: Rubric, values: list[list[float]]) -> Score:
    """A score whose claims have the given fused scores."""
    criteria = []
    for criterion, own in zip(rubric.criteria, values, strict=True):
        marks = tuple(ClaimMark(c.id, "claim", v >= 0.5, v, 0.5, "") for c, v in zip(criterion.claims, own, strict=True))
        points = criterion.points_for(sum(m.met for m in marks))
        criteria.append(CriterionScore(criterion.id, criterion.title, points, criterion.points, marks=marks, confidence=0.5))
    return Score(sum(c.points for c in criteria), rubric.max, "", (), "scored", tuple(criteria))


def person(seed: int, cut: float, noise: float = 0.0) -> Marked:
    """Answers of a certain strength, marked by somebody whose cut is another."""
    rng = random.Random(seed)
    strength = rng.random()
    values = [[min(1.0, max(0.0, rng.gauss(strength, 0.25))) for _ in CLAIMS] for _ in ONE.criteria]
    points = {c.id: c.points_for(sum(v + rng.gauss(0, noise) >= cut for v in own)) for c, own in zip(ONE.criteria, values, strict=True)}
    return Marked(ONE, scored(ONE, values), points, str(seed % 4))


def test_the_least_change_explains_a_persons_points() -> None:
    one = scored(ONE, [[0.9, 0.55, 0.45, 0.1]] * 7)
    found = [(score, met) for _, score, met in labels(ONE.criteria[0], one.criteria[0], 3.0)]
    assert found == [(0.9, True), (0.55, True), (0.45, True), (0.1, False)]
    assert [met for _, _, met in labels(ONE.criteria[0], one.criteria[0], 1.0)] == [True, False, False, False]
    assert [met for _, _, met in labels(ONE.criteria[0], one.criteria[0], 2.0)] == [True, True, False, False]


def test_a_deduction_is_not_taken_for_an_unmet_claim() -> None:
    criterion = replace(ONE.criteria[0], misconceptions=(Misconception("m", "Wrong.", 2.0),))
    marks = (*scored(ONE, [[0.9] * 4] * 7).criteria[0].marks, ClaimMark("m", "misconception", True, 0.9, 0.65, ""))
    assert all(met for _, _, met in labels(criterion, CriterionScore("k0", "", 2.0, 4.0, marks=marks), 2.0))


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=6), deduct=st.sampled_from([0.0, 4.0]), common=st.sampled_from([0.0, COMMON]))
def test_nobody_is_surer_than_sure(values: list[float], deduct: float, common: float) -> None:
    criterion = replace(ONE.criteria[0], rule=((1, 1.0), (2, 2.0), (3, 4.0)), misconceptions=(Misconception("m", "Wrong.", deduct),))
    marks = (*(ClaimMark(str(n), "claim", v >= 0.5, v, 0.5, "") for n, v in enumerate(values)), ClaimMark("m", "misconception", True, 0.9, 0.65, ""))
    found = confidence(criterion, criterion.points_for(sum(v >= 0.5 for v in values), deduct), marks, common=common)
    assert 0 < found <= 1
    if deduct:  # all that there is: the points can be no others
        assert found == pytest.approx(1, abs=1e-12)


@given(pairs=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=1, max_size=30))
def test_the_curve_rises_and_keeps_the_mean(pairs: list[tuple[float, float]]) -> None:
    knots = isotonic(pairs)
    assert all(a[1] < b[1] and a[0] <= b[0] for a, b in pairwise(knots))
    assert all(0 <= y <= 1 for _, y in knots)


def test_the_curve_of_two_clear_groups_is_exact() -> None:
    assert isotonic([(0.1, 0), (0.2, 0), (0.3, 1), (0.4, 0), (0.9, 1)]) == ((pytest.approx(0.15), 0.0), (pytest.approx(0.35), 0.5), (0.9, 1.0))


def test_few_marks_move_no_cut_and_many_do() -> None:
    assert best_cut([(0.45, True), (0.55, True)]) == 0.5
    strict = [(v / 100, v >= 70) for v in range(100)]
    assert abs(best_cut(strict) - 0.7) < 0.02


def test_a_stricter_person_is_learnt_and_agreement_rises_on_answers_not_seen() -> None:
    marked = [person(seed, cut=0.7) for seed in range(60)]
    found = report(marked)
    assert found["after"]["criteria_exact"]["value"] > found["before"]["criteria_exact"]["value"] + 0.1
    assert found["after"]["total_error"]["value"] < 0.6 * found["before"]["total_error"]["value"]
    assert found["after"]["qwk"]["value"] > found["before"]["qwk"]["value"]
    assert found["after"]["qwk"]["interval"][0] <= found["after"]["qwk"]["value"] <= found["after"]["qwk"]["interval"][1]
    assert "60 answers" in table(found)


def test_a_person_who_agrees_changes_nothing() -> None:
    marked = [person(seed, cut=0.5) for seed in range(30)]
    fitted = fit(marked)
    assert fitted.cuts == {}
    assert fitted.spread == 0.0
    assert all(points_under(one, fitted) == dict(one.points) for one in marked)


def test_nine_of_ten_new_totals_lie_within_the_spread() -> None:
    fitted = fit([person(seed, cut=0.6, noise=0.15) for seed in range(100)])
    assert fitted.spread is not None
    fresh = [person(seed, cut=0.6, noise=0.15) for seed in range(1000, 1300)]
    inside = [abs(sum(points_under(one, fitted).values()) - sum(one.points.values())) <= fitted.spread for one in fresh]
    assert 0.85 <= sum(inside) / len(inside) <= 0.97


def test_too_few_answers_give_no_spread() -> None:
    assert fit([person(seed, cut=0.6) for seed in range(12)]).spread is None


def test_nobody_is_judged_by_a_fit_that_saw_their_answer() -> None:
    marked = [person(seed, cut=0.7) for seed in range(20)]
    for n, calibration in enumerate(held_out(marked)):
        assert calibration.answers == 16, n


def levels(score: Score, calibration: Calibration | None = None, common: float = 0.0) -> tuple[str, ...]:
    return level_set(ONE, score.criteria, total_law(ONE, score.criteria, calibration, common), calibration)


def test_a_spread_makes_the_level_set() -> None:
    one = scored(ONE, [[0.9, 0.9, 0.9, 0.1]] * 7)
    assert levels(one, Calibration(curve=((0.0, 0.0), (1.0, 1.0)), spread=0.5)) == ("L6",)
    assert levels(one, Calibration(curve=((0.0, 0.0), (1.0, 1.0)), spread=2.0)) == ("L5", "L6")
    assert levels(one, Calibration(curve=((0.0, 0.0), (1.0, 1.0)), spread=9.0)) == ("below", "L5", "L6", "L7")


@pytest.mark.parametrize("calibration", [None, Calibration(curve=((0.0, 0.2), (1.0, 1.0)), spread=28.0)])
def test_where_nothing_is_written_there_is_nothing_to_doubt(calibration: Calibration | None) -> None:
    for text in ("", " \n\t"):
        blank = score(ONE, text, calibration=calibration)
        assert (blank.total, blank.state, blank.level_set, blank.law) == (0, "scored", ("below",), {0.0: 1.0})
        assert [c.confidence for c in blank.criteria] == [1.0] * 7
    word = score(ONE, "Decode.", calibration=calibration)
    assert word.total == 0 and all(c.confidence < 1.0 for c in word.criteria) and len(word.law) > 1


def test_what_people_took_for_met_decides_how_sure_it_is() -> None:
    one = scored(ONE, [[0.9, 0.9, 0.9, 0.1]] * 7)
    assert levels(one, Calibration(curve=((0.0, 0.0), (0.2, 0.0), (0.8, 1.0), (1.0, 1.0)))) == ("L6",)
    assert len(levels(one, Calibration(curve=((0.0, 0.4), (1.0, 0.6))))) > 1


def test_a_rubric_without_terms_is_believed_less() -> None:
    asking = replace(ONE, criteria=tuple(replace(c, claims=tuple(replace(claim, terms=(("pages",),)) for claim in c.claims)) for c in ONE.criteria))
    half = replace(ONE, criteria=(*ONE.criteria[:1], *asking.criteria[1:2]))
    assert (common_error(asking), common_error(ONE)) == (COMMON, BARE)
    assert common_error(half) == pytest.approx((COMMON + BARE) / 2)
    for rubric, common in ((asking, COMMON), (ONE, BARE)):
        result = score(rubric, "Statement number 1 about pages 3. Number 2 about pages. It says something about pages.")
        assert result.law == total_law(rubric, result.criteria, common=common) != total_law(rubric, result.criteria, common=common / 2)


def test_claims_that_err_together_reach_into_the_levels_beside() -> None:
    one = scored(ONE, [[0.9, 0.9, 0.9, 0.1]] * 7)
    narrow, wide = levels(one), levels(one, common=2.0)
    assert set(narrow) < set(wide)
    assert wide == tuple(name for name in ("below", "L5", "L6", "L7") if name in wide)
    assert levels(scored(ONE, [[0.02] * 4] * 7), common=COMMON) == ("below",)
    assert levels(scored(ONE, [[0.999] * 4] * 7), common=COMMON) == ("L7",)


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=7, max_size=7), st.sampled_from([0.0, COMMON, 2.0]))
def test_the_law_of_an_answer_is_one_of_points_that_it_can_get(values: list[list[float]], common: float) -> None:
    one = scored(ONE, values)
    law = total_law(ONE, one.criteria, common=common)
    assert sum(law.values()) == pytest.approx(1.0, abs=1e-4)
    assert list(law) == sorted(law)
    assert all(0 <= points <= ONE.max for points in law)
    mean = sum(points * p for points, p in law.items())
    expected = sum(chance(mark) for c in one.criteria for mark in c.marks)  # every claim is worth a point here
    assert mean == pytest.approx(expected, abs=1e-3 if not common else 2.0)


def test_a_criterion_is_as_sure_as_its_points_are_likely() -> None:
    criterion = ONE.criteria[0]

    def sure(*values: float, common: float = 0.0) -> float:
        marks = scored(ONE, [list(values)] * 7).criteria[0]
        return confidence(criterion, marks.points, marks.marks, common=common)

    assert sure(0.9, 0.9, 0.1, 0.1) == pytest.approx(0.9**4 + 4 * 0.9**2 * 0.1**2 + 0.1**4)
    # Four claims that are each a bit likelier to be met than not are together likelier to be fewer: it says how likely the points are that it gave.
    assert sure(0.55, 0.55, 0.55, 0.55) == pytest.approx(0.55**4)
    assert sure(0.9, 0.9, 0.1, 0.1, common=COMMON) < sure(0.9, 0.9, 0.1, 0.1)


def test_what_the_level_could_be_is_said_in_words() -> None:
    assert doubtful(("L6", "L7")) == "The level could be L6 or L7."
    assert doubtful(("below", "L5", "L6")) == "The level could be below L5, L5 or L6."


def test_a_cut_follows_its_claim_and_a_score_names_its_calibration() -> None:
    from grading import score

    claim = RUBRIC.criteria[0].claims[0]
    plain = score(RUBRIC, TRUE[0])
    high = Calibration({claim_key(claim): 0.9999}, ((0.0, 0.0), (1.0, 1.0)), None, 10)
    strict = score(RUBRIC, TRUE[0], calibration=high)
    assert plain.criteria[0].marks[0].met
    assert not strict.criteria[0].marks[0].met
    assert (strict.criteria[0].marks[0].cut, strict.scorer) == (0.9999, f"{plain.scorer}+{high.name}")
    assert Calibration.from_dict(high.to_dict()) == high
    assert claim_key(claim) != claim_key(replace(claim, text=claim.text + " Or so."))
