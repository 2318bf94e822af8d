"""The first process of the jail's own: imports what is slow, then forks one process per test and cleans up after it.

The judge asks for the next test's process as soon as it has seen for itself that nothing of the last one lives, so that the fork passes while the judge
writes down a result, and no submission ever runs beside a process that a later test will use.

Nothing in here is trusted. The submission shares a user id with this process and can end it; the judge then sees the stream end. It imports only:
no parallel torch operation and no accelerator call may happen before the fork, because their threads do not survive it.
"""

import contextlib
import ctypes
import fcntl
import gc
import os
import resource
import shutil
import signal
import sys
import time

from guest import child, wire

MIB = 1024 * 1024
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
STREAM = 3


def main(words: list[str]) -> None:
    options = dict(word.split("=", 1) for word in words)
    contained = options["contained"] == "1"
    _streams(options.get("stream", "duplex"))
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    _cap(options, contained)
    versions = _preload(options)
    prctl(PR_SET_DUMPABLE, 0)  # the submission shares our user id: keep its hands off our memory
    stream = child.Stream(STREAM)
    flags = [fcntl.fcntl(descriptor, fcntl.F_GETFL) for descriptor in range(STREAM + 2)]
    stream.send(wire.Ready(nonce=0, versions=versions))
    gc.collect()
    gc.freeze()  # keeps the pages of what is imported shared with the forks
    while True:
        message, _ = stream.receive()
        if not isinstance(message, wire.Prepare):
            raise wire.Violation("a test's process must be asked for first")
        _one_test(stream, message.nonce, options, contained, flags)


def prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _streams(kind: str) -> None:
    """Moves the frames to descriptor 3 and leaves 0 empty, 1 and 2 for text; closes everything else."""
    if kind == "stdio":  # frames come on 0 and go out on 1, text on 2
        os.dup2(0, STREAM)
        os.dup2(1, STREAM + 1)
        os.dup2(2, 1)
    else:
        os.dup2(0, STREAM)
        os.dup2(0, STREAM + 1)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.closerange(STREAM + 2, 1024)


def _cap(options: dict[str, str], contained: bool) -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: int(options["open_files"]),
        resource.RLIMIT_FSIZE: int(options["file_mb"]) * MIB,
    }
    if contained:  # counted per user and user namespace, so only here is it a limit on this jail alone
        limits[resource.RLIMIT_NPROC] = int(options["processes"])
    for kind, value in limits.items():
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _preload(options: dict[str, str]) -> dict[str, str]:
    versions = {"python": sys.version.split()[0]}
    for name in filter(None, options["preload"].split(",")):
        module = __import__(name)
        versions[name] = str(module.__version__)
    if "numpy" in versions:
        import numpy as np

        np.random.seed(0)  # numpy loads its generators when they are first used, which would be once in each test
    if "torch" in versions:
        import torch

        torch.set_num_threads(int(options["threads"]))
        torch.frombuffer(bytearray(8), dtype=torch.float32).tolist()
    return versions


def _one_test(stream: "child.Stream", nonce: int, options: dict[str, str], contained: bool, flags: list[int]) -> None:
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            prctl(PR_SET_DUMPABLE, 1)
            data = int(options["memory_mb"]) * MIB
            resource.setrlimit(resource.RLIMIT_DATA, (data, data))
            gc.unfreeze() if not contained else None
            status = child.serve(stream)
        finally:
            os._exit(status)
    _, raw = os.waitpid(pid, 0)
    clean = _sweep(pid, contained)
    for descriptor, value in enumerate(flags):  # they belong to what is open, which we and every test share
        fcntl.fcntl(descriptor, fcntl.F_SETFL, value)
    status = os.waitstatus_to_exitcode(raw)
    stream.send(wire.Ended(nonce=nonce, status=status, clean=clean))


def _sweep(pid: int, contained: bool) -> bool:
    """Ends whatever the test left behind and empties the scratch space. Every orphan is our child, as we are the subreaper."""
    if not contained or not _in_own_pid_namespace():
        return _reap(0.1)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        if _reap(0.05):
            return _empty(os.environ.get("TMPDIR", "/tmp"))
    return False


def _in_own_pid_namespace() -> bool:
    """Whether signalling every process reaches only the jail's: its first processes have small numbers, and few are there."""
    return os.getpid() < 16 and sum(name.isdigit() for name in os.listdir("/proc")) < 4096


def _reap(patience_s: float) -> bool:
    end = time.monotonic() + patience_s
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            if time.monotonic() > end:
                return False
            time.sleep(0.001)


def _empty(folder: str) -> bool:
    with contextlib.suppress(OSError, RecursionError):
        os.chmod(folder, 0o700)
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
        return not os.listdir(folder)
    return False
