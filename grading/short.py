"""The short answers of a quick-fire question: what is another way to type an accepted form, or a slip of the fingers, and what is another answer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise

from grading.lexicon import NEGATORS, poles, stem
from grading.units import UnitError, compare, read_quantity

_OPPOSED = ("un", "in", "im", "ir", "il", "non", "a", "anti", "de", "dis", "over", "under", "sub", "super", "up", "down")
_SUPERSCRIPTS = re.compile("[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_MIXED = re.compile("(?<=[0-9])(?=[¼½¾⅐-⅞])")  # 1¾ is no 13/4
_EMPHASIS = re.compile(r"^\s*(\*\*|__|[*_])(?=\S)(.+)(?<=\S)\1\s*$", re.S)
_MATH = re.compile(r"(?<![\\\w])\$([^$]+)\$(?!\d)")  # $n^2$, and not the money of "$2 or $3"
_OPENING = re.compile(r"^\s*(?:(?:it is|it's|its|the|answer)[\s:]+|an?\s+(?!(?:and|or)\b)(?=[^\W\d_]{2}))")  # the "a" of "a > b" is no article
_MINUS_INFINITY = re.compile(r"^\s*-\s+(?=inf|∞)")  # no item of a list
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")
_ARGUMENT = r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
_FRACTION = re.compile(rf"\\[dt]?frac{_ARGUMENT}{_ARGUMENT}")
_TIMES = re.compile(r"(?<=\d)\s*x\s*(?=\d)")
_COMMAND = re.compile(r"\\([a-z]+|[,;:! ])")
_COMMANDS = {"times": "×", "cdot": "×", "ast": "×", "div": "÷", "leq": "≤", "le": "≤", "leqslant": "≤", "geq": "≥", "ge": "≥", "geqslant": "≥", "neq": "≠",
             "ne": "≠", "to": "→", "rightarrow": "→", "leftarrow": "←", "leftrightarrow": "↔", "land": "∧", "wedge": "∧", "lor": "∨", "vee": "∨", "lnot": "¬",
             "neg": "¬", "in": "∈", "notin": "∉", "infty": "∞", "pm": "±", "approx": "≈", "sum": "∑", "prod": "∏"} | dict.fromkeys(
                 ("text", "mathrm", "mathbf", "operatorname", "left", "right", ",", ";", ":", "!", " "), " ")
_SPELLED = {"<=": "≤", "⩽": "≤", "≦": "≤", ">=": "≥", "⩾": "≥", "≧": "≥", "!=": "≠", "->": "→", "=>": "→", "⇒": "→", "⟶": "→", "⟹": "→", "<-": "←", "⇐": "←",
            "⟵": "←", "⟸": "←", "<->": "↔", "<=>": "↔", "⇔": "↔", "⟷": "↔", "⟺": "↔", "**": "^", "×": "*", "∗": "*", "⋅": "*", "·": "*", "÷": "/", "⁄": "/",
            "∕": "/", "&": "and", "&&": "and", "∧": "and", "||": "or", "∨": "or", "¬": "not", "sqrt": "√", "∼": "~", "≃": "≈", "{": "(", "}": ")"}
_TOKEN = re.compile(r"(?:\d+(?:[.,]\d+)*|\.\d+)(?:e[-+]?\d+)?|[^\W\d_][\w\u0300-\u036f]*(?:\.\d+)*|<=>|<->|<=|>=|!=|->|=>|<-(?!\d)|\*\*|&&|\|\||\S")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_KEPT = frozenset("/*%‰&()-!#_")  # of the punctuation; of the symbols all are kept but the backtick
_UNITS = frozenset("%‰$€£°#")  # symbols that join nothing


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, a number or a symbol in its one spelling. `apart`: whether a blank stands before it; `joins`: whether it is an operator."""

    text: str
    apart: bool
    joins: bool = False

    @property
    def number(self) -> bool:
        return self.text[0] in ".0123456789"

    @property
    def operand(self) -> bool:
        """Whether a dash beside it is a minus: beside a number or a variable."""
        return self.number or self.text in "()√∞" or (len(self.text) == 1 and self.text.isalpha())


