"""The system call filter, run by an interpreter of classic BPF: what the kernel would decide for each call."""

import errno
import fcntl
import os
import signal
import socket
import struct

import pytest

from sandbox.seccomp import (
    ALLOW,
    AUDIT_ARCH,
    CLONE,
    CLONE3,
    CLONE_NAMESPACES,
    DENIED,
    ERRNO,
    FCNTL,
    FLAGS,
    KILL,
    OWN_ONLY,
    REFUSED,
    SIGACTION,
    SOCKET,
    X32_BIT,
    program,
)

# read, write, openat, mmap, futex, clock_gettime, socketpair, exit_group: what Python and torch live on.
NEEDED = {"x86_64": (0, 1, 257, 9, 202, 228, 53, 231), "aarch64": (63, 64, 56, 222, 98, 113, 199, 94)}
REFUSE, MISSING = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS


def decide(machine: str, number: int, args: tuple[int, ...] = (), arch: int | None = None) -> int:
    """The filter's verdict on `struct seccomp_data`. Every jump must land inside the program, and every path must return."""
    data = struct.pack("<IIQ6Q", number, AUDIT_ARCH[machine] if arch is None else arch, 0, *(args + (0,) * 6)[:6])
    code = [struct.unpack_from("<HBBI", program(machine), 8 * n) for n in range(len(program(machine)) // 8)]
    at = accumulator = 0
    while True:
        what, yes, no, value = code[at]
        at += 1
        if what == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif what == 0x06:
            return int(value)
        else:
            true = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[what]
            at += yes if true else no


@pytest.mark.parametrize("machine", AUDIT_ARCH)
def test_what_is_listed_is_refused_and_what_is_needed_passes(machine: str) -> None:
    column = list(AUDIT_ARCH).index(machine)
    for name, numbers in DENIED.items():
        if numbers[column] is not None:
            assert decide(machine, numbers[column]) == REFUSE, name
    assert decide(machine, SOCKET[column]) == REFUSE
    assert [decide(machine, number) for number in NEEDED[machine]] == [ALLOW] * len(NEEDED[machine])
    assert not {numbers[column] for numbers in DENIED.values()} & set(NEEDED[machine])


@pytest.mark.parametrize("machine", AUDIT_ARCH)
def test_threads_may_start_and_namespaces_may_not(machine: str) -> None:
    column = list(AUDIT_ARCH).index(machine)
    assert decide(machine, CLONE[column], (0x3D0F00,)) == ALLOW  # pthread_create
    for bit in range(32):
        assert decide(machine, CLONE[column], (1 << bit,)) == (REFUSE if CLONE_NAMESPACES >> bit & 1 else ALLOW)
    assert decide(machine, CLONE3[column], (0,)) == MISSING


@pytest.mark.parametrize("machine", AUDIT_ARCH)
def test_of_ioctl_and_fcntl_only_the_tricks_are_refused(machine: str) -> None:
    column = list(AUDIT_ARCH).index(machine)
    for call, commands in REFUSED:
        for command in commands:
            assert decide(machine, call[column], (0, command)) == REFUSE
            assert decide(machine, call[column], (0, command | 1 << 40)) == REFUSE  # the kernel reads the low word alone
        assert decide(machine, call[column], (0, 0x5401)) == ALLOW


@pytest.mark.parametrize("machine", AUDIT_ARCH)
def test_no_file_that_jails_share_takes_a_mark(machine: str) -> None:
    column = list(AUDIT_ARCH).index(machine)
    for name in ("flock", "fadvise64", "readahead", "cachestat", "mincore", "inotify_init", "inotify_init1", "inotify_add_watch", "fanotify_init", "io_setup"):
        number = DENIED[name][column]
        assert number is None or decide(machine, number) == REFUSE, name
    locks = [fcntl.F_GETLK, fcntl.F_SETLK, fcntl.F_SETLKW, 36, 37, 38, fcntl.F_SETLEASE, fcntl.F_NOTIFY]  # 36 to 38: those of an open file
    assert {decide(machine, FCNTL[column], (5, command)) for command in locks} == {REFUSE}
    keep = [fcntl.F_DUPFD, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_DUPFD_CLOEXEC]
    assert {decide(machine, FCNTL[column], (5, command)) for command in keep} == {ALLOW}


@pytest.mark.parametrize("machine", AUDIT_ARCH)
def test_messages_and_reads_have_no_flags_but_harmless_ones(machine: str) -> None:
    column = list(AUDIT_ARCH).index(machine)
    for name, (call, index, _) in FLAGS.items():
        flag = socket.MSG_OOB if name[:4] in ("send", "recv") else os.RWF_NOWAIT
        plain = (3,) * index + (0, 3)  # the other arguments don't matter
        flagged = (0,) * index + (flag,)
        assert [decide(machine, call[column], args) for args in (plain, flagged)] == [ALLOW, REFUSE], name
        if flag == socket.MSG_OOB:
            harmless = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
            assert [decide(machine, call[column], (0,) * index + (bits,)) for bits in (harmless, harmless | flag)] == [ALLOW, REFUSE], name
    for name in ("sendmmsg", "recvmmsg"):
        assert decide(machine, DENIED[name][column] or 0) == REFUSE, name


@pytest.mark.parametrize("machine", AUDIT_ARCH)
def test_children_are_waited_for_or_stay(machine: str) -> None:
    number = SIGACTION[list(AUDIT_ARCH).index(machine)]
    assert decide(machine, number, (signal.SIGCHLD, 0)) == ALLOW, "what is done about it now"
    assert {decide(machine, number, (signal.SIGCHLD, act)) for act in (0x7FFD_1234_5678, 0x1_0000_0000, 8)} == {REFUSE}
    assert {decide(machine, number, (other, 0x7FFD_1234_5678)) for other in (signal.SIGINT, signal.SIGALRM, signal.SIGSEGV)} == {ALLOW}


@pytest.mark.parametrize("machine", AUDIT_ARCH)
def test_limits_and_processors_are_set_for_oneself_alone(machine: str) -> None:
    column = list(AUDIT_ARCH).index(machine)
    for name, numbers in OWN_ONLY.items():
        assert [decide(machine, numbers[column], (pid,)) for pid in (0, 1 << 32, 5)] == [ALLOW, ALLOW, REFUSE], name


def test_other_tables_are_no_way_round() -> None:
    assert decide("x86_64", 26, arch=0x40000003) == KILL  # ptrace of i386
    assert decide("x86_64", DENIED["bpf"][0] or 0, arch=AUDIT_ARCH["aarch64"]) == KILL
    assert decide("x86_64", X32_BIT | 521) == REFUSE  # ptrace of x32
    assert decide("x86_64", X32_BIT) == REFUSE
    with pytest.raises(ValueError, match="riscv64"):
        program("riscv64")
