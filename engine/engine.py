"""The loop that joins the seams. One call of `step` plans, launches, and collects what an earlier step has drawn."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.beam import Beams
from engine.errors import EngineBroken, RequestError
from engine.outputs import Ending, output_of
from engine.params import RequestOutput
from engine.request import Group, Request, Status
from engine.runner import Launched, Runner, Verified
from engine.scheduler import FairScheduler


@dataclass
class Flight:
    """One step as it was flown, for timelines: per request the tokens computed, and what was drafted and accepted."""

    step: int
    requests: list[dict[str, Any]] = field(default_factory=list)
    pages_used: int = 0
    pages_free: int = 0
    hits: int = 0
    preempted: list[str] = field(default_factory=list)


class Engine:
    """`overlap` steps may be under way while the next is planned: 0 = collect at once, 1 = the host runs one ahead."""

    def __init__(
        self, scheduler: FairScheduler, runner: Runner, ending: Ending, overlap: int = 0,
        decode: Callable[[Sequence[int]], str] = lambda tokens: "",
        equip: Callable[[Request], None] = lambda request: None,
    ):  # fmt: skip
        self.scheduler, self.runner, self.ending, self.overlap = scheduler, runner, ending, overlap
        self.decode = decode
        self.equip = equip  # gives a new request its detokenizer and its grammar
        self.runner.expand = self._expand
        self.groups: dict[str, Group] = {}
        self.arrivals = 0
        self.flights: list[Flight] | None = None  # set to [] to record
        self._under_way: deque[Launched] = deque()
        self._seen: dict[str, int] = {}

    def add(self, group: Group, requests: Sequence[Request]) -> None:
        """Queue a group's first requests. An error leaves no trace of it."""
        if group.id in self.groups:
            raise RequestError(f"request id {group.id!r} is in use")
        added = []
        try:
            for request in requests:
                request.arrival = self.arrivals
                if not request.shadow:
                    self.equip(request)
                self.scheduler.add(request)
                added.append(request)
        except Exception:
            for request in added:
                self.scheduler.abort(request)
            raise
        self.arrivals += 1
        self.groups[group.id] = group

    def abort(self, group_id: str) -> bool:
        """End a group now and release its pages; False when there is no such group."""
        group = self.groups.get(group_id)
        if group is None:
            return False
        for member in list(group.members):
            if not member.finished:
                self.ending.end(member, "abort")
                self._release(member)
        group.ended = time.perf_counter()
        return True

    @property
    def idle(self) -> bool:
        return not self.groups and not self._under_way

    def step(self) -> list[RequestOutput]:
        """One step; the groups that have new tokens or have ended.

        Where a step raises, all requests end: the next step reports them with the error, and the engine goes on. EngineBroken when it can't.
        """
        try:
            return self._step()
        except BaseException as error:
            self._fail(error)
            raise

    def _step(self) -> list[RequestOutput]:
        plan = self.scheduler.plan()
        self.runner.move_pages(plan)
        launched = self.runner.launch(plan, self._under_way[-1] if self._under_way else None)
        if self.flights is not None:
            self._record(plan, launched)
        if plan.rows:
            self._under_way.append(launched)
        changed: dict[str, Group] = {}
        while self._under_way and (len(self._under_way) > self.overlap or not plan.rows):
            self._collect(self._under_way.popleft(), changed)
        for group in [g for g in self.groups.values() if g.finished]:  # aborted ones included
            changed[group.id] = group
        return [self._report(group) for group in changed.values()]

    def _fail(self, error: BaseException) -> None:
        """What a step that broke off has done can't be told from what it has not: nobody goes on, and no page keeps what is in it."""
        self._under_way.clear()
        try:
            for group in self.groups.values():
                if not group.finished:
                    group.error = f"the step that computed it failed: {error!r}"
                for member in group.members:
                    if not member.finished:
                        self.ending.end(member, "error", group.error)
            self.scheduler.clear()
            for group in self.groups.values():
                for member in group.members:
                    member.status = Status.FINISHED
            self.runner.probe()
        except Exception as second:
            raise EngineBroken(f"a step failed ({error!r}), and then its requests could not be ended ({second!r}): start the engine anew") from error

    def _collect(self, step: Launched, changed: dict[str, Group]) -> None:
        """Read a step's tokens and let them take effect."""
        if step.sampled is not None and step.drawn is not None:
            for request, token, logprobs in zip(step.requests, step.drawn.read(), step.sampled.logprobs, strict=True):
                request.pending -= 1
                request.blocked = False
                if not request.finished:
                    self._take(request, [token], [logprobs], changed)
        for verified in step.verified:
            self._settle(verified, changed)
        for request in step.prefilled:
            if not request.finished:
                self.scheduler.publish(request)
        for group in {id(r.group): r.group for r in step.stashed if r.params.beam_width is not None}.values():
            if group is not None and not group.finished:
                self._beam(group, changed)

    def _take(
        self, request: Request, tokens: Sequence[int], logprobs: Sequence[dict[int, float] | None], changed: dict[str, Group]
    ) -> None:  # fmt: skip
        group = request.group
        assert group is not None
        now = time.perf_counter()
        group.first_token = group.first_token or now
        changed[group.id] = group
        partner = request.partner
        for token, entry in zip(tokens, logprobs, strict=True):
            ended = self.ending.append(request, token, entry)
            if partner is not None:
                partner.tokens.append(token)
                partner.blocked = False
            if ended:
                break
        else:
            known = request.output_len
            ended = self.ending.jump(request)
            if partner is not None:
                partner.tokens += request.output[known:]
        if ended:
            self._release(request)
            if group.finished:
                group.ended = now

    def _settle(self, verified: Verified, changed: dict[str, Group]) -> None:
        """Accept a verified draft: keep its keys and values, take its tokens, roll the rest back."""
        request, draft = verified.request, verified.draft
        request.blocked = False
        if request.finished:
            return
        pool, length = self.scheduler.pool, len(request.tokens)
        alive = request.preemptions == verified.life
        if alive and not draft.is_chain:
            size, pages = pool.page_size, request.table.pages
            slots = [pages[i // size] * size + i % size for i in range(length, length + len(draft.tokens))]
            self.runner.kv.move_slots([slots[node] for node in verified.accepted], slots[: len(verified.accepted)])
        if alive:
            request.computed = length + len(verified.accepted)
        request.drafted = min(request.drafted, length + (len(verified.accepted) if draft.is_chain else 0))
        self._take(request, verified.tokens, verified.logprobs, changed)
        if alive and not request.finished:
            request.table.truncate(pool, request.computed)

    def _expand(self, request: Request) -> list[Request]:
        """The members of a group that asks for several samples fork from its first, once its prompt is computed."""
        group = request.group
        if group is None or request.params.n == 1 or group.forked:
            return [request]
        group.forked = True
        for index in range(1, request.params.n):
            child = self.fork(request, index)
            child.seed = group.seed_of(index)
            group.members.append(child)
        return list(group.members)

    def fork(self, request: Request, index: int) -> Request:
        """A copy of a request's state on shared pages."""
        child = Request(
            id=f"{request.id}.{index}", tokens=list(request.tokens), prompt_len=request.prompt_len, params=request.params,
            seed=request.seed, arrival=request.arrival, priority=request.priority, key=request.key,
            adapter=request.adapter, group=request.group, index=index, mu=request.mu, cached=request.cached,
        )  # fmt: skip
        self.equip(child)
        self.scheduler.fork(request, child)
        return child

    def _beam(self, group: Group, changed: dict[str, Group]) -> None:
        if group.beams is None:
            group.beams = Beams(group, self)
        if group.beams.ready:
            group.first_token = group.first_token or time.perf_counter()
            group.beams.advance()
            group.forked = True
            changed[group.id] = group
            if group.finished:
                group.ended = time.perf_counter()

    def _release(self, request: Request) -> None:
        self.scheduler.done(request)
        request.stash = None
        if request.partner is not None and not request.partner.finished:
            self.scheduler.done(request.partner)

    def _report(self, group: Group) -> RequestOutput:
        output = output_of(group, self._seen)
        if group.finished:
            del self.groups[group.id]
            self._seen.pop(group.id, None)
        return output

    def _record(self, plan: Any, launched: Launched) -> None:
        pool = self.scheduler.pool
        flight = Flight(self.scheduler.steps, preempted=[r.id for r in plan.preempted])
        accepted = {v.request: (len(v.draft.tokens), len(v.accepted)) for v in launched.verified}
        for request, count, _ in plan.rows:
            drafted, kept = accepted.get(request, (0, 0))
            prefill = count if request.output_len == 0 else count - 1
            flight.requests.append({"id": request.id, "prefill": prefill, "decode": count - prefill, "drafted": drafted, "accepted": kept})
        flight.pages_free = pool.available
        flight.pages_used = pool.allocator.n_pages - pool.available
        flight.hits = pool.cache.stats().hit if pool.cache else 0
        assert self.flights is not None
        self.flights.append(flight)

    def stats(self) -> dict[str, Any]:
        """Counters since the start, for metrics and benches."""
        scheduler, runner, pool = self.scheduler, self.runner, self.scheduler.pool
        return {
            "steps": scheduler.steps,
            "passes": runner.passes,
            "tokens": runner.tokens,
            "pages_copied": runner.copied,
            "preemptions": scheduler.preemptions,
            "running": len(scheduler.running),
            "waiting": len(scheduler.waiting),
            "pages": pool.allocator.n_pages,
            "pages_available": pool.available,
            "cache": {**asdict(pool.cache.stats()), "hit_rate": pool.cache.stats().hit_rate} if pool.cache else None,
            "speculation": {
                **asdict(runner.speculation),
                "acceptance": runner.speculation.acceptance,
                "tokens_per_pass": runner.speculation.tokens_per_pass,
            },
        }
