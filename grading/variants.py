"""One question folder, many sets of numbers: `generate.py` makes them from a seed, `{{name}}` in the other files stands for them.

`generate.py` defines `generate(pick)` and returns a mapping of names to numbers or texts. `pick(default, *others)` gives the default for seed 0,
the published variant, and one of all of them for any other seed. The prompt, the rubric (with its values, units, tolerances and steps) and the
exemplar answers are templates: `{{batch}}`, or `{{step_ms:.2f}}` with a format of Python's. What a seed makes is the same on every machine and in
every process, so that an old score can be made again from the seed beside it.

The code comes with a pack from the server's own disk and is trusted. It is held to arithmetic all the same, because a variant must depend on its
seed and nothing else: it imports nothing but `math`, and has no clock, files or chance of its own.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any, TypeVar

GENERATOR = "generate.py"
PUBLISHED = 0  # the seed whose numbers are every pick's default
_PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?::([^{}\n]*))?\}\}")
_WIDE = re.compile(r"\d{3}")  # in a format: a width or a precision that is there to fill the memory
_PLAIN = ("abs", "all", "any", "bool", "dict", "divmod", "enumerate", "filter", "float", "format", "frozenset", "int", "isinstance", "len", "list",
          "map", "max", "min", "pow", "range", "repr", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip", "Exception", "ValueError")
T = TypeVar("T")
Pick = Callable[..., Any]


class VariantError(ValueError):
    """A generator or a template that can't be used: which file of the question, which line (from 1), and why."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.file, self.line, self.reason = file, line, reason


def picker(seed: int) -> Pick:
    """`pick(default, *others)` for a seed. The n-th call draws by SHA-256 of the seed and n, which no version of Python changes."""
    calls = 0

    def pick(*choices: T) -> T:
        nonlocal calls
        if not choices:
            raise ValueError("pick() needs at least one value")
        calls += 1
        if seed == PUBLISHED:
            return choices[0]
        digest = hashlib.sha256(f"{seed}:{calls}".encode()).digest()
        return choices[int.from_bytes(digest[:8], "big") % len(choices)]

    return pick


def _import(name: str, *_: Any) -> Any:
    if name != "math":
        raise ImportError(f"{name!r}: a generator imports math and nothing else")
    return math


@lru_cache(maxsize=64)
def _compiled(source: str) -> CodeType:
    try:
        tree = ast.parse(source, GENERATOR)
    except (SyntaxError, ValueError) as error:
        raise VariantError(GENERATOR, getattr(error, "lineno", None) or 1, f"not Python: {error}") from None
    for node in ast.walk(tree):
        name = getattr(node, "attr", None) or getattr(node, "id", None) or ""
        if name.startswith("__"):
            raise VariantError(GENERATOR, getattr(node, "lineno", 1), f"{name}: a generator has no use for the interpreter's own names")
    if not any(isinstance(node, ast.FunctionDef) and node.name == "generate" for node in tree.body):
        raise VariantError(GENERATOR, 1, "defines no function `generate(pick)`")
    return compile(tree, GENERATOR, "exec")


def _line(error: BaseException) -> int:
    line, at = 1, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == GENERATOR:
            line = at.tb_lineno
        at = at.tb_next
    return line


def numbers(source: str, seed: int) -> dict[str, Any]:
    """What a generator makes of a seed.

    Raises:
        VariantError: the source is no generator, it failed, or what it gave is no mapping of names to finite numbers and texts.
    """
    code = _compiled(source)
    space: dict[str, Any] = {"__builtins__": {name: getattr(builtins, name) for name in _PLAIN} | {"__import__": _import}, "__name__": "generate"}
    try:
        exec(code, space)
        made = space["generate"](picker(seed))
    except Exception as error:  # an author's code: whatever it raises, the author wants the line
        raise VariantError(GENERATOR, _line(error), f"seed {seed}: {type(error).__name__}: {error}") from None
    if not isinstance(made, Mapping) or not made:
        raise VariantError(GENERATOR, 1, f"seed {seed}: generate() must return a mapping of names to numbers or texts")
    for name, value in made.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise VariantError(GENERATOR, 1, f"seed {seed}: {name!r} is no name")
        if isinstance(value, bool) or not isinstance(value, int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
            raise VariantError(GENERATOR, 1, f"seed {seed}: {name} is {value!r}, and neither a finite number nor a text")
    return dict(made)


def fill(file: str, text: str, values: Mapping[str, Any]) -> str:
    """A template with its numbers put in. Lines stay where they are.

    Raises:
        VariantError: a name that the generator does not make, or a format that does not suit its value.
    """
    def value(match: re.Match[str]) -> str:
        name, form = match[1], match[2] or ""
        line = text.count("\n", 0, match.start()) + 1
        if name not in values:
            raise VariantError(file, line, f"{match[0]}: {GENERATOR} makes no {name!r}")
        if _WIDE.search(form):
            raise VariantError(file, line, f"{match[0]}: no number is that wide")
        try:
            out = format(values[name], form or ("g" if isinstance(values[name], float) else ""))
        except ValueError as error:
            raise VariantError(file, line, f"{match[0]}: {error}") from None
        if "\n" in out:
            raise VariantError(file, line, f"{match[0]}: a value has one line")
        return out

    if stray := re.search(r"\{\{\s*[A-Za-z_]\w*", _PLACE.sub(lambda m: "." * len(m[0]), text)):
        raise VariantError(file, text.count("\n", 0, stray.start()) + 1, f"{stray[0]!r} is no place for a number: write {{{{name}}}} or {{{{name:.2f}}}}")
    return _PLACE.sub(value, text)


def files_of(files: Mapping[str, str], seed: int = PUBLISHED) -> dict[str, str]:
    """The files of one variant, without the generator: `prompt.md`, `rubric.yaml` and `answers/*` filled in, `question.yaml` as it is.

    A question without a generator is the same for every seed.

    Raises:
        VariantError: the generator or a template is wrong.
    """
    if GENERATOR not in files:
        return dict(files)
    values = numbers(files[GENERATOR], seed)
    return {path: text if path == "question.yaml" else fill(path, text, values) for path, text in files.items() if path != GENERATOR}
