"""What decides. Each group asks one question, so that a fault shows in the group that names it."""

import random
from dataclasses import dataclass, field

from sandbox import checks
from sandbox.oracle import greedy, prompt
from sandbox.testing import test

STORMS = (3, 11, 12, 16, 20)  # each shows faults that the others do not


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

    @property
    def steps(self):
        return [step for step, _, _ in self.events]

    @property
    def again(self):
        """The step of its first token after it gave way: one that decodes gets a token in every step. None if it never did."""
        return next((after for before, after in zip(self.steps, self.steps[1:], strict=False) if after > before + 1), None)


def ending(rng, length, at):
    """A prompt, its continuation up to token `at`, and stop tokens of which only that one is in it, as its last."""
    for _ in range(50):
        tokens, made = prompt(rng, length, at + 1)
        if made[at] not in made[:at]:
            return tokens, made, [next(token for token in range(768) if token not in made), made[at]]
    raise RuntimeError("no prompt with a clear end was found")


class Run:
    """A batcher with its jobs; keeps every event with the step that brought it."""

    def __init__(self, sut, bench, max_running, **engine):
        self.rng = bench.rng
        self.engine = bench.engine(**engine)
        self.batcher = sut.new("ContinuousBatcher", self.engine, max_running)
        self.jobs, self.steps, self.on_step = {}, 0, None

    def add(self, length, new, name=None, stop_at=None):
        """A request of `new` tokens, which with `stop_at` ends at that one, the second of its stop tokens."""
        job = Job(name or f"r{len(self.jobs)}", *(prompt(self.rng, length, new) if stop_at is None else ending(self.rng, length, stop_at)))
        self.batcher.add(job.id, job.prompt, new, job.stop)
        self.jobs[job.id] = job
        return job

    def step(self):
        events = self.batcher.step()
        checks.that(isinstance(events, list), "form", "step returns a list")
        checks.that(len(events) <= len(self.jobs), "form", "a step has one event for a request at most")
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
                checks.equal(reasons, [None] * (len(job.expected) - 1) + ["stop" if job.stop else "length"], "finish reasons")


@dataclass(eq=False)
class Turn:
    """A request as the rules see it: how many tokens it has yielded, and how many are computed, or None while it waits."""

    job: Job
    made: int = 0
    held: int | None = None

    @property
    def due(self):
        return len(self.job.prompt) + self.made - (self.held or 0)


