"""The metered engine: weights, keys and values and every counter stay in the judge; the submission holds handles.

A handle is an int that stands for one sequence: the tokens whose keys and values the engine holds, in blocks of `block_size`. What a submission can do is in
`METHODS`; every call is checked as hostile, and a refused call changes nothing.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from engine import Batch, PagedKV, checkpoint_path, load_checkpoint
from engine.batch import Row
from sandbox.flight import Clock, CostModel, Recorder
from sandbox.session import Refused

# Pools that the open sequences may hold together, each counted with all its blocks, shared or not, and with one at least. Sharing costs no block: without a
# bound a submission could make the judge hold, and the tests copy, as many tokens as it likes.
MAX_POOLS = 16


@functools.lru_cache(maxsize=4)
def shipped(name: str) -> Any:
    """The model of a checkpoint that ships with the engine, loaded once per process."""
    return load_checkpoint(checkpoint_path(name)).model


@dataclass(slots=True)
class Counters:
    """What happened, counted outside the jail."""

    forwards: int = 0
    tokens: int = 0  # computed, recomputed ones included
    opened: int = 0
    preemptions: int = 0  # sequences closed and opened again under the same name
    hits: int = 0  # tokens taken over from another sequence instead of computed
    drafted: int = 0
    accepted: int = 0
    peak_blocks: int = 0
    peak_open: int = 0  # open sequences
    peak_sequences: int = 0  # in one forward pass
    peak_tokens: int = 0  # in one forward pass
    refused: int = 0


@dataclass(slots=True)
class _Sequence:
    number: int  # in the flight record
    tokens: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    predicted: int = -1  # the greedy token after the last one, once it was handed out
    pending: tuple[int, int, dict[str, int]] | None = None  # (length before the drafts, drafts, its flight entry)


class MeteredEngine:
    """A model with a block pool, whose use is counted.

    Args:
        model: a `engine.seams.Model`.
        blocks: size of the pool.
        block_size: tokens per block.
        max_tokens: tokens of one forward pass, or None for no limit but the pool's.
        max_sequences: sequences of one forward pass, or None.
        max_length: tokens of one sequence.
        returns: "tokens" (forward returns the greedy next token of each sequence) or "logits" (a float32 tensor `[n, vocab]` for its n new tokens).
        clock: virtual time, shared between the engines of a test.
    """

    NAME: ClassVar[str] = "Engine"
    METHODS: ClassVar[tuple[str, ...]] = ("open", "forward", "truncate", "close", "length", "free_blocks")

    def __init__(
        self,
        model: Any,
        *,
        blocks: int,
        block_size: int = 16,
        max_tokens: int | None = None,
        max_sequences: int | None = None,
        max_length: int = 256,
        returns: str = "tokens",
        cost: CostModel | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._model = model
        self._kv = PagedKV(model.config, blocks, block_size)
        self.blocks, self.block_size = blocks, block_size
        self.max_tokens, self.max_sequences = max_tokens, max_sequences
        self.max_length = min(max_length, model.config.max_position)
        self.vocab_size = int(model.config.vocab_size)
        self._logits = returns == "logits"
        self._cost, self.clock = cost or CostModel(), clock or Clock()
        self._free = list(range(blocks - 1, -1, -1))
        self._holders = [0] * blocks
        self._sequences: dict[int, _Sequence] = {}
        self._numbers: dict[str, int] = {}
        self._closed: dict[str, dict[str, Any] | None] = {}
        self._names: dict[int, str] = {}
        self._last_step: dict[str, Any] | None = None
        self._hits_before_step = 0
        self.count = Counters()
        self.record = Recorder(blocks)

    @classmethod
    def on(cls, name: str, **options: Any) -> "MeteredEngine":
        """An engine on a shipped checkpoint: "target" or "draft"."""
        return cls(shipped(name), **options)

    def constants(self) -> dict[str, Any]:
        """What the submission reads as plain attributes."""
        return {
            "block_size": self.block_size,
            "total_blocks": self.blocks,
            "max_tokens": self.max_tokens,
            "max_sequences": self.max_sequences,
            "max_length": self.max_length,
            "vocab_size": self.vocab_size,
        }

    # What the submission may call ------------------------------------------------------------------------------------

    def open(self, name: str, share: int | None = None, length: int = 0) -> int:
        """A new empty sequence for request `name`; with `share`, its first `length` tokens (a multiple of the block size) are those of that sequence."""
        if type(name) is not str or not 0 < len(name) <= 200:
            raise self._refuse("BadRequest", "open needs the request's name, a short string")
        if name in self._names.values():
            raise self._refuse("BadRequest", f"request {name!r} already has an open sequence")
        donor = None if share is None else self._sequence(share)
        if donor is None:
            length = 0
        elif type(length) is not int or length % self.block_size or not 0 <= length <= len(donor.tokens):
            raise self._refuse("BadRequest", "a shared length is a multiple of block_size and within the other sequence")
        if self._counted() + max(1, length // self.block_size) > MAX_POOLS * self.blocks:
            raise self._refuse("BudgetExceeded", f"too many sequences are open for a pool of {self.blocks} blocks")
        sequence = _Sequence(self._numbers.setdefault(name, len(self._numbers) + 1))
        if donor is not None:
            sequence.tokens = donor.tokens[:length]
            sequence.blocks = donor.blocks[: length // self.block_size]
            for block in sequence.blocks:
                self._holders[block] += 1
            self.count.hits += length
        self.count.opened += 1
        if name in self._closed:
            self.count.preemptions += 1
            step = self._closed.pop(name)
            if step is not None:
                self.record.preempt(step, sequence.number)
        handle = self.count.opened
        self._sequences[handle] = sequence
        self._names[handle] = name
        self.count.peak_open = max(self.count.peak_open, len(self._sequences))
        return handle

    def forward(self, work: list[tuple[int, list[int]]]) -> list[Any]:
        """One pass over `[(handle, new tokens), ...]`: what `returns` says, for each in turn. All of it runs, or nothing."""
        rows = self._checked(work)
        total = sum(len(tokens) for _, tokens in rows)
        if self.max_tokens is not None and total > self.max_tokens:
            raise self._refuse("BudgetExceeded", f"{total} tokens in one pass; max_tokens is {self.max_tokens}")
        if self.max_sequences is not None and len(rows) > self.max_sequences:
            raise self._refuse("BudgetExceeded", f"{len(rows)} sequences in one pass; max_sequences is {self.max_sequences}")
        for sequence, tokens in rows:
            if len(sequence.tokens) + len(tokens) > self.max_length:
                raise self._refuse("BudgetExceeded", f"a sequence of {len(sequence.tokens) + len(tokens)} tokens; max_length is {self.max_length}")
        self._reserve(rows)
        batch = Batch.build([Row(tokens, len(sequence.tokens), sequence.blocks) for sequence, tokens in rows], self.block_size)
        hidden = self._model.forward(batch, self._kv)
        self._account(rows, total)
        if self._logits:
            every = self._model.logits(hidden).float()
            return list(torch.split(every, [len(tokens) for _, tokens in rows]))
        best: list[int] = self._model.logits(hidden[batch.last_rows()]).argmax(-1).tolist()
        for (sequence, _), token in zip(rows, best, strict=True):
            sequence.predicted = token
        return best

    def truncate(self, handle: int, length: int) -> None:
        """Forgets all but the first `length` tokens of a sequence; blocks that are no longer needed become free."""
        sequence = self._sequence(handle)
        if type(length) is not int or not 0 <= length <= len(sequence.tokens):
            raise self._refuse("BadRequest", f"length must be 0 to {len(sequence.tokens)}")
        self._settle(sequence, length)
        del sequence.tokens[length:]
        self._release(sequence, -(-length // self.block_size))

    def close(self, handle: int) -> None:
        """Ends a sequence and frees its blocks."""
        sequence = self._sequence(handle)
        self._settle(sequence, len(sequence.tokens))
        self._release(sequence, 0)
        del self._sequences[handle]
        self._closed[self._names.pop(handle)] = self._last_step

    def length(self, handle: int) -> int:
        """How many tokens a sequence holds."""
        return len(self._sequence(handle).tokens)

    def free_blocks(self) -> int:
        """How many blocks of the pool are free."""
        return len(self._free)

    # What tests may ask ----------------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Blocks in use."""
        return self.blocks - len(self._free)

    @property
    def sequences(self) -> int:
        """Sequences that are open."""
        return len(self._sequences)

    def tokens_of(self, name: str) -> list[int] | None:
        """The tokens that the open sequence of request `name` holds, or None."""
        for handle, known in self._names.items():
            if known == name:
                return list(self._sequences[handle].tokens)
        return None

    def contents(self) -> list[list[int]]:
        """The tokens that each open sequence holds."""
        return [list(sequence.tokens) for sequence in self._sequences.values()]

    def settle(self) -> None:
        """Counts drafts whose fate the end of the test decides."""
        for sequence in self._sequences.values():
            self._settle(sequence, len(sequence.tokens))

    # Inside ----------------------------------------------------------------------------------------------------------

    def _refuse(self, kind: str, message: str) -> Refused:
        self.count.refused += 1
        return Refused(kind, message)

    def _sequence(self, handle: Any) -> _Sequence:
        sequence = self._sequences.get(handle) if type(handle) is int else None
        if sequence is None:
            raise self._refuse("BadHandle", "no open sequence has this handle")
        return sequence

    def _checked(self, work: Any) -> list[tuple[_Sequence, list[int]]]:
        if type(work) is not list or not work:
            raise self._refuse("BadRequest", "forward needs a list of (handle, tokens), not empty")
        rows: list[tuple[_Sequence, list[int]]] = []
        seen: set[int] = set()
        for item in work:
            if type(item) not in (list, tuple) or len(item) != 2:
                raise self._refuse("BadRequest", "each item of forward is a pair (handle, tokens)")
            handle, tokens = item
            sequence = self._sequence(handle)
            if handle in seen:
                raise self._refuse("BadRequest", "a sequence can be in a pass only once")
            seen.add(handle)
            if type(tokens) not in (list, tuple) or not tokens:
                raise self._refuse("BadRequest", "tokens is a list of ints, not empty")
            if not all(type(token) is int and 0 <= token < self.vocab_size for token in tokens):
                raise self._refuse("BadRequest", f"a token is an int from 0 to {self.vocab_size - 1}")
            rows.append((sequence, list(tokens)))
        return rows

    def _counted(self) -> int:
        """Blocks of the open sequences, as if each had its own, and one at least."""
        return sum(max(1, len(sequence.blocks)) for sequence in self._sequences.values())

    def _reserve(self, rows: Sequence[tuple[_Sequence, list[int]]]) -> None:
        """Gives every row the blocks that it will write, or none of them any."""
        size = self.block_size
        wanted = 0
        copies: list[tuple[_Sequence, int]] = []
        left: dict[int, int] = {}  # holders of a shared block that have not got a copy of their own; the last one keeps it
        for sequence, tokens in rows:
            wanted += -(-(len(sequence.tokens) + len(tokens)) // size) - len(sequence.blocks)
            first = len(sequence.tokens) // size
            if first < len(sequence.blocks) and left.setdefault(sequence.blocks[first], self._holders[sequence.blocks[first]]) > 1:
                copies.append((sequence, first))  # a block that others read too is copied before it is written
                left[sequence.blocks[first]] -= 1
        if wanted + len(copies) > len(self._free):
            raise self._refuse("OutOfBlocks", f"{wanted + len(copies)} more blocks are needed and {len(self._free)} are free")
        for sequence, index in copies:
            old, new = sequence.blocks[index], self._take()
            self._kv.copy_pages([(old, new)])
            self._holders[old] -= 1
            sequence.blocks[index] = new
        for sequence, tokens in rows:
            while len(sequence.blocks) * size < len(sequence.tokens) + len(tokens):
                sequence.blocks.append(self._take())

    def _take(self) -> int:
        block = self._free.pop()
        self._holders[block] = 1
        return block

    def _release(self, sequence: _Sequence, keep: int) -> None:
        while len(sequence.blocks) > keep:
            block = sequence.blocks.pop()
            self._holders[block] -= 1
            if not self._holders[block]:
                self._free.append(block)

    def _settle(self, sequence: _Sequence, length: int) -> None:
        """Decides how many of the sequence's last drafts were kept."""
        if sequence.pending is not None:
            before, drafts, entry = sequence.pending
            entry["accepted"] = max(0, min(drafts, length - before))
            self.count.accepted += entry["accepted"]
            sequence.pending = None

    def _account(self, rows: Sequence[tuple[_Sequence, list[int]]], total: int) -> None:
        entries: list[dict[str, int]] = []
        context = 0
        for sequence, tokens in rows:
            start, count = len(sequence.tokens), len(tokens)
            self._settle(sequence, start)
            entry = {"id": sequence.number, "prefill": 0, "decode": 0, "drafted": 0, "accepted": 0}
            if start and count > 1 and self._logits:  # the last token of the answer, and drafts after it
                entry["decode"], entry["drafted"] = 1, count - 1
                sequence.pending = (start + 1, count - 1, entry)
                self.count.drafted += count - 1
            elif start and count == 1 and (self._logits or tokens[0] == sequence.predicted):
                entry["decode"] = 1
            else:
                entry["prefill"] = count
            sequence.tokens += tokens
            context += len(sequence.tokens)
            entries.append(entry)
        counters = self.count
        counters.forwards += 1
        counters.tokens += total
        counters.peak_blocks = max(counters.peak_blocks, self.held)
        counters.peak_sequences = max(counters.peak_sequences, len(rows))
        counters.peak_tokens = max(counters.peak_tokens, total)
        self.clock.now += self._cost.step(total, context)
        hits, self._hits_before_step = counters.hits - self._hits_before_step, counters.hits
        self._last_step = self.record.step(self.clock.now, entries, self.held, hits)
