"""JSON numbers between bounds, as expressions over their digits."""

from __future__ import annotations

from decimal import Decimal

from engine.grammar.ast import EMPTY, Alt, Chars, Expr, Rep, alt, maybe, ranges, seq, text

DIGIT = Chars(ranges("09"))
NATURAL = Alt((text("0"), seq(Chars(ranges("19")), Rep(DIGIT, 0, None))))
INTEGER = seq(maybe(text("-")), NATURAL)
FRACTION = seq(text("."), Rep(DIGIT, 1, None))
NUMBER = seq(INTEGER, maybe(FRACTION), maybe(seq(Chars(ranges("e", "E")), maybe(Chars(ranges("+", "-"))), Rep(DIGIT, 1, None))))


def natural(low: int, high: int | None) -> Expr | None:
    """Decimal spellings of `low` to `high` without leading zeros; None when there are none."""
    if high is not None and high < low:
        return None
    if high is None:
        size = len(str(low))
        longer = seq(Chars(ranges("19")), Rep(DIGIT, size, None))
        return alt([*_same_length(str(low), "9" * size), longer])
    out = list[Expr]()
    for size in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (size - 1) if size > 1 else 0)
        out += _same_length(str(first), str(min(high, 10**size - 1)))
    return alt(out)


def _same_length(low: str, high: str) -> list[Expr]:
    """Spellings between two texts of the same number of digits."""
    if not low:
        return []
    if low == high:
        return [text(low)]
    if len(low) == 1:
        return [Chars(ranges(low + high))]
    a, b, rest = low[0], high[0], len(low) - 1
    if a == b:
        return [seq(text(a), alt(_same_length(low[1:], high[1:])))]
    out: list[Expr] = []
    first, last = int(a), int(b)
    if low[1:] != "0" * rest:
        out.append(seq(text(a), alt(_same_length(low[1:], "9" * rest))))
        first += 1
    tail = None
    if high[1:] != "9" * rest:
        tail = seq(text(b), alt(_same_length("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        out.append(seq(Chars(ranges(f"{first}{last}")), Rep(DIGIT, rest, rest)))
    return [*out, *([tail] if tail else [])]


def integers(low: int | None, high: int | None) -> Expr | None:
    """Integers from `low` to `high`; "-0" is not among them. None when there are none."""
    parts = []
    if low is None or low < 0:
        negative = natural(1 if high is None or high >= 0 else -high, None if low is None else -low)
        if negative is not None:
            parts.append(seq(text("-"), negative))
    if high is None or high >= 0:
        positive = natural(max(0, low or 0), high)
        if positive is not None:
            parts.append(positive)
    return alt(parts) if parts else None


def decimals(low: Decimal | None, high: Decimal | None, open_low: bool, open_high: bool) -> Expr | None:
    """Numbers without exponent between bounds, each of which may be excluded. None when there are none."""
    parts = []
    if low is None or low < 0:
        nearest = Decimal(0) if high is None or high >= 0 else -high
        magnitude = _magnitudes(nearest, None if low is None else -low, open_high and high is not None and high <= 0, open_low)
        if magnitude is not None:
            parts.append(seq(text("-"), magnitude))
    if high is None or high >= 0:
        magnitude = _magnitudes(max(Decimal(0), low or Decimal(0)), high, low is not None and low >= 0 and open_low, open_high)
        if magnitude is not None:
            parts.append(magnitude)
    return alt(parts) if parts else None


# A bound of the digits behind a point: the digits, without zeros at the end, and whether a number may not be equal to it. None: no bound.
Tail = tuple[str, bool] | None


def _magnitudes(low: Decimal, high: Decimal | None, open_low: bool, open_high: bool) -> Expr | None:
    first, least = _split(low, open_low)
    last, most = _split(high, open_high) if high is not None else (None, None)
    out: list[Expr | None] = []
    if first == last:
        out.append(_with_fraction(first, least, most))
    elif last is None or first < last:
        out.append(_with_fraction(first, least, None))
        between = natural(first + 1, None if last is None else last - 1)
        out.append(None if between is None else seq(between, maybe(FRACTION)))
        out.append(None if last is None else _with_fraction(last, None, most))
    found = [part for part in out if part is not None]
    return alt(found) if found else None


def _split(value: Decimal, opened: bool) -> tuple[int, Tail]:
    whole, _, rest = format(value, "f").partition(".")
    return int(whole), (rest.rstrip("0"), opened)


def _with_fraction(whole: int, low: Tail, high: Tail) -> Expr | None:
    bare = (low is None or low == ("", False)) and high != ("", True)
    behind = _tail(low, high, False)
    if behind is None:
        return text(str(whole)) if bare else None
    behind = seq(text("."), behind)
    return seq(text(str(whole)), maybe(behind) if bare else behind)


def _tail(low: Tail, high: Tail, started: bool) -> Expr | None:
    """Digits behind the point whose value lies between two tails: at least one, unless they have `started`. None when there are none."""
    if low == ("", False):
        low = None
    if high is not None and not high[0]:
        return None if high[1] or low is not None else Rep(text("0"), 0 if started else 1, None)
    if high is None and low is None:
        return Rep(DIGIT, 0 if started else 1, None)
    if high is None and low == ("", True):
        return seq(Rep(text("0"), 0, None), Chars(ranges("19")), Rep(DIGIT, 0, None))
    a, b = int(low[0][:1] or 0) if low else 0, int(high[0][0]) if high else 9
    next_low, next_high = (low[0][1:], low[1]) if low else None, (high[0][1:], high[1]) if high else None
    spans: list[tuple[int, int, Tail, Tail]] = [(a, a, next_low, next_high)] if a == b else []
    if a < b:
        inner_a, inner_b = a + (low is not None), b - (high is not None)
        spans = [(a, a, next_low, None)] if low else []
        spans += [(inner_a, inner_b, None, None)] if inner_a <= inner_b else []
        spans += [(b, b, None, next_high)] if high else []
    out: list[Expr] = [EMPTY] if started and low is None else []
    for x, y, lower, upper in spans:
        rest = _tail(lower, upper, True)
        if rest is not None:
            out.append(seq(Chars(ranges(f"{x}{y}")), rest))
    return alt(out) if out else None
