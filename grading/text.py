"""From what was typed to clauses that can be matched, without losing the place.

Every normalised character remembers the code point of the answer that it came from, so evidence can always be quoted as typed.
Markup and code leave the prose; invisible characters go; look-alike letters of other scripts are folded.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from grading.lexicon import BELIEVED, FUNCTION, IN_FACT, QUOTE_REJECTED, REJECTED, REJECTION, poles, stem

MAX_CHARS = 200_000  # of one channel; what lies beyond is not read, and the scorer says so

# Letters that look like Latin ones (Unicode confusables, the ones that a keyboard can reach).
_LOOKALIKE = str.maketrans(
    "аеорсухіјѕһԁԛԝгзкмнтвьАВЕКМНОРСТУХІЈЅԌԚԜοανικρτυχγηωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijshdqwr3kmhtbbABEKMHOPCTYXIJSGQWoavikptuxynwABEZHIKMNOPTYX",
)
_SYMBOLS = frozenset("αγηικνρτυχω")  # of mathematics: "kα", "ητ"
_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_FENCE = re.compile(r"^[ \t]*(`{3,}+(?=[^`\n]*\n)|~{3,}+)[^\n]*+\n(.*?)(?:(^[ \t]*\1[`~]*[ \t]*\r?$)|\Z)", re.M | re.S)
_OPENS = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[A-Za-z]", re.M)
_COMMENT = re.compile(r"[ \t]*(?:#+|//+|--|/?\*+)(?=[ \t])[ \t]*")
_SPOKEN = re.compile(r"(?<![\w.(\[])[A-Za-z][a-z]*(?:['’-][a-z]+)*(?=[\s,.;:!?)”\"]|$)")
_SPAN = re.compile(r"(?<!`)`(?!`)[^`\n]{1,300}`(?!`)|(?<!`)``(?!`)(?:[^`\n]|`(?!`)){1,300}``(?!`)")
# Words that were struck out: said, and taken back. <s> and </s> are where a text begins and ends for a model.
_STRUCK = re.compile(r"(?<![\w~])~~(?=[^\s~])(?:(?!~~|\n[ \t]*\n).){1,2000}?(?<=\S)~~(?![\w~])"
                     r"|<(del|strike)>(?:(?!</?(?:del|strike)\b).){1,2000}?</\1>", re.S | re.I)
# Tags of HTML and nothing else between angle brackets: "if a<b and c>d" and "vector<int>" are prose.
_ATTRIBUTES = r"(?:\s+[\w:-]{1,40}\s*=\s*(?:\"[^\"<>\n]{0,300}\"|'[^'<>\n]{0,300}'|[^\s\"'<>]{1,300})){0,8}(?:\s*/)?>"
_INLINE = re.compile(r"</?(?:a|abbr|b|big|code|del|em|font|i|img|ins|kbd|mark|s|small|span|strike|strong|sub|sup|tt|u|var)" + _ATTRIBUTES, re.I)
_BLOCK = re.compile(r"</?(?:blockquote|body|center|dd|div|dl|dt|h[1-6]|head|hr|html|li|ol|p|pre|section|table|tbody|td|th|thead|tr|ul)" + _ATTRIBUTES, re.I)
_LINE = re.compile(r"<br" + _ATTRIBUTES, re.I)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_DROP = re.compile(r"<!--(?:(?!<!--).){0,5000}?-->|(?!(?<=\d )\*\*(?= \d))(?:(?<!\d)\*\*|\*\*(?!\d))|__(?=\S)|(?<=\S)__|`+|~~"
                   r"|(?<!\w)(?<!\d\*)(?!(?<=\d )\*\d)\*(?=\w)|(?<=\w)\*(?!\w|\*\d)|!?\[(?=[^\[\]\n]{0,300}\]\()|\]\([^)\s]{0,2000}\)", re.S)
_TEX = (
    (re.compile(r"\\(?:cdot|times|ast)(?![A-Za-z])"), "*"), (re.compile(r"\\leq?(?![A-Za-z])"), "<="), (re.compile(r"\\geq?(?![A-Za-z])"), ">="),
    (re.compile(r"\\(?:approx|sim|simeq)(?![A-Za-z])"), "~"), (re.compile(r"\\(?:to|rightarrow|Rightarrow)(?![A-Za-z])"), "->"),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), None), (re.compile(r"\\(?:text|textrm|textbf|mathrm|operatorname|mathbf)\s*(?=\{)"), ""),
    (re.compile(r"(?<=\d)(?:\\,|\{,\}|[\u2009\u202f\u00a0])(?=\d{3}(?!\d))"), ""),  # 327\,680
    (re.compile(r"\\(?:[,;:! ()\[\]]|q?quad(?![A-Za-z]))|(?<=\d)~(?=[A-Za-z\\])"), " "),
)
# Dollar signs around a formula. Beside the amounts of "$15.60 and $3.90" or "15.60 $/h or 374 $" stands a blank or a digit that no formula has there.
_FORMULA = re.compile(r"\$\$|(?<![\w\\$])\$(?=\.?[^\s$/.,;:)])((?:[^$\n]|(?<=\\)\$){1,300})(?<=[^\s\\])\$(?![\d$])")
_AMOUNTS = re.compile(r"\d[^\\^_{}=]*\d")  # "$15 an hour against 3$"
_SPACED = re.compile(r"(?<![\w\\$])(?<!\d )\$ ((?=[^$\n]*[\\^_{}]|[\d.,]+ \$)[^$\n]{1,300}) \$(?! ?\.?\d)")  # $ 2^{10} $, with blanks inside
_AMOUNT = re.compile(r"[ \u00a0\u202f]?\.?\d")
_AMOUNT_ENDS = re.compile(r"\d\s?(?:(?:k|M|B|bn|mn|thousand|million|billion)\s?)?(?:US)?$")
_RAISED = re.compile(r"<sup>(?=\s*[-−–+]?\d)", re.I)  # 10<sup>11</sup>
_CHARACTER = re.compile(r"\S")
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
    """A sentence, or a part of one. `text` is normalised; `[start, end)` are code points of the answer; `sentence` counts sentences; `at` is its place in
    the document's text."""

    text: str
    start: int
    end: int
    sentence: int
    whole: bool
    tokens: tuple[Token, ...] = ()
    bullet: bool = False
    at: int = 0

    @property
    def stems(self) -> frozenset[str]:
        return frozenset(token.stem for token in self.tokens if token.content)