class Rules:
    """What the brief's rules say of requests whose answers are known: who gets a token in each step, what is computed, what is held."""

    def __init__(self, engine, places):
        self.size, self.total, self.budget, self.places = engine.block_size, engine.blocks, engine.max_tokens, places
        self.live = []  # oldest first: those that run stand before those that wait

    @property
    def running(self):
        return [turn for turn in self.live if turn.held is not None]

    def blocks(self, tokens):
        return sum(-(-count // self.size) for count in tokens)

    def held(self):
        return self.blocks(turn.held for turn in self.running)

    def plan(self):
        """What each that runs computes in the pass, and what is left of the budget."""
        decoding = [turn for turn in self.running if turn.made and turn.due == 1]
        plan, left = dict.fromkeys(decoding, 1), self.budget - len(decoding)
        for turn in self.running:
            if turn not in plan:
                plan[turn] = min(turn.due, left)
                left -= plan[turn]
        return plan, left

    def starts(self):
        """Whether the first that waits has a place, and blocks beside all that those who run will write."""
        waiting = self.live[len(self.running) :]
        return bool(
            waiting and len(self.running) < self.places and self.blocks([*(turn.held + turn.due for turn in self.running), waiting[0].due]) <= self.total
        )

    def step(self):
        """The events, and how many tokens the pass computes."""
        plan, left = self.plan()
        while self.blocks(turn.held + count for turn, count in plan.items()) > self.total:
            self.running[-1].held = None
            plan, left = self.plan()
        while left and self.starts():
            self.live[len(self.running)].held = 0
            plan, left = self.plan()
        events = []
        for turn, count in plan.items():
            turn.held += count
            if not turn.due:
                events.append(self.event(turn))
        return events, sum(plan.values())

    def event(self, turn):
        job = turn.job
        turn.made += 1
        ends = turn.made == len(job.expected)
        if ends:
            self.live.remove(turn)
        return job.id, job.expected[turn.made - 1], ("stop" if job.stop else "length") if ends else None


def storm(sut, bench, number):
    """Requests that come, stop and are aborted in the order that `number` stands for: the same in every run of the lab, with other tokens."""
    script = random.Random(number)
    places, size = script.randrange(2, 5), script.choice((3, 4, 8))
    run = Run(sut, bench, places, blocks=script.randrange(5, 9), max_tokens=script.choice((4, 6, 9, 30)), block_size=size)
    rules = Rules(run.engine, places)
    for _ in range(45):
        if script.random() < 0.35 and len(run.jobs) < 9:
            ended = sorted(set(run.jobs) - {turn.job.id for turn in rules.live})
            name = script.choice(ended) if ended and script.random() < 0.3 else None
            new = script.randrange(1, 3 * size)
            length = script.randrange(1, run.engine.blocks * size - new + 2)
            rules.live.append(Turn(run.add(length, new, name, script.randrange(new) if script.random() < 0.3 else None)))
        if run.jobs and script.random() < 0.08:
            name = script.choice(sorted(run.jobs))
            known = [turn for turn in rules.live if turn.job.id == name]
            checks.equal(run.batcher.abort(name), bool(known), "whether an aborted request was live", reason="state")
            rules.live = [turn for turn in rules.live if turn not in known]
        before = run.engine.count.tokens
        events = [tuple(event) for event in run.step()]
        expected, computed = rules.step()
        checks.equal(sorted(events), sorted(expected), "the events of a step", reason="order")
        checks.equal(run.engine.count.tokens - before, computed, "tokens of a pass", reason="budget")
        checks.equal(run.engine.held, rules.held(), "blocks held after a step", reason="state")
    checks.equal(run.working(), bool(rules.live), "whether anything is left to do", reason="state")


def keeps_older_requests(run, _):
    """Says no when a request that has begun to decode, other than the youngest, has no sequence."""
    for job in list(run.jobs.values())[:-1]:
        if 0 < len(job.events) < len(job.expected):
            mine = job.prompt + job.tokens
            checks.that(any(held == mine[: len(held)] for held in run.engine.contents() if held), "order", "an older request gave way")


def holds_what_was_added(run, _):
    """Says no when a sequence holds anything but the beginning of a request's prompt and tokens."""
    whole = [job.prompt + job.expected for job in run.jobs.values()]
    sound = all(any(held == tokens[: len(held)] for tokens in whole) for held in run.engine.contents())
    checks.that(sound, "state", "a sequence holds tokens that are no request's")


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
    """A prompt that takes several passes gives the same tokens, and none before its last chunk; also when it gave way half computed."""
    for budget in (bench.rng.choice((3, 5, 7)), 16):
        run = Run(sut, bench, 3, blocks=40, max_tokens=budget)
        for length in (bench.rng.randrange(17, 30), 32, 3):
            run.add(length, 4)
        run.finish().check_tokens()
    run = Run(sut, bench, 3, blocks=4, max_tokens=3)
    run.on_step = holds_what_was_added
    for length, new in ((20, 20), (30, 3)):  # the second prompt gets two tokens a step, until the first request needs a third block
        run.add(length, new)
    run.finish().check_tokens()


# admission -----------------------------------------------------------------------------------------------------------


@test("admission", points=1)
def starts_in_order_of_arrival(sut, bench):
    """A big request at the head of the queue is not overtaken by small ones behind it."""
    run = Run(sut, bench, 4, blocks=6, max_tokens=80)  # one pass can compute all that wait
    run.add(34, 10)  # three blocks
    run.step()
    for length in (60, 4, 5):  # the first of these has to wait for blocks
        run.add(length, 3)
    run.finish()
    firsts = [job.steps[0] if job.steps else -1 for job in run.jobs.values()]
    checks.that(firsts == sorted(firsts), "order", "requests started out of order", actual=firsts)


@test("admission", points=2)
def starts_as_soon_as_its_tokens_fit(sut, bench):
    """A request starts in the first pass in which the free blocks can hold the tokens that it has, be its answer as long as it may, and not before."""
    run = Run(sut, bench, 4, blocks=4, max_tokens=24)
    for new in (3, 50):  # together more than the pool can hold in the end
        run.add(10, new)
    run.step()
    checks.equal(run.engine.sequences, 2, "requests that run", reason="state")
    # The first chunk of the second prompt would fit; then: it would all fit into blocks that the rest of the first prompt needs.
    for blocks, first, second in ((4, bench.rng.randrange(18, 24), 60), (3, bench.rng.randrange(34, 44), 5)):
        run = Run(sut, bench, 4, blocks=blocks, max_tokens=24)
        holder, _ = run.add(first, 4), run.add(second, 2)
        while len(holder.events) < 4:
            checks.that(run.steps < 20, "order", "a request that runs alone stalls")
            run.step()
            checks.that(run.engine.sequences <= 1, "state", "a request started before its tokens fit")
        run.step()
        checks.equal(run.engine.sequences, 1, "requests that run in the pass after the blocks became free", reason="state")


@test("admission", points=1)
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
    """While prompts wait, a pass computes exactly max_tokens tokens, and the oldest prompt comes first."""
    budget = bench.rng.randrange(18, 30)
    run = Run(sut, bench, 12, blocks=80, max_tokens=budget)
    lengths = [bench.rng.randrange(10, 17) for _ in range(8)]
    for length in lengths:
        run.add(length, 12)
    for _ in range(sum(lengths) // budget):
        before = run.engine.count.tokens
        run.step()
        checks.equal(run.engine.count.tokens - before, budget, "tokens of a pass while prompts wait", reason="budget")
    run = Run(sut, bench, 4, blocks=80, max_tokens=budget)
    for _ in range(3):
        run.add(budget + bench.rng.randrange(8), 3)  # so long that no two of them can end in one pass
    run.finish()
    firsts = [job.steps[0] if job.steps else -1 for job in run.jobs.values()]
    checks.that(firsts == sorted(set(firsts)), "order", "the budget did not go to the oldest prompt first", actual=firsts)
    run = Run(sut, bench, 4, blocks=80, max_tokens=100)
    run.add(230, 1)
    for _ in range(2):
        before = run.engine.count.tokens
        run.step()
        checks.equal(run.engine.count.tokens - before, 100, "tokens of a long prompt's pass", reason="budget")


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
    checks.equal(first.steps, list(range(first.steps[0], first.steps[0] + 20)), "the steps that brought a token", reason="order")


@test("fairness", points=2, flight=True)
def preempts_the_youngest(sut, bench):
    """When blocks run out, the youngest gives way and nobody else, decoding or not: others get a token in every step. It starts again before younger ones."""
    run = Run(sut, bench, 3, blocks=7, max_tokens=64)
    others = [run.add(16, 33), run.add(16, 33)]  # six blocks at their end
    youngest, never_ran = run.add(16, 20), run.add(75, 2)  # these two need eight blocks by then
    run.finish()
    for job in others:
        checks.equal(job.steps, list(range(33)), "the steps that brought an older request a token", reason="order")
    again = [step for step in youngest.steps if step > 17]  # in step 17 all three need a third block, and one is free
    checks.that(bool(again and never_ran.steps) and again[0] < never_ran.steps[0], "order", "who gave way was overtaken")
    run = Run(sut, bench, 6, blocks=6, max_tokens=20, block_size=4)
    *_, older, younger = [run.add(4, new) for new in (3, 6, 5, 4, 4)]  # in step 1 all need a second block, and one is free: two give way
    run.finish()
    checks.that(bool(older.again and younger.again) and older.again <= younger.again, "order", "of two that gave way the older was overtaken")
    run = Run(sut, bench, 3, blocks=6, max_tokens=3, block_size=4)
    for length, new in ((3, 8), (1, 8), (12, 2)):  # one token of the last prompt in each step, while the others grow
        run.add(length, new)
    run.on_step = keeps_older_requests
    run.finish()


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
    """A waiting request can be aborted, also one that gave way; an unknown, an aborted and a finished one can't."""
    run = Run(sut, bench, 4, blocks=2, max_tokens=24)
    run.add(20, 3)  # takes both blocks, so that the next one waits
    run.add(10, 3)
    run.step()
    for name, known in (("r1", True), ("r1", False), ("nobody", False)):
        checks.equal(run.batcher.abort(name), known, f"abort of {name}", reason="state")
    run.finish()
    checks.equal(run.jobs["r1"].events, [], "events of an aborted request", reason="state")
    checks.equal(run.batcher.abort("r0"), False, "abort of a finished request", reason="state")
    run = Run(sut, bench, 1, blocks=4, max_tokens=24)
    for _ in range(4):
        run.add(3, 2)
    run.step()
    checks.equal(run.batcher.abort("r2"), True, "abort of a request that waits between two others", reason="state")
    run.finish()
    gone = [name for name, job in run.jobs.items() if not job.events]
    checks.equal(gone, ["r2"], "who never got a token", reason="state")
    run = Run(sut, bench, 4, blocks=4, max_tokens=64)
    for _ in range(3):
        run.add(16, 17)
    for _ in range(2):
        run.step()  # in the second, all three need one more block, and one is free
    gone = [job for job in run.jobs.values() if job.steps == [0]]
    checks.that(bool(gone), "state", "nobody gave way, although the pool was too small")
    for known in (True, False):
        checks.equal(run.batcher.abort(gone[-1].id), known, "abort of a request that gave way", reason="state")
    run.finish()
    checks.equal(gone[-1].steps, [0], "the steps that brought an aborted request a token", reason="state")


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
    checks.equal(run.engine.count.opened, 2, "sequences opened: a request that runs alone gave way", reason="state")


@test("edge-cases", points=1)
def preempted_requests_continue(sut, bench):
    """A request that gave way goes on where it was: the same tokens, none twice."""
    run = Run(sut, bench, 4, blocks=7, max_tokens=64)
    for _ in range(3):
        run.add(bench.rng.randrange(12, 17), 28)
    run.finish().check_tokens()
    checks.that(any(job.again for job in run.jobs.values()), "state", "nobody gave way, although the pool was too small")
    checks.equal(run.engine.held, 0, "blocks held at the end", reason="state")


@test("edge-cases", points=1)
def stops_where_it_must(sut, bench):
    """Any of the stop tokens ends a request, at its first token and after it gave way too; so does max_new_tokens = 1. A last token that is one is a stop."""
    run = Run(sut, bench, 8, blocks=40, max_tokens=64)
    for name, length, new, at in (("length", 5, 1, None), ("both", 8, 1, 0), ("first", 6, 9, 0), ("second", 7, 9, 1)):
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
    run = Run(sut, bench, 2, blocks=4, max_tokens=32, block_size=4)
    run.add(4, 9)
    job = run.add(4, 9, stop_at=7)  # gives way when both need a third block, after five tokens
    run.finish()
    checks.equal(job.events[-1][1:], (job.expected[-1], "stop"), "the end of a request that gave way before it")


@test("edge-cases", points=1)
def refuses_what_can_never_run(sut, bench):
    """add refuses what could never finish, without a trace. What may be just as long, or has the id of one that ended or was aborted, is taken."""
    run = Run(sut, bench, 4, blocks=4, max_tokens=64, max_length=60)
    run.add(10, 3)
    ones = [1] * 70
    refused = (("x", [], 3), ("x", ones[:5], 0), ("x", ones[:57], 5), ("x", ones[:61], 1), ("r0", ones[:5], 3))
    for name, tokens, new in refused:
        with checks.raises("ValueError", "a request that can't be"):
            run.batcher.add(name, tokens, new, [])
    run.add(56, 5)  # exactly as long as allowed
    run.add(6, 2, "x")
    run.finish().check_tokens()
    run.add(9, 5, "r0")
    for _ in range(2):
        run.step()
    run.batcher.abort("r0")
    if not run.engine.held:
        run.add(7, 4, "r0")  # owes nothing to those before it
        run.finish().check_tokens()
    run = Run(sut, bench, 4, blocks=3, max_tokens=64)  # here it is the pool that is too small
    for length, new in ((49, 1), (40, 10)):
        with checks.raises("ValueError", "a request that can't be"):
            run.batcher.add("x", ones[:length], new, [])
    run.add(40, 9)  # exactly the pool
    run.finish(limit=20).check_tokens()


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


@test("efficiency", points=1)
def needs_no_extra_passes(sut, bench):
    """A place that becomes free is taken in the next pass: the number of passes is the least that the rules allow. With nothing to do there is none."""
    run = Run(sut, bench, 3, blocks=60, max_tokens=128)
    checks.equal(run.step(), [], "the events of a step with nothing to do")
    news = [bench.rng.randrange(2, 14) for _ in range(9)]
    for new in news:
        run.add(bench.rng.randrange(4, 20), new)
    run.finish()
    ends = [0, 0, 0]  # the pass after which each place is free
    for new in news:
        ends[ends.index(min(ends))] += new
    checks.equal(run.step(), [], "the events of a step with nothing to do")
    passes = run.engine.count.forwards
    checks.that(passes <= max(ends), "budget", "too many forward passes", expected=max(ends), actual=passes)


@test("efficiency", points=1)
def keeps_all_rules_at_once(sut, bench):
    """While requests come, end and are aborted, each step brings the tokens, and computes and holds as much, as the rules say."""
    for number in STORMS:
        storm(sut, bench, number)
