"""What tests assert with: right answers pass, near ones fail, and laws are judged as a statistician would."""

import random

import pytest
import scipy.stats
import torch

from sandbox import checks
from sandbox.failures import Raised, Wrong


def reason(action: object, *args: object, **kwargs: object) -> str:
    with pytest.raises(Wrong) as caught:
        action(*args, **kwargs)  # type: ignore[operator]
    return caught.value.reason


@pytest.mark.parametrize(
    ("actual", "expected", "where"),
    [(1, 1, None), (True, 1, ""), (1.0, 1, ""), ([1, [2, 3]], [1, [2, 4]], "[1][1]"), ([1], [1, 2], "[1]"), ([1, 2], [1], "[1]"), ((1,), [1], ""),
     ({"a": 1}, {"a": 2}, "['a']"), ({}, {"a": 2}, "['a']"), ({"a": 1, "b": 2}, {"a": 1}, ""), (float("nan"), float("nan"), ""),
     (torch.ones(2), torch.ones(2), None), (torch.ones(2), torch.ones(2).double(), ""), (torch.ones(2), torch.ones(1, 2), "")],
)  # fmt: skip
def test_the_first_difference_is_found(actual: object, expected: object, where: str | None) -> None:
    assert checks.difference(actual, expected) == where


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_tensor_may_be_off_by_what_its_dtype_costs_and_no_more(dtype: torch.dtype) -> None:
    exact = torch.randn(64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    checks.close(exact.to(dtype), exact, dtype, "rounded")
    scale = torch.finfo(dtype).eps * float(exact.abs().max())
    wrong = exact.clone()
    wrong[17] += 24 * scale
    assert reason(checks.close, wrong.to(dtype), exact, dtype, "off") == "value"
    checks.close(wrong.to(dtype), exact, dtype, "as far off as the reference's own", rounded=wrong)


def test_what_is_no_such_tensor_is_named() -> None:
    exact = torch.tensor([1.0, float("inf"), float("nan"), -float("inf")], dtype=torch.float64)
    good = exact.float()
    checks.close(good, exact, torch.float32, "with its infinities")
    assert reason(checks.close, [1.0], exact, torch.float32, "a list") == "form"
    assert reason(checks.close, good.double(), exact, torch.float32, "wide") == "dtype"
    assert reason(checks.close, good[None], exact, torch.float32, "bent") == "shape"
    for index, value in ((0, float("nan")), (1, -float("inf")), (2, 0.0), (3, 1e30)):
        bad = good.clone()
        bad[index] = value
        assert reason(checks.close, bad, exact, torch.float32, "elsewhere") in ("non-finite", "value")
    checks.close(torch.empty(0), torch.empty(0, dtype=torch.float64), torch.float32, "nothing")


def test_the_chance_is_pearsons() -> None:
    dice = random.Random(4)
    law = [0.4, 0.3, 0.2, 0.1]
    counts = [0] * 4
    for draw in dice.choices(range(4), law, k=5000):
        counts[draw] += 1
    expected = scipy.stats.chisquare(counts, [5000 * p for p in law]).pvalue
    assert checks.chi_square(counts, law) == pytest.approx(expected, rel=1e-9)
    checks.follows(counts, law, "fair")
    assert reason(checks.follows, counts, law[::-1], "turned round") == "law"
    assert checks.chi_square([5, 5], [1.0, 0.0]) == 0.0  # what can't happen happened
    assert checks.chi_square([3, 0, 0], [0.9, 0.05, 0.05]) == 1.0  # too few to tell
    assert checks.total_variation([1, 1], [1.0, 0.0]) == 0.5


def test_forms_and_exceptions() -> None:
    assert checks.ints((1, 2), "ids") == [1, 2]
    for bad in ([True], [1.0], "12", None):
        assert reason(checks.ints, bad, "ids") == "form"
    with checks.raises("ValueError", "an empty prompt"):
        raise Raised("ValueError", "", [])
    for kind in ("TypeError", None):
        with pytest.raises(Wrong) as caught, checks.raises("ValueError", "an empty prompt"):
            if kind:
                raise Raised(kind, "", [])
        assert caught.value.reason == "state"
