"""A compiled grammar over one vocabulary, and a request's place in it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import ConstraintError
from engine.grammar.ast import Expr
from engine.grammar.automaton import DEAD, Automaton
from engine.grammar.trie import Ints, VocabularyTrie, spans

MASKS = 512  # kept per grammar
GROWN = 20_000  # states (1 KiB each) after which a grammar should serve no new request; it is cheaper compiled anew
WORK, GROWN_WORK = 500_000, 1_000_000  # of the automaton: for one mask (or forced text), and after which the next request had better compile anew
AHEAD = 256  # forced tokens and bytes that are looked up at once


class Grammar:
    """Rules compiled for a vocabulary. `width` is the model's vocabulary; ids past the tokenizer's are never allowed.

    Masks are cached by state: at a state met before, a mask costs a look-up.
    """

    def __init__(self, rules: Mapping[str, Expr], vocabulary: VocabularyTrie, eos_ids: frozenset[int], width: int,
                 encode: Callable[[str], list[int]] | None = None):  # fmt: skip
        self.automaton, self.vocabulary, self.eos_ids, self.width = Automaton(rules), vocabulary, eos_ids, width
        self.encode = encode
        self._eos = [token for token in eos_ids if token < width]
        self._masks: OrderedDict[int, Tensor] = OrderedDict()
        self._inner: OrderedDict[int, tuple[NDArray[np.bool_], list[Ints]]] = OrderedDict()
        self._narrow: dict[int, tuple[int, ...]] = {}

    @property
    def grown(self) -> bool:
        """Texts without end of variety have made it large: new requests should compile it again."""
        return self.automaton.states > GROWN or self.automaton.work > GROWN_WORK

    def mask(self, state: int) -> Tensor:
        """Bool ``[width]``: the tokens whose bytes may come next, and the end-of-sequence ids where the text may end."""
        mask = self._masks.get(state)
        if mask is None:
            mask = self._masks[state] = self._match(state)
            if len(self._masks) > MASKS:
                self._masks.popitem(last=False)
        else:
            self._masks.move_to_end(state)
        return mask

    def _match(self, state: int) -> Tensor:
        """The innermost rules are walked once for all their callers; each caller goes on at the trie's nodes where its rule had ended."""
        automaton = self.automaton
        automaton.allow(WORK)
        inner, callers = automaton.innermost(state)
        found = self._inner.get(inner)
        if found is None:
            allowed, ends = np.zeros(self.width, bool), [list[Ints]() for _ in callers]
            self._walk(np.zeros(1, np.int32), inner, allowed, ends)
            found = self._inner[inner] = allowed, [np.concatenate(nodes) if nodes else np.empty(0, np.int32) for nodes in ends]
            if len(self._inner) > MASKS:
                self._inner.popitem(last=False)
        else:
            self._inner.move_to_end(inner)
        allowed = found[0].copy()
        for caller, nodes in zip(callers, found[1], strict=True):
            if len(nodes):
                self._walk(nodes, automaton.resumed(caller), allowed)
        allowed[self._eos] = automaton.may_end(state)
        return torch.from_numpy(allowed)

    def _walk(self, nodes: Ints, state: int, allowed: NDArray[np.bool_], ends: list[list[Ints]] | None = None) -> None:
        """Allow the tokens below trie nodes that can be read from a state, all nodes of a depth at once; note in `ends` where a cut rule has ended."""
        trie, automaton = self.vocabulary, self.automaton
        states = np.full(len(nodes), state, np.int32)
        while len(nodes):
            below, count = spans(trie.child, nodes)
            states = automaton.steps(np.repeat(states, count), trie.byte[below])
            kept = states != DEAD
            nodes, states = below[kept], states[kept]
            allowed[trie.tokens[spans(trie.first, nodes)[0]]] = True
            if ends is not None:
                for number in np.unique(states).tolist():
                    for caller in automaton.exits(number):
                        ends[caller].append(nodes[states == number])

    def forced_bytes(self, state: int, most: int = AHEAD) -> tuple[bytes, int]:
        """(the bytes that must come next, the state behind them): as long as just one byte may follow and the text may not end."""
        out = bytearray()
        while len(out) < most and not self.automaton.may_end(state):
            following = self.automaton.next_bytes(state)
            if len(following) != 1:
                break
            out.append(byte := following.pop())
            state = self.automaton.step(state, byte)
        return bytes(out), state

    def forced_tokens(self, state: int) -> tuple[int, ...]:
        """How the tokenizer spells the forced text, less its last token where more text could have become part of that token."""
        if state not in self._narrow:
            self._narrow[state] = self._spell(state)
        return self._narrow[state]

    def _spell(self, state: int) -> tuple[int, ...]:
        self.automaton.allow(WORK)
        data, behind = self.forced_bytes(state)
        if self.encode is None or not data:
            return ()
        try:
            ids = self.encode(data.decode())
        except UnicodeDecodeError:
            return ()
        known = len(self.vocabulary.token_bytes)
        if b"".join(self.vocabulary.token_bytes[token] for token in ids if token < known) != data:
            return ()  # a tokenizer that does not spell text as it stands
        return tuple(ids if self.automaton.is_final(behind) else ids[:-1])


