"""One sequence on its way through the engine, and the group of sequences that answer one call."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from engine.noise import SAMPLE, key_of, splitmix
from engine.pages import PageTable
from engine.params import FinishReason, SamplingParams
from engine.seams import CacheKey, Constraint, Detokenizer
from engine.transfer import upload


class Status(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    SWAPPED = "swapped"
    FINISHED = "finished"


@dataclass(eq=False)
class Request:
    """`tokens` is prompt and output; keys and values of the first `computed` of them are in `table`'s pages.

    `pending` counts tokens that a launched step has sampled but the host hasn't read yet: they are scheduled as
    placeholders, which the next step fills on the device.
    """

    id: str
    tokens: list[int]
    prompt_len: int
    params: SamplingParams
    seed: int
    arrival: int  # order of arrival
    priority: int = 0  # lower is more urgent
    key: CacheKey = field(default_factory=CacheKey)
    adapter: Any = None
    group: Group | None = None
    index: int = 0

    status: Status = Status.WAITING
    computed: int = 0
    drafted: int = 0  # tokens whose keys and values the draft model has too
    pending: int = 0
    blocked: bool = False  # a launched step decides what comes next (speculation, penalties, a grammar)
    born: int = 0  # the scheduler's step at arrival, for ageing
    table: PageTable = field(default_factory=PageTable)
    swapped: list[Any] | None = None  # host copies of the pages, per cache
    stash: Tensor | None = None  # logits that wait for a partner's (guidance, beams)
    partner: Request | None = None  # the other half under guidance
    shadow: bool = False  # the unconditional half: computed, never sampled
    constraint: Constraint | None = None
    detokenizer: Detokenizer | None = None
    mu: float = 0.0  # Mirostat's state, bits
    counts: Counter[int] = field(default_factory=Counter)  # of output tokens, kept only when penalized
    text: str = ""
    logprobs: list[dict[int, float]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)  # beside `logprobs`: where in the text each token begins
    cumulative: float = 0.0
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None
    cached: int = 0  # prompt tokens found in the prefix cache at first admission
    preemptions: int = 0
    _bias: tuple[Tensor, Tensor] | None = None

    @property
    def output(self) -> list[int]:
        return self.tokens[self.prompt_len :]

    @property
    def output_len(self) -> int:
        return len(self.tokens) - self.prompt_len

    @property
    def finished(self) -> bool:
        return self.status is Status.FINISHED

    @property
    def wanted(self) -> int:
        """Tokens that could be computed now. Placeholders count, but not past `max_tokens`."""
        if self.blocked or self.finished:
            return 0
        if self.pending and self.output_len + self.pending >= self.params.max_tokens:
            return 0
        return len(self.tokens) + self.pending - self.computed

    @property
    def decoding(self) -> bool:
        """All but the last token are computed: the next step samples."""
        return self.wanted == 1 and self.computed >= self.prompt_len

    @property
    def stateful(self) -> bool:
        """What it samples next depends on tokens that the host must know: such requests never run ahead."""
        p = self.params
        return bool(
            p.penalized
            or self.constraint is not None
            or p.mirostat_tau is not None
            or self.partner is not None
            or p.beam_width is not None
            or p.stop
        )

    def bias(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        """The tokens ``[n]`` int64 of the logit bias and what is added to their logits; made once, on the device where it is asked for first."""
        if self._bias is None:
            given = self.params.logit_bias
            self._bias = upload(list(given), torch.int64, device), upload(list(given.values()), dtype, device)
        return self._bias

    def noise_key(self, stream: int = SAMPLE, ahead: int = 0, node: int = 0) -> int:
        """The key of the draw for the token `ahead` positions after the next one."""
        return key_of(self.seed, len(self.tokens) + self.pending + ahead, stream, node)


@dataclass(eq=False)
class Group:
    """Everything that answers one call: one sequence, `n` of them, a guided pair, or beams."""

    id: str
    prompt: str | None
    prompt_ids: list[int]
    params: SamplingParams
    seed: int
    members: list[Request] = field(default_factory=list)  # without shadows
    beams: Any = None  # engine.beam.Beams
    forked: bool = False
    error: str | None = None
    arrived: float = field(default_factory=time.perf_counter)
    first_token: float | None = None
    ended: float | None = None
    reported: bool = False
    grammar: Any = None  # engine.grammar.Grammar, compiled
    spell: bytes = b""  # the end of the prompt that token healing took back

    @property
    def width(self) -> int:
        """Sequences that may run at once."""
        if self.params.beam_width is not None:
            return self.params.beam_width
        return self.params.n if self.params.guidance_scale == 1 else 2

    @property
    def finished(self) -> bool:
        if self.params.n > 1 and not self.forked and self.error is None:
            return all(m.finish_reason == "abort" for m in self.members)
        return all(member.finished for member in self.members)

    def seed_of(self, index: int) -> int:
        """Member 0 samples as a lone request with the same seed would."""
        return self.seed if index == 0 else splitmix(self.seed ^ splitmix(index))