# Stems of words that add nothing to a short answer, and of words that a question may hold and that turn an answer into another one all the same.
FILLING = frozenset(map(stem, [
    "about", "an", "are", "around", "as", "at", "by", "exactly", "for", "in", "is", "it", "its", "just", "of", "on", "roughly", "simply", "that",
    "the", "they", "this", "with"]))
_NUMBERS = frozenset([
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
    "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand", "million",
    "billion", "trillion", "dozen"])
_TURNING = frozenset(map(stem, [
    *_NUMBERS, "twice", "double", "much", "many", "both", "either", "rather", "instead",
    "and", "or", "but", "than", "other", "another", "else", "except", "unlike", "if", "unless", "over", "under", "up", "down", "more", "less",
    "fewer", "before", "after", "above", "below", "half", "per", "to", "from", "most", "least", "all", "only", "first", "last", "times", "anti", "non"]))
_CHOICE = frozenset(["or", "vs", "versus"])
_EQUALS = re.compile(r"\s*(?<![<>!=:~])[=≈](?![=>])\s*")
_TWICE = re.compile(rf",\s+|;\s*|{_EQUALS.pattern}|\s+\(")  # the bracket of "O(n)" belongs to what stands before it
_CONTRAST = re.compile(r"(.*\w\)?)[\s,;:(–—-]+(?:not|rather than|instead of)\s+(.+)", re.I | re.S)
_EDGE = _Piece("\0", True)


def normal(text: str, hyphen: str = " ") -> str:
    """A short answer without what doesn't count: its words, numbers and symbols, each in one spelling, with a blank between any two.

    Markup, quotation marks and brackets that group nothing go. A minus sign and a decimal point count; the hyphen of "all-reduce" becomes `hyphen`.
    """
    text = unicodedata.normalize("NFKC", _MIXED.sub(" ", _SUPERSCRIPTS.sub(lambda m: f"^{m[0]}", text))).casefold()
    text = _MATH.sub(r"\1", _EMPHASIS.sub(r"\2", re.sub("[−–]", "-", text)))
    text = _COMMAND.sub(lambda m: f" {_COMMANDS.get(m[1], m[1])} ", _FRACTION.sub(r"(\1)/(\2)", text))
    text = _MINUS_INFINITY.sub("-", text)
    return " ".join(piece.text for piece in _grouped(_counting(_pieces(_TIMES.sub("×", _HYPHEN.sub(hyphen, _OPENING.sub("", text)))))))


def _pieces(text: str) -> list[_Piece]:
    out, end = list[_Piece](), 0
    for m in _TOKEN.finditer(text):
        token, apart, end = m[0], m.start() > end or not out, m.end()
        symbol = _SPELLED.get(token, token)
        kind = unicodedata.category(symbol[0])[0]
        if "," in token and _THOUSANDS.fullmatch(token):
            out.append(_Piece(token.replace(",", ""), apart))
        elif "," in token[1:] and (token.count(",") > 1 or text[m.start() - 1 : m.start()] in tuple("([{") or text[m.end() : m.end() + 1] in tuple(")]}")):
            out += [_Piece(number, True) for number in token.split(",")]  # a list; a lone 1,5 may be a decimal
        elif kind in "LN" or symbol[0] == ".":
            out += [_Piece(symbol, apart, symbol != token)] if symbol != "." else []
        elif (kind == "S" and symbol != "`") or symbol in _KEPT:
            out.append(_Piece(symbol, apart, symbol not in _UNITS and symbol not in "()"))
    return out