@dataclass(frozen=True, slots=True)
class Document:
    """One channel of an answer. `code` holds the fenced blocks that were taken out of it, `comments` those of HTML and what was struck out.
    `places` says where in `raw` each character of `text` stands.

    Whole-line comments of fenced code are prose where they read as such, and so are the paragraphs behind a fence that nobody closed."""

    raw: str
    text: str
    clauses: tuple[Clause, ...]
    code: str = ""
    comments: str = ""
    hidden: int = 0  # invisible characters removed
    folded: int = 0  # look-alike letters folded
    cut: bool = False
    places: tuple[tuple[int, int], ...] = ()

    @property
    def sentences(self) -> list[Clause]:
        return [clause for clause in self.clauses if clause.whole]

    def span(self, clause: Clause, start: int, end: int) -> tuple[int, int]:
        """Where in `raw` the part `[start, end)` of a clause's text stands."""
        return self.places[clause.at + start][0], self.places[clause.at + end - 1][1]


@dataclass(slots=True)
class _Buffer:
    chars: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)  # where in the answer each of them stands

    def add(self, text: str, start: int, end: int) -> None:
        if text == " " and self.chars and self.chars[-1] == " ":
            return  # a run of blanks says nothing, and searching in it takes its time
        self.chars.extend(text)
        self.spans.extend([(start, end)] * len(text))


_WORD = re.compile(r"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|[^\W\d_]+(?:['’][^\W\d_]+)*\d*|[<>]=?|[%$€]")


def tokenise(text: str) -> tuple[Token, ...]:
    """Words, numbers and comparison signs; hyphenated words come apart."""
    return tuple(Token(m[0].lower().replace("’", "'"), stem(m[0].lower()), m.start(), m.end()) for m in _WORD.finditer(text))


def visible(text: str) -> str:
    """The text without what was struck out or put into comments of HTML. Blanks stand there instead, and line ends stay, so that all offsets do."""
    out, at = list[str](), 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        out += text[at:start], _CHARACTER.sub(" ", text[start : end + 3])
        at = end + 3
    text = "".join(out) + text[at:]
    out, at = [], 0
    for start, end in _struck(text):
        out += text[at:start], _CHARACTER.sub(" ", text[start:end])
        at = end
    return "".join(out) + text[at:]


def _without_spans(text: str) -> str:
    """The text with its code spans blotted out: a tag that somebody writes of is none. All offsets stay."""
    return _SPAN.sub(lambda m: "\0" * len(m[0]), text)


