"""The attack suite: each file under `rows/` is a hostile submission with its expected verdict in its header.

    # row: number in the list of attacks (docs/sandbox.md)
    # title: what it tries
    # base: wrong (the rest of the module gives wrong answers: the attack must not make them right) or right (the module is correct, and the attack
    #       itself raises where it finds what it looks for)
    # verdict: the verdicts that its tests may have
    # lab: a shipped lab whose hidden tests it is sent to, whole as it is; without this line a counter's follows it and the tests are the counter's

After each attack the judge is alive, no process of a jail is left, and a correct submission that looks for leftovers is accepted.
"""

import dataclasses
import fcntl
import itertools
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import JudgeRequest, Outcome, judge, labs
from sandbox.drivers import FIRST_UID, UIDS, default
from sandbox.drivers import _slots as SLOTS
from sandbox.pool import Pool
from sandbox.spec import Limits

HERE = Path(__file__).parent
TOYS = HERE.parent / "sandbox/toys"
ROWS = sorted((HERE / "rows").glob("*.py"))
RIGHT = (TOYS / "counter/solutions/reference.py").read_text()
WRONG = """
class Counter(globals().get("Early", object)):
    def __getattr__(self, name):
        if name in ("add", "sums", "chime", "tone"):
            return lambda *args: -1
        raise AttributeError(name)

    if "Early" not in globals() or "__init__" not in vars(Early):
        def __init__(self, start):
            pass

    for missing in ("add", "sums", "chime", "tone"):
        if not hasattr(globals().get("Early"), missing):
            locals()[missing] = lambda self, *args: -1
"""
# Looks for what the one before may have left. Names of what a fresh jail has are no leftovers.
CLEAN = RIGHT + """
import os

for folder in ("/tmp", "/dev/shm", "/var/tmp", "/run"):
    if os.path.isdir(folder):
        left = [name for name in os.listdir(folder) if "left" in name or "answer" in name or name.endswith(".py") or name == "unpickled"]
        assert not left, left
assert len([name for name in os.listdir("/proc") if name.isdigit()]) <= 8
"""
# Rows without a file: why, and what stands in their place.
ELSEWHERE = {
    12: "the judge keeps its inputs in memory and judges bytes that have left the jail; a43 changes the input",
    17: "needs a GPU", 18: "needs a GPU", 19: "needs a GPU", 26: "needs a GPU", 57: "needs a GPU", 66: "needs a GPU",
    23: "coarse times and no output for hidden tests: tests/sandbox/test_leaks.py",
    24: "only frames of the submission: tests/sandbox/test_leaks.py",
    31: "each test and each repeat has a fresh process and values of its own: a cache is empty when it matters",
    32: "no lab scores a time: a verdict depends on its limit alone", 33: "no lab scores a time", 34: "no lab scores a time", 36: "no lab scores a time",
    37: "no lab scores a time",
    35: "the metered engine counts outside the jail: the labs' wrong solutions in tests/sandbox/test_labs.py",
    45: "the jail holds no reference to fall back to (a20)",
    46: "a lab's own test: speculative-decoder, wrong solutions in tests/sandbox/test_labs.py",
    47: "a lab's own test: continuous-batcher, wrong solutions in tests/sandbox/test_labs.py",
    52: "no memory is shared: bytes are copied out of the socket before they are judged (tests/sandbox/test_wire.py)",
    53: "tests/sandbox/test_submissions.py, test_what_it_prints_is_shown_for_public_tests_and_never_for_hidden_ones",
    54: "a submission is one file",
    64: "no image and no environment of a candidate's; a matter of patch level",
    68: "limits per user, 429: tests/live/test_runs.py",
    69: "a matter for people",
}  # fmt: skip


def header(path: Path) -> dict[str, str]:
    lines = itertools.takewhile(lambda line: line.startswith("# "), path.read_text().splitlines())
    return {key: value for key, _, value in (line[2:].partition(": ") for line in lines)}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    limits = Limits(test_s=4, call_s=2, load_s=4, output_kb=64)
    load = labs.load
    with pytest.MonkeyPatch.context() as patch, Pool(size=2, driver=default()) as pool:
        patch.setattr(labs, "load", lambda slug: dataclasses.replace(labs.read(TOYS / slug) if slug == "counter" else load(slug), limits=limits))
        pool.wait(1)
        yield pool


def sent(source: str, pool: Pool, lab: str = "counter") -> Outcome:
    return judge(JudgeRequest(lab=lab, source=source, hidden=True), pool=pool)


def orphans() -> list[str]:
    """Processes under the user ids of jails that no judge on this machine holds."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                slot = entry.stat().st_uid - FIRST_UID
                if 0 <= slot < UIDS and not held(slot):
                    found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return found


def held(slot: int) -> bool:
    """Whether a judge, of this process or another, has a jail under this number."""
    with (SLOTS.folder / str(slot)).open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_every_row_has_a_file_or_a_reason() -> None:
    with_files = {int(header(path)["row"]) for path in ROWS}
    assert with_files | set(ELSEWHERE) == set(range(1, 70))
    assert not with_files & set(ELSEWHERE)
    assert all(set(header(path)) - {"lab"} == {"row", "title", "base", "verdict"} for path in ROWS)


def test_the_controls(pool: Pool) -> None:
    assert {test.verdict for test in sent(RIGHT, pool).tests} == {"AC"}
    assert {test.verdict for test in sent(CLEAN, pool).tests} == {"AC"}
    assert "AC" not in {test.verdict for test in sent(WRONG, pool).tests}


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_it_gets_its_verdict_and_leaves_nothing(path: Path, pool: Pool) -> None:
    expected = header(path)
    began, grown = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rest = "" if "lab" in expected else RIGHT if expected["base"] == "right" else WRONG
    outcome = sent(path.read_text() + "\n\n" + rest, pool, expected.get("lab", "counter"))
    seen = {test.verdict for test in outcome.tests}
    why = [(test.name, test.verdict, test.message) for test in outcome.tests if test.verdict != "SK"]
    assert seen - {"SK"} <= set(expected["verdict"].split()) | ({"WA", "RTE"} if expected["base"] == "wrong" else set()), why
    if expected["base"] == "wrong":
        assert "AC" not in seen, why
    assert not any(test.stdout for test in outcome.tests)
    assert "INPUT" not in repr(outcome.tests)
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown < 600_000
    assert {test.verdict for test in sent(CLEAN, pool).tests} == {"AC"}


def test_the_pool_ends_with_no_process_left(pool: Pool) -> None:
    pool.close()
    for _ in range(50):
        if not orphans():
            break
        time.sleep(0.1)
    assert not orphans()
    assert not [path for path in Path("/dev/shm").glob("*") if FIRST_UID <= path.stat().st_uid < FIRST_UID + UIDS]
