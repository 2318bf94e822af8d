"""Between one test and the next, and from a hidden test to its author, nothing crosses that was not meant to."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox import JudgeRequest, Outcome, feedback, judge, labs, limits
from sandbox.drivers import default
from sandbox.failures import Broken, Gone, LoadFailed, Raised
from sandbox.guest import wire
from sandbox.jail import Slots
from sandbox.pool import Pool
from sandbox.session import Session
from sandbox.spec import Limits
from sandbox.testing import Bench, Test, derive
from sandbox.verdict import Verdict

TOYS = Path(__file__).with_name("toys")
GOOD = (TOYS / "counter/solutions/reference.py").read_text()

# Says that its process has ended, lives on, and answers whatever the next test sends with what it remembers of this one.
LIVES_ON = """
import sys
from guest import wire

def stream_and_start():
    frame = sys._getframe()
    while not {"stream", "start"} <= set(frame.f_locals):
        frame = frame.f_back
    return frame.f_locals["stream"], frame.f_locals["start"]

class Counter:
    def __init__(self, start):
        self.seen = start

    def add(self, more):
        stream, start = stream_and_start()
        stream.send(wire.Ended(nonce=start.nonce, status=4242, clean=True))
        while True:
            message, _ = stream.receive()
            stream.send(wire.Raise(nonce=message.nonce, kind="ValueError", message=f"REMEMBERED {self.seen}", lines=[]))

    def sums(self, values):
        return values.sum(dim=1)
"""


@pytest.fixture(scope="module")
def pool() -> Pool:
    with Pool(size=2, driver=default()) as pool:
        pool.wait(1)
        yield pool


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> labs.Lab:
    lab = dataclasses.replace(labs.read(TOYS / "counter"), limits=Limits(test_s=4, call_s=2, load_s=2))
    monkeypatch.setattr(labs, "load", lambda slug: lab)
    return lab


def hidden(source: str, pool: Pool) -> Outcome:
    return judge(JudgeRequest(lab="counter", source=source, hidden=True), pool=pool)


def test_a_process_that_only_says_it_ended_does_not_meet_the_next_test(toy: labs.Lab, pool: Pool) -> None:
    outcome = hidden(LIVES_ON, pool)
    assert [test.verdict for test in outcome.tests[:2]] == ["RTE", "AC"]  # the second test had a process of its own
    assert not any("REMEMBERED" in test.message or "4242" in test.message for test in outcome.tests)
    assert hidden(GOOD, pool).verdict == "AC"


def test_an_exit_status_carries_nothing_out_of_a_hidden_test(toy: labs.Lab, pool: Pool) -> None:
    outcome = hidden("import os\nclass Counter:\n    def __init__(self, start): os._exit(42)\n", pool)
    assert outcome.tests[0].verdict == "RTE"
    assert "42" not in outcome.tests[0].message


def test_the_words_of_a_failed_load_are_shown_only_before_the_first_input() -> None:
    failed = LoadFailed(Raised("ValueError", "the secret", [(1, "<module>")]))
    assert "the secret" in feedback.message(failed, "x = 1", hidden=True, first=True)
    assert "the secret" not in feedback.message(failed, "x = 1", hidden=True, first=False)
    assert "the secret" in feedback.message(failed, "x = 1", hidden=False)


@pytest.mark.parametrize("stop", [Gone("status 42"), Broken("42"), Raised("Odd42", "42", [(9, "f42")])])
def test_a_hidden_message_holds_nothing_that_the_submission_chose(stop: Exception) -> None:
    assert "42" not in feedback.message(stop, "x = 1", hidden=True)


# Says that an exception passed lines whose numbers spell its input.
LINES = """
import sys
from guest import wire

