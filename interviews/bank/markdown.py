"""Markdown to HTML that is safe to show. `$TeX$` becomes `<span class="math">`, which the browser hands to KaTeX."""

from functools import lru_cache
from html import escape

import nh3
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

TAGS = nh3.ALLOWED_TAGS | {"span", "div"}
ATTRIBUTES = {**nh3.ALLOWED_ATTRIBUTES, "span": {"class"}, "div": {"class"}, "code": {"class"}, "th": {"style"}, "td": {"style"}}

# The plugin's ways to wrap inline, displayed-in-a-line and block TeX, and ours.
CLASSES = {
    '<span class="math inline">': '<span class="math">',
    '<div class="math inline">': '<div class="math">',
    '<div class="math block">': '<div class="math">',
}


def _math(content: str, options: dict[str, bool]) -> str:
    return escape(content)


@lru_cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable(["table", "strikethrough"])
    # "$3.90 are $15.60" is money: no formula begins after a digit or ends before one.
    return parser.use(dollarmath_plugin, renderer=_math, double_inline=True, allow_digits=False, allow_labels=False)


def render(text: str) -> str:
    """HTML of the Markdown, sanitised. Raw HTML in the source is shown as text; inline TeX is `span.math`, displayed TeX `div.math`."""
    html = _parser().render(text)
    for theirs, ours in CLASSES.items():
        html = html.replace(theirs, ours)
    return nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, link_rel="noopener noreferrer")


def render_prompt(text: str, title: str) -> str:
    """A prompt's HTML. A first heading that only repeats the title, which stands above it anyway, is left out."""
    first, _, rest = text.lstrip().partition("\n")
    return render(rest if first.strip("# ").casefold() == title.casefold() and first.startswith("#") else text)
