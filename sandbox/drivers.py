"""Starts jails: `bwrap`, `container` and `plain` behind one function, `start`.

Every process is started by one thread that lives as long as this process does: the kernel ends a jail when the *thread* that started it ends.
"""

import functools
import json
import os
import queue
import secrets
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from sandbox import bwrap, container, limits, seccomp
from sandbox.gpus import Driver, Gpus
from sandbox.jail import Jail, Slots
from sandbox.limits import Group
from sandbox.link import Link
from sandbox.spec import JailSpec
from sandbox.verdict import Unavailable

NAMES = ("bwrap", "container", "plain")
FIRST_UID, UIDS = 60_000, 5_000  # below nobody's 65534, above people's
LOCKS = Path("/run" if os.access("/run", os.W_OK) else tempfile.gettempdir())
_slots = Slots(LOCKS / f"roofline-jails-{os.geteuid()}", UIDS)


class _Starter:
    """The one thread that starts processes."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Future[subprocess.Popen[bytes]], Callable[[], subprocess.Popen[bytes]]]]
        self._orders = queue.SimpleQueue()
        threading.Thread(target=self._run, name="jail-starter", daemon=True).start()

    def _run(self) -> None:
        while True:
            future, action = self._orders.get()
            try:
                future.set_result(action())
            except BaseException as error:
                future.set_exception(error)

    def start(self, action: "Callable[[], subprocess.Popen[bytes]]") -> "subprocess.Popen[bytes]":
        future: Future[subprocess.Popen[bytes]] = Future()
        self._orders.put((future, action))
        return future.result(60)


@functools.lru_cache(maxsize=1)
def _starter(pid: int) -> _Starter:
    return _Starter()


@functools.lru_cache(maxsize=1)
def gpus() -> Gpus:
    """This machine's GPUs.

    Raises:
        Unavailable: it has none that can be lent.
    """
    return Gpus(Driver(), LOCKS / f"roofline-gpus-{os.geteuid()}")


@functools.lru_cache(maxsize=1)
def hierarchy() -> limits.Hierarchy:
    found = limits.detect()
    limits.sweep(found)
    return found


def default() -> str:
    """The driver that this machine is to use: ROOFLINE_JAIL, or bwrap."""
    name = os.environ.get("ROOFLINE_JAIL", "bwrap")
    if name not in NAMES:
        raise Unavailable(f"ROOFLINE_JAIL is {name!r}; known are {', '.join(NAMES)}")
    return name


def start(spec: JailSpec, driver: str) -> Jail:
    """A new jail, its zygote ready.

    Raises:
        Unavailable: it can't be had; the message says why and how to mend it.
    """
    if driver not in NAMES:
        raise Unavailable(f"there is no jail driver {driver!r}; known are {', '.join(NAMES)}")
    try:
        return {"bwrap": _bwrap, "container": _container, "plain": _plain}[driver](spec)
    except OSError as error:
        raise Unavailable(f"the {driver} jail did not start: {error}") from error


def _memory_file(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def readable_by_all(path: str) -> bool:
    """Whether any user can open `path`: every folder above it may be passed, and it may be read."""
    place = Path(path)
    try:
        return all(parent.stat().st_mode & 0o001 for parent in place.parents) and bool(place.stat().st_mode & 0o004)
    except OSError:
        return False


def _bwrap(spec: JailSpec) -> Jail:
    program = bwrap.program()
    runtime = bwrap.describe(spec)
    root = os.geteuid() == 0
    sources = [source for source, _ in runtime.binds]
    staged = root and not all(readable_by_all(source) for source in sources)
    seen = [f"{bwrap.STAGE}/{index}" for index in range(len(sources))] if staged else sources
    slot = _slots.take()
    group: Group | None = None
    ours: list[int] = []
    theirs: list[int] = []
    try:
        if hierarchy().version:
            # Room for the launcher, bubblewrap's two processes and the zygote beside the submission's.
            name = f"jail-{os.getpid()}-{secrets.token_hex(4)}"
            group = Group(hierarchy(), name, spec.memory_mb, spec.processes + 8)
        judge_end, jail_end = socket.socketpair()
        text, text_end = os.pipe()
        ours += [judge_end.detach(), text]
        theirs += [jail_end.detach(), text_end]
        filter_fd = _memory_file("filter", seccomp.program())
        options = bwrap.arguments(spec, runtime, seen, filter_fd)
        options_fd = _memory_file("options", b"".join(option.encode() + b"\0" for option in options))
        order = {
            "program": program,
            # Through a descriptor, so that the jail can't read our paths from its first process's command line.
            "argv": ["bwrap", "--args", str(options_fd), "--", *bwrap.command(spec, runtime)],
            "doors": group.doors if group else [],
            "stage": sources if staged else [],
            "uid": FIRST_UID + slot if root else None,
            "gid": FIRST_UID + slot if root else None,
        }
        order_fd = _memory_file("order", json.dumps(order).encode())
        theirs += [filter_fd, options_fd, order_fd]
        launcher = str(Path(__file__).with_name("launch.py"))
        process = _starter(os.getpid()).start(
            lambda: subprocess.Popen(
                [sys.executable, "-I", "-S", launcher, str(order_fd)],
                stdin=theirs[0], stdout=text_end, stderr=text_end, env={}, cwd="/",
                pass_fds=(filter_fd, options_fd, order_fd),
            )  # fmt: skip
        )
    except BaseException:
        for descriptor in ours:
            os.close(descriptor)
        if group is not None:
            group.remove()
        _slots.give_back(slot)
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return Jail(process, Link(ours[0], ours[0], text), spec, "bwrap", ours, group, (_slots, slot))


def _plain(spec: JailSpec) -> Jail:
    """No walls at all: for tests of the judge itself, and for public tests where a person insists."""
    site = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    command = (
        "import sys; sys.dont_write_bytecode = True; "
        f"sys.path += {[*site, str(Path(__file__).parent)]!r}; from guest import zygote; zygote.main(sys.argv[1:])"
    )
    judge_end, jail_end = socket.socketpair()
    text, text_end = os.pipe()
    scratch = "/tmp"
    try:
        process = _starter(os.getpid()).start(
            lambda: subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", command, *bwrap.guest_arguments(spec, contained=False)],
                stdin=jail_end.fileno(), stdout=text_end, stderr=text_end, cwd=scratch, start_new_session=True,
                env={"OMP_NUM_THREADS": str(spec.threads), "HOME": scratch, "LANG": "C.UTF-8"},
            )  # fmt: skip
        )
    finally:
        jail_end.close()
        os.close(text_end)
    ours = [judge_end.detach(), text]
    return Jail(process, Link(ours[0], ours[0], text), spec, "plain", ours)


def _container(spec: JailSpec) -> Jail:
    argv = container.arguments(spec, container.image(), f"roofline-jail-{secrets.token_hex(6)}")
    program = container.program()
    process = _starter(os.getpid()).start(
        lambda: subprocess.Popen(
            [program, *argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        )  # fmt: skip
    )
    assert process.stdin and process.stdout and process.stderr
    writing, reading, text = (os.dup(pipe.fileno()) for pipe in (process.stdin, process.stdout, process.stderr))
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    return Jail(process, Link(reading, writing, text), spec, "container", [reading, writing, text])
