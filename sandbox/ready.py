"""Waiting until descriptors are ready, with the kernel's word on how long that took.

The wall clock can't tell: a thread whose wait is over has yet to get Python's lock, which takes milliseconds for each other thread that computes, and
that is not the fault of whoever was waited for. `ppoll` tells what was left of its time when it ended; Python's own `poll` keeps that to itself, but
takes a few microseconds less.
"""

import ctypes
import platform
import select
import time
from collections.abc import Sequence

NUMBER = {"x86_64": 271, "aarch64": 73}.get(platform.machine()) if platform.system() == "Linux" else None  # of the system call ppoll


class _Descriptor(ctypes.Structure):
    _fields_ = (("descriptor", ctypes.c_int), ("events", ctypes.c_short), ("seen", ctypes.c_short))


def _ppoll() -> "ctypes._NamedFuncPointer":
    call = ctypes.CDLL(None).syscall
    call.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong)
    call.restype = ctypes.c_long
    return call


_call = _ppoll() if NUMBER is not None else None


class Descriptors:
    """Descriptors to wait for.

    Args:
        wanted: pairs of a descriptor and the events of `select.poll` that make it ready.
    """

    def __init__(self, wanted: Sequence[tuple[int, int]]) -> None:
        self._poll = select.poll()
        for descriptor, events in wanted:
            self._poll.register(descriptor, events)
        self._array = (_Descriptor * len(wanted))(*(_Descriptor(descriptor, events) for descriptor, events in wanted))
        self._span = (ctypes.c_long * 2)()  # struct timespec: seconds, nanoseconds
        self._arguments = (NUMBER, ctypes.addressof(self._array), len(wanted), ctypes.addressof(self._span), None, 0)

    def wait(self, seconds: float, exactly: bool = True) -> tuple[list[int], float]:
        """Those that are ready, none after `seconds`, and the seconds that they were not: `exactly`, or else those until this thread could go on."""
        if _call is None or not exactly:
            began = time.monotonic()
            ready = [descriptor for descriptor, _ in self._poll.poll(1 + int(1000 * seconds))]
            return ready, time.monotonic() - began
        span = self._span
        span[0], span[1] = divmod(int(seconds * 1e9), 1_000_000_000)
        found = _call(*self._arguments)
        waited = max(0.0, seconds - span[0] - span[1] / 1e9)
        return ([entry.descriptor for entry in self._array if entry.seen] if found > 0 else []), waited
