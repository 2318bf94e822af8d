# fails: decoding_never_stalls
from collections import deque


class Request:
    def __init__(self, request_id, prompt, max_new_tokens, stop):
        self.id, self.tokens, self.prompt_length = request_id, list(prompt), len(prompt)
        self.limit, self.stop = max_new_tokens, set(stop)
        self.handle, self.fed = None, 0

    @property
    def decoding(self):
        return self.fed == len(self.tokens) - 1 and len(self.tokens) > self.prompt_length

    @property
    def left(self):
        """Tokens to compute before the next one comes out."""
        return len(self.tokens) - self.fed


class ContinuousBatcher:
    def __init__(self, engine, max_running):
        self.engine, self.max_running = engine, max_running
        self.waiting, self.running = deque(), []  # both in order of arrival, and whoever runs came before whoever waits
        self.free = 0

    def blocks(self, tokens):
        return -(-tokens // self.engine.block_size)

    def add(self, request_id, prompt, max_new_tokens, stop):
        longest = len(prompt) + max_new_tokens - 1
        if not prompt or max_new_tokens < 1:
            raise ValueError("a request needs a prompt and at least one new token")
        if longest > self.engine.max_length or self.blocks(longest) > self.engine.total_blocks:
            raise ValueError(f"a request of {longest} tokens could never finish")
        if any(request.id == request_id for request in (*self.waiting, *self.running)):
            raise ValueError(f"request {request_id} is already here")
        self.waiting.append(Request(request_id, prompt, max_new_tokens, stop))

    def abort(self, request_id):
        for request in self.waiting:
            if request.id == request_id:
                self.waiting.remove(request)
                return True
        for request in self.running:
            if request.id == request_id:
                self.retire(request)
                return True
        return False

    def has_work(self):
        return bool(self.waiting or self.running)

    def step(self):
        plan = self.plan()
        if not plan:
            return []
        following = self.engine.forward([(request.handle, tokens) for request, tokens in plan])
        events = []
        for (request, tokens), token in zip(plan, following):
            request.fed += len(tokens)
            if request.left:
                continue  # an unfinished prompt: the token after it means nothing
            request.tokens.append(token)
            reason = None
            if token in request.stop:
                reason = "stop"
            elif len(request.tokens) - request.prompt_length == request.limit:
                reason = "length"
            if reason:
                self.retire(request)
            events.append((request.id, token, reason))
        return events

    def plan(self):
        """[(request, tokens to feed)]; blocks and budget suffice for it."""
        self.free, budget = self.engine.free_blocks(), self.engine.max_tokens
        plan = []
        for request in list(self.running):
            if request in self.running and not request.decoding and budget:
                chunk = min(budget, request.left)
                if self.take(request, chunk):
                    plan.append((request, request.tokens[request.fed : request.fed + chunk]))
                    budget -= chunk
        for request in list(self.running):
            if request.decoding and budget and request in self.running and self.take(request, 1):
                plan.append((request, request.tokens[request.fed :]))
                budget -= 1
        while self.waiting and budget and len(self.running) < self.max_running:
            request = self.waiting[0]
            promised = sum(self.missing(other, other.left) for other in self.running if other not in [r for r, _ in plan])
            promised += sum(self.missing(other, other.left) - self.missing(other, len(tokens)) for other, tokens in plan)
            if self.blocks(request.left) > self.free - promised:
                break
            self.waiting.popleft()
            request.handle = self.engine.open(request.id)
            self.running.append(request)
            chunk = min(budget, request.left)
            self.take(request, chunk)
            plan.append((request, request.tokens[:chunk]))
            budget -= chunk
        return plan

    def missing(self, request, tokens):
        """Blocks that feeding `tokens` more would take."""
        return self.blocks(request.fed + tokens) - self.blocks(request.fed)

    def take(self, request, tokens):
        """Sets blocks aside for feeding `tokens`; the youngest give way. False when `request` itself had to."""
        while self.missing(request, tokens) > self.free:
            victim = self.running[-1]
            self.preempt(victim)
            if victim is request:
                return False
        self.free -= self.missing(request, tokens)
        return True

    def preempt(self, request):
        self.free += self.blocks(request.fed)
        self.retire(request)
        request.fed = 0
        self.waiting.appendleft(request)

    def retire(self, request):
        self.running.remove(request)
        self.engine.close(request.handle)
        request.handle = None
