"""The fusion of evidence: what each part may do, and the fit of its weights."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from grading import Rubric, draft_rubric
from grading.fit import Example, fit, logistic
from grading.folders import read_folder
from grading.fusion import (
    ENOUGH,
    FAR,
    FEATURES,
    FIELD,
    FILE,
    LONG,
    MORE,
    NEAR,
    NO_RIVAL,
    Statement,
    Weights,
    away,
    doubt,
    margin,
    plainly,
    shipped,
    subject,
    telling,
)
from grading.scorer import score
from grading.text import tokenise

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
PACKS = Path(__file__).parents[2] / "interviews/bank/packs/advanced-inference"


def test_no_shipped_weight_speaks_against_evidence() -> None:
    weights = shipped()
    assert min(*weights.claim, *weights.bare, weights.doubt, weights.away, *weights.wrong) >= 0
    assert weights.bare[:2] == (0.0, 0.0)  # of the terms that such a claim doesn't have
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
                 Example("q", False, np.array([[1.0, 1.0, 0.0, 0.0, 0.0, 0.9 if met else 0.1]]), (0.0, 0.0), met, bare=True),
                 Example("q", True, np.array([[0.0, 0.0, 2.0 if met else -2.0, 0.0, 0.0, 0.0]]), (0.0, 0.0), met)]  # fmt: skip
    weights = fit(rows)
    assert weights.claim[FEATURES.index("nearness")] > 0.3
    assert weights.wrong[0] > 0.3
    assert weights.bare[FEATURES.index("order")] > 3.0  # of its own rows alone
    assert weights.claim[FEATURES.index("order")] == pytest.approx(0.0, abs=0.1)


def test_near_misses_bring_an_answer_no_nearer_to_the_subject() -> None:
    claims, many = [NEAR - 1.0] * 20, np.full(int(LONG), FIELD[1], np.float32)
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


def test_who_writes_down_the_whole_field_has_more_to_show() -> None:
    claims, more = [NEAR - 1.0] * 20, 10
    field = np.full(int(LONG) + more, FAR - 1.0, np.float32)
    assert away(claims, field) == pytest.approx(20 * ENOUGH + more * MORE)
    assert away([NEAR + 20 * ENOUGH + more * MORE, *claims[1:]], field) == 0.0


def test_what_says_what_the_rubric_asks_for_may_be_long() -> None:
    claims = [NEAR - 1.0] * 20
    assert away(claims, np.full(int(LONG) + 100, FAR, np.float32)) == pytest.approx(20 * ENOUGH)


def statement(text: str) -> Statement:
    return Statement(text, tokenise(text), {})


@pytest.mark.parametrize(("wrong", "right", "only_wrong", "only_right"), [
    ("Index 3017 is beam 2", ["Index 3017 is beam 3", "Beam 3"], {"2"}, {"3"}),
    ("the block is freed at once", ["the block is not freed at once"], None, None),  # all its words are the claim's
    ("the cache grows", ["the cache grows by the token"], None, None),
])
def test_a_contradiction_is_told_from_its_claim_by_the_words_of_its_own(wrong: str, right: list[str], only_wrong: set[str], only_right: set[str]) -> None:
    told = telling(statement(wrong), [statement(text) for text in right])
    assert told == (only_wrong and (only_wrong, only_right))


def test_what_lies_nearer_to_a_claim_is_hardly_a_wrong_statement() -> None:
    ahead, level, behind = plainly(np.array([5.0, 4.0, 4.0], np.float32), np.array([4.0, 4.0, 5.0], np.float32))
    assert (ahead, level) == (6.0, 4.0)
    assert behind < 2.0


RIGHT_IN_FEW_WORDS = Rubric.from_dict({"criteria": [{"id": "c", "title": "C", "points": 2, "claims": [{
    "id": "divmod", "text": "With a vocabulary of 1,000, index 3017 of the flat scores is token 17 of beam 3.", "terms": [["beam"], ["token"]],
    "contradictions": ["Index 3017 of the flat scores is token 3 of beam 2."]}]}]})


@pytest.mark.parametrize(("said", "points"), [
    ("Index 3017 is token 17 of beam 3.", 2), ("3017 -> beam 3, token 17.", 2), ("Index 3017 of the flat scores is token 3 of beam 2.", 0),
])
def test_the_right_thing_in_few_words_is_not_taken_for_the_contradiction_that_repeats_most_of_it(said: str, points: int) -> None:
    assert score(RIGHT_IN_FEW_WORDS, said).total == points


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


@pytest.mark.parametrize(("folder", "claim", "text", "met"), [
    ("batched-beam-search", "check-divmod", "3017 -> beam 3, token 17", True),
    ("batched-beam-search", "check-divmod", "3017 -> beam 17, token 3", False),  # the same words in another order
    ("prefix-caching", "check-number", "1,000 tokens are 62 full blocks plus 8, so 8 tokens are left for the model.", True),
    ("prefix-caching", "check-number", "1,000 tokens are 62 full blocks plus 8, so nothing is left for the model.", False),
    ("grammar-constrained-decoding", "naive-number", "128,000 × 200 ns = 25.6 ms for one sequence, × 32 = 0.82 s.", True),
    ("sampling-strategies", "scale-one", "γ=1 is exactly the unconditional model, γ=0 the conditional one.", False)])
def test_what_a_claim_excludes_is_no_evidence_for_it_when_it_is_said_word_by_word(folder: str, claim: str, text: str, met: bool) -> None:
    found = read_folder(PACKS / folder)
    (mark,) = [m for c in score(found.rubric, text, found.question).criteria for m in c.marks if m.id == claim]
    assert (mark.met, mark.why == "stated") == (met, met)


def test_hardly_any_mistake_that_a_rubric_names_earns_its_claim() -> None:
    found = read_folder(PACKS / "prefix-caching")
    said = [(claim, line) for c in found.rubric.criteria for claim in c.claims for line in claim.contradictions]
    wrong = [line for claim, line in said if any(m.id == claim.id and m.met for c in score(found.rubric, line, found.question).criteria for m in c.marks)]
    assert len(said) > 100
    assert len(wrong) <= 0.1 * len(said), wrong


MODEL_ANSWER = ("The memory is divided into blocks of a fixed size. A block table maps the logical blocks of a sequence to physical blocks. "
                "Blocks are allocated on demand while the sequence grows.")


@pytest.mark.parametrize(("answer", "points"), [
    ("Memory gets split into equally sized blocks. Each sequence's table says which physical block holds which logical one. "
     "Nothing is reserved ahead of time: a block is taken when the sequence needs it.", 6),
    ("Memory gets split into equally sized blocks.", 2),
    ("A soup is boiled until the carrots are soft, and butter is added at the end.", 0),
    ("memory blocks fixed size table maps logical physical sequence allocated demand grows", 0)])  # fmt: skip
def test_a_draft_of_a_rubric_hears_what_is_said_in_other_words(answer: str, points: int) -> None:
    """Its claims ask for no terms and have no paraphrases."""
    assert score(draft_rubric(ASKED, MODEL_ANSWER, 6), answer, ASKED).total == points


def test_where_there_is_no_rival_none_speaks_for_a_claim() -> None:
    assert margin(3.0, NO_RIVAL) == 0.0
    assert margin(3.0, NO_RIVAL + 1e-3) == 5.0
