"""What a candidate may run as often as they like."""

from sandbox import checks
from sandbox.oracle import prompt
from sandbox.testing import test


def drive(batcher, steps):
    """All events of at most `steps` steps."""
    events = []
    while batcher.has_work() is True and steps:
        events += batcher.step()
        steps -= 1
    return events


@test("correctness", points=1, flight=True)
def one_request_is_decoded_greedily(sut, bench):
    """A single request yields the engine's greedy tokens, then ends for length."""
    engine = bench.engine(blocks=8, max_tokens=32)
    tokens, expected = prompt(bench.rng, 7, 5)
    batcher = sut.new("ContinuousBatcher", engine, 4)
    batcher.add("a", tokens, 5, [])
    events = drive(batcher, 10)
    wanted = [("a", token, None) for token in expected[:-1]] + [("a", expected[-1], "length")]
    checks.equal([tuple(event) for event in events], wanted, "the events differ", given={"prompt": tokens, "max_new_tokens": 5})


@test("budget", points=1)
def two_requests_share_a_pass(sut, bench):
    """Two short prompts are computed in one forward pass, and both get a token from it."""
    engine = bench.engine(blocks=8, max_tokens=32)
    batcher = sut.new("ContinuousBatcher", engine, 4)
    for name, length in (("a", 5), ("b", 9)):
        batcher.add(name, prompt(bench.rng, length, 1)[0], 3, [])
    events = batcher.step()
    checks.equal(engine.count.forwards, 1, "the number of forward passes in one step", reason="budget")
    checks.equal(sorted(event[0] for event in events), ["a", "b"], "who got a token", reason="order")


@test("abort", points=1)
def an_aborted_request_gives_its_blocks_back(sut, bench):
    """After an abort the pool is as empty as before, and nothing is left to do."""
    engine = bench.engine(blocks=8, max_tokens=32)
    batcher = sut.new("ContinuousBatcher", engine, 4)
    batcher.add("a", prompt(bench.rng, 20, 1)[0], 10, [])
    batcher.step()
    checks.equal(batcher.abort("a"), True, "abort of a running request", reason="state")
    checks.equal(engine.held, 0, "blocks held after the abort", reason="state")
    checks.equal(batcher.has_work(), False, "has_work after the abort", reason="state")


@test("edge-cases", points=1)
def an_empty_prompt_is_refused(sut, bench):
    """add raises ValueError for a prompt without tokens."""
    batcher = sut.new("ContinuousBatcher", bench.engine(blocks=8, max_tokens=32), 4)
    with checks.raises("ValueError", "an empty prompt"):
        batcher.add("a", [], 5, [])
