"""What people and attackers send: each gets its verdict, the judge goes on, and the next one starts clean."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox import JudgeRequest, feedback, judge, labs
from sandbox.drivers import default
from sandbox.labs import Lab
from sandbox.pool import Pool
from sandbox.session import Session
from sandbox.spec import Limits
from sandbox.verdict import Verdict

TOYS = Path(__file__).with_name("toys")
GOOD = (TOYS / "counter/solutions/reference.py").read_text()


@pytest.fixture(scope="module")
def pool() -> Pool:
    with Pool(size=2, driver=default()) as pool:
        pool.wait(1)
        yield pool


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The smallest lab, on short limits."""
    lab = dataclasses.replace(labs.read(TOYS / "counter"), limits=Limits(test_s=4, call_s=2, load_s=2, output_kb=64))
    monkeypatch.setattr(labs, "load", lambda slug: lab)
    return lab


def verdicts(source: str, pool: Pool, *, hidden: bool = True) -> set[str]:
    return {test.verdict for test in judge(JudgeRequest(lab="counter", source=source, hidden=hidden), pool=pool).tests}


def test_the_toy_itself_is_sound(toy: Lab, pool: Pool) -> None:
    assert verdicts(GOOD, pool) == {"AC"}
    source, test = next(iter(toy.wrong().values()))
    outcome = judge(JudgeRequest(lab="counter", source=source, hidden=True), pool=pool)
    assert test in [result.name for result in outcome.tests if result.verdict != "AC"]


SENT = {
    "not python": ("def (", {"CE"}),
    "nothing": ("", {"CE"}),
    "a NUL character": ("x = 1\0", {"CE"}),
    "a lone surrogate": ("x = '\ud800'", {"CE"}),
    "too large": ("x = 1\n" * 100_000, {"CE"}),
    "exits 0 at import": ("import os\nos._exit(0)", {"CE", "RTE"}),
    "leaves politely at import": ("import sys\nsys.exit(0)", {"CE", "RTE"}),
    "raises at import": ("1 / 0", {"CE"}),
    "never returns": ("while True: pass", {"TLE", "CE"}),
    "sleeps for ever": ("import time\ntime.sleep(99)", {"ILE", "TLE", "CE"}),
    "prints for ever": ("while True: print('x' * 1000)", {"OLE", "TLE", "CE"}),
    "takes all memory": ("x = []\nwhile True: x.append(bytearray(1 << 26))", {"MLE", "RTE", "CE", "TLE"}),
    "forks for ever": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", {"RTE", "TLE", "ILE", "CE", "MLE", "OLE"}),
    "opens a socket": ("import socket\nsocket.create_connection(('127.0.0.1', 6379), 1)", {"CE", "SV"}),
    "reads the shadow file": ("open('/etc/shadow').read()", {"CE"}),
    "looks for the tests": ("import glob\nassert glob.glob('/**/hidden_tests.py', recursive=True)", {"CE", "TLE"}),
    "writes to the system": ("open('/usr/lib/x', 'w')", {"CE"}),
    "ends the parent": ("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", {"RTE", "CE"}),
}


@pytest.mark.parametrize("name", SENT)
def test_it_gets_its_verdict_and_the_next_one_is_clean(name: str, toy: Lab, pool: Pool) -> None:
    source, allowed = SENT[name]
    began = time.monotonic()
    seen = verdicts(source, pool)
    assert seen <= allowed | {"SK"}
    assert "AC" not in seen
    assert time.monotonic() - began < 60
    assert verdicts(GOOD, pool) == {"AC"}


HANGS = {"computes": ("while True: pass", "TLE"), "waits": ("import time\ntime.sleep(99)", "ILE")}


@dataclasses.dataclass
class Loads:
    """What was loaded, one after the other, and what is to be loaded instead."""

    seen: list[str] = dataclasses.field(default_factory=list)
    instead: list[str] = dataclasses.field(default_factory=list)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    loads, load = Loads(), Session.load

    def spy(self: Session, source: str, *rest: Any) -> None:
        loads.seen.append(loads.instead.pop(0) if loads.instead else source)
        load(self, loads.seen[-1], *rest)

    monkeypatch.setattr(Session, "load", spy)
    return loads


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("how", HANGS)
def test_a_file_that_never_finishes_loading_is_waited_for_twice_and_not_in_each_test(how: str, hidden: bool, toy: Lab, pool: Pool, loads: Loads) -> None:
    source, verdict = HANGS[how]
    outcome = judge(JudgeRequest(lab="counter", source=source, hidden=hidden), pool=pool)
    assert loads.seen == [source] * 2
    assert outcome.verdict == verdict
    assert {(test.verdict, test.message) for test in outcome.tests} == {(verdict, feedback.STUCK)}
    assert [test.seconds > 0 for test in outcome.tests] == [True, *[False] * (len(outcome.tests) - 1)]
    assert outcome.message.startswith("The file never finished loading") and "has 2 s" in outcome.message


def test_a_load_that_was_late_once_is_held_against_nobody(toy: Lab, pool: Pool, loads: Loads) -> None:
    loads.instead = ["while True: pass"]
    outcome = judge(JudgeRequest(lab="counter", source=GOOD, hidden=True), pool=pool)
    assert (outcome.verdict, outcome.message) == ("AC", "")


