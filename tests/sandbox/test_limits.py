"""Control groups as found, on machines that we describe; and a pool whose jails don't start."""

import dataclasses
import os
import threading
from pathlib import Path

import pytest

from sandbox import JudgeRequest, drivers, judge, labs, limits
from sandbox.limits import Group, Hierarchy
from sandbox.pool import Pool
from sandbox.spec import JailSpec, Limits
from sandbox.verdict import Unavailable

TOYS = Path(__file__).with_name("toys")
V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 30 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"


class Machine:
    """A made-up /proc/self and a tree in which new groups have the files that a kernel would give them."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, mounts: str, own: str, files: dict[str, tuple[str, ...]]) -> None:
        self.root, self.proc, self.files = root, root / "proc", files
        self.proc.mkdir()
        (self.proc / "mountinfo").write_text(mounts)
        (self.proc / "cgroup").write_text(own)
        for folder in files:
            (root / folder).mkdir(parents=True, exist_ok=True)
        whole, gone = Path.mkdir, Path.rmdir

        def mkdir(path: Path, *args: object, **kwargs: object) -> None:
            whole(path, *args, **kwargs)  # type: ignore[arg-type]
            for folder, names in files.items():
                if path.parent == root / folder:
                    for name in names:
                        (path / name).touch()

        def rmdir(path: Path) -> None:
            for file in path.iterdir():
                file.unlink()
            gone(path)

        patch.setattr(Path, "mkdir", mkdir)
        patch.setattr(Path, "rmdir", rmdir)

    def detect(self) -> Hierarchy:
        return limits.detect(self.proc, self.root)


def test_version_2_where_the_controllers_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"sys/fs/cgroup/work/judge": (), "sys/fs/cgroup/work": ("memory.max", "pids.max", "memory.swap.max", "cgroup.procs", "memory.events")}
    machine = Machine(tmp_path, monkeypatch, V2, "0::/work/judge\n", files)
    found = machine.detect()
    # Our own group holds processes and gives its children no controllers; its parent does.
    assert found == Hierarchy(2, tmp_path / "sys/fs/cgroup/work", tmp_path / "sys/fs/cgroup/work")
    assert found.detail == "cgroup v2 (memory, pids)"
    group = Group(found, "jail-1-a", 64, 9)
    folder = tmp_path / "sys/fs/cgroup/work/jail-1-a"
    assert [(folder / name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max")] == [str(64 << 20), "0", "9"]
    assert group.doors == (str(folder / "cgroup.procs"),)
    (folder / "memory.events").write_text("oom 3\noom_kill 2\n")
    assert group.oom_kills() == 2
    assert group.remove() and not folder.exists()


def test_version_1_with_one_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"sys/fs/cgroup/memory": ("memory.limit_in_bytes", "memory.oom_control", "cgroup.procs"), "sys/fs/cgroup/pids": ("pids.max", "cgroup.procs")}
    found = Machine(tmp_path, monkeypatch, V1, "5:memory:/\n4:pids:/\n", files).detect()
    assert found == Hierarchy(1, tmp_path / "sys/fs/cgroup/memory", tmp_path / "sys/fs/cgroup/pids")
    group = Group(found, "jail-1-a", 32, 5)
    assert (tmp_path / "sys/fs/cgroup/memory/jail-1-a/memory.limit_in_bytes").read_text() == str(32 << 20)
    assert len(group.doors) == 2
    (tmp_path / "sys/fs/cgroup/memory/jail-1-a/memory.oom_control").write_text("under_oom 0\noom_kill 1\n")
    assert group.oom_kills() == 1
    assert group.remove()


@pytest.mark.parametrize(("mounts", "own"), [("", "0::/\n"), (V2, "0::/\n"), ("not a line of it\n", "0::/\n")])
def test_nowhere_means_rlimits_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: str, own: str) -> None:
    found = Machine(tmp_path, monkeypatch, mounts, own, {"sys/fs/cgroup": ()}).detect()
    assert found == Hierarchy(0)
    assert "rlimits" in found.detail
    assert limits.detect(tmp_path / "no proc") == Hierarchy(0)


def test_groups_of_judges_that_died_are_swept(tmp_path: Path) -> None:
    folder = tmp_path / "groups"
    names = [f"jail-{os.getpid()}-aa", "jail-4194305-bb", "somebody-else"]  # above the largest process number
    for name in names:
        (folder / name).mkdir(parents=True)
    limits.sweep(Hierarchy(2, folder, folder))
    assert sorted(path.name for path in folder.iterdir()) == sorted([names[0], names[2]])


def test_a_group_that_can_not_be_limited_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    with pytest.raises(OSError):
        Group(Hierarchy(2, tmp_path / "g", tmp_path / "missing"), "jail-1-a", 1, 1)
    assert not list((tmp_path / "g").iterdir())


def test_a_pool_that_can_not_start_jails_means_cold_starts_and_no_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = dataclasses.replace(labs.read(TOYS / "counter"), limits=Limits(test_s=8, call_s=6, load_s=5))
    monkeypatch.setattr(labs, "load", lambda slug: lab)
    whole = drivers.start

    def broken(spec: JailSpec, driver: str) -> object:
        if threading.current_thread().name == "jail-pool":
            raise Unavailable("no more processes")
        return whole(spec, driver)

    monkeypatch.setattr(drivers, "start", broken)
    with Pool(size=2) as pool:
        assert not pool.wait(1, timeout_s=0.3)
        assert (pool.take(), pool.ready, pool.last_error) == (None, 0, "no more processes")
        outcome = judge(JudgeRequest(lab="counter", source=(TOYS / "counter/solutions/reference.py").read_text(), hidden=True), pool=pool)
    assert outcome.verdict == "AC"


@pytest.mark.parametrize(("reference", "verdict"), [(False, "JE"), (True, "TLE")], ids=["nor for the reference", "and for the reference it has"])
def test_what_the_machine_had_no_time_for_is_the_judges_error_unless_it_has_time_for_the_reference(
    reference: bool, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = dataclasses.replace(labs.read(TOYS / "counter"), limits=Limits(test_s=1, call_s=1, load_s=5))
    monkeypatch.setattr(labs, "load", lambda slug: lab)
    monkeypatch.setattr("sandbox.session.PATIENCE", 0)  # as though all that a machine may be late were used up
    if not reference:
        monkeypatch.setattr("sandbox.judging._Run._control", lambda *_: False)
    outcome = judge(JudgeRequest(lab="counter", source="class Counter:\n    def __init__(self, *args):\n        while True: pass", hidden=True))
    assert outcome.verdict == verdict
    assert {test.verdict for test in outcome.tests if test.verdict != "SK"} == {verdict}
    assert outcome.score == 0


def test_a_pool_replaces_what_died_and_ends_with_nothing_left() -> None:
    with Pool(size=1) as pool:
        assert pool.wait(1)
        pool._idle[0].close()
        jail = None
        for _ in range(200):
            jail = pool.take()
            if jail is not None:
                break
            pool.wait(1, timeout_s=0.5)
        assert jail is not None and jail.process.poll() is None
        jail.close()
        assert pool.wait(1)
    assert pool.ready == 0
