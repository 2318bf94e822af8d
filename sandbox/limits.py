"""Control groups as found: version 2, version 1, or none (then rlimits and the wall clock remain).

`detect` looks once; `Group` is one jail's group, created before the jail and removed after it.
"""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where groups can be made: `version` 2 has one folder for both controllers, version 1 one each, 0 means nowhere."""

    version: int
    memory: Path | None = None
    pids: Path | None = None

    @property
    def detail(self) -> str:
        if not self.version:
            return "no writable control group: rlimits and wall clock only"
        held = [name for name, path in (("memory", self.memory), ("pids", self.pids)) if path]
        return f"cgroup v{self.version} ({', '.join(held)})"


def _usable(parent: Path, files: tuple[str, ...]) -> bool:
    """Whether a child group can be made under `parent` and has `files`."""
    trial = parent / f"jail-probe-{os.getpid()}"
    try:
        trial.mkdir()
    except OSError:
        return False
    try:
        return all((trial / name).exists() and os.access(trial / name, os.W_OK) for name in files)
    finally:
        with contextlib.suppress(OSError):
            trial.rmdir()


def _mounts(mountinfo: str) -> tuple[Path | None, dict[str, Path]]:
    """The version 2 mount point, and the version 1 mount point of each controller."""
    unified: Path | None = None
    legacy: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            unified = Path(fields[4])
        elif kind[0] == "cgroup":
            for controller in kind[2].split(","):
                legacy[controller] = Path(fields[4])
    return unified, legacy


def detect(proc: Path = Path("/proc/self"), prefix: Path = Path("/")) -> Hierarchy:
    """Finds a hierarchy that this process may add groups to. `proc` and `prefix` let a test describe another machine."""
    try:
        unified, legacy = _mounts((proc / "mountinfo").read_text())
        lines = (proc / "cgroup").read_text().splitlines()
    except OSError:
        return Hierarchy(0)
    own = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path.lstrip("/")

    def places(mount: Path, controller: str) -> list[Path]:
        mount = prefix / mount.relative_to("/")
        here = mount / own.get(controller, "")
        # The parent: version 2 gives controllers only to a group whose parent holds no process of its own.
        return list(dict.fromkeys([here, here.parent if here != mount else mount, mount]))

    if unified is not None:
        for place in places(unified, ""):
            if _usable(place, ("memory.max", "pids.max")):
                return Hierarchy(2, place, place)
    found: dict[str, Path] = {}
    for controller, file in (("memory", "memory.limit_in_bytes"), ("pids", "pids.max")):
        for place in places(legacy[controller], controller) if controller in legacy else []:
            if _usable(place, (file,)):
                found[controller] = place
                break
    if found:
        return Hierarchy(1, found.get("memory"), found.get("pids"))
    return Hierarchy(0)


def sweep(hierarchy: Hierarchy) -> None:
    """Removes the empty groups of judges that were killed before they could."""
    for folder in {hierarchy.memory, hierarchy.pids} - {None}:
        for group in folder.glob("jail-*-*") if folder is not None else ():
            owner = group.name.split("-")[1]
            if owner.isdigit() and not Path("/proc", owner).exists():
                with contextlib.suppress(OSError):  # the kernel refuses while a process is left in it
                    group.rmdir()


class Group:
    """The control group of one jail.

    Raises:
        OSError: the group can't be made or limited.
    """

    def __init__(self, hierarchy: Hierarchy, name: str, memory_mb: int, processes: int) -> None:
        self._version = hierarchy.version
        self._memory = hierarchy.memory / name if hierarchy.memory else None
        self._pids = hierarchy.pids / name if hierarchy.pids else None
        self.folders = tuple(dict.fromkeys(folder for folder in (self._memory, self._pids) if folder))
        made: list[Path] = []
        try:
            for folder in self.folders:
                folder.mkdir()
                made.append(folder)
            if self._memory is not None:
                file = "memory.max" if self._version == 2 else "memory.limit_in_bytes"
                (self._memory / file).write_text(str(memory_mb * MIB))
                if self._version == 2 and (self._memory / "memory.swap.max").exists():
                    (self._memory / "memory.swap.max").write_text("0")
            if self._pids is not None:
                (self._pids / "pids.max").write_text(str(processes))
        except OSError:
            for folder in made:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise

    @property
    def doors(self) -> tuple[str, ...]:
        """The files to write "0" to, from inside the process that is to be confined."""
        return tuple(str(folder / "cgroup.procs") for folder in self.folders)

    def oom_kills(self) -> int:
        """How many processes the kernel killed for memory here."""
        if self._memory is None:
            return 0
        file = "memory.events" if self._version == 2 else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError):
            for line in (self._memory / file).read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return 0

    def members(self) -> list[int]:
        found: set[int] = set()
        for folder in self.folders:
            with contextlib.suppress(OSError, ValueError):
                found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        return sorted(found)

    def remove(self, patience_s: float = 2.0) -> bool:
        """Kills what is left and removes the group; False when something refuses to die in time."""
        end = time.monotonic() + patience_s
        while True:
            for pid in self.members():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            for folder in self.folders:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            if not any(folder.exists() for folder in self.folders):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
