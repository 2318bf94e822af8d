"""What decides. Each group asks one question, so that a fault shows in the group that names it."""

from dataclasses import dataclass, field

from sandbox import checks
from sandbox.oracle import greedy, prompt
from sandbox.testing import test


@dataclass
class Job:
    """A request, the tokens that it must yield, and what it did."""

    id: str
    prompt: list
    expected: list
    stop: list = field(default_factory=list)
    events: list = field(default_factory=list)  # (step, token, reason)

    @property
    def tokens(self):
        return [token for _, token, _ in self.events]


class Run:
    """A batcher with its jobs; keeps every event with the step that brought it."""

    def __init__(self, sut, bench, max_running, **engine):
        self.rng = bench.rng
        self.engine = bench.engine(**engine)
        self.batcher = sut.new("ContinuousBatcher", self.engine, max_running)
        self.jobs, self.steps, self.on_step = {}, 0, None

    def add(self, length, new, name=None):
        job = Job(name or f"r{len(self.jobs)}", *prompt(self.rng, length, new))
        self.batcher.add(job.id, job.prompt, new, [])
        self.jobs[job.id] = job
        return job

    def step(self):
        events = self.batcher.step()
        checks.that(isinstance(events, list), "form", "step returns a list")
        for event in events:
            well = isinstance(event, (tuple, list)) and len(event) == 3 and type(event[0]) is str and type(event[1]) is int
            checks.that(well and event[2] in (None, "stop", "length"), "form", "an event is (id, token, reason)")
            checks.that(event[0] in self.jobs, "state", "an event of a request that is not live")
            self.jobs[event[0]].events.append((self.steps, event[1], event[2]))
        self.steps += 1
        if self.on_step:
            self.on_step(self, events)
        return events

    def finish(self, limit=300):
        while self.working():
            checks.that(self.steps < limit, "state", "the batcher never comes to an end")
            self.step()
        return self

    def working(self):
        answer = self.batcher.has_work()
        checks.that(type(answer) is bool, "form", "has_work returns a bool")
        return answer

    def check_tokens(self, *names):
        for name, job in self.jobs.items():
            if not names or name in names:
                checks.equal(job.tokens, job.expected, "tokens differ from a solo run")
                reasons = [reason for _, _, reason in job.events]
                checks.equal(reasons, [None] * (len(job.expected) - 1) + ["length"], "finish reasons")


# correctness ---------------------------------------------------------------------------------------------------------


@test("correctness", points=2)
def matches_solo_runs(sut, bench):
    """Requests that share passes yield the tokens that they yield alone."""
    run = Run(sut, bench, 8, blocks=40, max_tokens=200)
    for length in (1, 15, 16, 17, 32):
        run.add(length, bench.rng.randrange(2, 12))
    run.step()
    for length in (5, 33):
        run.add(length, bench.rng.randrange(2, 12))
    run.finish().check_tokens()


@test("correctness", points=2)
def prefill_in_chunks_of_any_size(sut, bench):
    """A prompt that takes several passes gives the same tokens, and none before its last chunk."""
    for budget in (bench.rng.choice((3, 5, 7)), 16):
        run = Run(sut, bench, 3, blocks=40, max_tokens=budget)
        for length in (bench.rng.randrange(17, 30), 32, 3):
            run.add(length, 4)
        run.finish().check_tokens()


# admission -----------------------------------------------------------------------------------------------------------


@test("admission", points=2)
def starts_in_order_of_arrival(sut, bench):
    """A big request at the head of the queue is not overtaken by small ones behind it."""
    run = Run(sut, bench, 4, blocks=6, max_tokens=64)
    run.add(34, 10)  # three blocks
    run.step()
    for length in (60, 4, 5):  # the first of these has to wait for blocks
        run.add(length, 3)
    run.finish()
    firsts = [job.events[0][0] if job.events else -1 for job in run.jobs.values()]
    checks.that(firsts == sorted(firsts), "order", "requests started out of order", actual=firsts)


@test("admission", points=2)
def limits_the_running_set(sut, bench):
    """Never more than max_running requests have an open sequence."""
    run = Run(sut, bench, 3, blocks=60, max_tokens=64)
    run.on_step = lambda run, _: checks.that(run.engine.sequences <= 3, "state", "too many requests run")
    for _ in range(7):
        run.add(bench.rng.randrange(3, 20), bench.rng.randrange(3, 9))
    run.finish()
    checks.that(run.engine.count.peak_open <= 3, "state", "too many requests run")


