"""The parent's promise: nothing outlives it, and what dies is started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PARENT = """
import sys
from interviews.supervisor import Child, Supervisor
script = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\\\n'); time.sleep(600)"
Supervisor([Child(name, [sys.executable, "-c", script, sys.argv[1]]) for name in "ab"]).run()
"""


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def family(tmp_path: Path) -> tuple[subprocess.Popen[bytes], Path]:
    pids = tmp_path / "pids"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, pids])
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    yield parent, pids
    parent.kill()
    parent.wait()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_no_child_outlives_the_parent_however_it_ends(family: tuple[subprocess.Popen[bytes], Path], how: signal.Signals) -> None:
    parent, pids = family
    parent.send_signal(how)
    parent.wait(20)
    until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))


def test_a_child_that_dies_is_started_again(family: tuple[subprocess.Popen[bytes], Path]) -> None:
    _, pids = family
    first = int(pids.read_text().split()[0])
    os.kill(first, signal.SIGKILL)
    until(lambda: len(pids.read_text().split()) == 3)
    assert alive(int(pids.read_text().split()[2]))
