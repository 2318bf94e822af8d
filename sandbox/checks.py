"""What a test asserts with. Every function returns nothing or raises `Wrong` with a reason code."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from sandbox.failures import Raised, Wrong

ALPHA = 1e-7  # false alarms per check of a law
LEAST_EXPECTED = 5.0


def fail(reason: str, message: str, **shown: Any) -> None:
    """Says no."""
    raise Wrong(reason, message, **shown)


def that(condition: bool, reason: str, message: str, **shown: Any) -> None:
    """Says no unless `condition`."""
    if not condition:
        raise Wrong(reason, message, **shown)


def equal(actual: Any, expected: Any, message: str, *, reason: str = "value", given: Any = None) -> None:
    """Exactly equal, of the same type: True is not 1, and 1.0 is not 1."""
    where = difference(actual, expected)
    if where is not None:
        raise Wrong(reason, message, given=given, expected=expected, actual=actual, where=where)


def difference(actual: Any, expected: Any, path: str = "") -> str | None:
    """Where the first difference is ("" at the top), or None."""
    if type(actual) is not type(expected):
        return path
    if isinstance(expected, (list, tuple)):
        for index, (one, other) in enumerate(zip(actual, expected, strict=False)):
            if (found := difference(one, other, f"{path}[{index}]")) is not None:
                return found
        return None if len(actual) == len(expected) else f"{path}[{min(len(actual), len(expected))}]"
    if isinstance(expected, dict):
        for key in expected:
            if key not in actual:
                return f"{path}[{key!r}]"
            if (found := difference(actual[key], expected[key], f"{path}[{key!r}]")) is not None:
                return found
        return None if len(actual) == len(expected) else path
    if isinstance(expected, torch.Tensor):
        same = actual.dtype == expected.dtype and actual.shape == expected.shape and torch.equal(actual, expected)
        return None if same else path
    return None if actual == expected else path


def close(actual: Any, reference: torch.Tensor, dtype: torch.dtype, message: str, *, rounded: torch.Tensor | None = None, given: Any = None) -> None:
    """A tensor against a float64 reference.

    dtype and shape must be exact, and non-finite values must be the same in the same places. The tolerance is what the dtype itself costs: eight of its
    roundings at the reference's scale, or four times the error of `rounded`, the reference's own computation in that dtype, if that is more.
    """
    if not isinstance(actual, torch.Tensor):
        raise Wrong("form", f"{message}: a tensor is due", given=given, actual=type(actual).__name__)
    if actual.dtype != dtype:
        raise Wrong("dtype", f"{message}: the dtype differs", given=given, expected=str(dtype), actual=str(actual.dtype))
    if actual.shape != reference.shape:
        raise Wrong("shape", f"{message}: the shape differs", given=given, expected=list(reference.shape), actual=list(actual.shape))
    if not reference.numel():
        return
    wide, exact = actual.double(), reference.double()
    for mask, word in ((torch.isnan, "NaN"), (torch.isposinf, "inf"), (torch.isneginf, "-inf")):
        if not torch.equal(mask(wide), mask(exact)):
            raise Wrong("non-finite", f"{message}: {word} where none belongs, or none where one does", given=given)
    finite = torch.isfinite(exact)
    if not bool(finite.any()):
        return
    tolerance = 8 * torch.finfo(dtype).eps * float(exact[finite].abs().max())
    if rounded is not None:
        tolerance = max(tolerance, 4 * float((rounded.double() - exact)[finite].abs().max()))
    error = torch.where(finite, (wide - exact).abs(), 0.0)
    worst = int(error.argmax())
    if float(error.flatten()[worst]) > tolerance:
        index = [int(i) for i in torch.unravel_index(torch.tensor(worst), exact.shape)]
        raise Wrong(
            "value", f"{message}: off by {float(error.flatten()[worst]):.3g}, {tolerance:.3g} is allowed", given=given,
            expected=float(exact.flatten()[worst]), actual=float(wide.flatten()[worst]), where=str(index),
        )  # fmt: skip


def chi_square(counts: Sequence[int], law: Sequence[float]) -> float:
    """The probability of counts at least this far from `law` by chance (Pearson's test; rare outcomes are pooled)."""
    total = sum(counts)
    if any(count and not share > 0 for count, share in zip(counts, law, strict=True)):
        return 0.0
    pairs = sorted(zip(law, counts, strict=True))
    bins: list[tuple[float, int]] = []
    share, count = 0.0, 0
    for p, n in pairs:
        share, count = share + p, count + n
        if share * total >= LEAST_EXPECTED:
            bins.append((share, count))
            share, count = 0.0, 0
    if bins and (share or count):
        bins[-1] = (bins[-1][0] + share, bins[-1][1] + count)
    if len(bins) < 2:
        return 1.0
    scale = sum(share for share, _ in bins)
    statistic = sum((n - total * p / scale) ** 2 / (total * p / scale) for p, n in bins)
    half = torch.tensor([(len(bins) - 1) / 2, statistic / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


def total_variation(counts: Sequence[int], law: Sequence[float]) -> float:
    """Half the summed distance between frequencies and law."""
    total = sum(counts)
    return 0.5 * sum(abs(n / total - p) for n, p in zip(counts, law, strict=True))


def follows(counts: Sequence[int], law: Sequence[float], message: str, *, given: Any = None) -> None:
    """Counts that could have been drawn from `law`."""
    chance = chi_square(counts, law)
    if chance < ALPHA:
        raise Wrong(
            "law", f"{message}: such counts come once in {1 / max(chance, 1e-300):.1e} runs", given=given,
            expected=[round(p * sum(counts), 1) for p in law], actual=list(counts), where=f"total variation {total_variation(counts, law):.3f}",
        )  # fmt: skip


def ints(value: Any, message: str) -> list[int]:
    """`value` as a list of ints."""
    if not isinstance(value, (list, tuple)) or not all(type(item) is int for item in value):
        raise Wrong("form", f"{message}: a list of ints is due", actual=value)
    return list(value)


@contextmanager
def raises(kind: str, message: str) -> Iterator[None]:
    """The submission must raise an exception of this name."""
    try:
        yield
    except Raised as error:
        if error.kind != kind:
            raise Wrong("state", f"{message}: {kind} is due", expected=kind, actual=error.kind) from None
        return
    raise Wrong("state", f"{message}: {kind} is due", expected=kind, actual="no exception")