def _struck(text: str) -> list[tuple[int, int]]:
    return [m.span() for m in _STRUCK.finditer(_without_spans(text))]


def unfenced(raw: str) -> str:
    """The text with its fenced code as prose, every line for itself, but for the comments in it that go on from line to line. All offsets stay."""
    out = list(raw)
    for m in _FENCE.finditer(raw):
        out[m.start() : m.start(2)] = _BREAK * (m.start(2) - m.start())
        out[m.start(2) : m.end(2)] = m[2].replace("\n", _BREAK)
        out[m.end(2) : m.end()] = _BREAK * (m.end() - m.end(2))
        last = m.start()
        for start, end in _spoken(m[2], m.start(2), _is_open(m)):
            line = raw.rfind("\n", 0, start)
            out[line + 1 : start] = " " * (start - line - 1)
            if line > m.start(2) and raw.find("\n", last) == line:
                out[line] = "\n"
            last = end
    return "".join(out)


def read(raw: str) -> Document:
    """Normalise and split one text."""
    whole, raw = raw, raw[:MAX_CHARS]
    code: list[str] = []
    holes: list[tuple[int, int, str]] = []  # (start, end, what stands there instead)
    for m in _FENCE.finditer(raw):
        code.append(m[2])
        at = m.start()
        for start, end in _spoken(m[2], m.start(2), _is_open(m)):
            holes.append((at, start, "\n" if at > m.start() and raw.count("\n", at, start) == 1 else _BREAK))
            at = end
        holes.append((at, m.end(), _BREAK))
    struck, marked = _struck(raw), _without_spans(raw)
    holes += [(start, end, " ") for start, end in struck]
    for m in (m for pattern in (_FORMULA, _SPACED) for m in pattern.finditer(raw)):
        if not (m[1] and _AMOUNTS.fullmatch(m[1]) and any(map(str.isalpha, m[1]))):
            holes += [(m.start(), m.start() + 1, " "), (m.end() - 1, m.end(), " ")]
    for pattern, stands in ((_RAISED, "^"), (_INLINE, ""), (_BLOCK, _BREAK), (_LINE, "\n")):
        holes += [(m.start(), m.end(), stands) for m in pattern.finditer(marked)]
    holes += [(m.start(), m.end(), "") for m in _DROP.finditer(raw)]
    holes += [(m.start(), m.end(), _character(m[0])) for m in _ENTITY.finditer(raw) if m[0] != html.unescape(m[0])]
    for pattern, symbol in _TEX:
        for m in pattern.finditer(raw):
            if symbol is not None:
                holes.append((m.start(), m.end(), symbol))
            else:  # \frac{a}{b}
                holes += [(m.start(), m.start(1), ""), (m.end(1), m.start(2), "/"), (m.end(2), m.end(), "")]
    holes.sort(key=lambda hole: (hole[0], -hole[1]))
    buffer, hidden, at, hole = _Buffer(), 0, 0, 0
    while at < len(raw):
        while hole < len(holes) and holes[hole][0] < at:
            hole += 1
        if hole < len(holes) and holes[hole][0] == at and holes[hole][1] > at:
            buffer.add(holes[hole][2], at, holes[hole][1])
            at = holes[hole][1]
            continue
        char = raw[at]
        kind = unicodedata.category(char)
        if char in "\r\x0b\x0c":
            if raw[at : at + 2] != "\r\n":
                buffer.add("\n", at, at + 1)
        elif kind == "Zs" or char in "\t\\{}" or (char == "$" and not _money(raw, at)):
            buffer.add(" ", at, at + 1)
        elif kind in ("Cf", "Cc", "Cs", "Co", "Cn") and char not in "\n\t":
            hidden += char not in "\u00ad\u200d\ufe0f\ufeff"  # soft hyphens of a PDF, joiners of emoji and a byte order mark are innocent
        elif char in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻":
            buffer.add(("" if raw[at - 1 : at] in tuple("⁰¹²³⁴⁵⁶⁷⁸⁹⁻") and at else "^") + char.translate(_SUPER), at, at + 1)
        elif kind == "Mn" and buffer.chars and not buffer.chars[-1].isalpha():
            hidden += 1  # a mark with nothing under it
        else:
            buffer.add(unicodedata.normalize("NFKC", char), at, at + 1)
        at += 1
    folded = _fold(buffer)
    text = "".join(buffer.chars)
    said = [(start, end) for start, end, _ in holes if raw.startswith("<!--", start)] + struck
    comments = "\n".join(raw[start:end] for start, end in said)
    return Document(whole, text, _split(text, buffer.spans), "\n".join(code), comments, hidden, folded, len(whole) > MAX_CHARS, tuple(buffer.spans))


