"""Beam search with shared pages: beams are requests, and choosing survivors is forking and freeing page tables.

The bookkeeping is that of transformers (scores, length penalty, early stopping), so beams and scores are equal.
All beams of a group have the same length; each step waits until the logits of every one of them are there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.pages import PageTable
from engine.params import CompletionOutput, FinishReason
from engine.request import Group, Request, Status
from engine.sampling import Context

if TYPE_CHECKING:
    from engine.engine import Engine

WORST = -1e9


@dataclass(frozen=True)
class Hypothesis:
    score: float
    tokens: list[int]
    reason: FinishReason


class Beams:
    """The state of one group's search. `finished` is sorted, best first, and never longer than the width."""

    def __init__(self, group: Group, engine: Engine):
        self.group, self.engine = group, engine
        self.width = group.params.beam_width or 1
        self.scores = [0.0]
        self.finished: list[Hypothesis] = []
        self.improvable = True

    @property
    def ready(self) -> bool:
        return all(member.stash is not None for member in self.group.members)

    def advance(self) -> None:
        """One step: extend every beam by every token, keep the best, and stop when nothing can improve."""
        params, members = self.group.params, self.group.members
        eos = frozenset() if params.ignore_eos else self.engine.ending.eos_ids | frozenset(params.stop_token_ids)
        length = members[0].output_len + 1
        last = length >= params.max_tokens or len(members[0].tokens) + 1 >= self.engine.ending.max_length
        total = self._extend(members)
        keep = min(max(2, 1 + len(eos)) * self.width, total.numel())
        values, flat = total.flatten().topk(keep)
        size = total.shape[1]
        candidates = [(v, i // size, i % size) for v, i in zip(values.tolist(), flat.tolist(), strict=True)]

        ended = [token in eos or last for _, _, token in candidates]
        if self.improvable and not (len(self.finished) == self.width and params.early_stopping is True):
            for (score, beam, token), stop in list(zip(candidates, ended, strict=True))[: self.width]:
                if stop and score > WORST:
                    reason: FinishReason = "stop" if token in eos else "length"
                    tokens = [*members[beam].output, token]
                    self.finished.append(Hypothesis(score / length**params.length_penalty, tokens, reason))
            self.finished = sorted(self.finished, key=lambda h: -h.score)[: self.width]
        alive = [c for c, stop in zip(candidates, ended, strict=True) if not stop][: self.width]
        if self._goes_on(alive, length):
            self._survive(alive)
        else:
            self._end()

    def outputs(self) -> list[CompletionOutput]:
        """The hypotheses, best first; the cumulative log-probability carries the length penalty (as a score)."""
        decode = self.engine.decode
        return [CompletionOutput(i, h.tokens, decode(h.tokens), h.reason, cumulative_logprob=h.score) for i, h in enumerate(self.finished)]

    def _extend(self, members: list[Request]) -> Tensor:
        """Scores ``[beams, V]`` of all continuations, in float32."""
        stashes = [member.stash for member in members if member.stash is not None]
        log_laws = torch.stack(stashes).float().log_softmax(-1)
        for member in members:
            member.stash = None
        adjusted = self.engine.runner.sampler.adjust(log_laws, [Context(member) for member in members])
        return adjusted + torch.tensor(self.scores, device=adjusted.device)[:, None]

    def _goes_on(self, alive: list[tuple[float, int, int]], length: int) -> bool:
        params, full = self.group.params, len(self.finished) == self.width
        if not alive or (full and params.early_stopping is True):
            return False
        # With "never" and a penalty that favours length, the best beam is given all the length it could reach.
        longest = params.early_stopping == "never" and params.length_penalty > 0
        best = alive[0][0] / (params.max_tokens if longest else length) ** params.length_penalty
        self.improvable = self.improvable and (not full or best > self.finished[-1].score)
        return self.improvable

    def _survive(self, alive: list[tuple[float, int, int]]) -> None:
        """Members take over the pages of the beams they continue. One that was preempted starts without pages."""
        members, scheduler = self.group.members, self.engine.scheduler
        for member in members:
            if member.status is Status.SWAPPED:
                scheduler.forget_swap(member)
        while len(members) < len(alive):
            members.append(self.engine.fork(members[0], len(members)))
        states = []
        for member, (_, beam, token) in zip(members, alive, strict=False):
            parent = members[beam]
            kept = member.status is Status.RUNNING and parent.status is Status.RUNNING
            table = parent.table.fork(scheduler.pool) if kept else PageTable()
            states.append((table, parent.computed if kept else 0, [*parent.tokens, token]))
        for member, (table, computed, tokens) in zip(members, states, strict=False):
            member.table.release(scheduler.pool)
            member.table, member.computed, member.tokens = table, computed, tokens
            member.counts = Counter(member.output)
            member.drafted = 0
        for member in members[len(alive) :]:
            scheduler.done(member)
        del members[len(alive) :]
        self.scores = [score for score, _, _ in alive]

    def _end(self) -> None:
        for member in self.group.members:
            member.finish_reason = self.finished[0].reason if self.finished else "length"
            self.engine.scheduler.done(member)
