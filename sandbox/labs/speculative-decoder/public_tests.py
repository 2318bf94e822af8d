"""What a candidate may run as often as they like."""

import torch

from sandbox import checks
from sandbox.oracle import prompt
from sandbox.testing import test


def decoder(sut, bench, k):
    target = bench.engine("target", blocks=16, returns="logits")
    return target, sut.new("SpeculativeDecoder", target, bench.engine("draft", blocks=16, returns="logits"), k)


@test("greedy-exact", points=1, flight=True)
def greedy_tokens_of_the_target(sut, bench):
    """At temperature 0 the draft changes nothing but the number of target passes."""
    tokens, expected = prompt(bench.rng, 9, 12)
    target, made = decoder(sut, bench, 3)
    actual = checks.ints(made.generate(tokens, 12, 0.0, []), "generate")
    checks.equal(actual, expected, "the tokens differ", given={"prompt": tokens, "max_new_tokens": 12, "k": 3})
    checks.that(target.count.forwards <= 12, "budget", "more target passes than tokens")


@test("acceptance-law", points=1)
def likely_tokens_are_accepted(sut, bench):
    """Two drafted tokens that the target likes better than the draft does are both accepted, whatever u is."""
    p = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
    q = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.6, 0.2]])
    _, made = decoder(sut, bench, 2)
    actual = made.verify([0, 1], p, q, [0.999, 0.5, 0.3])
    checks.equal(tuple(actual), (2, 2), "verify", given={"tokens": [0, 1], "u": [0.999, 0.5, 0.3]})


@test("residual", points=1)
def an_unlikely_token_is_replaced(sut, bench):
    """A token that the target never gives is rejected, and replaced from what the draft gave too little of."""
    p, q = torch.tensor([[0.0, 0.4, 0.6], [1.0, 0.0, 0.0]]), torch.tensor([[0.6, 0.4, 0.0]])
    _, made = decoder(sut, bench, 1)
    checks.equal(tuple(made.verify([0], p, q, [0.5, 0.5])), (0, 2), "verify", given={"tokens": [0], "u": [0.5, 0.5]})


@test("stop-conditions", points=1)
def as_many_tokens_as_asked_for(sut, bench):
    """max_new_tokens is kept even when a round could give more."""
    tokens, expected = prompt(bench.rng, 5, 5)
    _, made = decoder(sut, bench, 4)
    checks.equal(checks.ints(made.generate(tokens, 5, 0.0, []), "generate"), expected, "the tokens differ", given={"prompt": tokens, "k": 4})
