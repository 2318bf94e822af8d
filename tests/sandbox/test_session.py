"""The life of a test's process, without a lab around it: forked ahead, alone while it runs, on the judge's processor."""

import contextlib
import os
import time
from collections.abc import Iterator

import pytest

from sandbox import processor
from sandbox.checks import raises
from sandbox.drivers import default, start
from sandbox.failures import LoadFailed, Stop
from sandbox.jail import Jail
from sandbox.session import Session
from sandbox.spec import JailSpec, Limits

LOOKS = """
import os
class Looks:
    def processes(self):
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    def own(self):
        return [os.getppid(), os.getpid()]
    def processors(self):
        return sorted(os.sched_getaffinity(0))
"""
REFUSES_TO_LOAD = "raise PermissionError('no')"


@pytest.fixture(scope="module")
def jail() -> Iterator[Jail]:
    jail = start(JailSpec(), default())
    yield jail
    jail.close()


def test_no_prepared_process_stands_beside_a_running_test(jail: Jail) -> None:
    met = set()
    for _ in range(3):
        session = Session(jail, Limits())
        session.load(LOOKS, "Looks", 0)
        looks = session.new("Looks")
        zygote, own = looks.own()
        assert looks.processes() == [*range(1, zygote + 1), own]
        met.add(own)
        session.finish()
        assert jail.healthy
    assert len(met) == 3


def test_the_next_process_is_there_before_the_test_is(jail: Jail) -> None:
    until = time.monotonic() + 10
    while not (prepared := jail.tests()) and time.monotonic() < until:
        time.sleep(0.01)
    session = Session(jail, Limits())
    session.load(LOOKS, "Looks", 0)
    session.new("Looks")
    assert jail.tests() == prepared
    session.finish()


def test_both_sides_share_a_processor_while_a_test_runs(jail: Jail) -> None:
    before = os.sched_getaffinity(0)
    with processor.settled() as number:
        session = Session(jail, Limits())
        session.load(LOOKS, "Looks", 0, number)
        theirs = session.new("Looks").processors()
        ours = os.sched_getaffinity(0)
        session.finish()
    assert os.sched_getaffinity(0) == before
    if len(before) > 1:
        assert theirs == sorted(ours) == [number]
    with processor.settled(wanted=False) as number:
        assert number == -1
        assert os.sched_getaffinity(0) == before


def test_a_processor_that_the_jail_has_not_is_no_obstacle(jail: Jail) -> None:
    session = Session(jail, Limits())
    session.load(LOOKS, "Looks", 0, 4095)
    assert session.new("Looks").processors()
    session.finish()


@pytest.mark.parametrize(("source", "kind"), [("raise ValueError('x')", LoadFailed), (REFUSES_TO_LOAD, Stop), ("import os; os._exit(0)", Stop)])
def test_no_test_passes_without_a_submission(jail: Jail, source: str, kind: type[Stop]) -> None:
    session = Session(jail, Limits())
    session.load(source, "Looks", 0)
    with pytest.raises(kind):  # a test that calls nothing
        session.finish()
    session.abandon()
    session = Session(jail, Limits())
    session.load(source, "Looks", 0)
    with contextlib.suppress(Stop), raises("PermissionError", "looks"):  # a test that waits for this very exception
        session.new("Looks")
    with pytest.raises(kind):
        session.finish()
    session.abandon()
    assert jail.healthy
