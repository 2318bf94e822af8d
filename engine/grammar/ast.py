"""What GBNF and JSON Schema are read into: expressions over bytes, and named rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

MAX_CODE = 0x10FFFF
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Bytes:
    """These bytes, in order."""

    data: bytes


@dataclass(frozen=True)
class Chars:
    """One character out of ranges of code points."""

    ranges: Ranges


@dataclass(frozen=True)
class Seq:
    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Alt:
    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Rep:
    """`item` at least `least` and at most `most` times (None: no limit)."""

    item: Expr
    least: int
    most: int | None


@dataclass(frozen=True)
class Ref:
    rule: str


Expr = Bytes | Chars | Seq | Alt | Rep | Ref
EMPTY = Seq(())


def text(value: str) -> Bytes:
    return Bytes(value.encode())


def seq(*items: Expr) -> Expr:
    return items[0] if len(items) == 1 else Seq(items)


def alt(items: Sequence[Expr]) -> Expr:
    return items[0] if len(items) == 1 else Alt(tuple(items))


def maybe(item: Expr) -> Expr:
    return Rep(item, 0, 1)


def ranges(*spans: str | tuple[int, int]) -> Ranges:
    """`ranges("az", "_")`: a span is two characters, one, or two code points."""
    return union((ord(s[0]), ord(s[-1])) if isinstance(s, str) else s for s in spans)


def union(spans: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, without overlaps, and without surrogates, which no UTF-8 text has."""
    out: list[tuple[int, int]] = []
    parts = [part for a, b in spans for part in ((a, min(b, 0xD7FF)), (max(a, 0xE000), b)) if part[0] <= part[1]]
    for low, high in sorted(parts):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return tuple(out)


def complement(spans: Ranges) -> Ranges:
    out, at = [], 0
    for low, high in (*union(spans), (MAX_CODE + 1, MAX_CODE + 1)):
        if at < low:
            out.append((at, low - 1))
        at = high + 1
    return union(out)


@lru_cache(maxsize=4096)
def utf8(low: int, high: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Sequences of byte ranges that together spell just the code points `low` to `high` (Thompson's construction for UTF-8)."""
    for limit in (0x7F, 0x7FF, 0xFFFF):
        if low <= limit < high:
            return utf8(low, limit) + utf8(limit + 1, high)
    a, b = chr(low).encode(), chr(high).encode()
    for keep in range(1, len(a)):  # split until both ends share a lead or the tails cover whole blocks
        block = (1 << (6 * (len(a) - keep))) - 1
        if low >> (6 * (len(a) - keep)) != high >> (6 * (len(a) - keep)):
            if low & block:
                return utf8(low, low | block) + utf8((low | block) + 1, high)
            if high & block != block:
                return utf8(low, (high & ~block) - 1) + utf8(high & ~block, high)
    return (tuple(zip(a, b, strict=True)),)
