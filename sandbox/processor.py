"""Keeps a test's two processes on one processor while it runs.

Judge and submission never compute at the same time: each waits for the other's frame. On two processors every frame wakes a sleeping one, which
costs several times what the frame does, above all in a virtual machine; on one it is a switch. `manage.py bench_sandbox --rows call overhead`
prints both.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator


def here() -> int:
    """The processor that this thread runs on, or -1 where the system doesn't tell."""
    try:
        return int(ctypes.CDLL(None).sched_getcpu())
    except (AttributeError, OSError):
        return -1


@contextlib.contextmanager
def settled(wanted: bool = True) -> Iterator[int]:
    """Holds this thread, and no other of the process, on its processor; gives the number, or -1 if it is left free.

    It is chosen anew by each test, where the kernel had put the thread, so that judges on one machine spread as the kernel spreads them.
    """
    allowed = os.sched_getaffinity(0) if wanted else set()
    number = here() if len(allowed) > 1 else -1
    if number not in allowed:
        yield -1
        return
    os.sched_setaffinity(0, {number})
    try:
        yield number
    finally:
        os.sched_setaffinity(0, allowed)