def _counting(pieces: Sequence[_Piece]) -> list[_Piece]:
    """The pieces without hyphens, dashes, bullets, exclamation marks behind words, and "about"."""
    out = list[_Piece]()
    for before, piece, after in zip([_EDGE, *pieces], pieces, [*pieces[1:], _EDGE], strict=False):
        glued = not after.apart
        if piece.text == "-":
            sign = before is _EDGE or before.joins or before.text == "(" or (piece.apart and glued)
            counts = (glued or after.number) if sign and before is _EDGE else after.operand and (sign or before.operand)
            out += [piece] if counts else []
        elif piece.text == "!":
            negates = glued and (before is _EDGE or piece.apart or before.joins) and (after.text[0].isalpha() or after.text == "(")
            out += [_Piece("not", piece.apart, True)] if negates else [piece] if before.operand else []
        elif piece.text in "~≈":
            out += [piece] if before is not _EDGE or not after.number else []
        elif piece.text == "*" and (before is _EDGE or after is _EDGE):
            out += [] if before is _EDGE and not glued else [piece]
        elif piece.text not in "_#" or (piece.text == "#" and not piece.apart):
            out.append(piece)
    return out


def _grouped(pieces: Sequence[_Piece]) -> list[_Piece]:
    """The pieces without brackets that group nothing: around all, around one operand, around words that no operator joins to others."""
    kept: list[_Piece | None] = list(pieces)
    opened = list[int]()
    pairs = list[tuple[int, int]]()
    for i, piece in enumerate(pieces):
        if piece.text == "(":
            opened.append(i)
        elif piece.text == ")":
            if opened:
                pairs.append((opened.pop(), i))
            else:
                kept[i] = None
    for i in opened:
        kept[i] = None
    for start, end in pairs:  # the inner ones first
        inside = [p for p in kept[start + 1 : end] if p is not None]
        before = next((p for p in reversed(kept[:start]) if p is not None), _EDGE)
        after = next((p for p in kept[end + 1 :] if p is not None), _EDGE)
        signed = bool(inside) and inside[0].joins
        base = [p.text for p in inside[signed:]]
        one = len(base) == 1 or (len(base) == 3 and base[1] == "^")
        if (before is _EDGE and after is _EDGE) or not (before.joins or after.joins or any(p.joins for p in inside)) or (
                one and after.text not in ("^", "!") and not (signed and not before.joins and before.text != "(" and before is not _EDGE)) or (
                len(inside) == 1 and not before.text.isalnum()):
            kept[start] = kept[end] = None
    return [p for p in kept if p is not None]


def same_quantity(said: str, form: str) -> bool | None:
    """Whether both are one quantity; None when one of them is none, as a bound ("at least 2") is. An author lists the rounded forms.

    None too for a count of what the form doesn't name: 8 layers may be no 8.
    """
    try:
        found, wanted = read_quantity(said, bounds=False), read_quantity(form, bounds=False)
    except UnitError:
        return None
    same = compare(found, wanted, 1e-9) == "exact"
    return None if same and wanted.dimensionless and not found.dimensionless else same


def same_form(said: str, form: str) -> bool:
    """Whether two short answers are one but for how it is typed: with a hyphen or without, in LaTeX or in symbols."""
    return bool(normal(form)) and (normal(said) == normal(form) or normal(said, "") == normal(form, ""))


def same_short(said: str, accepted: str) -> bool:
    """Whether a short answer is an accepted form: equal after normalisation, the same quantity, or one slip of the fingers in a long word.

    A slip never turns one number into another, nor a word into its opposite or into another word.
    """
    same = same_quantity(said, accepted)
    if same is not None or same_form(said, accepted):
        return same is not False  # GB are no Gb
    words, meant = normal(said).split(), normal(accepted).split()
    return bool(meant) and len(words) == len(meant) and all(x == y or _slip(x, y) for x, y in zip(words, meant, strict=True))


