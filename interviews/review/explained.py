"""The page that tells how answers are marked: an answer with its marks, then `docs/grading.md` as far as it is meant for candidates."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from django.conf import settings
from django.utils.text import slugify

from grading.rubric import Claim, Criterion, Rubric
from interviews.bank.markdown import render
from interviews.review.tried import Piece, pieces

EXAMPLE = Path(__file__).with_name("example")
COMMANDS = "Look for yourself"  # the section for who has the repository


@dataclass(frozen=True)
class Section:
    title: str
    html: str

    @property
    def slug(self) -> str:
        return slugify(self.title)


@cache
def sections() -> tuple[Section, ...]:
    """The document's sections in order, without the commands."""
    text = (Path(settings.BASE_DIR) / "docs" / "grading.md").read_text("utf-8")
    parts = [part.partition("\n") for part in text.split("\n## ")[1:]]
    return tuple(Section(title, render(body)) for title, _, body in parts if title != COMMANDS)


@dataclass(frozen=True)
class Marked:
    """One claim of the example beside the words that met or excluded it: `number` as they are numbered in the answer, from 1; 0 for none."""

    claim: Claim
    met: bool
    why: str
    number: int


@dataclass(frozen=True)
class Example:
    """A question with an answer and its marks. `answer` is the text as `tried.pieces` cuts it."""

    question: str
    answer: tuple[Piece, ...]
    criteria: tuple[tuple[Criterion, float, tuple[Marked, ...]], ...]


@cache
def example() -> Example:
    """The example with the marks that the scorer gave it (`marks.json`, kept true by a test: the web process loads no scorer)."""
    marks = {mark["id"]: mark for mark in json.loads((EXAMPLE / "marks.json").read_text("utf-8"))}
    rubric = Rubric.from_dict(yaml.safe_load((EXAMPLE / "rubric.yaml").read_text("utf-8")))
    text = (EXAMPLE / "answer.md").read_text("utf-8")
    spans = sorted({(mark["start"], mark["end"]) for mark in marks.values() if mark["start"] is not None})
    number = {span: n for n, span in enumerate(spans, 1)}

    def marked(criterion: Criterion) -> tuple[Marked, ...]:
        return tuple(Marked(claim, mark["met"], mark["why"], number.get((mark["start"], mark["end"]), 0))
                     for claim in criterion.claims for mark in [marks[claim.id]])

    rows = [(criterion, marked(criterion)) for criterion in rubric.criteria]
    return Example((EXAMPLE / "prompt.md").read_text("utf-8").strip(), tuple(pieces(text, spans)),
                   tuple((criterion, criterion.points_for(sum(m.met for m in found)), found) for criterion, found in rows))
