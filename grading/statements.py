"""Statements with what people write about them (`grading/data/statements/`), and how well the scorer's signs of a contradiction tell these apart.

A file holds items, a blank line between two. An item's first line is its statement, each further line one way to write about it; the first character
of a line says what it is:

    =  the statement
    +  says it, in mostly other words           *  says it, in mostly its own words
    -  contradicts it, in mostly its own words  !  contradicts it, in mostly other words
    /  says a part of it, without what matters  ~  says something else of the same subject

Both pairs are there so that neither shared words nor their absence tell anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grading.encoder import encoder
from grading.evaluate import DataError
from grading.evidence import DENIED, opposition, weigh
from grading.fusion import Statement, lexical, plain
from grading.metrics import auc
from grading.text import read, tokenise

HELD_OUT = "held-out"  # the file, with items of all fields, that nobody looks at who works on the rules
FOLDER = Path(__file__).with_name("data") / "statements"
KINDS = "+*-!/~"


@dataclass(frozen=True, slots=True)
class Item:
    """A statement and the lines about it by kind (`KINDS`)."""

    statement: str
    lines: Mapping[str, tuple[str, ...]]


def read_file(path: Path) -> list[Item]:
    """The items of one file. Raises DataError for the first bad line, or for an item that lacks a kind."""
    out, lines = list[Item](), dict[str, list[str]]()
    statement, at = "", 0

    def close() -> None:
        if statement:
            lacking = [kind for kind in KINDS if not lines[kind]]
            if lacking:
                raise DataError(f"{path.name}:{at}: “{statement}” has no line that begins with {' '.join(lacking)}")
            out.append(Item(statement, {kind: tuple(found) for kind, found in lines.items()}))

    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        kind, text = line[:1], line[1:].strip()
        if not line.strip():
            continue
        if kind == "=" and text:
            close()
            statement, at, lines = text, number, {kind: [] for kind in KINDS}
        elif kind in KINDS and text and statement:
            lines[kind].append(text)
        else:
            raise DataError(f"{path.name}:{number}: a line begins with = or one of {KINDS}, then text, and an item with its statement")
    close()
    return out


def read_all(folder: Path = FOLDER) -> tuple[list[Item], list[Item]]:
    """(items to work on, items to measure with) of a folder. Raises DataError when it lacks either, or for the first bad line."""
    open_, held = list[Item](), list[Item]()
    for path in sorted(folder.glob("*.txt")):
        (held if path.stem == HELD_OUT else open_).extend(read_file(path))
    if not open_ or not held:
        raise DataError(f"{folder}: lacks statements, or {HELD_OUT}.txt")
    return open_, held


def measure(items: Sequence[Item]) -> dict[str, Any]:
    """{"items", "kinds": {kind: {"lines", "opposed", "near"}}, "auc": {...}}.

    `opposed` is the share of lines of which `grading.polarity` says that they contradict the statement, `near` their mean nearness by meaning and words. The
    areas under the ROC curve are those of nearness, right against wrong lines: it is no sign of truth.
    """
    model = encoder()
    opposed, near = ({kind: list[float]() for kind in KINDS} for _ in range(2))
    for item in items:
        tokens = tokenise(item.statement)
        statement, embedding = Statement(item.statement, tokens, weigh(model, tokens, frozenset())), model.encode([item.statement])
        for kind, lines in item.lines.items():
            for line in lines:
                clauses = read(line).sentences
                cosine = model.encode([c.text for c in clauses]) @ embedding.T
                z = plain(cosine, lexical(clauses, [statement]))
                near[kind].append(float(z.max()))
                opposed[kind].append(float(any(opposition(c, z[i], [statement]).strength >= DENIED for i, c in enumerate(clauses))))

    def area(right: str, wrong: str) -> float | None:
        return auc(*(np.array([v for kind in kinds for v in near[kind]]) for kinds in (right, wrong)))

    return {"items": len(items),
            "kinds": {kind: {"lines": len(near[kind]), "opposed": float(np.mean(opposed[kind])), "near": float(np.mean(near[kind]))} for kind in KINDS},
            "auc": {"says against contradicts": area("+*", "-!"), "other words right, same words wrong": area("+", "-")}}


NAMES = {"+": "says it, other words", "*": "says it, same words", "-": "contradicts it, same words", "!": "contradicts it, other words",
         "/": "says a part", "~": "says something else"}


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    out = [f"{report['items']} statements", f"{'':<30}{'lines':>7}{'opposed':>9}{'nearness':>10}"]
    out += [f"{NAMES[kind]:<30}{row['lines']:>7}{100 * row['opposed']:>7.1f} %{row['near']:>10.2f}" for kind, row in report["kinds"].items()]
    return "\n".join([*out, *(f"AUC of nearness, {name}: {value:.3f}" for name, value in report["auc"].items())])
