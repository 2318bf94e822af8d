"""The life of a test's process, without a lab around it: forked ahead, alone while it runs, on the judge's processor."""

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from sandbox import feedback, processor
from sandbox.checks import raises
from sandbox.drivers import default, start
from sandbox.failures import Idle, LoadFailed, Starved, Stop, TooManyCalls, TooSlow
from sandbox.jail import Jail, Usage
from sandbox.ready import Descriptors
from sandbox.session import Session
from sandbox.spec import JailSpec, Limits

PROCESSORS = os.sched_getaffinity(0)
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
REFUSES_TO_LOAD = "raise PermissionError(1, 'no')"
CALLS = """
import hashlib
import threading
import time
class Calls:
    def work(self, engine):
        while True:
            engine.work()
    def ask(self, engine, times):
        for _ in range(times):
            time.sleep(0.01)
            engine.work()
    def send(self, engine):
        much = [[n] for n in range(9000)]
        while True:
            engine.take(much)
    def sleep(self):
        time.sleep(99)
    def spin(self):
        while True:
            pass
    def crowd(self):
        def turn(end):
            while time.monotonic() < end:
                hashlib.sha256(bytes(1 << 20))
            time.sleep(99)
        for _ in range(16):
            threading.Thread(target=turn, args=(time.monotonic() + 0.6,), daemon=True).start()
        time.sleep(99)
    def compute(self, seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
"""
# What one test could leave on what the next one inherits.
LEAVES = {
    "an option of the stream": "import os, socket; socket.socket(fileno=os.dup(3)).setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 5)",
    "a limit of the zygote": "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_MSGQUEUE, (100, 100))",
    "a processor of the zygote": "import os; os.sched_setaffinity(os.getppid(), {0})",
    "the size of a pipe": "import fcntl; fcntl.fcntl(1, 1031, 8192)",
    "the owner of a descriptor": "import fcntl, os; fcntl.fcntl(3, fcntl.F_SETOWN, os.getpid())",
}
# How a child's computing could be added to nobody's, and would pass for that of others.
FORGETS = """
import ctypes
import os
import signal
import time

def compute(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    os._exit(0)

class Forgets:
    def ignores(self):
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    def heeds(self):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    def asks(self):
        return signal.getsignal(signal.SIGCHLD) is not None
    def orphans(self, number, seconds):
        for _ in range(number):
            child = os.fork()
            if child == 0:
                if os.fork() == 0:
                    compute(seconds)
                os._exit(0)
            os.waitpid(child, 0)
        while any(line.split()[2] == "R" for line in self.others()):
            time.sleep(0.01)
    def others(self):
        own = {1, 2, os.getppid(), os.getpid()}
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in own:
                with open(f"/proc/{name}/stat") as file:
                    yield file.read()
"""
UNBLOCKS = """
import os
assert os.get_blocking(3) and os.get_blocking(1)
class Unblocks:
    def both(self):
        os.set_blocking(3, False)
        os.set_blocking(1, False)
"""


class Engine:
    """An object of the judge's that takes its time, computing."""

    NAME = "Engine"
    METHODS = ("work", "take")

    def __init__(self, seconds: float = 0.5) -> None:
        self.seconds = seconds

    def constants(self) -> dict[str, Any]:
        return {}

    def work(self) -> None:
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass

    def take(self, value: Any) -> None:
        pass


class Model(Engine):
    """An engine that lets go of Python's lock while it multiplies, as the metered one does."""

    matrix = torch.eye(512)

    def work(self) -> None:
        self.matrix @ self.matrix


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


@pytest.mark.parametrize("what", LEAVES)
def test_nothing_is_left_on_what_the_next_test_inherits(jail: Jail, what: str) -> None:
    session = Session(jail, Limits())
    session.load(f"class Leaves:\n    def __init__(self):\n        {LEAVES[what]}", "Leaves", 0)
    with raises("PermissionError", what):
        session.new("Leaves")
    session.finish()
    assert jail.healthy


