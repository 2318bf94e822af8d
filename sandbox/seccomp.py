"""The system calls that a jail refuses, assembled to classic BPF by hand.

A deny list: everything that torch and Python need stays, what reaches into the kernel or other processes goes. It is the second lock; the first
are the namespaces and the unprivileged user id. Numbers are those of the x86-64 and the generic (arm64) tables of the kernel's
`include/uapi/asm-generic/unistd.h` and `arch/x86/entry/syscalls/syscall_64.tbl`; a process of any other architecture is killed.
"""

import errno
import platform
import struct

LD_ABS, JEQ, JGE, JSET, RET = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, JMP|JEQ|K, JMP|JGE|K, JMP|JSET|K, RET|K
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NR, ARCH = 0, 4
X32_BIT = 0x40000000

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86-64, arm64); None where the architecture has no such call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "kcmp": (312, 272),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "syslog": (103, 116),
    "acct": (163, 89), "quotactl": (179, 60), "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None),
    "vhangup": (153, 58), "lookup_dcookie": (212, 18), "nfsservctl": (180, 42), "personality": (135, 92),
    "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "memfd_secret": (447, 447), "landlock_create_ruleset": (444, 444), "seccomp": (317, 277), "set_mempolicy": (238, 237), "mbind": (237, 235),
    "move_pages": (279, 239), "migrate_pages": (256, 238),
    # What could be left on the stream or on the zygote, for a later test of the same run to find.
    "setsockopt": (54, 208), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    # The libraries are bound from the host: what is told about such a file (a lock, a watch, which pages are in memory) is told to other jails.
    "flock": (73, 32), "inotify_init": (253, None), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27), "inotify_rm_watch": (255, 28),
    "fanotify_mark": (301, 263), "fadvise64": (221, 223), "readahead": (187, 213), "mincore": (27, 232), "cachestat": (451, 451),
    "io_setup": (206, 0), "io_submit": (209, 2),
    # A flag of one message that a filter can't read, as it lies in memory.
    "sendmmsg": (307, 269), "recvmmsg": (299, 243),
}  # fmt: skip

SOCKET, CLONE, CLONE3, IOCTL, FCNTL = (41, 198), (56, 220), (435, 435), (16, 29), (72, 25)
OWN_ONLY = {"prlimit64": (302, 261), "sched_setaffinity": (203, 122)}  # which take a process as their first argument, 0 being the caller
CLONE_NAMESPACES = 0x7E020080  # NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET NEWTIME
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # push characters into a terminal's input
# What these set stays with a descriptor that the next test inherits.
FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902
F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETPIPE_SZ = 8, 10, 15, 1031
# What these set or ask belongs to a file, and a library is the same file in all jails: locks, leases, watches, hints.
F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 5, 6, 7, 36, 37, 38
F_SETLEASE, F_NOTIFY, F_SET_RW_HINT, F_SET_FILE_RW_HINT = 1024, 1026, 1036, 1038
LOCKS = (F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_NOTIFY, F_SET_RW_HINT, F_SET_FILE_RW_HINT)
REFUSED = ((IOCTL, (TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP)), (FCNTL, (F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETPIPE_SZ, *LOCKS)))  # by the second argument

# Bits of one argument: (numbers, index of the argument, bits).
MSG_OOB = 1
FLAGS: dict[str, tuple[tuple[int, int], int, int]] = {
    # Bytes out of band: nothing needs them on a socket pair, and the kernel's code for them is young and has been broken into (CVE-2025-38236).
    "sendto": ((44, 206), 3, MSG_OOB), "recvfrom": ((45, 207), 3, MSG_OOB), "sendmsg": ((46, 211), 2, MSG_OOB), "recvmsg": ((47, 212), 2, MSG_OOB),
    # RWF_NOWAIT says whether a page is in memory; glibc calls these without a flag where `preadv` is meant.
    "preadv2": ((327, 286), 5, 0xFFFFFFFF), "pwritev2": ((328, 287), 5, 0xFFFFFFFF),
}  # fmt: skip
# Who ignores SIGCHLD has the kernel forget its children, and what they computed. Python asks for each signal's action when it starts.
SIGACTION, SIGCHLD = (13, 134), 17


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value & 0xFFFFFFFF)


def _argument(index: int) -> int:
    return 16 + 8 * index  # offset of the low word of args[index] in struct seccomp_data, little endian


def program(machine: str | None = None) -> bytes:
    """The filter as an array of `struct sock_filter`, for `bwrap --seccomp`.

    Raises:
        ValueError: the architecture has no table here.
    """
    machine = machine or platform.machine()
    if machine not in AUDIT_ARCH:
        raise ValueError(f"no system call table for {machine}; known are {', '.join(AUDIT_ARCH)}")
    column = list(AUDIT_ARCH).index(machine)
    refuse = _instruction(RET, ERRNO | errno.EPERM)
    missing = _instruction(RET, ERRNO | errno.ENOSYS)
    load_number = _instruction(LD_ABS, NR)
    parts = [
        _instruction(LD_ABS, ARCH),
        _instruction(JEQ, AUDIT_ARCH[machine], yes=1),
        _instruction(RET, KILL),
        load_number,
    ]
    if machine == "x86_64":  # the x32 table has its own numbers for the same calls
        parts += [_instruction(JGE, X32_BIT, no=1), refuse]
    for numbers in DENIED.values():
        number = numbers[column]
        if number is not None:
            parts += [_instruction(JEQ, number, no=1), refuse]
    # glibc falls back to clone, whose flags a filter can read, when clone3 does not exist.
    parts += [_instruction(JEQ, CLONE3[column], no=1), missing]
    parts += [
        _instruction(JEQ, CLONE[column], no=3),
        _instruction(LD_ABS, _argument(0)),
        _instruction(JSET, CLONE_NAMESPACES, no=1),
        refuse,
        load_number,
    ]
    # socket() is refused whatever the family. socketpair() stays: asyncio needs it, and an unnamed pair reaches nobody.
    parts += [_instruction(JEQ, SOCKET[column], no=1), refuse]
    for numbers in OWN_ONLY.values():
        parts += [_instruction(JEQ, numbers[column], no=4), _instruction(LD_ABS, _argument(0)), _instruction(JEQ, 0, yes=1), refuse, load_number]
    for call, commands in REFUSED:
        parts += [_instruction(JEQ, call[column], no=2 + 2 * len(commands)), _instruction(LD_ABS, _argument(1))]
        for command in commands:
            parts += [_instruction(JEQ, command, no=1), refuse]
        parts.append(load_number)
    for call, index, bits in FLAGS.values():
        parts += [_instruction(JEQ, call[column], no=4), _instruction(LD_ABS, _argument(index)), _instruction(JSET, bits, no=1), refuse, load_number]
    parts += [
        _instruction(JEQ, SIGACTION[column], no=7),
        _instruction(LD_ABS, _argument(0)),
        _instruction(JEQ, SIGCHLD, no=5),
        _instruction(LD_ABS, _argument(1)),
        _instruction(JEQ, 0, no=2),
        _instruction(LD_ABS, _argument(1) + 4),
        _instruction(JEQ, 0, yes=1),  # no new action: it only asks
        refuse,
    ]
    parts.append(_instruction(RET, ALLOW))
    return b"".join(parts)
