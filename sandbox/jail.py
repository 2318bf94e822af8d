"""One single-use jail: its process, its stream, its control group, and its end."""

import contextlib
import fcntl
import os
import secrets
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sandbox.guest import wire
from sandbox.limits import Group
from sandbox.link import Closed, Deadline, Flood, Link, Wait
from sandbox.spec import JailSpec
from sandbox.verdict import Unavailable

if TYPE_CHECKING:
    from sandbox.gpus import Lease

START_S = 60.0
PREPARE_S = 1.0  # to write a frame of a few bytes into an empty pipe
_CLOCK = os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """Every live process below `pid` as the host numbers them, parents before children."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop(0)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with contextlib.suppress(OSError, ValueError):
                    children = Path(f"/proc/{parent}/task/{task}/children").read_text().split()
                    found += (below := [int(child) for child in children])
                    waiting += below
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Processor time used so far by these processes, parents before children, and the children that they have waited for."""
    total = 0
    for pid in reversed(pids):  # a child that ends meanwhile is then counted twice rather than not at all: its parent, read later, has its time
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / _CLOCK


def own_queued_seconds() -> float:
    """Time so far in which this thread could have computed and had to wait for a processor; 0 where the kernel does not tell."""
    return _schedule(Path("/proc/thread-self/schedstat"))[1]


def _schedule(schedstat: Path) -> tuple[float, float]:
    """(seconds on a processor, seconds queued for one) of a thread."""
    try:
        computed, queued, *_ = schedstat.read_text().split()
        return int(computed) / 1e9, int(queued) / 1e9
    except (OSError, ValueError):
        return 0.0, 0.0


class Usage(NamedTuple):
    """What processes had of the machine so far, in seconds.

    Args:
        computed: on a processor, threads and children that have ended included.
        queued: for a processor, all threads together.
        delayed: for a processor that others had: of one thread, what it queued beyond the computing of all the rest, which it may have waited for.
    """

    computed: float
    queued: float
    delayed: float


def usage(pids: Sequence[int]) -> Usage:
    """What these processes had of the machine."""
    threads = [_schedule(path) for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    total = cpu_seconds(pids)
    return Usage(total, sum(queued for _, queued in threads), max((queued - (total - computed) for computed, queued in threads), default=0.0))


class Slots:
    """Small numbers that are held by one at a time anywhere on this machine: the user ids of jails, the GPUs.

    A number is a lock on a file, so that judges of several processes never share one, and the kernel gives back what a dead judge held.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}

    def take(self) -> int:
        """A number that nobody holds. Raises OSError when there is none, or when the folder is not ours alone."""
        for number in range(self.most):
            if self.take_this(number) is not None:
                return number
        raise OSError(f"all {self.most} numbers of {self.folder} are in use")

    def take_this(self, number: int) -> int | None:
        """This number, or None when somebody holds it. Raises OSError when the folder is not ours alone."""
        with self._lock:
            self._prepare()
            if number in self._held:
                return None
            descriptor = os.open(self.folder / str(number), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            self._held[number] = descriptor
            return number

    def give_back(self, slot: int) -> None:
        with self._lock:
            descriptor = self._held.pop(slot, None)
        if descriptor is not None:
            os.close(descriptor)

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        seen = self.folder.lstat()
        if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
            raise OSError(f"{self.folder} must be a folder of the judge's user that nobody else can write to")


class Jail:
    """A started jail whose zygote waits for tests.

    Args:
        process: the launcher's process, which the driver has started.
        link: the judge's end of the stream.
        driver: name of the driver.
        core: how many of the first processes below `process` belong to the jail itself.
        group: its control group, if there is one.
        on_close: called once after the jail is gone.

    Raises:
        Unavailable: the zygote did not come up.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        link: Link,
        spec: JailSpec,
        driver: str,
        descriptors: Iterable[int],
        group: Group | None = None,
        slot: tuple[Slots, int] | None = None,
    ) -> None:
        self.process, self.link, self.spec, self.driver = process, link, spec, driver
        self._descriptors, self._group, self._slot = list(descriptors), group, slot
        self._closed = False
        self._lock = threading.Lock()
        self.healthy = True
        self.gpu: Lease | None = None
        try:
            message, _ = link.receive(Wait(START_S))
            if not isinstance(message, wire.Ready):
                raise Unavailable("the jail spoke before it was ready")
            self.versions = message.versions
        except (Closed, Deadline, Flood, wire.Violation) as error:
            text = link.take_text().strip()
            self.close()
            raise Unavailable(f"the {driver} jail did not start: {text[-800:] or type(error).__name__}") from None
        except BaseException:
            self.close()
            raise
        self.core = [process.pid, *descendants(process.pid)]
        self.prepared = 0
        self._prepare()

    def _prepare(self) -> None:
        """Has the next test's process forked, ahead of its time. Nothing of another test may live, since it could reach into that process."""
        self.prepared = secrets.randbits(62)
        try:
            self.link.send(wire.Prepare(nonce=self.prepared), None, Wait(PREPARE_S))
        except (Closed, Deadline):
            self.healthy = False

    def tests(self) -> list[int]:
        """The processes of a test: the prepared one, and what it started."""
        return [pid for pid in descendants(self.process.pid) if pid not in self.core]

    def settle(self, clean: bool) -> None:
        """Takes note that a test's process has ended, which only the jail says so far.

        A submission can send that frame itself and live on, to meet the next test with what it saw of this one. So the processes are counted from
        outside. Where they can't be seen, as behind a container's client, no second test enters the jail.
        """
        self.healthy = self.healthy and clean and self.driver != "container" and not self.tests()
        if self.healthy:
            self._prepare()

    def usage(self) -> Usage:
        """What the running test had of the machine."""
        return usage(self.tests())

    def interrupt(self) -> None:
        """Ends the running test's processes; the zygote stays."""
        for _ in range(20):
            running = self.tests()
            if not running:
                return
            for pid in running:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)

    def condemn(self) -> None:
        """Ends the running test's processes; no other test enters."""
        self.healthy = False
        self.interrupt()

    def over_gpu(self) -> bool:
        """Whether more GPU memory was used than the lab allows."""
        return self.gpu is not None and self.gpu.over.is_set()

    def oom_kills(self) -> int:
        return self._group.oom_kills() if self._group else 0

    def close(self) -> bool:
        """Ends everything inside. Returns whether nothing is left; may be called twice, from any thread."""
        with self._lock:
            if self._closed:
                return True
            self._closed = True
        self.healthy = False
        for pid in reversed([self.process.pid, *descendants(self.process.pid)]):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            self.process.wait(5)
            gone = True
        except subprocess.TimeoutExpired:
            gone = False
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if self._group is not None:
            gone = self._group.remove() and gone
        if self._slot is not None:
            self._slot[0].give_back(self._slot[1])
        return gone

    def __enter__(self) -> "Jail":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