def test_a_flag_that_a_test_sets_on_the_streams_is_gone_before_the_next() -> None:
    with start(JailSpec(), default()) as jail:
        for _ in range(2):
            session = Session(jail, Limits())
            session.load(UNBLOCKS, "Unblocks", 0)
            with contextlib.suppress(Stop):  # it can't wait for the next frame now
                session.new("Unblocks").both()
            session.abandon()
            assert jail.healthy
            assert session._failed is None


@pytest.mark.parametrize(
    ("method", "kind", "words"), [("work", TooSlow, "the engine worked"), ("sleep", Idle, "without computing"), ("spin", TooSlow, "ran out")]
)
def test_the_verdict_says_whose_time_was_used_up(method: str, kind: type[Stop], words: str) -> None:
    with start(JailSpec(), default()) as jail:
        session = Session(jail, Limits(test_s=3, call_s=2))
        session.load(CALLS, "Calls", 0)
        calls = session.new("Calls")
        with pytest.raises(kind, match=words) as ended:
            calls.work(Engine()) if method == "work" else getattr(calls, method)()
        assert type(ended.value) is kind


@contextlib.contextmanager
def crowded(others: int) -> Iterator[None]:
    """This thread's processor, and `others` that compute on it all the time."""
    with processor.settled() as number, contextlib.ExitStack() as stack:
        here = number if number >= 0 else min(os.sched_getaffinity(0))
        for _ in range(others):
            busy = subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{here}}})\nwhile True: pass"])
            stack.callback(busy.wait)
            stack.callback(busy.kill)
        yield


def computing(jail: Jail, limit_s: float, cpu: int) -> tuple[Session, Any]:
    session = Session(jail, Limits(test_s=limit_s, call_s=limit_s))
    session.load(CALLS, "Calls", 0, cpu)
    return session, session.new("Calls")


def test_a_busy_machine_is_not_held_against_a_submission() -> None:
    with start(JailSpec(), default()) as jail, crowded(3):
        session, calls = computing(jail, 2.0, processor.here())
        began = time.monotonic()
        calls.compute(1.4)
        assert time.monotonic() - began > 2.0, "the machine was not busy enough to show anything"
        assert session.lent > 0
        session.finish()


def test_a_busy_machine_is_no_excuse_for_one_that_never_ends() -> None:
    with start(JailSpec(), default()) as jail, crowded(2):
        _, calls = computing(jail, 1.5, processor.here())
        with pytest.raises(TooSlow) as ended:
            calls.spin()
        assert type(ended.value) is TooSlow


def test_a_machine_that_is_too_busy_to_tell_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.session.PATIENCE", 0.2)
    with start(JailSpec(), default()) as jail, crowded(3):
        _, calls = computing(jail, 1.5, processor.here())
        with pytest.raises(Starved, match="too busy") as ended:
            calls.compute(1.4)
        assert ended.value.verdict == "JE"
        assert feedback.message(ended.value, CALLS, hidden=True) == feedback.FIXED[ended.value.verdict]


