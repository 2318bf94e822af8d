"""What the queue costs and keeps: the first result of a run, submissions sent at once, workers killed in the middle, on a whole site of its own.

The site is `manage.py serve` with a fresh state folder: the very processes of the embedded default; its one judging worker
judges two at a time. Runs are queued as the site queues them and looked at in its database.
"""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import close_old_connections
from django.utils import timezone

from sandbox import labs
from sandbox.actions import request_run
from sandbox.models import Run, TestResult

LAB = "continuous-batcher"
MANAGE = str(Path(settings.BASE_DIR) / "manage.py")
START_SECONDS, RUN_SECONDS = 120.0, 180.0
POLL_SECONDS, REFILL_SECONDS = 0.002, 4.0


def measure(what: str, count: int) -> dict[str, Any]:
    """Runs `latency`, `queue` or `kills` in a process whose settings are those of a site of its own, and returns its figures.

    Raises:
        RuntimeError: the site did not start, or the measurement failed; the message holds what it said.
    """
    with tempfile.TemporaryDirectory(prefix="roofline-bench-") as state:
        env = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL", "PORT", "HOST")}
        env |= {"ROOFLINE_STATE": state, "SANDBOX_CONCURRENCY": "2"}
        command = [sys.executable, MANAGE, "bench_sandbox", "--inside", what, "--count", str(count)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{what}: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def inside(what: str, count: int) -> dict[str, Any]:
    """`measure`, in the process that has the settings."""
    with _site() as site:
        return MEASUREMENTS[what](site, count)


@contextmanager
def _site() -> Iterator["subprocess.Popen[bytes]"]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site = subprocess.Popen([sys.executable, MANAGE, "serve", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_SECONDS
        while not _ready(f"http://127.0.0.1:{port}/healthz"):
            if time.monotonic() > until or site.poll() is not None:
                raise RuntimeError("the site with a working jail did not come up")
            time.sleep(0.5)
        yield site
    finally:
        site.terminate()
        site.wait(30)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(json.load(answer)["jail"]["ok"])
    except (urllib.error.URLError, OSError, KeyError, ValueError):
        return False


def _send(user: Any, kind: str = "hidden") -> Run:
    return request_run(user=user, subject=None, lab=LAB, source=labs.load(LAB).reference, kind=kind, limited=False)


def _user() -> Any:
    return get_user_model()._default_manager.create(email="bench@example.test")


def _tree(root: int) -> dict[int, str]:
    """Processes below `root`, and their command lines."""
    parents, names = dict[int, int](), dict[int, str]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: names[pid] for pid in found if pid in names}


def _judging_worker(site: "subprocess.Popen[bytes]") -> int | None:
    """The worker itself: the process of that name nearest to the site."""
    workers = [pid for pid, name in _tree(site.pid).items() if "--hostname sandbox@" in name]
    return min(workers, default=None)


class _Memory(threading.Thread):
    """The most that the judging worker held, twice a second, without its jails, which have caps of their own."""

    def __init__(self, site: "subprocess.Popen[bytes]") -> None:
        super().__init__(daemon=True)
        self.site, self.peak, self.over = site, 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.5):
            pid = _judging_worker(self.site)
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                self.peak = max(self.peak, int(status.partition("VmRSS:")[2].split()[0]) / 1024)
            except (OSError, IndexError, ValueError):
                continue


def _wait(count: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while Run.objects.filter(state=Run.State.DONE).count() < count:
        if time.monotonic() > until:
            break  # what is missing shows in the figures
        time.sleep(0.2)
        close_old_connections()


def _latency(site: "subprocess.Popen[bytes]", count: int) -> dict[str, Any]:
    """From the request of a public run, as the site makes it, until its first test's result can be read in the database.

    One run at a time, with the pool refilled between. The first run is left out: it loads the lab in a worker that has judged nothing yet.
    """
    user, taken, first = _user(), list[float](), list[float]()
    for number in range(count + 1):
        time.sleep(REFILL_SECONDS)
        began, at = time.perf_counter(), timezone.now()
        run = _send(user, "public")
        until = began + RUN_SECONDS
        while not TestResult.objects.filter(run=run).exists() and time.perf_counter() < until:
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - began
        _wait(number + 1, RUN_SECONDS)
        run.refresh_from_db()
        if run.verdict != "AC" or run.started_at is None:
            raise RuntimeError(f"the reference got {run.verdict or 'no verdict'}")
        first.append(seconds)
        taken.append((run.started_at - at).total_seconds())
    return {
        "queue to first result, p50 ms": statistics.median(first[1:]) * 1e3,
        "queue to first result, p95 ms": percentile(first[1:], 0.95) * 1e3,
        "queue to a worker's claim, p50 ms": statistics.median(taken[1:]) * 1e3,
    }


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _queue(site: "subprocess.Popen[bytes]", count: int) -> dict[str, Any]:
    user, memory = _user(), _Memory(site)
    memory.start()
    began = time.monotonic()
    for _ in range(count):
        _send(user)
    _wait(count, 60 + 15.0 * count)
    seconds = time.monotonic() - began
    memory.over.set()
    runs = list(Run.objects.all())
    complete = sum(TestResult.objects.filter(run=run).count() == run.planned for run in runs)
    return {
        "queued at once": count,
        "queued, judged": sum(run.state == Run.State.DONE for run in runs),
        "queued, accepted": sum(run.verdict == "AC" for run in runs),
        "queued, judged more than once": sum(run.attempt > 1 for run in runs),
        "queued, with each test's result once": complete,
        "queued, per minute": 60 * count / seconds,
        "queued, peak memory of the worker MiB": memory.peak,
    }


def _kills(site: "subprocess.Popen[bytes]", count: int) -> dict[str, Any]:
    """kill -9 of the worker while it judges, then wait for the verdict that the supervisor's next worker gives."""
    user, verdicts, attempts, seconds = _user(), Counter[str](), Counter[int](), list[float]()
    for number in range(count):
        run = _send(user)
        until = time.monotonic() + RUN_SECONDS
        while not TestResult.objects.filter(run=run).exists() and time.monotonic() < until:
            time.sleep(0.02)
        worker = _judging_worker(site)
        if worker is None:
            raise RuntimeError("no worker to kill")
        os.kill(worker, signal.SIGKILL)
        killed = time.monotonic()
        _wait(number + 1, RUN_SECONDS)
        run.refresh_from_db()
        seconds.append(time.monotonic() - killed)
        verdicts[run.verdict or "none"] += 1
        attempts[run.attempt] += 1
    return {
        "workers killed in mid-run": count,
        "killed, right verdict after all": verdicts["AC"],
        "killed, judged in two attempts": attempts[2],
        "killed, median s to the verdict": statistics.median(seconds),
    }


MEASUREMENTS: dict[str, Callable[["subprocess.Popen[bytes]", int], dict[str, Any]]] = {"latency": _latency, "queue": _queue, "kills": _kills}
