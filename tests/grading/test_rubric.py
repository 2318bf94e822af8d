"""The rubric model refuses what it can't use and says where."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from grading import Rubric, RubricError, draft_rubric
from grading.rubric import schema

GOOD = {
    "bands": {"L5": 3, "L6": 6},
    "must_have": {"L6": ["rule"]},
    "criteria": [
        {"id": "rule", "title": "The rule", "points": 4, "levels": ["0", "1", "2", "3", "4"], "rule": {1: 2, 2: 4},
         "claims": [{"id": "a", "text": "The cache is paged.", "terms": [["paged", "blocks"]]},
                    {"id": "b", "text": "Blocks are freed at once.", "depends_on": ["a"], "numbers": [{"value": 16, "unit": "tokens"}]}],
         "misconceptions": [{"id": "m", "text": "Paging copies the cache.", "deduct": 1}]},
        {"id": "size", "title": "Size", "points": 4, "quantities": [{"field": "kv", "value": 20, "unit": "GiB", "points": 4}]},
    ],
}


def test_a_good_rubric_comes_back_the_same_and_fits_its_published_schema():
    rubric = Rubric.from_dict(GOOD)
    assert Rubric.from_dict(rubric.to_dict()) == rubric
    Draft202012Validator(schema()).validate(json.loads(json.dumps(rubric.to_dict())))
    assert rubric.max == 8
    assert Rubric.from_dict(json.loads(json.dumps(rubric.to_dict()))).id == rubric.id


@pytest.mark.parametrize(("path", "value", "place"), [
    (("criteria", 0, "claims", 0, "terms"), "paged", "criteria[0].claims[0].terms"),
    (("criteria", 0, "claims", 0, "terms", 0, 0), True, "criteria[0].claims[0].terms[0][0]"),
    (("criteria", 0, "claims", 1, "depends_on"), ["zz"], "criteria[0].claims[1].depends_on"),
    (("criteria", 0, "claims", 0, "depends_on"), ["b"], "criteria[0].claims[0].depends_on"),
    (("criteria", 0, "claims", 1, "id"), "a", "criteria[0].claims[1].id"),
    (("criteria", 0, "rule"), {1: 3, 2: 2}, "criteria[0].rule"),
    (("criteria", 0, "rule"), {3: 4}, "criteria[0].rule"),
    (("criteria", 0, "levels"), ["0", "1"], "criteria[0].levels"),
    (("criteria", 0, "misconceptions", 0, "deduct"), -1, "criteria[0].misconceptions[0].deduct"),
    (("criteria", 1, "quantities", 0, "unit"), "bananas", "criteria[1].quantities[0].unit"),
    (("criteria", 1, "tests"), ["g"], "criteria[1]"),
    (("bands",), {"L5": 6, "L6": 3}, "bands"),
    (("bands",), {"L5": 3, "L6": 60}, "bands"),
    (("bands",), {"pass": 3, "good": 3}, "bands"),
    (("bands",), {"pass": "3"}, "bands.pass"),
    (("bands",), {"principal": 3}, "bands"),
    (("must_have",), {"L6": ["nothing"]}, "must_have.L6[0]"),
    (("criteria", 0, "colour"), "red", "criteria[0]"),
])
def test_a_fault_is_named_by_its_place(path, value, place):
    data = copy.deepcopy(GOOD)
    at = data
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    with pytest.raises(RubricError) as error:
        Rubric.from_dict(data, "bank/rubric.yaml")
    assert error.value.path == place
    assert str(error.value).startswith(f"bank/rubric.yaml: {place}")


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "id", "title", "points", "claims"]), inner,
                                                                               max_size=4), max_leaves=8)


@settings(max_examples=80, deadline=None)
@given(JSON)
def test_anything_else_is_a_rubric_error_and_never_another(data):
    try:
        Rubric.from_dict(data)
    except RubricError:
        pass


def test_levels_need_the_total_and_half_of_each_must_have():
    rubric = Rubric.from_dict(GOOD)
    assert rubric.level({"rule": 2, "size": 4}) == "L6"
    assert rubric.level({"rule": 1, "size": 4}) == "L5"
    assert rubric.level({"size": 2}) == "below"


def test_bands_rank_by_their_points_in_whatever_order_a_database_keeps_them():
    rubric = Rubric.from_dict({**GOOD, "bands": {"senior": 6, "mid": 4, "junior": 2}, "must_have": {}})
    assert rubric.bands == (("junior", 2), ("mid", 4), ("senior", 6))
    assert rubric.level({"rule": 4}) == "mid"
    assert rubric.id == Rubric.from_dict(rubric.to_dict()).id


def test_a_draft_splits_a_model_answer_into_claims_and_leaves_out_the_question():
    rubric = draft_rubric("What is paging?", "Memory is divided into fixed blocks. A table maps logical blocks to physical ones. Paging.", 6)
    assert [c.text for c in rubric.criteria[0].claims] == ["Memory is divided into fixed blocks", "A table maps logical blocks to physical ones"]
    assert rubric.max == 6
    with pytest.raises(ValueError, match="states nothing"):
        draft_rubric("What?", "  ")


@pytest.mark.parametrize(("answer", "claims"), [
    ("Appending is O(1) amortised. softmax(0) gives equal weights. f(2) = 4.",
     ["Appending is O(1) amortised", "softmax(0) gives equal weights", "f(2) = 4"]),
    ("1. Reliable delivery (1p)\n2. Ordered delivery (0.5 points)\n3. Flow control (2)", ["Reliable delivery", "Ordered delivery", "Flow control"]),
    ("The KV cache (2)\nThe pages (1)\n", ["The KV cache", "The pages"]),
    ("Caching:\nThe KV cache holds keys. (2)\nPages (1 point)", ["The KV cache holds keys", "Pages"]),
])
def test_a_draft_leaves_out_points_in_brackets_and_keeps_other_numbers(answer, claims):
    assert [c.text for c in draft_rubric("What?", answer).criteria[0].claims] == claims


@pytest.mark.parametrize("answer", [
    "It is false that paging makes kernels faster on their own, and that larger batches always reduce the latency of every single user of the system",
    "TCP does not guarantee that messages arrive in one piece, that the latency is bounded, or that the peer has processed the data already",
])
def test_a_draft_does_not_cut_what_is_denied_from_its_denial(answer):
    assert [c.text for c in draft_rubric("What?", answer + ".").criteria[0].claims] == [answer]


def test_a_draft_takes_a_long_sentence_that_denies_nothing_apart():
    text = "If the cache runs full, running requests are preempted, which means that their blocks are freed, and their prompts have to be computed again."
    assert len(draft_rubric("What?", text).criteria[0].claims) == 3


@pytest.mark.parametrize("points", [0, -1, 1001, float("nan"), True])
def test_a_draft_is_worth_what_a_criterion_may_be_worth(points):
    with pytest.raises(ValueError, match="more than 0 and at most 1000 points"):
        draft_rubric("What is paging?", "Paging divides memory into blocks.", points)
    assert Rubric.from_dict(draft_rubric("What is paging?", "Paging divides memory into blocks.", 1000).to_dict()).max == 1000
