# row: 67
# title: Marks a library that all jails read, or asks what was done with it: locks, leases, watches, pages in memory; bytes out of band
# base: right
# verdict: AC
import contextlib
import ctypes
import fcntl
import os
import socket

libc = ctypes.CDLL(None, use_errno=True)
shared = os.__file__  # a file of the standard library, which every jail is bound to
library = os.open(shared, os.O_RDONLY)
ours, theirs = socket.socketpair()
ours.setblocking(False)


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")


for name, attempt in {
    "flock": lambda: fcntl.flock(library, fcntl.LOCK_SH | fcntl.LOCK_NB),
    "a lock of the process": lambda: fcntl.lockf(library, fcntl.LOCK_SH | fcntl.LOCK_NB),
    "a lock of the open file": lambda: fcntl.fcntl(library, 37, bytes(32)),
    "whose lock": lambda: fcntl.fcntl(library, fcntl.F_GETLK, bytes(32)),
    "a lease": lambda: fcntl.fcntl(library, fcntl.F_SETLEASE, fcntl.F_RDLCK),
    "a watch": lambda: checked(libc.inotify_init1(0)),
    "out of memory with it": lambda: os.posix_fadvise(library, 0, 0, os.POSIX_FADV_DONTNEED),
    "is it in memory": lambda: os.preadv(library, [bytearray(1)], 0, os.RWF_NOWAIT),
    "bytes out of band": lambda: ours.send(b"x", socket.MSG_OOB),
    "bytes out of band to come": lambda: ours.recv(1, socket.MSG_OOB),
}.items():
    with contextlib.suppress(PermissionError):
        attempt()
        raise AssertionError(name)
assert os.preadv(library, [bytearray(1)], 0) == 1