def _is_open(fence: re.Match[str]) -> bool:
    """Whether nobody closed a fence, or what closes it may be the end of another."""
    return fence[3] is None or bool(_OPENS.search(fence[2]))


def _spoken(block: str, offset: int, unclosed: bool) -> list[tuple[int, int]]:
    """Where prose stands in a fenced block, line by line: its comments, and in an `unclosed` one all paragraphs, that read as sentences do.

    `offset`: where the block begins. Lines are judged with those that go on from them, for a last line may be short."""
    runs, kind, at = list[list[tuple[int, int]]](), "", offset
    for line in block.splitlines(keepends=True):
        text, mark = line.rstrip(), _COMMENT.match(line)
        new = "comment" if mark else "text" if unclosed and text and not _OPENS.match(text) and text.strip("`~ \t") else ""
        if new and new != kind:
            runs.append([])
        kind = new
        start = mark.end() if mark else len(text) - len(text.lstrip())
        if new and start < len(text):
            runs[-1].append((at + start, at + len(text)))
        at += len(line)
    return [span for run in runs if _reads(" ".join(block[start - offset : end - offset] for start, end in run)) for span in run]


def _reads(text: str) -> bool:
    """Whether a text is made of words and not of code."""
    words = _SPOKEN.findall(text)
    return len(words) >= 4 and sum(map(len, words)) >= 0.7 * sum(not char.isspace() for char in text)


def _money(raw: str, at: int) -> bool:
    """Whether the dollar sign there stands beside an amount: $15.60, US$ .40, 15.60 $, 5 M$."""
    return _AMOUNT.match(raw, at + 1) is not None or _AMOUNT_ENDS.search(raw, max(0, at - 16), at) is not None


def _character(entity: str) -> str:
    """What an entity of HTML stands for, without what nobody sees."""
    return "".join(c for c in unicodedata.normalize("NFKC", html.unescape(entity)) if unicodedata.category(c)[0] != "C")


def _fold(buffer: _Buffer) -> int:
    """Fold look-alikes inside words that also hold Latin letters, and whole words made of nothing else. Greek symbols stay: beside one or two Latin
    letters, at the ends of a word ("logα") and in twos and threes."""
    text, folded = "".join(buffer.chars), 0
    latin = sum("a" <= char <= "z" for char in text.lower())
    for m in re.finditer(r"[^\W\d_]+", text):
        word = m[0]
        if word.isascii():
            continue
        plain = word.translate(_LOOKALIKE)
        mixed = any(char.isascii() for char in word)
        if _SYMBOLS.issuperset(char for char in word if not char.isascii()):
            latins = sum(char.isascii() for char in word)
            if len(word) < 4 or (latins and (latins < 3 or _SYMBOLS.isdisjoint(word[1:-1]))):
                continue
        if plain != word and plain.isascii() and (mixed or (len(word) > 1 and latin > len(text) / 3)):
            folded += sum(a != b for a, b in zip(word, plain, strict=True))
            buffer.chars[m.start() : m.end()] = list(plain)
    return folded


_BULLET = re.compile(r"^[ \t]*(?:[-*+•●○▪◦·‣▸►➤–—→⇒✓✔✅☑✗✘]\ufe0f?|[-=]>|\(?\d{1,2}[.)]|\(?[a-z][.)]|#{1,6}|>)(?=[ \t\n])[ \t]*", re.M)
_END = re.compile(r"(?<![.!?])[.!?]+[\"')\]]*(?=\s|$|[\u2029])|[\u2029]+|\n[ \t]*\n+|\s\|\s|[;](?=\s)")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|cf|etc|approx|resp|fig|eq|sec|ca|al)\.$", re.I)
_LETTER = re.compile(r"(?<!['’/])(\.)?\b([A-Za-z])\.$")  # "w.r.t.", "U.S.", an initial, or a variable
_NEXT = re.compile(r"\s+([A-Z][a-z'’]*)(?!\.)\b")
_NUMBERED = re.compile(r"\bno\.\s?\d", re.I)  # "block no. 3", while "No." is an answer
_PART = re.compile(
    r"(?:[,:]\s+|(?<!\s)\s+)(?=(?:but|whereas|while|because|since|so that|although|though|however|therefore|unless|instead|which means|meaning)\b)"
    r"|,\s+(?=(?:and|so|which|or|then|not|making|giving|leaving|thus|hence|yet|with)\b)|:\s+|(?<!\s)\s+[-–—]{1,2}>?\s+|\s=>\s|[()]", re.I)

