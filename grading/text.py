"""From what was typed to clauses that can be matched, without losing the place.

Every normalised character remembers the code point of the answer that it came from, so evidence can always be quoted as typed.
Markup and code leave the prose; invisible characters go; look-alike letters of other scripts are folded.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from grading.lexicon import FUNCTION, stem

MAX_CHARS = 200_000  # of one channel; what lies beyond is not read, and the scorer says so

# Letters that look like Latin ones (Unicode confusables, the ones that a keyboard can reach).
_LOOKALIKE = str.maketrans(
    "аеорсухіјѕһԁԛԝгзкмнтвьАВЕКМНОРСТУХІЈЅԌԚԜοανικρτυχγηωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijshdqwr3kmhtbbABEKMHOPCTYXIJSGQWoavikptuxynwABEZHIKMNOPTYX",
)
_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_FENCE = re.compile(r"^[ \t]*(```|~~~)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.M | re.S)
_DROP = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>\n]{0,200}>|\*\*|__(?=\S)|(?<=\S)__|`+|~~|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)"
                   r"|!?\[(?=[^\]\n]*\]\()|\]\([^)\s]*\)", re.S)
_TEX = (
    (re.compile(r"\\(?:cdot|times|ast)\b"), "*"), (re.compile(r"\\(?:leq?|le)\b"), "<="), (re.compile(r"\\(?:geq?|ge)\b"), ">="),
    (re.compile(r"\\(?:approx|sim|simeq)\b"), "~"), (re.compile(r"\\(?:to|rightarrow|Rightarrow)\b"), "->"),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), None), (re.compile(r"\\(?:text|mathrm|operatorname|mathbf)\s*(?=\{)"), ""),
)
_BREAK = "\u2029"  # stands for a block boundary: bullet, heading, table cell, blank line


@dataclass(frozen=True, slots=True)
class Token:
    """One word or number: lower-case text, stem, and place in the normalised clause."""

    text: str
    stem: str
    start: int
    end: int

    @property
    def content(self) -> bool:
        return self.text not in FUNCTION


@dataclass(frozen=True, slots=True)
class Clause:
    """A sentence, or a part of one. `text` is normalised; `[start, end)` are code points of the answer; `sentence` counts sentences."""

    text: str
    start: int
    end: int
    sentence: int
    whole: bool
    tokens: tuple[Token, ...] = ()
    bullet: bool = False

    @property
    def stems(self) -> frozenset[str]:
        return frozenset(token.stem for token in self.tokens if token.content)


@dataclass(frozen=True, slots=True)
class Document:
    """One channel of an answer. `code` holds the fenced blocks that were taken out of it."""

    raw: str
    text: str
    clauses: tuple[Clause, ...]
    code: str = ""
    hidden: int = 0  # invisible characters removed
    folded: int = 0  # look-alike letters folded
    cut: bool = False

    @property
    def sentences(self) -> list[Clause]:
        return [clause for clause in self.clauses if clause.whole]


@dataclass(slots=True)
class _Buffer:
    chars: list[str] = field(default_factory=list)
    index: list[int] = field(default_factory=list)

    def add(self, text: str, at: int) -> None:
        self.chars.extend(text)
        self.index.extend([at] * len(text))


_WORD = re.compile(r"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|[^\W\d_]+(?:['’][^\W\d_]+)*\d*|[<>]=?|[%$€]")


def tokenise(text: str) -> tuple[Token, ...]:
    """Words, numbers and comparison signs; hyphenated words come apart."""
    return tuple(Token(m[0].lower().replace("’", "'"), stem(m[0].lower()), m.start(), m.end()) for m in _WORD.finditer(text))


def read(raw: str) -> Document:
    """Normalise and split one text."""
    whole, raw = raw, raw[:MAX_CHARS]
    code: list[str] = []
    holes: list[tuple[int, int, str]] = []  # (start, end, what stands there instead)
    for m in _FENCE.finditer(raw):
        code.append(m[2])
        holes.append((m.start(), m.end(), _BREAK))
    holes += [(m.start(), m.end(), "") for m in _DROP.finditer(raw)]
    for pattern, stands in _TEX:
        for m in pattern.finditer(raw):
            if stands is not None:
                holes.append((m.start(), m.end(), stands))
            else:  # \frac{a}{b}
                holes += [(m.start(), m.start(1), ""), (m.end(1), m.start(2), "/"), (m.end(2), m.end(), "")]
    holes.sort(key=lambda hole: (hole[0], -hole[1]))
    buffer, hidden, at, hole = _Buffer(), 0, 0, 0
    while at < len(raw):
        while hole < len(holes) and holes[hole][0] < at:
            hole += 1
        if hole < len(holes) and holes[hole][0] == at and holes[hole][1] > at:
            buffer.add(holes[hole][2], at)
            at = holes[hole][1]
            continue
        char = raw[at]
        kind = unicodedata.category(char)
        if char in "\r\x0b\x0c":
            buffer.add("\n", at)
        elif kind in ("Cf", "Cc", "Cs", "Co", "Cn") and char not in "\n\t":
            hidden += char not in "\u200d\ufe0f\ufeff"  # joiners of emoji and a byte order mark are innocent
        elif char in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻":
            buffer.add(("" if raw[at - 1 : at] in tuple("⁰¹²³⁴⁵⁶⁷⁸⁹⁻") and at else "^") + char.translate(_SUPER), at)
        elif char in "\\{}$":
            buffer.add(" " if char != "$" or not raw[at + 1 : at + 2].isdigit() else "$", at)
        elif kind == "Mn" and buffer.chars and not buffer.chars[-1].isalpha():
            hidden += 1  # a mark with nothing under it
        else:
            buffer.add(unicodedata.normalize("NFKC", char), at)
        at += 1
    folded = _fold(buffer)
    text = "".join(buffer.chars)
    clauses = _split(text, buffer.index, len(raw))
    return Document(whole, text, clauses, "\n".join(code), hidden, folded, len(whole) > MAX_CHARS)


def _fold(buffer: _Buffer) -> int:
    """Fold look-alikes inside words that also hold Latin letters, and whole words made of nothing else. Greek symbols stay."""
    text, folded = "".join(buffer.chars), 0
    latin = sum("a" <= char <= "z" for char in text.lower())
    for m in re.finditer(r"[^\W\d_]+", text):
        word = m[0]
        if word.isascii():
            continue
        plain = word.translate(_LOOKALIKE)
        mixed = any(char.isascii() for char in word)
        if plain != word and plain.isascii() and (mixed or (len(word) > 1 and latin > len(text) / 3)):
            folded += sum(a != b for a, b in zip(word, plain, strict=True))
            buffer.chars[m.start() : m.end()] = list(plain)
    return folded


_BULLET = re.compile(r"^[ \t]*(?:[-*+•●○▪◦–]|\(?\d{1,2}[.)]|\(?[a-z][.)]|#{1,6}|>)(?=[ \t\n])[ \t]*", re.M)
_END = re.compile(r"[.!?]+[\"')\]]*(?=\s|$|[\u2029])|[\u2029]+|\n[ \t]*\n+|\s\|\s|[;](?=\s)")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|vs|cf|etc|approx|resp|fig|eq|no|sec|ca|al)|\b[A-Z])\.$", re.I)
_PART = re.compile(
    r"(?:[,:]\s+|\s+)(?=(?:but|whereas|while|because|since|so that|although|though|however|therefore|unless|instead|which means|meaning)\b)"
    r"|,\s+(?=(?:and|so|which|or|then|not|making|giving|leaving|thus|hence|yet|with)\b)|:\s+|\s+[-–—]{1,2}>?\s+|\s=>\s|[()]", re.I)


def _split(text: str, index: list[int], length: int) -> tuple[Clause, ...]:
    marked, bullets = list(text), set[int]()
    for m in _BULLET.finditer(text):
        for i in range(m.start(), m.end()):
            marked[i] = " "
        bullets.add(m.end())
        if m.start():
            marked[m.start() - 1] = _BREAK
    lines = "".join(marked)
    for m in re.finditer(r"\n(?=\S)", lines):  # a soft wrap is a space; a line that stands alone is a sentence
        before = lines.rfind("\n", 0, m.start())
        short = m.start() - before < 55
        starts = lines[m.end() : m.end() + 1]
        if lines[m.start() - 1 : m.start()] in ".!?:;" or (short and (starts.isupper() or starts.isdigit())):
            marked[m.start()] = _BREAK
    lines = "".join(marked)
    out: list[Clause] = []
    at, number = 0, 0
    for stop in [*_END.finditer(lines), None]:
        end = len(lines) if stop is None else stop.end()
        if stop is not None and lines[stop.start()] == "." and _ABBREVIATION.search(lines[max(at, stop.start() - 8) : stop.start() + 1]):
            continue
        clauses = _sentence(lines, at, end, index, length, number, any(at <= b <= end for b in bullets))
        number += bool(clauses)
        out += clauses
        at = end
    return tuple(out)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and (text[start].isspace() or text[start] in ",;:|\u2029-–—"):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] in ",;:|\u2029"):
        end -= 1
    return start, end


def _clause(text: str, start: int, end: int, index: list[int], length: int, number: int, whole: bool, bullet: bool) -> Clause | None:
    start, end = _trim(text, start, end)
    if start >= end:
        return None
    body = re.sub(r"\s", " ", text[start:end])
    return Clause(body, index[start], index[end] if end < len(index) else length, number, whole, tokenise(body), bullet)


def _sentence(text: str, start: int, end: int, index: list[int], length: int, number: int, bullet: bool) -> list[Clause]:
    whole = _clause(text, start, end, index, length, number, True, bullet)
    if whole is None or not whole.tokens:
        return []
    out = [whole]
    if len(whole.tokens) > 12:
        parts, at = list[Clause](), start
        for cut in [m.end() for m in _PART.finditer(text, start, end)] + [end]:
            part = _clause(text, at, cut, index, length, number, False, bullet)
            if part is not None and (len(part.tokens) >= 4 or cut == end):
                parts.append(part)
                at = cut
        out += [part for part in parts if 4 <= len(part.tokens) < len(whole.tokens)]
    return out
