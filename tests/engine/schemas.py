"""Fifty schemas as people write them for structured outputs."""

from typing import Any


def obj(required: str = "", /, **properties: Any) -> dict[str, Any]:
    """An object without additional properties. `required`: names with blanks between; "*" is all."""
    names = list(properties) if required == "*" else required.split()
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


S, I, N, B = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}  # noqa: E741


def arr(items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def enum(*values: Any) -> dict[str, Any]:
    return {"enum": list(values)}


SCHEMAS: dict[str, dict[str, Any]] = {
    "person": obj("*", name=S, age=I),
    "sentiment": obj("*", label=enum("positive", "neutral", "negative"), score=N),
    "flag": obj("*", ok=B),
    "nothing": {"type": "null"},
    "string": S,
    "integer": I,
    "number": N,
    "boolean": B,
    "list of strings": arr(S),
    "list of integers": arr(I),
    "pair": {"type": "array", "prefixItems": [S, I], "items": False, "minItems": 2},
    "up to three": arr(I, maxItems=3),
    "at least two": arr(B, minItems=2),
    "two to four": arr(enum("a", "b"), minItems=2, maxItems=4),
    "matrix": arr(arr(N)),
    "optional fields": obj("b", a=I, b=S, c=B),
    "all optional": obj("", a=I, b=S, c=B),
    "empty object": obj(""),
    "nested": obj("*", user=obj("*", id=I, email=S), active=B),
    "tool call": obj("*", name=enum("search", "open"), arguments=obj("query", query=S, limit=I)),
    "either": {"anyOf": [S, I]},
    "or null": {"type": ["string", "null"]},
    "const": {"const": "yes"},
    "const number": {"const": 42},
    "mixed enum": enum("a", 1, None, True),
    "unicode enum": enum("naïve", "日本", "😀"),
    "quoted enum": enum('say "hi"', "back\\slash"),
    "prefix enum": enum("a", "ab", "abc"),
    "tree": {"$defs": {"node": obj("value", value=I, children=arr({"$ref": "#/$defs/node"}))}, "$ref": "#/$defs/node"},
    "linked list": {"$defs": {"cell": obj("head", head=I, tail={"$ref": "#/$defs/cell"})}, "$ref": "#/$defs/cell"},
    "shared definition": {"$defs": {"money": obj("*", amount=I, unit=enum("EUR", "USD"))},
                          **obj("*", price={"$ref": "#/$defs/money"}, tax={"$ref": "#/$defs/money"})},
    "shapes": {"anyOf": [obj("*", kind={"const": "circle"}, r=I), obj("*", kind={"const": "square"}, a=I)]},
    "choices by type": {"oneOf": [S, arr(S), {"type": "null"}]},
    "described": {"title": "Answer", "description": "What was found", **obj("*", text={**S, "description": "the text", "examples": ["x"]})},
    "scheduler trace": arr(obj("*", step=I, prefill=I, decode=I, preempted=arr(S))),
    "block table": obj("*", request=S, blocks=arr(I), free=I),
    "rubric mark": arr(obj("*", claim_id=S, met=B, quote=S)),
    "extraction": obj("title", title=S, authors=arr(obj("last", first=S, last=S)), year=I),
    "ingredients": obj("*", dish=S, ingredients=arr(obj("*", item=S, grams=N))),
    "config": obj("model", model=S, temperature=N, stop=arr(S), stream=B, seed={"type": ["integer", "null"]}),
    "bounded integer": {"type": "integer", "minimum": 1, "maximum": 10},
    "percent": {"type": "integer", "minimum": 0, "maximum": 100},
    "signed range": {"type": "integer", "minimum": -20, "maximum": 35},
    "natural": {"type": "integer", "minimum": 0},
    "short string": {"type": "string", "maxLength": 4},
    "exact length": {"type": "string", "minLength": 2, "maxLength": 3},
    "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
    "version": {"type": "string", "pattern": "^v\\d+(\\.\\d+)*$"},
    "long names": obj("*", a_rather_long_name_of_a_field=B, another_rather_long_name=B),
    "joined": {"allOf": [{"type": "object", "properties": {"a": I}, "required": ["a"]}, {"type": "object", "properties": {"b": S}, "required": ["b"]}],
               "additionalProperties": False, "properties": {"a": True, "b": True}},
    "grades": {"type": "object", "additionalProperties": I},
}  # fmt: skip