# Where what is rejected ends and what is said instead begins: "Many believe that X, | but C", "That is wrong | because | C".
_REJECTS = re.compile(rf"{REJECTION}(\s*,\s*(?:because|since|as|for)\s+|\s+(?:because|since)\s+)"
                      rf"|{QUOTE_REJECTED}(\s*[,:–—]\s*(?:(?:because|since)\s+)?|\s+(?:because|since)\s+)", re.I)
_MISTAKE, _BELIEF = re.compile(REJECTED, re.I), re.compile(BELIEVED, re.I)
_BUT = re.compile(rf",?(?<!\s)\s+(?=(?:but|yet)\b)|,\s+(?={IN_FACT}\b)", re.I)
_INSTEAD = re.compile(rf"{_BUT.pattern}|,?(?<!\s)\s+(?=whereas\b)|(?<!\s)\s*[:–—]\s+(?=\w)", re.I)  # where what is called a mistake ends
_LEAST = 16  # characters of a mistake that is told


def _turn(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Where what the sentence `[start, end)` rejects ends, and where what it says begins, if it does both."""
    rejects = _REJECTS.match(text, start, end)
    if rejects:
        return rejects.span(rejects.lastindex or 0)
    mistake, belief = _MISTAKE.match(text, start, end), _BELIEF.match(text, start, end)
    cut = _INSTEAD.search(text, mistake.end() + _LEAST, end) if mistake else _BUT.search(text, belief.end(), end) if belief else None
    return (cut.end(), cut.end()) if cut else None


def _split(text: str, spans: list[tuple[int, int]]) -> tuple[Clause, ...]:
    marked, bullets = list(text), list[int]()
    for m in _BULLET.finditer(text):
        for i in range(m.start(), m.end()):
            marked[i] = " "
        bullets.append(m.end())
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
        if stop is not None and lines[stop.start()] == "." and (_goes_on(lines, at, stop) or _NUMBERED.match(lines, max(at, stop.start() - 2))):
            continue
        bullet = bisect_left(bullets, at) < bisect_right(bullets, end)
        turn = _turn(lines, at, end)
        for start, stop_at in ((at, end),) if turn is None else ((at, turn[0]), (turn[1], end)):
            clauses = _sentence(lines, start, stop_at, spans, number, bullet)
            number += bool(clauses)
            out += clauses
        at = end
    return tuple(out)


def _goes_on(text: str, at: int, stop: re.Match[str]) -> bool:
    """Whether the full stop belongs to an abbreviation in the sentence that begins at `at`.

    A sentence ends in a small letter before any word with a capital and in a capital letter before a word that is no name: "of p. The", "J. Smith"."""
    end = text[max(at, stop.start() - 8) : stop.start() + 1]
    letter = _LETTER.search(end)
    if letter is None:
        return _ABBREVIATION.search(end) is not None
    follows = _NEXT.match(text, stop.end())
    if letter[1] or follows is None:
        return True
    word = follows[1].lower()
    return letter[2].isupper() and word not in FUNCTION and not poles(word)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and (text[start].isspace() or text[start] in ",;:|\u2029-–—"):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] in ",;:|\u2029"):
        end -= 1
    return start, end


def _clause(text: str, start: int, end: int, spans: list[tuple[int, int]], number: int, whole: bool, bullet: bool) -> Clause | None:
    start, end = _trim(text, start, end)
    if start >= end:
        return None
    body = re.sub(r"\s", " ", text[start:end])
    return Clause(body, spans[start][0], spans[end - 1][1], number, whole, tokenise(body), bullet, start)


def _sentence(text: str, start: int, end: int, spans: list[tuple[int, int]], number: int, bullet: bool) -> list[Clause]:
    whole = _clause(text, start, end, spans, number, True, bullet)
    if whole is None or not whole.tokens:
        return []
    out = [whole]
    if len(whole.tokens) > 12:
        parts, at = list[Clause](), start
        first = _trim(text, start, end)[0]
        begins = [first + token.start for token in whole.tokens]
        for cut in [m.end() for m in _PART.finditer(text, start, end)] + [end]:
            if cut == end or bisect_left(begins, cut) - bisect_left(begins, at) >= 4:
                part = _clause(text, at, cut, spans, number, False, bullet)
                parts += [part] if part is not None else []
                at = cut
        out += [part for part in parts if 4 <= len(part.tokens) < len(whole.tokens)]
    return out