class Counter:
    def __init__(self, start):
        frame, server = sys._getframe(), None
        while not {"stream", "start"} <= set(frame.f_locals) or server is None:
            server = server or getattr(frame.f_locals.get("self"), "_nonce", None)
            frame = frame.f_back
        lines = [(100 + start // 100 ** place % 100, "") for place in range(3)]
        frame.f_locals["stream"].send(wire.Raise(nonce=server, kind="ValueError", message="", lines=lines))
        while True:
            pass
"""


def test_line_numbers_carry_nothing_out_of_a_hidden_test(toy: labs.Lab, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def given(start: int) -> Test:
        return Test(f"of_{start}", "basics", 2, "", 1, False, lambda sut, bench: sut.new("Counter", start))

    tests = (given(123456), given(987654))
    monkeypatch.setattr(labs.Lab, "tests", lambda self, *, hidden: tests)
    public, kept = (judge(JudgeRequest("counter", LINES + "\n" * 200, shown), pool=pool).tests for shown in (False, True))
    assert [line.strip(" :") for line in public[0].message.splitlines()[1:]] == ["line 156", "line 134", "line 112"]
    assert {test.message for test in kept} == {f"ValueError: {feedback.NOT_HERE}"}


def test_the_reference_runs_as_control_in_a_jail_that_the_submission_never_entered(
    toy: labs.Lab, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[tuple[int, bool]] = []
    load = Session.load

    def spy(self: Session, source: str, entry: str, seed: int, cpu: int = -1) -> None:
        entered.append((self._jail.process.pid, source == toy.reference))
        load(self, source, entry, seed, cpu)

    def careless(sut: Session, bench: Bench) -> None:
        """Takes it for granted that a number comes back."""
        sut.new("Counter", 1).add(1) + 1

    tests = tuple(Test(name, "basics", 2, "", 1, False, careless) for name in ("one", "two"))
    monkeypatch.setattr(Session, "load", spy)
    monkeypatch.setattr(labs.Lab, "tests", lambda self, *, hidden: tests)
    outcome = hidden("class Counter:\n    def __init__(self, start): pass\n    def add(self, more): return 'two'\n", pool)
    assert {test.verdict for test in outcome.tests} == {Verdict.WA}  # the reference passes, so the fault is the submission's
    controls = {pid for pid, reference in entered if reference}
    assert len(controls) == 2
    assert not controls & {pid for pid, reference in entered if not reference}


class Stopper:
    """An object of the judge's that answers when the submission's process has been stopped, so that nobody reads the answer."""

    NAME = "Stopper"
    METHODS = ("ring",)

    def __init__(self, session: Session) -> None:
        self.session = session

    def constants(self) -> dict[str, int]:
        return {}

    def ring(self, depth: int) -> None:
        for pid in self.session._jail.tests():
            os.kill(pid, signal.SIGSTOP)


def adds(sut: Session, bench: Bench) -> None:
    """Adds."""
    assert sut.new("Counter", 1).add(1) == 2


def test_an_answer_that_nobody_read_does_not_meet_the_next_test(toy: labs.Lab, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[int] = []

    def stops(sut: Session, bench: Bench) -> None:
        """Runs out of time between an answer and its reader."""
        met.append(sut._jail.process.pid)
        sut.new("Counter", 1).chime(Stopper(sut), 0)

    def next_one(sut: Session, bench: Bench) -> None:
        """Comes next."""
        met.append(sut._jail.process.pid)
        adds(sut, bench)

    tests = tuple(Test(function.__name__, "basics", 2, "", 1, False, function) for function in (stops, next_one))
    monkeypatch.setattr(labs.Lab, "tests", lambda self, *, hidden: tests)
    assert [test.verdict for test in hidden(GOOD, pool).tests] == ["ILE", "AC"]
    assert len(set(met)) == 2  # the jail itself was not trusted again, rather than found to be dead


def test_a_jail_that_dies_before_the_submission_is_there_is_replaced_once(toy: labs.Lab, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    load = Session.load

    def kills(self: Session, source: str, *rest: Any) -> None:
        loads.append(source)
        if len(loads) in (1, 3):  # two tests, and neither has two jails die
            os.kill(self._jail.core[-1], signal.SIGKILL)
            self._jail.process.wait(10)
        load(self, source, *rest)

    tests = tuple(Test(name, "basics", 1, "", 1, False, adds) for name in ("one", "two", "three", "four"))
    monkeypatch.setattr(labs.Lab, "tests", lambda self, *, hidden: tests)
    monkeypatch.setattr(Session, "load", kills)
    assert {test.verdict for test in hidden(GOOD, pool).tests} == {"AC"}
    assert len(loads) == len(tests) + 2
    before = len(loads)
    outcome = hidden("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nsignal.pause()", pool)
    assert {test.verdict for test in outcome.tests} == {"RTE"}
    assert len(loads) - before == len(tests) + 1  # who kills its jails gets one other in a run, not one in each test


def test_the_submissions_random_numbers_say_nothing_of_the_judges(toy: labs.Lab, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs: list[int] = []
    load = Session.load

    def spy(self: Session, source: str, entry: str, seed: int, cpu: int = -1) -> None:
        theirs.append(seed)
        load(self, source, entry, seed, cpu)

    tests = tuple(Test(name, "basics", 2, "", 1, False, adds) for name in ("one", "two"))
    monkeypatch.setattr(labs.Lab, "tests", lambda self, *, hidden: tests)
    monkeypatch.setattr(Session, "load", spy)
    judge(JudgeRequest(lab="counter", source=GOOD, hidden=True, seed=7), pool=pool)
    ours = [derive(7, test.name, 0) for test in tests]
    assert len({*ours, *theirs}) == 4
    assert len({one ^ other for one, other in zip(ours, theirs, strict=True)}) == len({one - other for one, other in zip(ours, theirs, strict=True)}) == 2


def test_a_test_that_its_own_reference_fails_is_the_judges_error(toy: labs.Lab, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(sut: Session, bench: Bench) -> None:
        """Has a fault of its own."""
        raise KeyError("a fault of ours")

    monkeypatch.setattr(labs.Lab, "tests", lambda self, *, hidden: (Test("one", "basics", 4, "", 1, False, broken),))
    outcome = hidden(GOOD, pool)
    assert (outcome.verdict, outcome.message) == ("JE", "a test failed by itself")
    assert "a fault of ours" not in outcome.tests[0].message


def test_groups_of_a_killed_judge_are_swept_and_those_of_a_live_one_stay(tmp_path: Path) -> None:
    for name in (f"jail-{os.getpid()}-aa", "jail-4194999-bb", "other"):
        (tmp_path / name).mkdir()
    limits.sweep(limits.Hierarchy(1, tmp_path, None))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"jail-{os.getpid()}-aa", "other"]


def test_a_header_may_use_each_tensor_once() -> None:
    parcel = wire.Parcel(lambda value: None)
    packed = parcel.pack(b"x" * 1000)
    message = wire.Return(nonce=1, value=[packed, packed], tensors=parcel.tensors)
    with pytest.raises(wire.Violation, match="twice"):
        wire.unpack(message.value, message, bytearray(1000), lambda tag, body: None)


HOLDS = """
import sys
from pathlib import Path
from sandbox.jail import Slots
slots = Slots(Path(sys.argv[1]), 4)
print(slots.take(), slots.take(), flush=True)
sys.stdin.read()
"""


def test_two_judges_never_share_a_user_id_and_a_dead_one_gives_its_own_back(tmp_path: Path) -> None:
    folder = tmp_path / "jails"
    slots = Slots(folder, 4)
    assert slots.take() == 0
    other = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline().split() == ["1", "2"]
    assert slots.take() == 3
    with pytest.raises(OSError, match="all 4 numbers"):
        slots.take()
    other.kill()
    other.wait()
    other.stdout.close()
    assert [slots.take(), slots.take()] == [1, 2]
    slots.give_back(0)
    assert slots.take() == 0


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "jails"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(OSError, match="nobody else can write"):
        Slots(folder, 4).take()
