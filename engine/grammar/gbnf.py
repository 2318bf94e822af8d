"""GBNF, the grammar notation of llama.cpp: rules `name ::= ...` over characters, with classes, groups and counts."""

from __future__ import annotations

from engine.errors import ConstraintError
from engine.grammar.ast import Alt, Chars, Expr, Ref, Rep, Seq, complement, text, union

ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-", "^": "^", "/": "/"}
MAX_COUNT, MAX_DEPTH = 2000, 200


def parse(source: str) -> dict[str, Expr]:
    """Rules by name. ConstraintError names line and column of a fault."""
    return _Parser(source).grammar()


class _Parser:
    def __init__(self, source: str):
        self.source, self.at, self.depth = source, 0, 0

    def grammar(self) -> dict[str, Expr]:
        rules: dict[str, Expr] = {}
        self.space(lines=True)
        while self.at < len(self.source):
            start, name = self.at, self.name()
            self.space()
            self.expect("::=")
            self.space(lines=True)
            if name in rules:
                self.at = start
                raise self.fault(f"rule {name!r} is defined twice")
            rules[name] = self.alternatives()
            if self.at < len(self.source) and self.source[self.at] not in "\r\n":
                raise self.fault("expected the end of the rule")
            self.space(lines=True)
        if not rules:
            raise self.fault("the grammar has no rules")
        return rules

    def fault(self, problem: str) -> ConstraintError:
        before = self.source[: self.at]
        return ConstraintError(f"grammar, line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}: {problem}")

    def peek(self) -> str:
        return self.source[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        if not char:
            raise self.fault("the grammar ends too early")
        self.at += 1
        return char

    def expect(self, wanted: str) -> None:
        if not self.source.startswith(wanted, self.at):
            raise self.fault(f"expected {wanted}")
        self.at += len(wanted)

    def space(self, lines: bool = False) -> None:
        """Skip blanks and comments, and line breaks where these mean nothing."""
        while self.at < len(self.source):
            char = self.source[self.at]
            if char == "#":
                end = self.source.find("\n", self.at)
                self.at = len(self.source) if end < 0 else end
            elif char in " \t" or (lines and char in "\r\n"):
                self.at += 1
            else:
                return

    def name(self) -> str:
        start = self.at
        while self.peek() and (self.peek().isascii() and (self.peek().isalnum() or self.peek() in "-_")):
            self.at += 1
        if start == self.at:
            raise self.fault("expected the name of a rule")
        return self.source[start : self.at]

    def alternatives(self, nested: bool = False) -> Expr:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fault(f"groups are nested more than {MAX_DEPTH} deep")
        items = [self.sequence(nested)]
        while self.peek() == "|":
            self.at += 1
            self.space(lines=True)
            items.append(self.sequence(nested))
        self.depth -= 1
        return items[0] if len(items) == 1 else Alt(tuple(items))

    def sequence(self, nested: bool) -> Expr:
        items: list[Expr] = []
        while (char := self.peek()) and (char in '"[(.' or char.isalnum() or char in "-_"):
            items.append(self.counted(self.atom(char)))
            self.space(lines=nested)
        return items[0] if len(items) == 1 else Seq(tuple(items))

    def atom(self, char: str) -> Expr:
        if char == '"':
            self.at += 1
            out = []
            while self.peek() != '"':
                out.append(self.character("a text"))
            self.at += 1
            return text("".join(out))
        if char == "[":
            return self.klass()
        if char == ".":
            self.at += 1
            return Chars(complement(()))
        if char == "(":
            self.at += 1
            self.space(lines=True)
            inner = self.alternatives(nested=True)
            self.expect(")")
            return inner
        return Ref(self.name())

    def character(self, where: str) -> str:
        char = self.take()
        if char == "\n":
            raise self.fault(f"a line ends inside {where}")
        if char != "\\":
            return char
        kind = self.take()
        if kind in "xuU":
            size = {"x": 2, "u": 4, "U": 8}[kind]
            digits = self.source[self.at : self.at + size]
            try:
                code = int(digits, 16) if len(digits) == size and digits.isalnum() else -1
                char = chr(code)
                char.encode()
            except (ValueError, UnicodeEncodeError, OverflowError):
                raise self.fault(f"\\{kind} needs {size} hexadecimal digits of a character") from None
            self.at += size
            return char
        if kind not in ESCAPES:
            raise self.fault(f"unknown escape \\{kind}")
        return ESCAPES[kind]

    def klass(self) -> Expr:
        self.at += 1
        negated = self.peek() == "^"
        self.at += negated
        spans = []
        while self.peek() != "]":
            low = self.character("a class")
            high = low
            if self.peek() == "-" and self.source[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                high = self.character("a class")
            if low > high:
                raise self.fault(f"the range {low}-{high} is empty")
            spans.append((ord(low), ord(high)))
        self.at += 1
        found = complement(union(spans)) if negated else union(spans)
        if not found:
            raise self.fault("a class that no character is in")
        return Chars(found)

    def counted(self, item: Expr) -> Expr:
        while self.peek() and self.peek() in "*+?{":
            char = self.take()
            if char != "{":
                item = Rep(item, 1 if char == "+" else 0, 1 if char == "?" else None)
                continue
            least, most = self.number(), None
            if self.peek() == ",":
                self.at += 1
                most = self.number()
            else:
                most = least
            self.expect("}")
            if least is None and most is None:
                raise self.fault("a count needs a number")
            if (most is not None and most < (least or 0)) or max(least or 0, most or 0) > MAX_COUNT:
                raise self.fault(f"counts must rise and be at most {MAX_COUNT}")
            item = Rep(item, least or 0, most)
        return item

    def number(self) -> int | None:
        start = self.at
        while self.peek().isdecimal() and self.at - start < 9:
            self.at += 1
        return int(self.source[start : self.at]) if self.at > start else None