def without(said: str, free: Set[str]) -> str:
    """A short answer in its one spelling, without the words of these stems. Numbers and symbols stay, and so does what a number counts or measures:
    8 nodes are no 8, nor are 8 GB, but where the question asks for GB or how many nodes."""
    kept = list[str]()
    for word in normal(said).split():
        numbered = bool(kept) and (kept[-1][0].isdigit() or kept[-1] in _NUMBERS) and stem(word) not in FILLING
        counted = numbered and f"1 {stem(word)}" not in free and ((len(word) > 4 and word.endswith("s")) or _measures(word))
        if counted or not word.isalpha() or stem(word) not in free:
            kept.append(word)
    return re.sub(r"^- (?=\S)", "-", " ".join(kept))  # a dash with a blank behind it begins an item of a list


def free_words(question: str, accepted: Iterable[str], rejected: Iterable[str]) -> frozenset[str]:
    """Stems of the words that a short answer may have besides: `FILLING`, and those of the question said back, but for any that the forms are made of
    and the opposites of the accepted ones, and "1 gb" for a unit that is asked for. A question that offers answers to choose from ("compute or memory?")
    gives no words away.
    """
    asked, right = normal(question).split(), [word for form in accepted for word in normal(form).split()]
    if not _CHOICE.isdisjoint(asked):
        return FILLING
    against = {(axis, -pole) for word in right for axis, pole in poles(word)}
    telling = {stem(word) for word in (*right, *(word for form in rejected for word in normal(form).split()))}
    telling |= {stem(word) for word in asked if not against.isdisjoint(poles(word))}
    units = {f"1 {stem(word)}" for before, word in pairwise(asked) if before in ("in", "many")}
    return FILLING | units | ({stem(word) for word in asked if len(word) > 1} - telling - NEGATORS - _TURNING)


def parted(said: str) -> list[tuple[str, ...]]:
    """The ways to read a short answer as one that is said twice: "8 (64/8)", "FP4, E2M1", "64/8 = 8", or in steps: "2 × 7/8 = 14/8 = 1.75"."""
    said = _MATH.sub(r"\1", said)
    steps = tuple(_EQUALS.split(said))
    return [*([steps] if 2 < len(steps) < 6 else []), *((said[: m.start()], said[m.end() :]) for m in islice(_TWICE.finditer(said), 4) if m.start())]


def contrast(said: str) -> tuple[str, str]:
    """A short answer and what it says it is not, which may be nothing: "linear" and "quadratic" of "linear, not quadratic"."""
    m = _CONTRAST.fullmatch(said)
    return (m[1], m[2]) if m else (said, "")


def _slip(said: str, meant: str) -> bool:
    """One slip in a word of six letters or more that begins alike; the other spelling and the plural of a word count as one.

    Neighbours swapped, or a double letter for a single one or the other way round. A wrong or a missing letter only where that makes no word.
    """
    x, y = said, meant
    if min(len(x), len(y)) < 6 or x[:2] != y[:2] or not (x + y).isalpha() or any(x == p + y or y == p + x for p in _OPPOSED):
        return False
    if _spelling(x) == _spelling(y):
        return True
    if len(x) == len(y):
        wrong = [i for i in range(len(x)) if x[i] != y[i]]
        if len(wrong) == 2:
            return wrong[1] == wrong[0] + 1 and x[wrong[0]] == y[wrong[1]] and x[wrong[1]] == y[wrong[0]]
        return len(wrong) == 1 and not _known(x)
    short, long = sorted((x, y), key=len)
    dropped = next((i for i in range(len(short)) if short[i] != long[i]), len(short))  # the last of a run of equal letters
    if long[:dropped] + long[dropped + 1 :] != short:
        return False
    return long[dropped - 1] == long[dropped] or long == short + "s" or (long == y and not _known(x))


@lru_cache(maxsize=4096)
def _measures(word: str) -> bool:
    """Whether a number with this word behind it is in a unit."""
    try:
        return str(read_quantity(f"1 {word}").units) != "dimensionless"
    except UnitError:
        return False


def _spelling(word: str) -> str:
    return word.replace("z", "s").replace("our", "or")


def _known(word: str) -> bool:
    """Whether the word stands in the encoder's vocabulary."""
    from grading.encoder import encoder  # loads torch, of which who only reads rubrics has no need

    return encoder().pieces(word) == 1
