"""The fusion of evidence: what each part may do, and the fit of its weights."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from grading import Rubric
from grading.fit import Example, fit, logistic
from grading.folders import read_folder
from grading.fusion import ENOUGH, FEATURES, FIELD, FILE, NEAR, Weights, away, doubt, margin, shipped, subject
from grading.scorer import score

BLOCKS = {
    "criteria": [
        {"id": "c", "title": "C", "points": 2, "rule": {1: 1, 2: 2}, "claims": [
            {"id": "table", "text": "A block table maps the logical blocks of a sequence to physical blocks.", "terms": [["table"]],
             "contradictions": ["A block table keeps the tokens that the scheduler has sorted by length."]},
            {"id": "demand", "text": "Blocks are allocated on demand while the sequence grows.", "terms": [["allocated", "allocate"]],
             "contradictions": ["All blocks are allocated at once for the longest possible sequence."]},
        ]}
    ],
}  # fmt: skip
ASKED = "How is the cache kept?"


def test_no_shipped_weight_speaks_against_evidence() -> None:
    weights = shipped()
    assert min(*weights.claim, weights.doubt, weights.away, *weights.wrong) >= 0
    assert Weights.from_dict(weights.to_dict()) == weights
    assert json.loads(FILE.read_text()) == weights.to_dict()


def test_the_fit_finds_the_weights_that_made_the_labels_and_leaves_out_a_negative_one() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4000, 3))
    z = 2.0 * x[:, 0] + 0.5 * x[:, 1] - 1.0 * x[:, 2] - 0.7
    y = (rng.random(4000) < 1 / (1 + np.exp(-z))).astype(float)
    w = logistic(x, y, np.ones(4000), ridge=1.0)
    assert w[2] == 0.0
    assert w[0] > 2 * w[1] > 0
    w = logistic(x * [1, 1, -1], y, np.ones(4000), ridge=1.0)
    assert w == pytest.approx([2.0, 0.5, 1.0, -0.7], abs=0.2)


def test_the_fit_looks_at_the_clause_that_its_own_weights_choose() -> None:
    """A claim is met by its best clause; the first in the list is noise."""
    rng = np.random.default_rng(5)
    rows = []
    for i in range(400):
        met = i % 2 == 0
        best = [1.0, 1.0, 3.0 if met else -3.0, 0.0, 0.0, 0.5]
        rows += [Example("q", False, np.array([[0.0, 0.0, *rng.normal(size=4)], best]), (0.0, 0.0), met),
                 Example("q", True, np.array([[0.0, 0.0, 2.0 if met else -2.0, 0.0, 0.0, 0.0]]), (0.0, 0.0), met)]  # fmt: skip
    weights = fit(rows)
    assert weights.claim[FEATURES.index("nearness")] > 0.3
    assert weights.wrong[0] > 0.3


def test_near_misses_bring_an_answer_no_nearer_to_the_subject() -> None:
    claims, many = [NEAR - 1.0] * 20, np.full(50, FIELD[1], np.float32)
    assert away(claims, many) == 20 * ENOUGH
    assert away([NEAR + 1.5, *claims[1:]], many) == pytest.approx(20 * ENOUGH - 1.5)
    assert away([NEAR + 30 * ENOUGH, *claims[1:]], many) == 0.0
    assert away([], many) == 0.0
    assert subject(0.0, 1.0) > subject(0.0, 0.5) == 0.0 > subject(0.0, 0.0)


def test_a_short_answer_has_less_to_show_and_filler_changes_nothing() -> None:
    claims, two = [NEAR + 1.5, *[NEAR - 1.0] * 19], np.full(2, 3.0, np.float32)
    assert away(claims, two) == pytest.approx(0.5)
    assert away(claims, np.concatenate([two, np.full(20, FIELD[0], np.float32)])) == pytest.approx(0.5)
    assert away(claims, np.array([], np.float32)) == 0.0


def test_each_wrong_statement_adds_to_the_doubt() -> None:
    assert doubt([]) == 0.0
    assert doubt([-50.0] * 30) == pytest.approx(0.0, abs=1e-6)
    assert doubt([20.0, 20.0, -50.0]) == pytest.approx(2.0, abs=1e-3)
    assert math.isfinite(doubt([1e9, -1e9]))


def test_a_margin_is_capped() -> None:
    assert [margin(9, 0), margin(0, 9), margin(1, 0.5)] == [5.0, -5.0, 0.5]


def test_a_claim_near_the_cut_falls_where_the_answer_says_wrong_things_and_the_page_says_which() -> None:
    rubric = Rubric.from_dict(BLOCKS)
    said = "A table of blocks gives the place of each block."
    wrong = "All blocks are allocated at once for the longest possible sequence. A block table keeps the tokens that the scheduler has sorted by length."
    harsh = Weights.from_dict(shipped().to_dict() | {"doubt": 20.0})
    alone = score(rubric, said, ASKED, weights=harsh).criteria[0].marks[0]
    beside = score(rubric, f"{said} It all lies in the memory of the card. {wrong}", ASKED, weights=harsh).criteria[0].marks[0]
    assert alone.met
    assert not beside.met
    assert "speaks against it" in beside.why or "excludes it" in beside.why


def test_an_answer_to_another_question_earns_next_to_nothing() -> None:
    """The L7 exemplar of a question of another topic is dense with the field's terms; a first point made well is no stranger for being alone."""
    bank = Path(__file__).parents[2] / "interviews/bank/packs/advanced-inference"
    asked, other = read_folder(bank / "prefix-caching"), read_folder(bank / "sampling-strategies")
    assert not asked.topics & other.topics
    assert asked.best and other.best
    assert score(asked.rubric, other.best, asked.question).total <= 0.02 * score(asked.rubric, asked.best, asked.question).total
    alone = "A block's key is a hash over its own tokens and over the key of the block before it, so the key stands for the whole prefix."
    assert any(mark.met for c in score(asked.rubric, alone, asked.question).criteria for mark in c.marks)
