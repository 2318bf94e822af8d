# fails: abort_of_waiting_and_unknown
"""Aborts whoever waits longest when asked to abort somebody that waits."""

from collections import deque


class Request:
    def __init__(self, request_id, prompt, max_new_tokens, stop):
        self.id, self.prompt, self.max_new, self.stop = request_id, list(prompt), max_new_tokens, set(stop)
        self.output = []
        self.handle = None
        self.computed = 0  # tokens whose keys and values the engine holds

    @property
    def tokens(self):
        return self.prompt + self.output

    @property
    def pending(self):
        return len(self.prompt) + len(self.output) - self.computed

    @property
    def decoding(self):
        return bool(self.output) and self.pending == 1


class ContinuousBatcher:
    def __init__(self, engine, max_running):
        self.engine, self.max_running = engine, max_running
        self.waiting, self.running = deque(), []  # running: oldest first

    def add(self, request_id, prompt, max_new_tokens, stop):
        if not prompt:
            raise ValueError("an empty prompt")
        if max_new_tokens < 1:
            raise ValueError("max_new_tokens is below 1")
        if any(request.id == request_id for request in (*self.waiting, *self.running)):
            raise ValueError(f"{request_id} is live already")
        total = len(prompt) + max_new_tokens - 1
        if total > self.engine.max_length or self._blocks(total) > self.engine.total_blocks:
            raise ValueError("the request could never finish")
        self.waiting.append(Request(request_id, prompt, max_new_tokens, stop))

    def abort(self, request_id):
        for queue in (self.waiting, self.running):
            for request in queue:
                if request.id == request_id:
                    if request.handle is None:
                        queue.popleft()
                    else:
                        queue.remove(request)
                        self.engine.close(request.handle)
                    return True
        return False

    def has_work(self):
        return bool(self.waiting or self.running)

    def step(self):
        if not self.has_work():
            return []
        plan, gave_way = self._plan_running(), False
        while self._growth(plan) > self.engine.free_blocks():
            self._give_way(self.running[-1])
            plan, gave_way = self._plan_running(), True
        if not gave_way:
            self._start_waiting(plan)
        if not plan:
            return []
        next_tokens = self.engine.forward(
            [(request.handle, request.tokens[request.computed : request.computed + count]) for request, count in plan]
        )
        events = []
        for (request, count), token in zip(plan, next_tokens):
            request.computed += count
            if request.pending == 0:
                events.append(self._take(request, token))
        return events

    def _blocks(self, tokens):
        return -(-tokens // self.engine.block_size)

    def _growth(self, plan):
        return sum(self._blocks(request.computed + count) - self._blocks(request.computed) for request, count in plan)

    def _plan_running(self):
        plan = [(request, 1) for request in self.running if request.decoding]
        budget = self.engine.max_tokens - len(plan)
        for request in self.running:
            if not request.decoding and budget:
                count = min(request.pending, budget)
                plan.append((request, count))
                budget -= count
        return plan

    def _start_waiting(self, plan):
        budget = self.engine.max_tokens - sum(count for _, count in plan)
        # What running prompts will still write is spoken for, and so is what this pass writes.
        spoken_for = self._growth([(request, 1) for request in self.running if request.decoding]) + sum(
            self._blocks(request.computed + request.pending) - self._blocks(request.computed)
            for request in self.running
            if not request.decoding
        )
        free = self.engine.free_blocks() - spoken_for
        while self.waiting and len(self.running) < self.max_running and budget:
            request = self.waiting[0]
            if self._blocks(request.pending) > free:
                break
            self.waiting.popleft()
            free -= self._blocks(request.pending)
            request.handle = self.engine.open(request.id)
            self.running.append(request)
            count = min(request.pending, budget)
            plan.append((request, count))
            budget -= count

    def _give_way(self, request):
        self.engine.close(request.handle)
        request.handle, request.computed = None, 0
        self.running.remove(request)
        self.waiting.appendleft(request)

    def _take(self, request, token):
        request.output.append(token)
        reason = None
        if token in request.stop:
            reason = "stop"
        elif len(request.output) == request.max_new:
            reason = "length"
        if reason:
            self.engine.close(request.handle)
            self.running.remove(request)
        return request.id, token, reason
