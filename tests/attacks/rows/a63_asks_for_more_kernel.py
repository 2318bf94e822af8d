# row: 63
# title: New namespaces, mounts, and the system calls that attackers like
# base: right
# verdict: AC
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x10000000) == -1 and libc.unshare(0x00020000) == -1, "a new namespace"
assert libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == -1, "a mount"
assert libc.setns(0, 0) == -1 and libc.chroot(b"/tmp") == -1 and libc.pivot_root(b"/", b"/") == -1 if hasattr(libc, "pivot_root") else True
CALLS = {"bpf": 321, "io_uring_setup": 425, "keyctl": 250, "add_key": 248, "userfaultfd": 323, "perf_event_open": 298, "kexec_load": 246, "init_module": 175,
         "open_by_handle_at": 304, "clone3": 435, "move_mount": 429, "fsopen": 430, "reboot": 169, "swapon": 167, "settimeofday": 164}
for name, number in CALLS.items():
    if os.uname().machine == "x86_64":
        assert libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1, name
