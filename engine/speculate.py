"""Drafters: where speculated tokens come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from engine.batch import Batch, Row
from engine.errors import ConstraintError
from engine.kv import PagedKV
from engine.noise import DRAFT, Noise
from engine.request import Request
from engine.sampling import Context, GumbelSampler
from engine.seams import Constraint, Draft, Model
from engine.transfer import upload
from engine.verify import path_to


@dataclass
class GramIndex:
    """Where each n-gram of a request's tokens was last seen (the position after it), kept up to date token by token."""

    known: int = 0
    after: dict[tuple[int, ...], int] = field(default_factory=dict)


class NGramDrafter:
    """Prompt lookup (Saxena 2023): what followed the longest suffix when it last occurred. Proposes with certainty.

    The index grows by `longest` entries per token, so the work over a whole request is linear.
    """

    kv: PagedKV | None = None

    def __init__(self, k: int, longest: int = 4, shortest: int = 1):
        self.k, self.longest, self.shortest = k, longest, shortest
        self._indices: WeakKeyDictionary[Request, GramIndex] = WeakKeyDictionary()

    def propose(self, requests: Sequence[Request], k: Sequence[int]) -> list[Draft]:
        return [self._one(request, most) for request, most in zip(requests, k, strict=True)]

    def follow(self, batch: Batch) -> None:
        pass

    def _one(self, request: Request, most: int) -> Draft:
        tokens, index = request.tokens, self._indices.setdefault(request, GramIndex())
        for end in range(index.known + 1, len(tokens)):  # the suffix itself is not its own earlier occurrence
            for n in range(self.shortest, min(self.longest, end) + 1):
                index.after[tuple(tokens[end - n : end])] = end
        index.known = max(index.known, len(tokens) - 1)
        for n in range(min(self.longest, len(tokens)), self.shortest - 1, -1):
            at = index.after.get(tuple(tokens[-n:]))
            if at is not None:
                proposed = tokens[at : at + min(most, self.k)]
                while proposed and len(proposed) < min(most, self.k):  # the match runs into the suffix: a loop
                    proposed = (proposed + proposed)[: min(most, self.k)]
                return Draft(proposed, list(range(-1, len(proposed) - 1)))
        return Draft()


class ModelDrafter:
    """A smaller model with the same vocabulary drafts a chain, or a tree.

    `widths[d]` children are drawn without replacement at every node of depth d; a chain has widths of 1. Its keys and
    values lie in a pool of its own under the target's page numbers, so sharing, forks, cached prefixes and swapping
    hold for both models at once. Greedy requests get its best tokens as certain proposals.
    """

    def __init__(self, model: Model, kv: PagedKV, sampler: GumbelSampler, widths: Sequence[int], stream: int = DRAFT):
        self.model, self.kv, self.sampler, self.widths, self.stream = model, kv, sampler, tuple(widths), stream
        self.k = sum(math.prod(self.widths[: d + 1]) for d in range(len(self.widths)))
        self.passes = 0

    def follow(self, batch: Batch) -> None:
        """Compute the same prompt tokens as the target, without adapters: any draft law is as exact as another."""
        self._forward(
            Batch(batch.tokens, batch.positions, batch.q_start, batch.kv_len, batch.pages, batch.slots,
                  scratch={"lengths": batch.lengths()})
        )  # fmt: skip

    def propose(self, requests: Sequence[Request], k: Sequence[int]) -> list[Draft]:
        drafts = [Draft() for _ in requests]
        laws: list[list[Tensor]] = [[] for _ in requests]
        fronts: list[list[int]] = [[-1] for _ in requests]  # nodes whose children come next
        chain = all(width == 1 for width in self.widths)
        for depth, width in enumerate(self.widths):
            live = [i for i, front in enumerate(fronts) if front and len(drafts[i].tokens) < k[i]]
            if not live:
                break
            rows = [self._row(requests[i], drafts[i], chain, depth) for i in live]
            hidden = self._forward(batch := Batch.build(rows, self.kv.page_size, self.kv.device))
            ends = batch.q_start[1:].tolist()
            picks, contexts, where = [], [], []
            for i, end in zip(live, ends, strict=True):
                for node in fronts[i]:
                    # Nodes end the row in order; the root's logits are those of the token before them.
                    picks.append(end - 1 if chain else end - len(drafts[i].tokens) + node)
                    contexts.append(context_at(requests[i], drafts[i], node))
                    where.append((i, node))
                fronts[i] = []
            warped = self.sampler.warp(self.model.logits(hidden[upload(picks, torch.int64, hidden.device)]), contexts)
            law = warped.softmax(-1)
            # Nodes of one depth share their noise: verification passes through one of them at most.
            keys = [requests[i].noise_key(self.stream, depth) for i, _ in where]
            scores = warped + Noise.of(keys, law.device).gumbel(law.shape[1], law.dtype)
            for at, (i, node) in enumerate(where):
                self._grow(requests[i], drafts[i], laws[i], fronts[i], node, law[at], scores[at], width, k[i])
        for i, request in enumerate(requests):
            # A chain's tokens are computed but for its last; a tree's are not where the accepted ones will lie.
            request.drafted = len(request.tokens) + (max(len(drafts[i].tokens) - 1, 0) if chain else 0)
            if request.params.temperature > 0 and laws[i]:
                drafts[i].q = torch.stack(laws[i])
        return drafts

    def _row(self, request: Request, draft: Draft, chain: bool, depth: int) -> Row:
        if chain and depth:
            return Row(draft.tokens[-1:], len(request.tokens) + depth - 1, request.table.pages)
        tokens = [*request.tokens[min(request.drafted, len(request.tokens) - 1) :], *draft.tokens]
        start = len(request.tokens) + len(draft.tokens) - len(tokens)
        return Row(tokens, start, request.table.pages, draft.parents if draft.tokens else None)

    def _grow(
        self, request: Request, draft: Draft, laws: list[Tensor], front: list[int], node: int,
        law: Tensor, scores: Tensor, width: int, most: int,
    ) -> None:  # fmt: skip
        """Hang `width` children from `node`. The order of perturbed log-probabilities is that of draws without
        replacement (Gumbel top-k, Kool et al. 2019), so each child's law is the law less its elder siblings."""
        width = min(width, most - len(draft.tokens), law.shape[0])
        greedy = request.params.temperature == 0
        rest = law
        best = (law if greedy else scores).topk(width)
        for token, score in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            if score == -math.inf or float(rest[token]) == 0:  # also where a low temperature leaves a likelihood that float32 has no number for
                break
            front.append(len(draft.tokens))
            draft.tokens.append(token)
            draft.parents.append(node)
            if not greedy:
                laws.append(rest / rest.sum())
                rest = rest.clone()
                rest[token] = 0.0

    def _forward(self, batch: Batch) -> Tensor:
        self.passes += 1
        return self.model.forward(batch, self.kv)


def context_at(request: Request, draft: Draft, node: int) -> Context:
    """The context of the logits after `node`: the drafted path, and the grammar's mask there."""
    path = path_to(draft, node)
    return Context(request, path, mask_after(request.constraint, path) if request.constraint else None)


def mask_after(constraint: Constraint, path: Sequence[int]) -> Tensor | None:
    """The mask after `path`; None when the grammar refuses the path, for no law is ever drawn from there."""
    taken = 0
    try:
        for token in path:
            constraint.advance(token)
            taken += 1
        return constraint.mask()
    except ConstraintError:
        return None
    finally:
        constraint.rollback(taken)
