"""Public tests of the toy."""

from sandbox import checks
from sandbox.testing import test


@test("basics", points=4)
def adds(sut, bench):
    """Adding moves the total."""
    counter = sut.new("Counter", 3)
    checks.equal(counter.add(4), 7, "the total differs", given=[3, 4])