# budget --------------------------------------------------------------------------------------------------------------


@test("budget", points=2)
def fills_the_budget(sut, bench):
    """While prompts wait, a pass computes exactly max_tokens tokens."""
    budget = bench.rng.randrange(18, 30)
    run = Run(sut, bench, 12, blocks=80, max_tokens=budget)
    lengths = [bench.rng.randrange(10, 17) for _ in range(8)]
    for length in lengths:
        run.add(length, 12)
    for _ in range(sum(lengths) // budget):
        before = run.engine.count.tokens
        run.step()
        checks.equal(run.engine.count.tokens - before, budget, "tokens of a pass while prompts wait", reason="budget")


@test("budget", points=2)
def never_passes_the_budget(sut, bench):
    """No pass is refused for too many tokens, whatever the mix of prompts and decoding."""
    budget = bench.rng.randrange(9, 14)
    run = Run(sut, bench, 6, blocks=80, max_tokens=budget)
    for _ in range(9):
        run.add(bench.rng.randrange(1, 40), bench.rng.randrange(1, 8))
    run.finish()
    checks.equal(run.engine.count.refused, 0, "calls that the engine refused", reason="budget")


# fairness ------------------------------------------------------------------------------------------------------------


@test("fairness", points=2)
def decoding_never_stalls(sut, bench):
    """A request that decodes gets a token in every step, while long prompts keep arriving."""
    run = Run(sut, bench, 5, blocks=80, max_tokens=16)
    first = run.add(6, 20)
    while len(first.events) < 20:
        checks.that(run.steps < 25, "order", "a decoding request stalls")
        if run.steps % 4 == 1:
            run.add(bench.rng.randrange(40, 60), 3)
        run.step()
    steps = [step for step, _, _ in first.events]
    checks.equal(steps, list(range(steps[0], steps[0] + 20)), "the steps that brought a token", reason="order")


@test("fairness", points=2, flight=True)
def preempts_the_youngest(sut, bench):
    """When blocks run out, the youngest gives way: the oldest gets a token in every step until it ends."""
    run = Run(sut, bench, 4, blocks=6, max_tokens=64)
    oldest = run.add(15, 34)
    for _ in range(3):
        run.add(15, 30)
    run.finish()
    steps = [step for step, _, _ in oldest.events]
    checks.equal(steps, list(range(34)), "the steps that brought the oldest request a token", reason="order")


# abort ---------------------------------------------------------------------------------------------------------------


@test("abort", points=2)
def abort_frees_blocks_at_once(sut, bench):
    """Aborting frees the blocks of a decoding request and of a half-computed prompt before it returns."""
    run = Run(sut, bench, 4, blocks=40, max_tokens=24)
    run.add(10, 20)
    run.step()
    run.add(60, 5)
    run.step()  # the second prompt is half computed
    for name, held in (("r1", 1), ("r0", 0)):
        checks.equal(run.batcher.abort(name), True, "abort of a running request", reason="state")
        checks.equal(run.engine.held, held, "blocks held after an abort", reason="state")


@test("abort", points=1)
def abort_of_waiting_and_unknown(sut, bench):
    """A waiting request can be aborted; an unknown, an aborted and a finished one can't."""
    run = Run(sut, bench, 4, blocks=2, max_tokens=24)
    run.add(20, 3)  # takes both blocks, so that the next one waits
    run.add(10, 3)
    run.step()
    for name, known in (("r1", True), ("r1", False), ("nobody", False)):
        checks.equal(run.batcher.abort(name), known, f"abort of {name}", reason="state")
    run.finish()
    checks.equal(run.jobs["r1"].events, [], "events of an aborted request", reason="state")
    checks.equal(run.batcher.abort("r0"), False, "abort of a finished request", reason="state")


@test("abort", points=1)
def abort_leaves_the_others_alone(sut, bench):
    """The requests that stay yield what they would have yielded, and nothing more comes from the one that left."""
    run = Run(sut, bench, 4, blocks=40, max_tokens=64)
    for _ in range(4):
        run.add(bench.rng.randrange(3, 20), 6)
    run.step()
    run.step()
    gone = run.jobs["r1"]
    run.batcher.abort("r1")
    seen = len(gone.events)
    run.finish()
    checks.equal(len(gone.events), seen, "events after the abort", reason="state")
    run.check_tokens("r0", "r2", "r3")


# edge-cases ----------------------------------------------------------------------------------------------------------


@test("edge-cases", points=1)
def survives_a_pool_of_minimum_size(sut, bench):
    """Requests that need the whole pool, one after the other, all end."""
    run = Run(sut, bench, 4, blocks=3, max_tokens=64)
    for length in (30, 20):
        run.add(length, 49 - length)  # grows until it fills the last block
    run.finish(limit=90).check_tokens()
    checks.equal(run.engine.count.preemptions, 0, "a request that runs alone gave way", reason="state")


@test("edge-cases", points=1)
def preempted_requests_continue(sut, bench):
    """A request that gave way goes on where it was: the same tokens, none twice."""
    run = Run(sut, bench, 4, blocks=7, max_tokens=64)
    for _ in range(3):
        run.add(bench.rng.randrange(12, 17), 28)
    run.finish().check_tokens()
    checks.that(run.engine.count.preemptions > 0, "state", "nobody gave way, although the pool was too small")
    checks.equal(run.engine.held, 0, "blocks held at the end", reason="state")


@test("edge-cases", points=1)
def stops_where_it_must(sut, bench):
    """Any of the stop tokens ends a request, at the first token too; so does max_new_tokens = 1."""
    run = Run(sut, bench, 8, blocks=40, max_tokens=64)
    for name, length, new, at in (("length", 5, 1, None), ("first", 6, 9, 0), ("second", 7, 9, 1)):
        tokens, made = prompt(bench.rng, length, 9)
        other = next(token for token in range(run.engine.vocab_size) if token not in made)
        stop = [] if at is None else [other, made[at]]
        expected, _ = greedy(tokens, new, stop)
        run.jobs[name] = Job(name, tokens, expected, stop)
        run.batcher.add(name, tokens, new, stop)
    run.finish()
    for name, job in run.jobs.items():
        checks.equal(job.tokens, job.expected, "tokens up to the stop")
        checks.equal(job.events[-1][2], "length" if name == "length" else "stop", "the finish reason")


@test("edge-cases", points=1)
def refuses_what_can_never_run(sut, bench):
    """add refuses what could never finish, and what it refuses leaves no trace."""
    run = Run(sut, bench, 4, blocks=4, max_tokens=64, max_length=60)
    run.add(10, 3)
    ones = [1] * 70
    refused = (("x", [], 3), ("x", ones[:5], 0), ("x", ones[:57], 5), ("x", ones[:61], 1), ("r0", ones[:5], 3))
    for name, tokens, new in refused:
        with checks.raises("ValueError", "a request that can't be"):
            run.batcher.add(name, tokens, new, [])
    run.add(56, 5)  # exactly as long as allowed
    run.finish().check_tokens()


# efficiency ----------------------------------------------------------------------------------------------------------


@test("efficiency", points=2)
def computes_every_token_once(sut, bench):
    """Without preemption, each request computes its prompt and all its tokens but the last, once."""
    run = Run(sut, bench, 4, blocks=60, max_tokens=20)
    for length in (40, 50, 37):
        run.add(length, 5)
    run.finish()
    expected = sum(len(job.prompt) + len(job.expected) - 1 for job in run.jobs.values())
    checks.equal(run.engine.count.tokens, expected, "tokens computed", reason="budget")
    checks.equal(run.engine.held, 0, "blocks held at the end", reason="state")


@test("efficiency", points=2)
def needs_no_extra_passes(sut, bench):
    """A place that becomes free is taken in the next pass: the number of passes is the least that the rules allow."""
    run = Run(sut, bench, 3, blocks=60, max_tokens=128)
    news = [bench.rng.randrange(2, 14) for _ in range(9)]
    for new in news:
        run.add(bench.rng.randrange(4, 20), new)
    run.finish()
    ends = [0, 0, 0]  # the pass after which each place is free
    for new in news:
        ends[ends.index(min(ends))] += new
    passes = run.engine.count.forwards
    checks.that(passes <= max(ends), "budget", "too many forward passes", expected=max(ends), actual=passes)
