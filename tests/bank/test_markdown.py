"""Markdown is shown, never run."""

import pytest

from interviews.bank.markdown import render


def test_tex_becomes_spans_for_the_browser() -> None:
    html = render("Inline $p(x) < q$.\n\n$$\n\\frac{a}{b}\n$$\n")
    assert '<span class="math">p(x) &lt; q</span>' in html
    assert '<div class="math">' in html
    assert "\\frac{a}{b}" in html


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
