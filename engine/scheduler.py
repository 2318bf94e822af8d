"""Continuous batching: what every step computes. It knows tokens and pages, never tensors.

One rule covers prefill, chunked prefill, decoding and recomputation: a request has known tokens and computed tokens, and
a step computes some of the difference. Running requests come first, most urgent first, and each of them gets at least
one token per step; what is left of the budget goes to prefill chunks and admissions, in the same step.

Urgency is priority, lowered by waiting, then order of arrival. The most urgent request is never preempted, and no
request is admitted past a more urgent one: so the oldest always ends, and nobody starves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import OutOfPages, PageError, PromptTooLong, QueueFull, RequestError
from engine.pages import Pool
from engine.request import Request, Status
from engine.seams import Plan, Scheduled


@dataclass(frozen=True)
class Limits:
    """Bounds of a step and of the queue."""

    max_batch_tokens: int = 2048
    max_running: int = 64
    max_waiting: int = 100_000
    max_length: int = 4096  # positions of the model
    chunk: int | None = None  # largest prefill chunk of one request; None: the budget
    preemption: Literal["recompute", "swap"] = "recompute"
    swap_pages: int = 1 << 30  # host pages for swapping; past them a victim is recomputed
    ageing: int = 256  # steps of waiting that make up for one unit of priority

    def __post_init__(self) -> None:
        if min(self.max_running, self.max_waiting, self.ageing, self.chunk or 1) < 1:
            raise RequestError("limits must be positive")
        if self.max_batch_tokens < self.max_running:
            raise RequestError(
                f"max_batch_tokens = {self.max_batch_tokens} must be at least max_running = {self.max_running}: "
                "every running request computes a token in every step"
            )


class FairScheduler:
    """See `engine.seams.Scheduler`. `draft_tokens` is what a drafter may propose per request and step; a drafter with
    `drafts_share_pages` keeps keys and values of its own under the same page numbers."""

    def __init__(self, pool: Pool, limits: Limits, draft_tokens: int = 0, drafts_share_pages: bool = False):
        self.pool, self.limits, self.draft_tokens = pool, limits, draft_tokens
        self.drafts_share_pages = drafts_share_pages
        self.waiting: list[Request] = []
        self.running: list[Request] = []
        self.steps = 0
        self.preemptions = 0
        self.swapped_pages = 0
        self._blocked_at: tuple[Request, int] | None = None  # admission that failed, and the pages there were

    def add(self, request: Request) -> None:
        """Queue a request. PromptTooLong when it could never fit, QueueFull past the admission limit."""
        if len(self.waiting) >= self.limits.max_waiting:
            raise QueueFull(f"{len(self.waiting)} requests wait already; try again later")
        self.check(request)
        request.born = self.steps
        self.waiting.append(request)

    def check(self, request: Request) -> None:
        prompt, most = request.prompt_len, self.limits.max_length
        if prompt + 1 > most:
            raise PromptTooLong(f"the prompt has {prompt} tokens; the model has {most} positions, one is for the answer")
        width = request.group.width if request.group else 1
        if width > self.limits.max_running:
            raise RequestError(f"{width} sequences in one request, but max_running = {self.limits.max_running}")
        if request.partner is not None:  # a guided pair: neither goes on without the other
            need = sum(self.pool.pages_for(min(half.prompt_len + half.params.max_tokens, most)) for half in (request, request.partner))
        else:
            whole = prompt // self.pool.page_size if width > 1 else 0
            need = whole + width * (self.pool.pages_for(min(prompt + request.params.max_tokens, most)) - whole)
        total = self.pool.allocator.n_pages
        if need > total:
            raise PromptTooLong(
                f"prompt of {prompt} tokens with max_tokens = {request.params.max_tokens} needs up to {need} pages of "
                f"{self.pool.page_size}, but the pool has {total}"
            )

    def abort(self, request: Request) -> None:
        self.done(request)

    def done(self, request: Request) -> None:
        """Release all that the request holds. What it computed stays findable in the cache."""
        if request in self.running:
            self.running.remove(request)
        if request in self.waiting:
            self.waiting.remove(request)
        self._drop_swap(request)
        self._release(request)
        request.status = Status.FINISHED

    def clear(self) -> None:
        """End all requests and empty the prefix cache: every page is free again. PageError when one is lost."""
        for request in [*self.running, *self.waiting]:
            request.swapped = request.stash = None
            request.table.release(self.pool)
            request.status = Status.FINISHED
        self.running, self.waiting, self.swapped_pages, self._blocked_at = [], [], 0, None
        if self.pool.cache is not None:
            self.pool.cache.evict(self.pool.cache.evictable)
        lost = self.pool.allocator.n_pages - self.pool.allocator.free_count
        if lost:
            raise PageError(f"{lost} pages have no owner")

    def room(self, prompt: int, width: int = 1, pair: bool = False) -> int:
        """Tokens that `check` allows behind a prompt of so many, for `width` sequences (of a guided `pair`, each with a prompt of its own)."""
        whole = prompt // self.pool.page_size if width > 1 and not pair else 0
        pages = whole + (self.pool.allocator.n_pages - whole) // width
        return min(self.limits.max_length, pages * self.pool.page_size) - prompt

    def fork(self, request: Request, child: Request) -> None:
        """`child` starts with the pages of `request` and runs at once."""
        child.table = request.table.fork(self.pool)
        child.computed, child.drafted, child.born = request.computed, request.drafted, request.born
        child.status = Status.RUNNING
        self.running.append(child)

    def forget_swap(self, request: Request) -> None:
        """Drop a swapped request's host pages; it will be recomputed."""
        self._drop_swap(request)
        request.status, request.computed, request.drafted = Status.WAITING, 0, 0

    @property
    def idle(self) -> bool:
        return not self.running and not self.waiting

    def plan(self) -> Plan:
        self.steps += 1
        plan = Plan()
        budget = self._plan_running(plan, self.limits.max_batch_tokens)
        if not plan.preempted:
            self._admit(plan, budget)
        if not plan.rows and not any(r.pending or r.blocked for r in self.running):
            self._unstick(plan)
        return plan

    def _urgency(self, request: Request) -> tuple[float, int, int]:
        return (request.priority - (self.steps - request.born) // self.limits.ageing, request.arrival, request.index)

    def _plan_running(self, plan: Plan, budget: int) -> int:
        queue = sorted(self.running, key=self._urgency)
        left = sum(1 for request in queue if request.wanted)
        at = 0
        while at < len(queue):
            request = queue[at]
            wanted = request.wanted
            if not wanted:
                at += 1
                continue
            most = budget - (left - 1)  # the others get at least one each
            tokens = min(wanted, most, self.limits.chunk or most)
            draft = self._draft(request, most - tokens) if request.decoding else 0
            if not self._reserve(plan, request, tokens, draft):
                draft = 0
                if not self._reserve(plan, request, tokens, draft):
                    victim = queue.pop()
                    left -= bool(victim.wanted)
                    self._preempt(plan, victim)
                    continue
            plan.rows.append(Scheduled(request, tokens, draft))
            budget -= tokens + draft
            left -= 1
            at += 1
        return budget

    def _draft(self, request: Request, budget: int) -> int:
        p = request.params
        if not self.draft_tokens or request.pending or request.partner or p.beam_width or p.mirostat_tau is not None:
            return 0
        if request.shadow or (p.n > 1 and request.group is not None and not request.group.forked):
            return 0
        ends = min(p.max_tokens - request.output_len - 1, self.limits.max_length - len(request.tokens) - 1)
        return max(0, min(self.draft_tokens, budget, ends))

    def _reserve(self, plan: Plan, request: Request, tokens: int, draft: int) -> bool:
        try:
            plan.copies += request.table.reserve(self.pool, request.computed, request.computed + tokens + draft)
        except OutOfPages:
            return False
        return True

    def _admit(self, plan: Plan, budget: int) -> None:
        self.waiting.sort(key=self._urgency)
        # An unforked group counts with its full width, so that its forks never exceed the limit.
        taken = sum(self._weight(request) for request in self.running)
        # Whoever has its logits and waits for its partners needs no pages until those have theirs.
        for request in [request for request in self.waiting if request.stash is None]:
            if budget <= 0:
                return
            if taken + self._weight(request) > self.limits.max_running:
                return
            if self._blocked_at == (request, self.pool.available):
                return
            tokens = self._enter(plan, request, budget)
            if tokens is None:
                self._blocked_at = (request, self.pool.available)
                return
            self._blocked_at = None
            self.waiting.remove(request)
            self.running.append(request)
            request.status = Status.RUNNING
            taken += self._weight(request)
            if tokens:
                plan.rows.append(Scheduled(request, tokens))
            budget -= tokens

    @staticmethod
    def _weight(request: Request) -> int:
        group = request.group
        return group.width if group is not None and not group.forked and request.partner is None else 1

    def _enter(self, plan: Plan, request: Request, budget: int) -> int | None:
        """Give a waiting request its pages; how many tokens it computes now, or None when the pool is too full."""
        total = len(request.tokens) + request.pending
        if request.swapped is not None:
            return self._resume(plan, request, total, budget)
        hit = 0
        if self.pool.cache is not None:
            # The last token is always computed, even when its page is cached: its logits are wanted.
            request.table.pages, hit = self.pool.cache.match(request.tokens[: total - 1], request.key)
        tokens = min(total - hit, budget, self.limits.chunk or budget)
        # Room for the whole prompt, not only for this chunk: else half-computed prompts would preempt each other.
        room = self.pool.pages_for(total) - len(request.table.pages) <= self.pool.available
        request.computed = request.drafted = hit
        if not (room or not self.running) or not self._reserve(plan, request, tokens, 0):
            request.table.release(self.pool)
            request.computed = request.drafted = 0
            if self.pool.cache is not None:
                self.pool.cache.uncount(total - 1, hit)
            return None
        if not request.preemptions:
            request.cached = hit
        return tokens

    def _resume(self, plan: Plan, request: Request, total: int, budget: int) -> int | None:
        """Pages for what was swapped out, and for the next tokens (none when it only waits for a partner)."""
        tokens = min(total - request.computed, budget, self.limits.chunk or budget)
        pages = self.pool.pages_for(request.computed)
        if self.pool.pages_for(total) > self.pool.available:
            return None
        request.table.pages = self.pool.alloc(pages)
        self._reserve(plan, request, tokens, 0)  # of the pages counted above
        plan.resumed.append(request)
        self.swapped_pages -= pages
        return tokens

    def _preempt(self, plan: Plan, request: Request) -> None:
        """Take back a request's pages. The engine copies a swapped one's pages to the host before they are reused."""
        self.running.remove(request)
        request.preemptions += 1
        self.preemptions += 1
        pages = self.pool.pages_for(request.computed)
        swap = self.limits.preemption == "swap" and self.swapped_pages + pages <= self.limits.swap_pages
        if swap and request.computed:
            request.status = Status.SWAPPED
            request.swapped = request.table.pages[:pages]
            self.swapped_pages += pages
            request.table.release(self.pool)
        else:
            request.status = Status.WAITING
            self._release(request)
            request.computed = request.drafted = 0
        plan.preempted.append(request)
        self.waiting.append(request)
        self._blocked_at = None

    def _unstick(self, plan: Plan) -> None:
        """Running requests all wait for one that can't be admitted: the least urgent of them makes room."""
        if self.running and self.waiting:
            self._preempt(plan, max(self.running, key=self._urgency))

    def publish(self, request: Request) -> None:
        """Enter what the request has computed (in the draft model's cache too, when there is one) into the cache."""
        if self.pool.cache is not None and request.table.pages:
            known = min(request.computed, len(request.tokens))
            if self.drafts_share_pages:
                known = min(known, request.drafted)
            pages = self.pool.cache.insert(request.tokens[:known], request.table.pages, request.key)
            request.table.adopt(self.pool, pages, [member.table for member in request.group.members] if request.group else ())

    def _release(self, request: Request) -> None:
        self.publish(request)
        request.table.release(self.pool)

    def _drop_swap(self, request: Request) -> None:
        if request.swapped is not None:
            self.swapped_pages -= self.pool.pages_for(request.computed)
            request.swapped = None
