"""JSON Schema (2020-12, the part that a generator can hold to) as rules over bytes.

The text is JSON without blanks, properties in the order of the schema and then any additional ones. A keyword that is not served is refused by
name with its place; none is passed over in silence but annotations.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import combinations
from typing import Any
from urllib.parse import unquote

from engine.errors import ConstraintError
from engine.grammar import numbers, regex
from engine.grammar.ast import EMPTY, Expr, Ref, Rep, alt, maybe, seq, text
from engine.grammar.spelling import BASE, CHAR, COLON, COMMA, FORMATS, QUOTE, in_string, other_key, quoted

ANNOTATIONS = {"title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly", "writeOnly", "$defs", "definitions",
               "$anchor"}  # fmt: skip
KEYWORDS = {
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
}
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
MAX_DEPTH, MAX_LENGTH = 64, 2000
DIGITS, MAX_CHOICES = 40, 256  # of a bound; where choices are multiplied
MAX_WORK = 200_000  # schemas read, joined and compared: a small text can ask for a lot where references are joined with what stands beside them


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_LENGTH


def _bound(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 10**DIGITS


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


# What the value of a keyword has to be, so that all that is done with it later can rely on it.
SHAPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **{f"{end}{what}": (_whole, f"must be a whole number up to {MAX_LENGTH}") for end in ("min", "max") for what in ("Length", "Items", "Properties")},
    **dict.fromkeys(KEYWORDS["number"], (_bound, f"must be a number of up to {DIGITS} digits")),
    **dict.fromkeys(("anyOf", "oneOf", "allOf"), (lambda value: isinstance(value, list) and bool(value), "must be a list with at least one schema")),
    **dict.fromkeys(("pattern", "format"), (lambda value: isinstance(value, str), "must be a text")),
    "enum": (lambda value: isinstance(value, list), "must be a list"),
    "prefixItems": (lambda value: isinstance(value, list), "must be a list of schemas"),
    "properties": (lambda value: isinstance(value, dict), "must be an object that holds schemas"),
    "required": (_names, "must be a list of names"),
}


def schema_text(schema: dict[str, Any] | bool | str) -> str:
    """A schema as JSON text; ConstraintError when it has none."""
    if isinstance(schema, str):
        return schema
    try:
        return json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConstraintError(f"the JSON schema is not JSON: {error}") from None


def compile_schema(schema: dict[str, Any] | bool | str) -> dict[str, Expr]:
    """Rules for the texts that satisfy a schema (JSON text, or what it parses to); the start is `root`."""
    try:
        return _Compiler(json.loads(schema_text(schema), parse_float=_finite, parse_constant=_finite)).rules()
    except RecursionError:
        raise ConstraintError("JSON schema: nested too deeply, or it refers to itself where it is merged") from None
    except json.JSONDecodeError as error:
        raise ConstraintError(f"the JSON schema is not JSON: {error}") from None


def _finite(digits: str) -> float:
    """JSON has no infinity, and a text generated under a schema must not have one either."""
    if not math.isfinite(value := float(digits)):
        raise ConstraintError(f"the JSON schema is not JSON: {digits[:20]} is no finite number")
    return value


class _Compiler:
    def __init__(self, schema: Any):
        self.schema = schema
        self.made: dict[str, Expr] = {}
        self.refs: dict[str, str] = {}
        self.depth = self.work = 0

    def rules(self) -> dict[str, Expr]:
        root = self.expr(self.schema, "$")
        return {"root": root, **self.made, **BASE}

    def rule(self, expression: Expr) -> Ref:
        name = f"r{len(self.made)}"
        self.made[name] = expression
        return Ref(name)

    def refuse(self, path: str, problem: str) -> ConstraintError:
        return ConstraintError(f"JSON schema, {path}: {problem}")

    def spend(self, path: str, work: int = 1) -> None:
        self.work += work
        if self.work > MAX_WORK:
            raise self.refuse(path, "the schema is too large: its references and choices multiply; say it with fewer of them")

    def bare(self, schema: dict[str, Any], path: str) -> dict[str, Any]:
        """A schema without annotations, its keywords of the right kinds."""
        found = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
        for word, value in found.items():
            fits, problem = SHAPES.get(word, (None, ""))
            if fits is not None and not fits(value):
                raise self.refuse(f"{path}.{word}", problem)
        for name in _types(found.get("type", [])):
            if name not in TYPES:
                raise self.refuse(f"{path}.type", f"{name!r} is no type")
        return found

    def expr(self, schema: Any, path: str) -> Expr:
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                raise self.refuse(path, f"nested more than {MAX_DEPTH} deep")
            if schema is True or schema == {}:
                return Ref("value")
            if not isinstance(schema, dict):
                problem = f"a schema is an object or a boolean, not {type(schema).__name__}"
                raise self.refuse(path, "false allows nothing" if schema is False else problem)
            return self.node(self.bare(schema, path), path)
        finally:
            self.depth -= 1

    def node(self, schema: dict[str, Any], path: str) -> Expr:
        self.spend(path)
        if not schema:
            return Ref("value")
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self.node(self.merge(self.target(schema["$ref"], path), rest, path), path) if rest else self.reference(schema["$ref"], path)
        if "allOf" in schema:
            merged = {key: value for key, value in schema.items() if key != "allOf"}
            if not merged and len(schema["allOf"]) == 1:
                return self.expr(schema["allOf"][0], f"{path}.allOf[0]")
            for n, part in enumerate(schema["allOf"]):
                merged = self.merge(merged, part, f"{path}.allOf[{n}]")
            return self.node(merged, path)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                rest = {key: value for key, value in schema.items() if key != word}
                places = [(part, f"{path}.{word}[{n}]") for n, part in enumerate(schema[word])]
                if word == "oneOf" and not all(self.disjoint(a, b, path) for a, b in combinations([self.plain(*place) for place in places], 2)):
                    raise self.refuse(f"{path}.oneOf", "the choices may overlap; use anyOf, or tell them apart by type or by a constant property")
                # Where nothing stands beside the choices, references among them stay references: each is compiled once, and may lead back here.
                return alt([self.node(self.merge(rest, *place), place[1]) if rest else self.expr(*place) for place in places])
        if "const" in schema or "enum" in schema:
            return self.values(schema, path)
        return self.typed(schema, path)

    def plain(self, schema: Any, path: str) -> dict[str, Any]:
        """A schema as an object without annotations, a lone reference followed."""
        for _ in range(MAX_DEPTH):
            if schema is True:
                return {}
            if not isinstance(schema, dict):
                raise self.refuse(path, "false allows nothing" if schema is False else "a schema is an object or a boolean")
            bare = self.bare(schema, path)
            if set(bare) != {"$ref"}:
                return bare
            schema = self.target(bare["$ref"], path)
        raise self.refuse(path, "references without end")

    def target(self, ref: Any, path: str) -> Any:
        if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
            raise self.refuse(f"{path}.$ref", f"{ref!r}: only references by their path inside the schema (#/...) are served")
        found = self.schema
        for part in ref.split("/")[1:]:
            part = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            elif isinstance(found, dict) and part in found:
                found = found[part]
            else:
                raise self.refuse(f"{path}.$ref", f"{ref} points at nothing")
        if not isinstance(found, bool | dict):
            raise self.refuse(f"{path}.$ref", f"{ref} points at no schema")
        return found

    def reference(self, ref: Any, path: str) -> Expr:
        target = self.target(ref, path)
        if ref not in self.refs:
            name = self.refs[ref] = f"ref{len(self.refs)}"
            depth, self.depth = self.depth, 0
            self.made[name] = self.expr(target, str(ref))
            self.depth = depth
        return Ref(self.refs[ref])

    def merge(self, a: Any, b: Any, path: str) -> dict[str, Any]:
        """A schema that says what both say."""
        a, b = self.plain(a, path), self.plain(b, path)
        self.spend(path)
        out = dict(a)
        for key, value in b.items():
            if key not in out or _same(out[key], value):
                out[key] = value
            elif key == "properties":
                out[key] = {**out[key], **{name: _both(out[key].get(name, True), s) for name, s in value.items()}}
            elif key == "required":
                out[key] = list(dict.fromkeys([*out[key], *value]))
            elif key in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
                out[key] = max(out[key], value)
            elif key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
                out[key] = min(out[key], value)
            elif key == "type":
                out[key] = _common_types(_types(out[key]), _types(value))
            elif key == "enum":
                kept = {_spelled(v) for v in value}
                out[key] = [v for v in out[key] if _spelled(v) in kept]
            elif key == "allOf":
                out[key] = [*out[key], *value]
            elif key == "anyOf" and len(out[key]) * len(value) <= MAX_CHOICES:  # each of these with each of those
                out[key] = [{"allOf": [one, other]} for one in out[key] for other in value]
            elif key not in ITEMS:
                raise self.refuse(path, f"two different {key} can't be joined")
        if a.keys() & ITEMS and b.keys() & ITEMS:
            out |= _joined_items(a, b)
        for one, other in ((a, b), (b, a)):
            if one.get("additionalProperties", True) is not True and set(other.get("properties", {})) - set(one.get("properties", {})):
                raise self.refuse(path, "additionalProperties beside properties of another part can't be joined")
        return out

    def disjoint(self, a: dict[str, Any], b: dict[str, Any], path: str, depth: int = 0) -> bool:
        def types(schema: dict[str, Any]) -> set[str]:
            found = set(_types(schema["type"])) if "type" in schema else {_type_of(v) for v in _values(schema)} if _values(schema) else set(TYPES)
            return found | ({"integer"} if "number" in found else set())

        self.spend(path)
        if not types(a) & types(b):
            return True
        if _values(a) and _values(b):
            return not {_spelled(v) for v in _values(a)} & {_spelled(v) for v in _values(b)}
        if types(a) == types(b) == {"object"} and depth < 8:
            for name in set(a.get("required", [])) & set(b.get("required", [])):
                one, other = (s.get("properties", {}).get(name) for s in (a, b))
                if isinstance(one, dict) and isinstance(other, dict) and self.disjoint(self.plain(one, path), self.plain(other, path), path, depth + 1):
                    return True
        return False

    def values(self, schema: dict[str, Any], path: str) -> Expr:
        rest = schema.keys() - {"const", "enum", "type"}
        if rest:
            raise self.refuse(path, f"{sorted(rest)[0]} beside enum or const is not served")
        found = [v for v in _values(schema) if "type" not in schema or _type_of(v) in _types(schema["type"]) or (
            _type_of(v) == "integer" and "number" in _types(schema["type"]))]  # fmt: skip
        if not found:
            raise self.refuse(path, "no value is left that satisfies it")
        return alt([quoted(value) for value in found])

    def typed(self, schema: dict[str, Any], path: str) -> Expr:
        known = {"type"}.union(*KEYWORDS.values())
        for word in schema:
            if word not in known:
                raise self.refuse(path, f"the keyword {word!r} is not served")
        types = _types(schema.get("type", ["object", "array", "string", "number", "boolean", "null"]))
        if not types:
            raise self.refuse(path, "no type is left that satisfies it")
        makers: dict[str, Callable[[dict[str, Any], str], Expr]] = {
            "object": self.object, "array": self.array, "string": self.string, "number": self.number, "integer": self.integer}  # fmt: skip
        out = []
        for name in types:
            own = {key: value for key, value in schema.items() if key in KEYWORDS.get("number" if name == "integer" else name, ())}
            out.append(makers[name](own, path) if own else Ref(name))
        return alt(out)

    def size(self, schema: Mapping[str, Any], low: str, high: str, path: str) -> tuple[int, int | None]:
        least, most = schema.get(low, 0), schema.get(high)
        if most is not None and most < least:
            raise self.refuse(path, f"{high} is below {low}")
        return least, most

    # -- types -------------------------------------------------------------------------------------------------------

    def string(self, schema: dict[str, Any], path: str) -> Expr:
        least, most = self.size(schema, "minLength", "maxLength", path)
        pattern = schema.get("pattern")
        if "format" in schema:
            if schema["format"] not in FORMATS:
                raise self.refuse(f"{path}.format", f"{schema['format']!r} is not served; there are {', '.join(sorted(FORMATS))}")
            if pattern is not None:
                raise self.refuse(path, "pattern and format together are not served")
            pattern = FORMATS[schema["format"]]
        if pattern is None:  # a character by its rule: laid out anew for each place, long texts would make large automata
            return seq(QUOTE, Rep(Ref("char"), least, most), QUOTE)
        if least or most is not None:
            raise self.refuse(path, "a length beside pattern or format is not served; say it in the pattern")
        try:
            return seq(QUOTE, regex.parse(pattern, in_string, Rep(CHAR, 0, None)), QUOTE)
        except ConstraintError as error:
            raise self.refuse(f"{path}.pattern", str(error)) from None

    def bounds(self, schema: dict[str, Any], path: str) -> tuple[Decimal | None, Decimal | None, bool, bool]:
        """Bounds as they are written: 0.1 is a tenth."""
        found: dict[str, Decimal] = {}
        for word, value in schema.items():
            found[word] = Decimal(repr(value))
            if -int(found[word].as_tuple().exponent) > DIGITS:
                raise self.refuse(f"{path}.{word}", f"must be a number of up to {DIGITS} digits behind the point")
        low, high = found.get("minimum"), found.get("maximum")
        above, under = found.get("exclusiveMinimum"), found.get("exclusiveMaximum")
        open_low = above is not None and (low is None or above >= low)
        open_high = under is not None and (high is None or under <= high)
        return above if open_low else low, under if open_high else high, open_low, open_high

    def integer(self, schema: dict[str, Any], path: str) -> Expr:
        low, high, open_low, open_high = self.bounds(schema, path)
        least = None if low is None else math.floor(low) + 1 if open_low else math.ceil(low)
        most = None if high is None else math.ceil(high) - 1 if open_high else math.floor(high)
        found = numbers.integers(least, most)
        if found is None:
            raise self.refuse(path, "no integer lies between the bounds")
        return found

    def number(self, schema: dict[str, Any], path: str) -> Expr:
        found = numbers.decimals(*self.bounds(schema, path))
        if found is None:
            raise self.refuse(path, "no number lies between the bounds")
        return found

    def array(self, schema: dict[str, Any], path: str) -> Expr:
        least, most = self.size(schema, "minItems", "maxItems", path)
        first = schema.get("prefixItems", [])
        heads = [self.expr(item, f"{path}.prefixItems[{n}]") for n, item in enumerate(first)]
        rest = None if schema.get("items") is False else self.rule(self.expr(schema.get("items", True), f"{path}.items"))
        if rest is None:
            most = len(heads) if most is None else min(most, len(heads))
        if most is not None and least > most:
            raise self.refuse(path, f"minItems = {least}, but at most {most} items are allowed")
        heads = heads[:most] if most is not None else heads
        # From the end: what may follow item n.
        tail: Expr = EMPTY
        n = len(heads)
        if rest is not None and (most is None or most > n):
            more = seq(COMMA, rest) if n else rest
            again = Rep(seq(COMMA, rest), max(0, least - n - 1), None if most is None else most - n - 1)
            tail = seq(more, again) if least > n else maybe(seq(more, again))
        for k in range(n - 1, -1, -1):
            item = seq(COMMA, heads[k], tail) if k else seq(heads[k], tail)
            tail = item if least > k else maybe(item)
        return seq(text("["), tail, text("]"))

    def object(self, schema: dict[str, Any], path: str) -> Expr:
        properties, required, additional = schema.get("properties", {}), set(schema.get("required", [])), schema.get("additionalProperties", True)
        properties = {**properties, **{name: additional for name in schema.get("required", []) if name not in properties}}
        pairs = [seq(quoted(name), COLON, self.expr(value, f"{path}.properties.{name}")) for name, value in properties.items()]
        extra = None
        if additional is not False:
            extra = self.rule(seq(other_key(list(properties)), COLON, self.expr(additional, f"{path}.additionalProperties")))
        least, most = self.size(schema, "minProperties", "maxProperties", path)
        if (least > len(required)) or most is not None:
            if properties or extra is None:
                raise self.refuse(path, "minProperties and maxProperties beside properties are not served")
            if least > 1:
                raise self.refuse(path, "minProperties above 1 is not served: a key could come twice, which counts once; name the properties as required")
            body = seq(extra, Rep(seq(COMMA, extra), max(0, least - 1), None if most is None else most - 1)) if most != 0 else EMPTY
            return seq(text("{"), body if least else maybe(body), text("}"))
        # `following`: what comes after property n when one was written before; `opening`: when none was.
        following: Expr = Rep(seq(COMMA, extra), 0, None) if extra else EMPTY
        opening: Expr = maybe(seq(extra, Rep(seq(COMMA, extra), 0, None))) if extra else EMPTY
        for name, pair in zip(reversed(properties), reversed(pairs), strict=True):
            after = self.rule(following)
            if name in required:
                opening, following = seq(pair, after), seq(COMMA, pair, after)
            else:
                opening = alt([seq(pair, after), self.rule(opening)])
                following = seq(maybe(seq(COMMA, pair)), after)
        return seq(text("{"), opening, text("}"))


def _types(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


ITEMS = {"items", "prefixItems"}


def _joined_items(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """What arrays of both kinds hold: `items` of the one counts for places that only the other has in `prefixItems`."""

    def at(schema: Mapping[str, Any], n: int) -> Any:
        first = schema.get("prefixItems", [])
        return first[n] if n < len(first) else schema.get("items", True)

    heads = [_both(at(a, n), at(b, n)) for n in range(max(len(schema.get("prefixItems", [])) for schema in (a, b)))]
    shut = next((n for n, head in enumerate(heads) if head is False), None)
    return {"prefixItems": heads[:shut], "items": _both(a.get("items", True), b.get("items", True)) if shut is None else False}


def _both(a: Any, b: Any) -> Any:
    """A schema for what satisfies both."""
    if a is True or b is True or _same(a, b):
        return b if a is True else a
    return False if a is False or b is False else {"allOf": [a, b]}


def _common_types(a: list[str], b: list[str]) -> list[str]:
    """The types that both lists allow: an integer is a number."""
    return [t for t in dict.fromkeys([*a, *b]) if all(t in types or (t == "integer" and "number" in types) for types in (a, b))]


def _spelled(value: Any) -> str:
    """The same text for the same JSON value: 1 is 1.0 and not true, which Python holds for equal."""

    def plain(v: Any) -> Any:
        if isinstance(v, dict):
            return {key: plain(one) for key, one in v.items()}
        return [plain(one) for one in v] if isinstance(v, list) else int(v) if isinstance(v, float) and v == int(v) else v

    return json.dumps(plain(value), sort_keys=True)


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) and _spelled(a) == _spelled(b)


def _values(schema: Mapping[str, Any]) -> list[Any]:
    if "const" in schema:
        return [schema["const"]] if "enum" not in schema or _spelled(schema["const"]) in {_spelled(v) for v in schema["enum"]} else []
    return list(schema.get("enum", []))


def _type_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "integer" if value == int(value) else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
