"""Markdown is shown, never run."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from grading.result import Answer
from grading.variants import files_of
from interviews.bank.files import in_words, parse_answer, read_pack
from interviews.bank.management.commands.load_bank import PACKS
from interviews.bank.markdown import render
from sandbox import labs


def test_tex_becomes_spans_for_the_browser() -> None:
    html = render("Inline $p(x) < q$.\n\n$$\n\\frac{a}{b}\n$$\n")
    assert '<span class="math">p(x) &lt; q</span>' in html
    assert '<div class="math">' in html
    assert "\\frac{a}{b}" in html


@pytest.mark.parametrize("text", ["$3.90 are $15.60", "At $10 per hour that is about $5.8 million a year.", "$2.10 / 1.5 = $1.40", "5$ and 10$"])
def test_money_is_no_formula(text: str) -> None:
    assert render(text) == f"<p>{text}</p>\n"


def shipped() -> Iterator[tuple[str, str]]:
    """Each Markdown that a page shows of the shipped banks, in four variants, and of the labs."""
    for question in (question for pack in PACKS.glob("*/pack.yaml") for question in read_pack(pack.parent).questions):
        for seed in range(4):
            for name, text in files_of(question.files, seed).items():
                if name.startswith("answers/"):
                    yield f"{question.slug}/{name}", in_words(parse_answer(text, kind=question.meta["kind"])[1])
                elif name.endswith(".md"):
                    yield f"{question.slug}/{name}", text
    for brief in Path(labs.__file__).parent.glob("*/*.md"):
        yield f"{brief.parent.name}/{brief.name}", brief.read_text()


def test_no_sentence_of_what_is_shipped_becomes_a_formula() -> None:
    formulas = [(place, tex) for place, text in shipped() for tex in re.findall(r'class="math">(.*?)</(?:span|div)>', render(text), re.DOTALL)]
    assert len(formulas) > 20
    command = re.compile(r"\\(?:text|mathrm|operatorname)\{[^}]*\}|\\[a-zA-Z]+")
    assert [(place, tex) for place, tex in formulas if re.search("[a-zA-Z]{3,}", command.sub("", tex))] == []


def test_tables_and_code_survive() -> None:
    html = render("| a | b |\n|---|--:|\n| 1 | 2 |\n\n```python\nif a < b: pass\n```\n")
    assert "<table>" in html
    assert '<code class="language-python">if a &lt; b: pass' in html


@pytest.mark.parametrize(
    "attack",
    ["<script>alert(1)</script>", "[x](javascript:alert(1))", "<img src=x onerror=alert(1)>", "$</span><script>alert(1)</script>$"],
)
def test_nothing_runs(attack: str) -> None:
    html = render(attack)
    assert "<script" not in html
    assert "javascript:" not in html.replace("[x](javascript:alert(1))", "")
    assert "<img" not in html


def test_what_was_filled_in_is_told_by_what_was_asked() -> None:
    answer = Answer("Because.", fields={"size": "4 GiB", "why": "linearly", "gone": "1"})
    told = in_words(answer, [{"id": "size", "label": "Size"}, {"id": "why", "label": "How does it grow?"}])
    assert told.split("\n")[:3] == ["- Size: 4 GiB", "- How does it grow? linearly", "- gone: 1"]
