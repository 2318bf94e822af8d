"""JSON numbers between bounds, as expressions over their digits."""

from __future__ import annotations

from engine.grammar.ast import Alt, Chars, Expr, Rep, alt, maybe, ranges, seq, text

DIGIT = Chars(ranges("09"))
NATURAL = Alt((text("0"), seq(Chars(ranges("19")), Rep(DIGIT, 0, None))))
INTEGER = seq(maybe(text("-")), NATURAL)
FRACTION = seq(text("."), Rep(DIGIT, 1, None))
NUMBER = seq(INTEGER, maybe(FRACTION), maybe(seq(Chars(ranges("e", "E")), maybe(Chars(ranges("+", "-"))), Rep(DIGIT, 1, None))))
NONZERO_FRACTION = seq(text("."), Rep(text("0"), 0, None), Chars(ranges("19")), Rep(DIGIT, 0, None))
ZERO_FRACTION = seq(text("."), Rep(text("0"), 1, None))


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


def decimals(low: int | None, high: int | None, open_low: bool, open_high: bool) -> Expr | None:
    """Numbers without exponent between whole bounds, each of which may be excluded. None when there are none."""
    parts = []
    if low is None or low < 0:
        nearest = 0 if high is None or high >= 0 else -high
        magnitude = _magnitudes(nearest, None if low is None else -low, open_high and high is not None and high <= 0, open_low)
        if magnitude is not None:
            parts.append(seq(text("-"), magnitude))
    if high is None or high >= 0:
        magnitude = _magnitudes(max(0, low or 0), high, low is not None and low >= 0 and open_low, open_high)
        if magnitude is not None:
            parts.append(magnitude)
    return alt(parts) if parts else None


def _magnitudes(low: int, high: int | None, open_low: bool, open_high: bool) -> Expr | None:
    out: list[Expr] = []
    if high is not None and low == high:
        return None if open_low or open_high else seq(text(str(low)), maybe(ZERO_FRACTION))
    out.append(seq(text(str(low)), NONZERO_FRACTION if open_low else maybe(FRACTION)))
    between = natural(low + 1, None if high is None else high - 1)
    if between is not None:
        out.append(seq(between, maybe(FRACTION)))
    if high is not None and not open_high:
        out.append(seq(text(str(high)), maybe(ZERO_FRACTION)))
    return alt(out)
