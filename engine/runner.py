"""Carries out a plan: pages are moved, one batch is computed, tokens are drawn. It decides nothing.

A launched step's tokens may stay on the device: the next step refers to them by placeholders, which are filled there,
so the host never waits for a token that it doesn't need (overlap scheduling).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine import warpers
from engine.batch import Batch, Row
from engine.kv import PagedKV
from engine.noise import ACCEPT, RESIDUAL, SAMPLE, Noise
from engine.request import Request, Status
from engine.sampling import GumbelSampler, logprobs_of
from engine.seams import Draft, Drafter, Model, Plan, Sampled, Scheduled, Verifier
from engine.speculate import context_at
from engine.transfer import Download, upload
from engine.verify import CoupledVerifier, SpeculationStats


@dataclass
class Verified:
    """What a verification decided: the accepted nodes, and all tokens that it emits."""

    request: Request
    life: int  # the request's preemptions when it was launched
    draft: Draft
    accepted: list[int]
    tokens: list[int]
    logprobs: list[dict[int, float] | None]


@dataclass
class Launched:
    """A step under way. `sampled.tokens` may not be computed yet."""

    requests: list[Request] = field(default_factory=list)
    where: dict[Request, int] = field(default_factory=dict)  # row of each request in `sampled`
    sampled: Sampled | None = None
    drawn: Download | None = None  # its tokens, on their way to the host
    verified: list[Verified] = field(default_factory=list)
    stashed: list[Request] = field(default_factory=list)
    prefilled: list[Request] = field(default_factory=list)
    tokens: int = 0


class Runner:
    """Owns no state but counters; models, caches and samplers are given. `expand` answers the sequences that sample from
    a request's logits: itself, or the forks of a request for several."""

    def __init__(
        self, model: Model, kv: PagedKV, sampler: GumbelSampler, drafter: Drafter | None = None,
        verifier: Verifier | None = None, expand: Callable[[Request], list[Request]] = lambda request: [request],
    ):  # fmt: skip
        self.expand = expand
        self.model, self.kv, self.sampler, self.drafter, self.verifier = model, kv, sampler, drafter, verifier
        own: PagedKV | None = getattr(drafter, "kv", None)
        self.caches = [kv] if own is None else [kv, own]
        self.speculation = SpeculationStats()
        self.passes = self.tokens = self.copied = 0

    def move_pages(self, plan: Plan) -> None:
        """Swap out, copy, swap in, in this order: a page is saved before it is reused, and copied before it is filled."""
        for request in plan.preempted:
            if request.status is Status.SWAPPED and request.swapped is not None:
                pages = request.swapped
                request.swapped = [kv.swap_out(pages) for kv in self.caches]
        for kv in self.caches:
            kv.copy_pages(plan.copies)
        self.copied += len(plan.copies)
        for request in plan.resumed:
            if request.swapped is not None:
                for kv, saved in zip(self.caches, request.swapped, strict=True):
                    kv.swap_in(saved, request.table.pages[: saved[0]["k"].shape[0]])
                request.swapped = None

    def probe(self) -> None:
        """Raise what the device has to say, if anything: a GPU that has failed once answers nothing any more."""
        if self.kv.device.type == "cuda":
            torch.cuda.synchronize(self.kv.device)

    def launch(self, plan: Plan, before: Launched | None) -> Launched:
        """Compute a plan's rows and draw their tokens. `before` is the step still under way, if any."""
        step = Launched()
        if not plan.rows:
            return step
        drafts = self._propose(plan.rows)
        batch, ends = self._layout(plan.rows, drafts, before)
        hidden = self.model.forward(batch, self.kv)
        self.passes += 1
        step.tokens = int(batch.tokens.shape[0])
        self.tokens += step.tokens
        self._follow(plan.rows, drafts)

        picks: list[int] = []
        plain: list[Request] = []
        speculating: list[tuple[Request, Draft]] = []
        for row, draft, end in zip(plan.rows, drafts, ends, strict=True):
            request = row.request
            if draft.tokens:
                speculating.append((request, draft))
                continue
            request.computed += row.n_tokens
            if request.computed <= request.prompt_len:
                step.prefilled.append(request)
            if request.computed == len(request.tokens) + request.pending:
                picks.append(end - 1)
                plain.append(request)
        for (_, draft), end in zip(speculating, (e for d, e in zip(drafts, ends, strict=True) if d.tokens), strict=True):
            picks += range(end - 1 - len(draft.tokens), end)
        if picks:
            every = picks == list(range(step.tokens))
            logits = self.model.logits(hidden if every else hidden[upload(picks, torch.int64, hidden.device)])
            self._sample(step, logits[: len(plain)], plain)
            if speculating:
                self._verify(step, logits[len(plain) :], speculating)
        return step

    def _propose(self, rows: Sequence[Scheduled]) -> list[Draft]:
        drafts = [Draft() for _ in rows]
        wanted = [i for i, row in enumerate(rows) if row.n_draft]
        if self.drafter is not None and wanted:
            proposed = self.drafter.propose([rows[i].request for i in wanted], [rows[i].n_draft for i in wanted])
            for i, draft in zip(wanted, proposed, strict=True):
                drafts[i] = draft
        return drafts

    def _layout(self, rows: Sequence[Scheduled], drafts: Sequence[Draft], before: Launched | None) -> tuple[Batch, list[int]]:
        """The batch, with placeholders filled from the step under way, and where each row ends."""
        parts, ends, fill, source = [], [], [], []
        at = 0
        for (request, count, _), draft in zip(rows, drafts, strict=True):
            start = request.computed
            tokens = request.tokens[start : start + count]
            if len(tokens) < count:  # one placeholder: the token that the step under way draws
                fill.append(at + len(tokens))
                source.append(before.where[request] if before else 0)
                tokens = [*tokens, 0]
            parents = None if draft.is_chain else draft.parents
            parts.append(Row([*tokens, *draft.tokens], start, request.table.pages, parents, request.adapter))
            at += len(tokens) + len(draft.tokens)
            ends.append(at)
        batch = Batch.build(parts, self.kv.page_size, self.kv.device)
        if fill and before is not None and before.sampled is not None:
            index = upload([fill, source], torch.int64, batch.tokens.device)
            batch.tokens[index[0]] = before.sampled.tokens[index[1]]
        return batch, ends

    def _follow(self, rows: Sequence[Scheduled], drafts: Sequence[Draft]) -> None:
        """Show the drafter what the target computed without it, where its own cache is in step."""
        if self.drafter is None or len(self.caches) == 1:
            return
        parts = []
        for (request, count, _), draft in zip(rows, drafts, strict=True):
            end = request.computed + count
            # A prompt is followed to its last token: its pages may be forked, and then they are written no more.
            worth = count > 1 or request.computed < request.prompt_len
            if not draft.tokens and request.drafted == request.computed and end <= len(request.tokens) and worth:
                tokens = request.tokens[request.computed : end]
                parts.append(Row(tokens, request.computed, request.table.pages))
                request.drafted = end
        if parts:
            self.drafter.follow(Batch.build(parts, self.kv.page_size, self.kv.device))

    def _sample(self, step: Launched, logits: Tensor, plain: Sequence[Request]) -> None:
        """Set aside rows that wait for others (guidance, beams); fork what samples several times; draw the rest."""
        index: list[int] = []
        requests: list[Request] = []
        guided: list[Tensor] = []
        for row, request in enumerate(plain):
            if request.partner is None and request.params.beam_width is None:
                members = self.expand(request)
                index += [row] * len(members)
                requests += members
            else:
                request.stash = logits[row]
                step.stashed.append(request)
        for waiting in step.stashed:
            other = waiting.partner
            if other is None or waiting.stash is None or other.stash is None:
                continue
            main, shadow = (other, waiting) if waiting.shadow else (waiting, other)
            scale = main.params.guidance_scale
            guided.append(warpers.guide(main.stash[None], shadow.stash[None], scale))  # type: ignore[index]
            requests.append(main)
            main.stash = shadow.stash = None
        if requests:
            whole = not guided and index == list(range(len(plain)))
            rows = logits if whole else torch.cat([logits[upload(index, torch.int64, logits.device)], *guided])
            self._draw(step, rows, requests)

    def _draw(self, step: Launched, logits: Tensor, requests: list[Request]) -> None:
        """Draw one token per row and note the requests as pending."""
        noise = Noise.of([request.noise_key(SAMPLE) for request in requests], logits.device)
        step.sampled = self.sampler(logits, requests, noise)
        step.drawn = Download(step.sampled.tokens)
        step.requests = requests
        step.where = {request: row for row, request in enumerate(requests)}
        for request in requests:
            request.pending += 1
            request.blocked = request.stateful
            if request.partner is not None:
                request.partner.blocked = True

    def _verify(self, step: Launched, logits: Tensor, speculating: Sequence[tuple[Request, Draft]]) -> None:
        assert self.verifier is not None
        contexts = [context_at(r, draft, node) for r, draft in speculating for node in range(-1, len(draft.tokens))]
        laws = self.sampler.law(logits, contexts)
        stream = SAMPLE if isinstance(self.verifier, CoupledVerifier) else RESIDUAL
        at = 0
        for request, draft in speculating:
            rows = slice(at, at + 1 + len(draft.tokens))
            at = rows.stop
            depths = depths_of(draft)
            keys = [request.noise_key(stream, depth) for depth in (0, *(d + 1 for d in depths))]
            noise = Noise.of(keys, laws.device).gumbel(laws.shape[1], laws.dtype)
            u = Noise.of([request.noise_key(ACCEPT, d, node) for node, d in enumerate(depths)], laws.device).uniform()
            accepted, following = self.verifier(draft, laws[rows], u, noise)
            self.speculation.record(draft, accepted)
            tokens = [*(draft.tokens[node] for node in accepted), following]
            logprobs = self._logprobs(request, logits[rows], accepted, tokens)
            request.blocked = True
            step.verified.append(Verified(request, request.preemptions, draft, accepted, tokens, logprobs))

    def _logprobs(self, request: Request, logits: Tensor, accepted: list[int], tokens: list[int]) -> list[dict[int, float] | None]:
        rows = logits[[0, *(1 + node for node in accepted)]]
        return logprobs_of(rows, [request] * len(tokens), torch.tensor(tokens))


def depths_of(draft: Draft) -> list[int]:
    """Depth of each node; children of the root have 0."""
    depths: list[int] = []
    for parent in draft.parents:
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
    return depths
