"""The regular expressions of `pattern`: literals, classes, groups, alternatives, counts and anchors at the ends. All else is refused by name."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import ConstraintError
from engine.grammar.ast import EMPTY, Alt, Expr, Ranges, Rep, complement, ranges, seq, union

# As ECMA-262 has them: \s holds its WhiteSpace and LineTerminator, the others are ASCII.
BLANK = ranges(" ", "\t", "\n", "\r", "\x0b", "\x0c", "\xa0", "\u1680", (0x2000, 0x200A), "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff")
CLASSES: dict[str, Ranges] = {"d": ranges("09"), "w": ranges("az", "AZ", "09", "_"), "s": BLANK}
PLAIN = {"n": "\n", "r": "\r", "t": "\t", "f": "\x0c", "v": "\x0b"}
MAX_COUNT, MAX_DEPTH = 1000, 100


def parse(pattern: str, char: Callable[[Ranges], Expr], anything: Expr) -> Expr:
    """The texts that hold a match. `char` makes an expression of a set of code points; `anything` stands where the pattern is not anchored."""
    return _Regex(pattern, char, anything).whole()


class _Regex:
    def __init__(self, pattern: str, char: Callable[[Ranges], Expr], anything: Expr):
        self.pattern, self.char, self.anything, self.at, self.depth = pattern, char, anything, 0, 0

    def fault(self, problem: str) -> ConstraintError:
        return ConstraintError(f"pattern {self.pattern!r}, character {self.at + 1}: {problem}")

    def peek(self, n: int = 1) -> str:
        return self.pattern[self.at : self.at + n]

    def whole(self) -> Expr:
        found = self.alternatives(top=True)
        if self.at < len(self.pattern):
            raise self.fault(f"unexpected {self.peek()}")
        return found

    def alternatives(self, top: bool = False) -> Expr:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fault("groups are nested too deeply")
        items = [self.sequence(top)]
        while self.peek() == "|":
            self.at += 1
            items.append(self.sequence(top))
        self.depth -= 1
        return items[0] if len(items) == 1 else Alt(tuple(items))

    def sequence(self, top: bool) -> Expr:
        items: list[Expr] = []
        if top and self.peek() == "^":
            self.at += 1
        elif top:
            items.append(self.anything)
        closed = False
        while (char := self.peek()) and char not in "|)":
            if char == "$" and top and self.peek(2) in ("$", "$|"):
                self.at += 1
                closed = True
                break
            if char in "^$":
                raise self.fault(f"{char} is served only at the ends of the pattern")
            items.append(self.counted(self.atom()))
        if top and not closed:
            items.append(self.anything)
        return seq(*items) if items else EMPTY

    def atom(self) -> Expr:
        char = self.peek()
        self.at += 1
        if char == "(":
            if self.peek() == "?":
                if self.peek(2) != "?:":
                    raise self.fault("look-around and named groups are not served")
                self.at += 2
            inner = self.alternatives()
            if self.peek() != ")":
                raise self.fault("a group is not closed")
            self.at += 1
            return inner
        if char == "[":
            return self.char(self.klass())
        if char == ".":
            return self.char(complement(ranges("\n", "\r", (0x2028, 0x2029))))
        if char in "*+?{":
            raise self.fault(f"nothing to repeat before {char}")
        return self.char(self.escape() if char == "\\" else ranges(char))

    def escape(self) -> Ranges:
        char = self.peek()
        self.at += 1
        if char.lower() in CLASSES and char:
            return CLASSES[char] if char.islower() else complement(CLASSES[char.lower()])
        if char in PLAIN:
            return ranges(PLAIN[char])
        if char in ("x", "u"):
            size = 2 if char == "x" else 4
            try:
                code = int(self.peek(size), 16)
            except ValueError:
                raise self.fault(f"\\{char} needs {size} hexadecimal digits") from None
            self.at += size
            return union([(code, code)])
        if not char or char.isalnum():
            raise self.fault(f"\\{char} is not served")
        return ranges(char)

    def klass(self) -> Ranges:
        negated = self.peek() == "^"
        self.at += negated
        spans: list[tuple[int, int]] = []
        first = True
        while first or self.peek() != "]":
            if not self.peek():
                raise self.fault("a class is not closed")
            first = False
            low = self.member()
            if self.peek() == "-" and self.peek(2) != "-]" and len(low) == 1 and low[0][0] == low[0][1]:
                self.at += 1
                high = self.member()
                if len(high) != 1 or high[0][1] < low[0][0]:
                    raise self.fault("a range is empty")
                spans.append((low[0][0], high[0][1]))
            else:
                spans += low
        self.at += 1
        return complement(union(spans)) if negated else union(spans)

    def member(self) -> Ranges:
        char = self.peek()
        self.at += 1
        return self.escape() if char == "\\" else ranges(char)

    def counted(self, item: Expr) -> Expr:
        char = self.peek()
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(char, (-1, None))
        if char == "{":
            inner, closed, _ = self.pattern[self.at + 1 :].partition("}")
            parts = inner.split(",")
            if not closed or len(parts) > 2 or not parts[0].isdecimal() or not (parts[-1].isdecimal() or parts[-1] == ""):
                raise self.fault("a count is written {2}, {2,} or {2,5}")
            least, most = int(parts[0]), int(parts[-1]) if parts[-1] else None
            if max(least, most or 0) > MAX_COUNT or (most is not None and most < least):
                raise self.fault(f"counts must rise and be at most {MAX_COUNT}")
            self.at += len(inner) + 1
        if least < 0:
            return item
        self.at += 1
        if self.peek() in ("?", "+"):
            self.at += self.peek() == "?"  # lazy: the same language
            if self.peek() == "+":
                raise self.fault("possessive counts are not served")
        return Rep(item, least, most)
