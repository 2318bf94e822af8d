"""What a lab's test file imports: the decorator that registers a test, and the bench that it gets.

A test is a plain function of `(sut, bench)`. `sut.new("Class", ...)` makes an object in the jail and returns a proxy of it; `bench.rng` is the run's
secret random source, `bench.engine(...)` a metered engine. It passes by returning and fails by raising, through `sandbox.checks`.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from sandbox.meter import MeteredEngine
from sandbox.session import Session

Function = Callable[[Session, "Bench"], None]


@dataclass(frozen=True, slots=True)
class Test:
    """A registered test.

    Args:
        name: the function's name.
        group: which group of the lab it belongs to.
        points: what it is worth.
        doc: one sentence, shown to the candidate.
        repeats: how often it runs, each time with inputs of its own; all must pass.
        flight: whether its engine's record is the run's flight record.
    """

    __test__ = False

    name: str
    group: str
    points: float
    doc: str
    repeats: int
    flight: bool
    function: Function


class Bench:
    """What a test works with besides the submission. One per execution."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.engines: list[MeteredEngine] = []

    def engine(self, model: str = "target", **options: Any) -> MeteredEngine:
        """A metered engine on a shipped checkpoint; see `MeteredEngine` for the options."""
        engine = MeteredEngine.on(model, **options)
        self.engines.append(engine)
        return engine


def test(
    group: str, *, points: float, repeats: int = 1, flight: bool = False
) -> Callable[[Function], Function]:
    """Registers the function as a test."""

    def register(function: Function) -> Function:
        doc = " ".join((function.__doc__ or "").split())
        made = Test(function.__name__, group, points, doc, repeats, flight, function)
        function.__dict__["__lab_test__"] = made
        return function

    return register


def collect(module: ModuleType) -> tuple[Test, ...]:
    """The module's tests in the order of the file."""
    found = [value.__dict__["__lab_test__"] for value in vars(module).values() if callable(value) and "__lab_test__" in getattr(value, "__dict__", {})]
    return tuple(test for test in found if isinstance(test, Test))


def derive(seed: int, test: str, repeat: int) -> int:
    """A 64-bit seed for one execution; knowing one says nothing about another, nor about the one that it was derived from."""
    digest = hashlib.blake2b(f"{seed}/{test}/{repeat}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