class GrammarConstraint:
    """An `engine.seams.Constraint`.

    Where the grammar forces a text, only the tokenizer's own spelling of it is allowed (`canonical`): the text is the same, the model is spared
    spellings that it never saw, and those tokens need no forward pass of their own (jump-forward). The rule depends on nothing but the state,
    so drafts, forks and replays meet the same masks.
    """

    def __init__(self, grammar: Grammar, canonical: bool = True):
        self.grammar, self.canonical = grammar, canonical
        self._states = [grammar.automaton.start]
        self._ended = [False]
        self._fault: str | None = None  # why the last mask is empty, when it is a limit that was passed

    def mask(self) -> Tensor:
        """All False where no token of the vocabulary can follow, or where the text has passed a limit of the automaton: then no token is taken
        either, and `advance` says why."""
        if self._ended[-1]:
            return self._just([token for token in self.grammar.eos_ids if token < self.grammar.width])
        self._fault = None
        try:
            forced = self._next()
            return self.grammar.mask(self._states[-1]) if forced is None else self._just([forced])
        except ConstraintError as error:
            self._fault = str(error)
            return self._just([])

    def _just(self, tokens: list[int]) -> Tensor:
        mask = torch.zeros(self.grammar.width, dtype=torch.bool)
        mask[tokens] = True
        return mask

    def _next(self) -> int | None:
        ids = self.grammar.forced_tokens(self._states[-1]) if self.canonical else ()
        return ids[0] if ids else None

    def advance(self, token: int) -> None:
        state, ended = self._states[-1], self._ended[-1]
        if token in self.grammar.eos_ids and (ended or (self.grammar.automaton.may_end(state) and not self.stuck)):
            self._states.append(state)
            self._ended.append(True)
            return
        known = self.grammar.vocabulary.token_bytes
        data = known[token] if 0 <= token < len(known) else b""
        to = self.grammar.automaton.run(state, data) if data and not ended else DEAD
        forced = self._next()
        if to == DEAD or (forced is not None and token != forced):
            why = f"; {self._fault or 'no token of the vocabulary can come next'}" if self.stuck else ""
            raise ConstraintError(f"the grammar does not allow token {token} here{why}")
        self._states.append(to)
        self._ended.append(False)

    def rollback(self, n: int) -> None:
        if n:
            del self._states[-n:], self._ended[-n:]

    def forced(self) -> list[int]:
        if self._ended[-1] or not self.canonical:
            return []
        out: list[int] = []
        state = self._states[-1]
        try:
            while len(out) < AHEAD and (ids := self.grammar.forced_tokens(state)):  # token by token, as `mask` would have it
                out.append(ids[0])
                state = self.grammar.automaton.run(state, self.grammar.vocabulary.token_bytes[ids[0]])
        except ConstraintError:
            pass  # past a limit of the automaton: the mask there is empty
        return out

    @property
    def complete(self) -> bool:
        return self._ended[-1] or self.grammar.automaton.is_final(self._states[-1])

    @property
    def stuck(self) -> bool:
        """No token of the vocabulary may come next."""
        return not bool(self.mask().any())
