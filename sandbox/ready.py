"""Waiting until descriptors are ready, with the kernel's word on how long that took.

The wall clock can't tell: a thread whose wait is over has yet to get Python's lock, which takes milliseconds for each other thread that computes, and
that is not the fault of whoever was waited for. `ppoll` tells what was left of its time when it ended; Python's own `poll` keeps that to itself.
"""

import ctypes
import platform
import select
import time
from collections.abc import Sequence

NUMBER = {"x86_64": 271, "aarch64": 73}.get(platform.machine()) if platform.system() == "Linux" else None  # of the system call ppoll


class _Descriptor(ctypes.Structure):
    _fields_ = (("descriptor", ctypes.c_int), ("events", ctypes.c_short), ("seen", ctypes.c_short))


class _Span(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


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
        self._wanted = wanted
        self._array = (_Descriptor * len(wanted))(*(_Descriptor(descriptor, events) for descriptor, events in wanted))
        self._span = _Span()
        self._arguments = (ctypes.addressof(self._array), len(wanted), ctypes.addressof(self._span), None, 0)

    def wait(self, seconds: float) -> tuple[list[int], float]:
        """Those that are ready, none after `seconds`, and the seconds that they were not; where the kernel doesn't tell, those until this thread went on."""
        if _call is None:
            return self._poll(seconds)
        span = self._span
        span.seconds, span.nanoseconds = divmod(int(seconds * 1e9), 1_000_000_000)
        found = _call(NUMBER, *self._arguments)
        waited = seconds - span.seconds - span.nanoseconds / 1e9
        return ([entry.descriptor for entry in self._array if entry.seen] if found > 0 else []), max(0.0, waited)

    def _poll(self, seconds: float) -> tuple[list[int], float]:
        poll = select.poll()
        for descriptor, events in self._wanted:
            poll.register(descriptor, events)
        began = time.monotonic()
        found = poll.poll(1 + int(1000 * seconds))
        return [descriptor for descriptor, _ in found], time.monotonic() - began
