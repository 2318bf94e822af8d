"""Hidden tests of the toy."""

import torch

from sandbox import checks
from sandbox.testing import test


class Bell:
    """Something of the judge's that rings back."""

    NAME = "Bell"
    METHODS = ("ring",)

    def __init__(self):
        self.rings = 0
        self.back = None

    def constants(self):
        return {"tone": 440}

    def ring(self, depth):
        self.rings += 1
        return self.back.chime(self, depth - 1) if depth > 0 else self.rings


@test("basics", points=2, repeats=3)
def adds_any_numbers(sut, bench):
    """Adding moves the total, for any numbers."""
    start, more = bench.rng.randrange(10**6), bench.rng.randrange(10**6)
    checks.equal(sut.new("Counter", start).add(more), start + more, "the total differs", given=[start, more])


@test("basics", points=2)
def sums_a_tensor(sut, bench):
    """Tensors cross with dtype and shape."""
    values = torch.rand(3, 5, generator=torch.Generator().manual_seed(bench.seed % 2**63))
    rounded = values.sum(dim=1)
    checks.close(sut.new("Counter", 0).sums(values), values.double().sum(dim=1), torch.float32, "row sums", rounded=rounded)


@test("calls", points=2)
def calls_nest(sut, bench):
    """The judge's object calls back into the submission while it is being called."""
    bell = Bell()
    bell.back = sut.new("Counter", 0)
    checks.equal(bell.back.chime(bell, 3), 4, "nested calls", given=3)


@test("calls", points=2)
def constants_are_readable(sut, bench):
    """What the judge hands out has its constants."""
    checks.equal(sut.new("Counter", 0).tone(Bell()), 440, "the tone")
