"""The process that becomes the jail: joins its control group, stages the runtime, gives up its rights, and executes bubblewrap.

Started as `python -I -S launch.py FD` with an empty environment; FD holds a JSON order. It exists because these steps must happen in a process of
its own, before any thread or import of the worker can be carried along, and because the group must hold the jail before its first fork.

Only the standard library: this file runs without the package around it.
"""

import ctypes
import json
import os
import sys

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV = 0x1000, 0x4000, 0x40000, 0x2, 0x4
STAGE = "/tmp"


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def stage(sources: list[str]) -> None:
    """Binds each source to STAGE/<index> in a private mount namespace, wherever it lay.

    The sources are opened before the file system is mounted over STAGE, which could hide them, but in the new namespace: a bind
    from another one is refused.
    """
    _call("unshare", CLONE_NEWNS)
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    handles = [os.open(source, os.O_PATH) for source in sources]
    _call("mount", b"tmpfs", STAGE.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, b"size=1m,mode=755")
    for index, handle in enumerate(handles):
        place = f"{STAGE}/{index}"
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            os.mkdir(place, 0o755)
        else:
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o444))
        _call("mount", f"/proc/self/fd/{handle}".encode(), place.encode(), None, MS_BIND | MS_REC, None)
        os.close(handle)


def main() -> None:
    descriptor = int(sys.argv[1])
    with open(descriptor, "rb", closefd=True) as order_file:
        order = json.load(order_file)
    for door in order["doors"]:
        with open(door, "w") as file:
            file.write("0")
    if order["stage"]:
        stage(order["stage"])
    if order["uid"] is not None:
        os.setgroups([])
        os.setresgid(order["gid"], order["gid"], order["gid"])
        os.setresuid(order["uid"], order["uid"], order["uid"])
    if os.getuid() == 0:
        raise PermissionError("refusing to start bubblewrap as root")
    os.umask(0o077)
    os.chdir("/")
    os.execve(order["program"], order["argv"], {})


if __name__ == "__main__":
    main()
