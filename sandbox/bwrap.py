"""The `bwrap` driver: namespaces, an unprivileged user id, a read-only root of our choosing, and the system call filter.

`arguments` is a pure function from a spec to bubblewrap's options, so that a test can read the whole policy as a list.
"""

import os
import shutil
from collections.abc import Sequence

from sandbox import runtime
from sandbox.runtime import GUEST, PYTHON, SITE, Runtime
from sandbox.spec import JailSpec
from sandbox.verdict import Unavailable

SCRATCH = "/tmp"
STAGE = "/tmp"  # where launch.py stages, on the host side
MISSING = "bubblewrap is not installed: apt-get install bubblewrap (or your system's package of that name)"
GUEST_COMMAND = (
    "import sys; sys.dont_write_bytecode = True; "
    f"sys.path += [{SITE!r}, {GUEST!r}]; from guest import zygote; zygote.main(sys.argv[1:])"
)


def program() -> str:
    """The path of bubblewrap.

    Raises:
        Unavailable: it is not installed.
    """
    found = shutil.which("bwrap", path=os.environ.get("PATH", "") + ":/usr/bin:/bin:/usr/local/bin")
    if not found:
        raise Unavailable(MISSING)
    return os.path.realpath(found)


def arguments(spec: JailSpec, runtime: Runtime, sources: Sequence[str], seccomp_fd: int) -> list[str]:
    """bubblewrap's options for one jail.

    Args:
        spec: the kind of jail.
        runtime: what to bind.
        sources: where each of `runtime.binds` can be read by the jail's user, in the same order.
        seccomp_fd: the descriptor that holds the filter.
    """
    options = [
        "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session",
        "--cap-drop", "ALL", "--clearenv", "--hostname", "jail",
        "--setenv", "HOME", SCRATCH, "--setenv", "TMPDIR", SCRATCH, "--setenv", "LANG", "C.UTF-8",
        "--setenv", "PATH", f"{PYTHON}/bin", "--setenv", "LD_LIBRARY_PATH", f"{PYTHON}/lib",
        "--setenv", "OMP_NUM_THREADS", str(spec.threads), "--setenv", "MKL_NUM_THREADS", str(spec.threads),
    ]  # fmt: skip
    for source, (_, place) in zip(sources, runtime.binds, strict=True):
        options += ["--ro-bind", source, place]
    for hidden in runtime.masks:
        options += ["--tmpfs", hidden, "--remount-ro", hidden]
    for target, place in runtime.links:
        options += ["--symlink", target, place]
    options += ["--proc", "/proc", "--dev", "/dev"]
    if spec.devices:
        for node in spec.devices:
            options += ["--dev-bind", node, node]
        options += ["--ro-bind", "/sys", "/sys"]  # cuInit fails without it
    options += [
        "--size", str(1024 * 1024), "--tmpfs", "/dev/shm", "--remount-ro", "/dev/shm",
        "--size", str(spec.scratch_mb * 1024 * 1024), "--tmpfs", SCRATCH,
        "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", SCRATCH,
        "--seccomp", str(seccomp_fd),
    ]  # fmt: skip
    return options


def command(spec: JailSpec, runtime: Runtime) -> list[str]:
    """The command inside the jail: the zygote, its limits as arguments."""
    return [runtime.python, "-I", "-S", "-c", GUEST_COMMAND, *guest_arguments(spec, contained=True)]


def guest_arguments(spec: JailSpec, *, contained: bool) -> list[str]:
    return [
        f"memory_mb={spec.memory_mb}",
        f"processes={spec.processes}",
        f"file_mb={spec.file_mb}",
        f"open_files={spec.open_files}",
        f"threads={spec.threads}",
        f"preload={','.join(name for name in ('numpy', 'torch') if name in spec.packages)}",
        f"contained={int(contained)}",
    ]


def describe(spec: JailSpec) -> Runtime:
    return runtime.describe(spec.packages)
