# row: 30
# title: ptrace, process_vm_readv and a seccomp filter of its own
# base: right
# verdict: AC
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
for pid in {1, os.getppid()}:
    assert libc.ptrace(16, pid, None, None) == -1, pid
    for call in (310, 311):
        local = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
        assert libc.syscall(call, pid, local, 1, local, 1, 0) == -1, (call, pid)
    try:
        with open(f"/proc/{pid}/mem", "rb") as file:
            file.seek(0x400000)
            assert not file.read(1)
    except OSError:
        pass