def test_a_file_that_did_load_and_then_does_not_fails_in_that_test_alone(toy: Lab, pool: Pool, loads: Loads) -> None:
    loads.instead = [GOOD, GOOD, GOOD, GOOD, "while True: pass"]  # the first test has three repeats
    outcome = judge(JudgeRequest(lab="counter", source=GOOD, hidden=True), pool=pool)
    assert [test.verdict for test in outcome.tests] == ["AC", "AC", "TLE", "AC"]
    assert outcome.tests[2].message == feedback.FIXED[Verdict.TLE]
    assert (outcome.message, len(loads.seen)) == ("", 6)


def test_a_machine_without_time_for_a_load_is_the_judges_error(toy: Lab, pool: Pool, loads: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.session.PATIENCE", 0)  # as though all that a machine may be late were used up
    monkeypatch.setattr("sandbox.judging._Run._control", lambda *_: False)
    outcome = judge(JudgeRequest(lab="counter", source="while True: pass", hidden=True), pool=pool)
    assert outcome.verdict == "JE"
    assert {test.message for test in outcome.tests if test.verdict == "JE"} == {feedback.FIXED[Verdict.JE]}


def test_what_it_prints_is_shown_for_public_tests_and_never_for_hidden_ones(toy: Lab, pool: Pool) -> None:
    source = GOOD + "\nprint('\\x1b[31mhello\\x1b[0m <b>')\n"
    public = judge(JudgeRequest(lab="counter", source=source, hidden=False), pool=pool)
    assert any("hello" in test.stdout for test in public.tests)
    assert not any("\x1b" in test.stdout for test in public.tests)
    hidden = judge(JudgeRequest(lab="counter", source=source, hidden=True), pool=pool)
    assert {test.stdout for test in hidden.tests} == {""}


@pytest.mark.parametrize("first", ["# a note\u2028pasted\x85from the web", "\x0c", "# one\r# two"])
def test_a_quoted_line_is_the_numbered_one(first: str, toy: Lab, pool: Pool) -> None:
    source = first + "\n" + GOOD.replace("self.total += more", "self.total += moer")
    outcome = judge(JudgeRequest(lab="counter", source=source, hidden=False), pool=pool)
    number = 7 + first.count("\r")
    assert f"line {number}: self.total += moer" in outcome.tests[0].message


def test_a_byte_order_mark_is_no_fault(toy: Lab, pool: Pool) -> None:
    assert verdicts("\ufeff" + GOOD, pool) == {"AC"}


def test_an_abort_ends_it_soon(toy: Lab, pool: Pool) -> None:
    began = time.monotonic()
    outcome = judge(JudgeRequest(lab="counter", source="while True: pass", hidden=True), should_abort=lambda: time.monotonic() - began > 0.3, pool=pool)
    assert outcome.verdict == "AB"
    assert time.monotonic() - began < 10


def test_results_arrive_one_by_one(toy: Lab, pool: Pool) -> None:
    events: list[str] = []
    outcome = judge(JudgeRequest(lab="counter", source=GOOD, hidden=True), on_event=lambda event: events.append(event["type"]), pool=pool)
    assert events == ["planned"] + ["test"] * len(outcome.tests)


def test_without_a_pool_a_jail_is_started_cold(toy: Lab) -> None:
    assert judge(JudgeRequest(lab="counter", source=GOOD, hidden=True)).verdict == "AC"


def test_the_plain_driver_refuses_hidden_tests(toy: Lab) -> None:
    from sandbox import Unavailable

    with pytest.raises(Unavailable, match="plain"):
        judge(JudgeRequest(lab="counter", source=GOOD, hidden=True, driver="plain"))


RAISED = {
    "words about memory": ("raise ValueError('not enough memory: the pool is full')", "RTE"),
    "more words about memory": ("raise RuntimeError(\"can't allocate memory in the pool\")", "RTE"),
    "words about a GPU": ("raise ValueError('CUDA out of memory')", "RTE"),
    "a refusal of its own": ("raise PermissionError('max_running reached')", "RTE"),
    "what the system refuses": ("import socket; socket.socket()", "SV"),
    "what Python can't have": ("bytearray(1 << 40)", "MLE"),
    "what torch can't have": ("import torch; torch.empty(1 << 40)", "MLE"),
}


@pytest.mark.parametrize("what", RAISED)
def test_a_verdict_goes_by_what_happened_and_not_by_the_submissions_words(what: str, toy: Lab, pool: Pool) -> None:
    body, verdict = RAISED[what]
    assert verdicts(f"class Counter:\n    def __init__(self, start):\n        {body}", pool) - {"SK"} == {verdict}


def test_no_test_begins_when_the_time_of_the_run_is_used_up(toy: Lab, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = dataclasses.replace(toy, limits=dataclasses.replace(toy.limits, run_s=0))
    monkeypatch.setattr(labs, "load", lambda slug: lab)
    basics = judge(JudgeRequest(lab="counter", source=GOOD, hidden=True), pool=pool).tests[:2]  # the first of them has three repeats
    assert [(test.verdict, test.message) for test in basics] == [("TLE", feedback.OUT_OF_TURN)] * 2
