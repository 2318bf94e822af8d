"""A grammar as a pushdown automaton over bytes, made deterministic as far as it is visited.

Rules become recursive transition networks (Woods 1970). A state is the set of stacks that the text so far allows; sets are numbered, and the row
of a set in `Automaton.table` holds where each byte leads. Rows fill at first use, so that matching a vocabulary is table lookups over whole arrays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConstraintError
from engine.grammar.ast import Alt, Bytes, Chars, Expr, Rep, Seq, utf8

DEAD, UNKNOWN = -1, -2
OUTSIDE = -2  # as the number of a stack: the first that was cut off; the next ones count down
MAX_NODES, MAX_STATES, MAX_STACKS = 200_000, 100_000, 10_000
MAX_WORK = 5_000_000  # arcs and stacks looked at, a third of a microsecond and some 10 bytes each


@dataclass(slots=True)
class Node:
    """Bytes lead to other nodes; a call runs a rule and goes on at its node; `ends` returns to the caller."""

    arcs: list[tuple[int, int, int]] = field(default_factory=list)  # low byte, high byte, node
    calls: list[tuple[str, int]] = field(default_factory=list)
    jumps: list[int] = field(default_factory=list)
    ends: bool = False


class Automaton:
    """`rules` maps names to expressions; the text is one `root`. Raises ConstraintError for an unknown rule, for left recursion (which a
    machine that reads from the left never leaves), for a grammar that no finite text satisfies, and for one past the limits above.

    `work` counts the arcs and stacks that were looked at; past `limit` whatever asks for more raises ConstraintError, for good."""

    def __init__(self, rules: Mapping[str, Expr], root: str = "root"):
        self.nodes: list[Node] = []
        self.entry: dict[str, int] = {}
        if root not in rules:
            raise ConstraintError(f"the grammar has no rule {root!r} to start from")
        for name in rules:
            self.entry[name] = self._node()
        for name, expression in rules.items():
            end = self._node()
            self.nodes[end].ends = True
            try:
                self._build(expression, self.entry[name], end, rules, name)
            except RecursionError:
                raise ConstraintError(f"rule {name!r} is nested too deeply; give its parts rules of their own") from None
        self._refuse_left_recursion()
        self._prune(root)
        self._stacks: list[tuple[int, int]] = []  # number -> (node, stack below or -1)
        self._numbers: dict[tuple[int, int], int] = {}
        self._sets: list[frozenset[int]] = []  # -1 in a set: the text may end here; less: a rule whose caller was cut off has ended
        self._exits: dict[int, list[int]] = {}
        self._set_numbers: dict[frozenset[int], int] = {}
        self.table = np.full((64, 256), UNKNOWN, np.int32)
        self.work, self.limit = 0, MAX_WORK
        self.start = self._number(self._close([self._stack(self.entry[root], -1)]))

    # -- building ----------------------------------------------------------------------------------------------------

    def _node(self) -> int:
        if len(self.nodes) >= MAX_NODES:
            raise ConstraintError(f"the grammar is too large: more than {MAX_NODES} states; are there large counts?")
        self.nodes.append(Node())
        return len(self.nodes) - 1

    def _build(self, e: Expr, start: int, end: int, rules: Mapping[str, Expr], name: str) -> None:
        """Lay `e` between two nodes."""
        nodes = self.nodes
        if isinstance(e, Bytes):
            at = start
            for n, byte in enumerate(e.data):
                to = end if n == len(e.data) - 1 else self._node()
                nodes[at].arcs.append((byte, byte, to))
                at = to
            if not e.data:
                nodes[start].jumps.append(end)
        elif isinstance(e, Chars):
            for low, high in e.ranges:
                for spans in utf8(low, high):
                    at = start
                    for n, (a, b) in enumerate(spans):
                        to = end if n == len(spans) - 1 else self._node()
                        nodes[at].arcs.append((a, b, to))
                        at = to
        elif isinstance(e, Seq):
            at = start
            for n, item in enumerate(e.items):
                to = end if n == len(e.items) - 1 else self._node()
                self._build(item, at, to, rules, name)
                at = to
            if not e.items:
                nodes[start].jumps.append(end)
        elif isinstance(e, Alt):
            for item in e.items:
                self._build(item, start, end, rules, name)
        elif isinstance(e, Rep):
            at = start
            for _ in range(e.least):
                to = self._node()
                self._build(e.item, at, to, rules, name)
                at = to
            if e.most is None:
                loop = self._node()
                nodes[at].jumps.append(loop)
                back = self._node()
                self._build(e.item, loop, back, rules, name)
                nodes[back].jumps.append(loop)
                nodes[loop].jumps.append(end)
            else:
                for _ in range(e.most - e.least):
                    nodes[at].jumps.append(end)
                    to = self._node()
                    self._build(e.item, at, to, rules, name)
                    at = to
                nodes[at].jumps.append(end)
        else:
            if e.rule not in rules:
                raise ConstraintError(f"rule {name!r} uses {e.rule!r}, which is not defined")
            nodes[start].calls.append((e.rule, end))

    def _called_first(self, start: int, empty: set[str]) -> set[str]:
        """Rules called before any byte from `start`, given the rules that may be empty."""
        seen, todo, called = {start}, [start], set[str]()
        while todo:
            node = self.nodes[todo.pop()]
            called.update(rule for rule, _ in node.calls)
            for to in [*node.jumps, *(back for rule, back in node.calls if rule in empty)]:
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        return called

    def _refuse_left_recursion(self) -> None:
        empty = self._ending(through_bytes=False)[1]
        first = {name: sorted(self._called_first(entry, empty)) for name, entry in self.entry.items()}
        open_rules, done = set[str](), set[str]()
        for name in self.entry:
            todo = [(name, False)]
            while todo:
                rule, leaving = todo.pop()
                if leaving:
                    open_rules.remove(rule)
                    done.add(rule)
                elif rule in open_rules:
                    raise ConstraintError(f"rule {rule!r} is left-recursive: it begins with itself; write a repetition instead")
                elif rule not in done:
                    open_rules.add(rule)
                    todo += [(rule, True), *((called, False) for called in first[rule])]

    def _ending(self, through_bytes: bool) -> tuple[set[int], set[str]]:
        """The nodes and rules from which an end can be reached at all, or without reading a byte. Backwards from the ends, each node once."""
        above: dict[int, list[int]] = {}  # node -> nodes that reach it by an arc or a jump
        calling: dict[int, list[tuple[int, str]]] = {}  # node -> (node, rule) that reach it through a call
        waiting: dict[str, list[int]] = {}  # rule -> nodes that need just it to have an end
        starts = {entry: name for name, entry in self.entry.items()}
        for at, node in enumerate(self.nodes):
            for to in {*node.jumps, *((arc[2] for arc in node.arcs) if through_bytes else ())}:
                above.setdefault(to, []).append(at)
            for rule, back in node.calls:
                calling.setdefault(back, []).append((at, rule))
        live, ending = set[int](), set[str]()
        todo = [at for at, node in enumerate(self.nodes) if node.ends]
        while todo:
            at = todo.pop()
            if at in live:
                continue
            live.add(at)
            todo += above.get(at, ())
            for caller, rule in calling.get(at, ()):
                if rule in ending:
                    todo.append(caller)
                else:
                    waiting.setdefault(rule, []).append(caller)
            if at in starts:
                ending.add(starts[at])
                todo += waiting.pop(starts[at], ())
        return live, ending

    def _prune(self, root: str) -> None:
        """Drop all that leads to no end (such as a rule that always asks for itself): whatever is left can be completed, so no mask leads astray."""
        live, ending = self._ending(through_bytes=True)
        if root not in ending:
            endless = ", ".join(repr(name) for name in sorted(self.entry.keys() - ending)[:5])
            raise ConstraintError(f"no finite text satisfies the grammar: it asks for itself without end (in {endless})")
        for node in self.nodes:
            node.arcs = [arc for arc in node.arcs if arc[2] in live]
            node.jumps = [to for to in node.jumps if to in live]
            node.calls = [(rule, back) for rule, back in node.calls if rule in ending and back in live]

    @property
    def states(self) -> int:
        """How many states were visited so far."""
        return len(self._sets)

    # -- running -----------------------------------------------------------------------------------------------------

    def allow(self, work: int) -> None:
        """Let what follows do so much work. A grammar that was refused work gets no more: the next try would only cost as much again."""
        if self.limit:
            self.limit = min(MAX_WORK, self.work + work)

    def _spend(self, work: int) -> None:
        if self.work + work > self.limit:
            self.limit = 0
            raise ConstraintError("the grammar takes too much work: there are too many ways to go on with the text")
        self.work += work

    def _stack(self, node: int, below: int) -> int:
        key = (node, below)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._stacks)
            self._stacks.append(key)
        return number

    def _close(self, stacks: list[int]) -> frozenset[int]:
        """The stacks whose top reads a byte, reached without reading one; -1 when the text may end."""
        seen, todo, out = set(stacks), list(stacks), set[int]()
        while todo:
            number = todo.pop()
            if number < 0:
                out.add(number)
                continue
            at, below = self._stacks[number]
            node = self.nodes[at]
            if node.arcs:
                out.add(number)
            found = [self._stack(to, below) for to in node.jumps]
            for rule, back in node.calls:
                rest = self.nodes[back]
                tail = rest.ends and not (rest.arcs or rest.calls or rest.jumps)  # a last call needs no return: the stack stays flat
                found.append(self._stack(self.entry[rule], below if tail else self._stack(back, below)))
            if node.ends:
                found.append(below)
            self._spend(1 + len(found))
            for other in found:
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
            if len(seen) > MAX_STACKS:
                raise ConstraintError("the grammar is too ambiguous: too many ways to read the same text")
        return frozenset(out)

    def _number(self, stacks: frozenset[int]) -> int:
        number = self._set_numbers.get(stacks)
        if number is None:
            number = len(self._sets)
            if number >= MAX_STATES:
                raise ConstraintError("the text is nested too deeply for this grammar")
            self._spend(len(stacks))
            self._set_numbers[stacks] = number
            self._sets.append(stacks)
            if number >= len(self.table):
                self.table = np.concatenate([self.table, np.full_like(self.table, UNKNOWN)])
        return number

    def step(self, state: int, byte: int) -> int:
        """The state after a byte, or DEAD."""
        if self.table[state, byte] == UNKNOWN:
            self._fill(state)
        return int(self.table[state, byte])

    def _fill(self, state: int) -> None:
        """All 256 transitions at once, by the intervals in which no arc begins or ends."""
        tops = self._tops(state)
        self._spend(sum(len(self.nodes[at].arcs) for at, _ in tops))
        arcs = [(low, high, to, below) for at, below in tops for low, high, to in self.nodes[at].arcs]
        cuts = sorted({low for low, _, _, _ in arcs} | {high + 1 for _, high, _, _ in arcs} | {0, 256})
        reached: list[list[int]] = [[] for _ in cuts]
        for low, high, to, below in arcs:
            stack = self._stack(to, below)
            first, last = bisect_left(cuts, low), bisect_left(cuts, high + 1)
            self._spend(last - first)
            for n in range(first, last):
                reached[n].append(stack)
        row = np.full(256, DEAD, np.int32)
        for (low, high), stacks in zip(pairwise(cuts), reached, strict=False):
            if stacks:
                row[low:high] = self._number(self._close(stacks))
        self.table[state] = row

    def _tops(self, state: int) -> list[tuple[int, int]]:
        return [self._stacks[number] for number in self._sets[state] if number >= 0]

    def run(self, state: int, data: bytes) -> int:
        for byte in data:
            if state == DEAD:
                break
            state = self.step(state, byte)
        return state

    def steps(self, states: NDArray[np.int32], data: NDArray[np.uint8]) -> NDArray[np.int32]:
        """`step` for whole arrays."""
        out = self.table[states, data]
        missing = states[out == UNKNOWN]
        if len(missing):
            for state in np.unique(missing).tolist():
                self._fill(state)
            out = self.table[states, data]
        return out

    def innermost(self, state: int) -> tuple[int, list[int]]:
        """(the state with every stack cut below its top rule, what the stacks were cut from): what goes on inside a rule does not depend on its
        caller. Where the rule of the n-th cut ends, the state's `exits` hold n."""
        below = sorted({below for _, below in self._tops(state)} - {-1})
        mark = {number: OUTSIDE - n for n, number in enumerate(below)}
        return self._number(frozenset(self._stack(at, mark.get(b, b)) for at, b in self._tops(state))), below

    def exits(self, state: int) -> list[int]:
        """See `innermost`."""
        if state not in self._exits:
            self._exits[state] = [OUTSIDE - number for number in self._sets[state] if number <= OUTSIDE]
        return self._exits[state]

    def resumed(self, stack: int) -> int:
        """The state of a caller (one of the cuts of `innermost`) when the rule that it called has ended."""
        return self._number(self._close([stack]))

    def may_end(self, state: int) -> bool:
        return -1 in self._sets[state]

    def is_final(self, state: int) -> bool:
        """Nothing may follow."""
        return self._sets[state] == frozenset([-1])

    def next_bytes(self, state: int) -> set[int]:
        """Bytes that may come next."""
        if self.table[state, 0] == UNKNOWN:
            self._fill(state)
        return set(np.flatnonzero(self.table[state] != DEAD).tolist())