def test_no_more_time_is_lent_than_the_submission_did_not_compute(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(jail, Limits())
    session._began = time.monotonic() - 8
    monkeypatch.setattr(jail, "usage", lambda: Usage(8.5, 60.0, 60.0))
    assert session._lend() == 0
    monkeypatch.setattr(jail, "usage", lambda: Usage(5.0, 60.0, 60.0))
    assert session._lend() == pytest.approx(3, abs=0.2)
    assert session._lend() == 0, "lent twice"


def test_threads_that_keep_each_other_waiting_are_no_busy_machine() -> None:
    with start(JailSpec(), default()) as jail, crowded(0):
        session, calls = computing(jail, 1.0, processor.here())
        with pytest.raises((TooSlow, Idle)):
            calls.crowd()
        assert session.lent < 2, "16 threads queue for more than 8 s"


@pytest.mark.parametrize("method", ["ignores", "heeds"])
def test_what_becomes_of_children_is_not_for_the_submission_to_say(jail: Jail, method: str) -> None:
    session = Session(jail, Limits())
    session.load(FORGETS, "Forgets", 0)
    forgets = session.new("Forgets")
    assert forgets.asks()
    with raises("PermissionError", "the children"):
        getattr(forgets, method)()
    session.finish()


def test_what_orphans_computed_is_not_forgotten(jail: Jail) -> None:
    session = Session(jail, Limits(test_s=60, call_s=60))
    session.load(FORGETS, "Forgets", 0)
    before = jail.usage().computed
    session.new("Forgets").orphans(5, 0.2)
    assert jail.usage().computed - before > 0.9
    session.finish()
    assert jail.healthy


@contextlib.contextmanager
def beside_a_thread_that_computes() -> Iterator[None]:
    """Another judge of this process, so to speak: it holds Python's lock for as long as it may, whenever it gets it, forty times.

    Not for ever: where other processes have the processor that it computes on, each time is as long as they make it."""
    stop = threading.Event()
    others = PROCESSORS - {processor.here()}

    def compute() -> None:
        os.sched_setaffinity(0, others or PROCESSORS)
        for _ in range(40):
            if stop.is_set():
                break
            sum(range(4_000_000))  # for some 0.1 s nobody else can have the lock

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("limits", [Limits(test_s=1, call_s=30), Limits(test_s=30, call_s=1)], ids=["test", "call"])
def test_waiting_for_pythons_lock_is_not_held_against_a_submission(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.session.PATIENCE", 600)
    with start(JailSpec(), default()) as jail, processor.settled() as cpu:
        session = Session(jail, limits)
        session.load(CALLS, "Calls", 0, cpu)
        calls = session.new("Calls")
        with beside_a_thread_that_computes():
            began = time.monotonic()
            calls.ask(Model(), 30)
            took = time.monotonic() - began
        assert took > 1.1, "nobody waited for the lock for longer than the limit"
        session.finish()
        assert took - session.lent < 1.5


def test_a_wait_ends_when_the_bytes_are_there_whoever_has_the_lock() -> None:
    reading, writing = os.pipe()
    ready = Descriptors([(reading, select.POLLIN)])
    began = time.monotonic()
    found, waited = ready.wait(0.2)
    assert found == []
    assert 0.19 < waited <= time.monotonic() - began
    with beside_a_thread_that_computes():
        time.sleep(0.05)
        os.write(writing, b"x")
        total = 0.0
        for _ in range(100):
            found, waited = ready.wait(5)
            total += waited
            assert found == [reading]
        assert total < 0.05
    os.close(reading)
    os.close(writing)


def test_what_the_judge_reads_for_a_submission_is_on_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.session.PATIENCE", 600)
    with start(JailSpec(), default()) as jail, processor.settled() as cpu:
        session = Session(jail, Limits(test_s=1, call_s=30))
        session.load(CALLS, "Calls", 0, cpu)
        calls = session.new("Calls")
        began = time.thread_time()
        with pytest.raises(TooSlow):
            calls.send(Engine())
        assert time.thread_time() - began < 20  # a second, and what a busy machine adds; were it on nobody's time, 600


def test_the_submissions_own_computing_is_no_wait_of_the_engines(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    for computed, kind in ((0.0, None), (3.0, None), (7.0, TooSlow), (0.0, Starved)):
        session = Session(jail, Limits(test_s=10))
        session._served, session._engine_held_up = (15.0, 9.0) if kind is not Starved else (51.0, 45.0)
        with monkeypatch.context() as patch, pytest.raises(kind) if kind else contextlib.nullcontext():
            patch.setattr(jail, "usage", lambda computed=computed: Usage(computed, 0.0, 0.0))
            patch.setattr(session, "abandon", lambda: None)
            session._check_engine()


def test_too_many_calls_of_the_engine_are_too_slow_and_say_so(jail: Jail) -> None:
    session = Session(jail, Limits(engine_calls=50))
    session.load(CALLS, "Calls", 0)
    with pytest.raises(TooManyCalls, match="more than 50 engine calls") as ended:
        session.new("Calls").work(Engine(0))
    assert jail.healthy
    assert ended.value.verdict == "TLE"
    assert "more than 50" in feedback.message(ended.value, CALLS, hidden=False)
    assert feedback.message(ended.value, CALLS, hidden=True) == feedback.TOO_OFTEN
