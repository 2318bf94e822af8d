"""JSON as it is spelled: values of any kind, characters and escapes, formats, and keys that are none of some names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine.errors import ConstraintError
from engine.grammar import numbers
from engine.grammar.ast import EMPTY, Alt, Bytes, Chars, Expr, Ranges, Ref, Rep, alt, complement, maybe, ranges, seq, text, union

# What stands as it is, and what is escaped. Only control characters and DEL are written by number, a slash never is.
UNESCAPED = complement(ranges((0, 0x1F), '"', "\\", "\x7f"))
HEX = Chars(ranges("09", "af", "AF"))
CONTROL = seq(text("u00"), Alt((seq(Chars(ranges("01")), HEX), seq(text("7"), Chars(ranges("f", "F"))))))
ESCAPED = seq(text("\\"), Alt((Chars(ranges('"', "\\", "b", "f", "n", "r", "t")), CONTROL)))
CHAR = Alt((Chars(UNESCAPED), ESCAPED))
QUOTE, COMMA, COLON = text('"'), text(","), text(":")
SHORT = {0x22: '\\"', 0x5C: "\\\\", 0x08: "\\b", 0x0C: "\\f", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x7F: "\\u007f"}

BASE: dict[str, Expr] = {
    "char": CHAR,
    "string": seq(QUOTE, Rep(CHAR, 0, None), QUOTE),
    "integer": numbers.INTEGER,
    "number": numbers.NUMBER,
    "boolean": Alt((text("true"), text("false"))),
    "null": text("null"),
    "pair": seq(Ref("string"), COLON, Ref("value")),
    "object": seq(text("{"), maybe(seq(Ref("pair"), Rep(seq(COMMA, Ref("pair")), 0, None))), text("}")),
    "array": seq(text("["), maybe(seq(Ref("value"), Rep(seq(COMMA, Ref("value")), 0, None))), text("]")),
    "value": Alt(tuple(Ref(name) for name in ("object", "array", "string", "number", "boolean", "null"))),
}
# Years from 1 on, and no 29 February, which only some years have.
_YEAR = r"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
_DATE = rf"{_YEAR}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_OCTET = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
FORMATS = {
    "date": f"^{_DATE}$", "time": f"^{_TIME}$", "date-time": f"^{_DATE}T{_TIME}$", "ipv4": rf"^({_OCTET}\.){{3}}{_OCTET}$",
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", "email": r"^[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$",
}  # fmt: skip


def quoted(value: Any) -> Bytes:
    return text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def in_string(spans: Ranges) -> Expr:
    """One character of a set, as it stands inside a JSON string. Control characters without a short escape are left out."""
    items: list[Expr] = [text(escape) for code, escape in SHORT.items() if any(low <= code <= high for low, high in spans)]
    plain = complement(union([*complement(spans), *complement(UNESCAPED)]))
    if plain:
        items.insert(0, Chars(plain))
    if not items:
        raise ConstraintError("a pattern asks for a character that JSON texts can't hold here")
    return alt(items)


def other_key(names: Sequence[str]) -> Expr:
    """A key that is none of `names`. It is written without escapes, so that none of them can hide in one."""
    if not names:
        return Ref("string")
    return seq(QUOTE, _not_in([name for name in names if quoted(name).data == b'"' + name.encode() + b'"']), QUOTE)


def _not_in(names: Sequence[str]) -> Expr:
    heads = {name[0] for name in names if name}
    choices: list[Expr] = [seq(Chars(complement(union([*complement(UNESCAPED), *((ord(h), ord(h)) for h in heads)]))), Rep(Chars(UNESCAPED), 0, None))]
    choices += [seq(text(head), _not_in([name[1:] for name in names if name[:1] == head])) for head in sorted(heads)]
    if "" not in names:
        choices.append(EMPTY)
    return alt(choices)
