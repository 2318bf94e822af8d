"""Leases of GPUs, on a driver that we play: the locks, the watch, the checks and the verdict are real; only the numbers of the card are not."""

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import JudgeRequest, drivers, gpus, judge, labs
from sandbox.bwrap import arguments
from sandbox.gpus import Gpu, Gpus, compute_check
from sandbox.labs import BadLab
from sandbox.runtime import Runtime
from sandbox.spec import JailSpec, Limits
from sandbox.verdict import Unavailable

TOYS = Path(__file__).with_name("toys")
GOOD = (TOYS / "counter/solutions/reference.py").read_text()


class Card:
    """A driver with cards of our making."""

    def __init__(self, count: int = 1, memory_mb: int = 1000) -> None:
        self.cards = [Gpu(minor, f"GPU-{minor}", "Made up", memory_mb) for minor in range(count)]
        self.used = dict.fromkeys(self.cards, 10)
        self.running = dict.fromkeys(self.cards, False)
        self.errors = dict.fromkeys(self.cards, 0)
        self.why = dict.fromkeys(self.cards, "")
        self.measure: Callable[[Gpu], int] = lambda gpu: self.used[gpu]

    def gpus(self) -> list[Gpu]:
        return self.cards

    def used_mb(self, gpu: Gpu) -> int:
        return self.measure(gpu)

    def busy(self, gpu: Gpu) -> bool:
        return self.running[gpu]

    def faults(self, gpu: Gpu) -> tuple[int, str]:
        return self.errors[gpu], self.why[gpu]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "POLL_S", 0.01)
    monkeypatch.setattr(gpus, "SETTLE_S", 0.2)


def lent(card: Card, folder: Path, check: Callable[[Gpu], str] = lambda gpu: "") -> Gpus:
    return Gpus(card, folder / "locks", check)


def test_one_lease_per_gpu_and_the_next_waits(tmp_path: Path) -> None:
    shared = lent(Card(2), tmp_path)
    first, second = shared.lease(100), shared.lease(100)
    assert {first.gpu.minor, second.gpu.minor} == {0, 1}
    with pytest.raises(Unavailable, match="came free in time"):
        shared.lease(100, timeout_s=0.05)
    with pytest.raises(Unavailable):
        shared.lease(100, should_abort=lambda: True)
    threading.Timer(0.1, first.release).start()
    third = shared.lease(100, timeout_s=5)
    assert third.gpu == first.gpu
    for lease in (second, third):
        lease.release().join()


def test_another_process_holds_its_own_and_death_gives_it_back(tmp_path: Path) -> None:
    card = Card()
    script = (
        "import sys; from pathlib import Path; from tests.sandbox.test_gpus import Card, lent\n"
        "lease = lent(Card(), Path(sys.argv[1])).lease(10); print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert other.stdout and other.stdout.readline() == b"held\n"
    looked: list[Gpu] = []
    shared = lent(card, tmp_path, lambda gpu: looked.append(gpu) or "")
    with pytest.raises(Unavailable):
        shared.lease(10, timeout_s=0.05)
    other.kill()
    other.wait()
    shared.lease(10, timeout_s=5).release().join()
    assert len(looked) == 2  # before it was lent, for nobody had looked after the dead judge's tenant; and after


def test_a_jail_that_uses_too_much_is_stopped_and_what_was_there_before_is_not_counted(tmp_path: Path) -> None:
    card = Card()
    card.used[card.cards[0]] = 300
    shared, stopped = lent(card, tmp_path), threading.Event()
    lease = shared.lease(100)
    lease.guard(stopped.set)
    card.used[card.cards[0]] = 400
    assert not stopped.wait(0.1)
    card.used[card.cards[0]] = 401
    assert stopped.wait(2) and lease.over.is_set()
    with pytest.raises(Unavailable, match="still held"):
        lease.settle()
    card.used[card.cards[0]] = 300
    lease.settle()
    assert not lease.over.is_set()
    lease.release().join()


def test_what_can_not_be_watched_does_not_go_on(tmp_path: Path) -> None:
    card, stopped = Card(), threading.Event()
    lease = lent(card, tmp_path).lease(100)
    lease.guard(stopped.set)

    def lost(gpu: Gpu) -> int:
        raise RuntimeError("the driver is gone")

    card.measure = lost
    assert stopped.wait(2)
    lease.release().join()
    assert "can't be inspected" in lease._gpus.state()[0]["detail"]


FAULTS: dict[str, Callable[[Card, Gpu], None]] = {
    "still runs on it": lambda card, gpu: card.running.update({gpu: True}),
    "holds its memory": lambda card, gpu: card.used.update({gpu: 500}),
    "2 uncorrected memory errors": lambda card, gpu: card.errors.update({gpu: 2}),
    "waits for a reset": lambda card, gpu: card.why.update({gpu: "a repair of its memory waits for a reset"}),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_gpu_that_is_not_in_order_is_not_lent_until_it_is(tmp_path: Path, what: str) -> None:
    card = Card()
    gpu = card.cards[0]
    shared = lent(card, tmp_path)
    lease = shared.lease(100)
    FAULTS[what](card, gpu)
    lease.release().join()
    assert shared.state() == [{"gpu": 0, "name": "Made up", "ok": False, "detail": shared.out_of_service(gpu)}]
    assert what in shared.out_of_service(gpu)
    if "errors" not in what:  # those of a run that is over are no news
        with pytest.raises(Unavailable, match="no GPU here is in order"):
            shared.lease(100, timeout_s=5)
    card.running[gpu], card.used[gpu], card.why[gpu] = False, 10, ""
    shared.lease(100, timeout_s=5).release().join()
    assert shared.state()[0]["ok"] is True


def test_a_check_that_fails_takes_it_out_and_another_serves(tmp_path: Path) -> None:
    shared = lent(Card(2), tmp_path, lambda gpu: "a matrix product came out wrong" if gpu.minor == 0 else "")
    shared.lease(100).release().join()
    assert [one["ok"] for one in shared.state()] == [False, True]
    assert shared.lease(100).gpu.minor == 1


def test_a_gpu_too_small_for_the_lab_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no GPU here has 2000 MiB"):
        lent(Card(), tmp_path).lease(2000)


def test_only_the_leased_gpus_nodes_enter_the_jail() -> None:
    runtime = Runtime((), (), (), "python3")
    options = arguments(dataclasses.replace(JailSpec(gpu_memory_mb=100), devices=Gpu(3, "GPU-3", "Made up", 1000).nodes), runtime, [], 9)
    bound = [options[i + 1] for i, option in enumerate(options) if option == "--dev-bind"]
    assert bound == ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia3"]


@pytest.fixture
def gpu_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Card, Gpus]]:
    """The toy as a lab that leases a GPU; its device nodes are ones that every machine has."""
    card = Card()
    shared = lent(card, tmp_path)
    lab = dataclasses.replace(labs.read(TOYS / "counter"), limits=Limits(test_s=8, call_s=6, load_s=5), spec=JailSpec(gpu_memory_mb=200), queue="gpu")
    monkeypatch.setattr(labs, "load", lambda slug: lab)
    monkeypatch.setattr(drivers, "gpus", lambda: shared)
    monkeypatch.setattr(Gpu, "nodes", property(lambda gpu: ("/dev/full",)))
    yield card, shared


def test_a_run_leases_and_gives_back(gpu_lab: tuple[Card, Gpus]) -> None:
    _, shared = gpu_lab
    assert judge(JudgeRequest(lab="counter", source=GOOD, hidden=True)).verdict == "AC"
    shared.lease(100, timeout_s=5).release().join()


def test_too_much_gpu_memory_is_a_verdict_of_that_test_alone(gpu_lab: tuple[Card, Gpus], monkeypatch: pytest.MonkeyPatch) -> None:
    card, _ = gpu_lab
    gpu = card.cards[0]
    source = GOOD + "\n\ndef _hold(self, values):\n    import time\n    time.sleep(30)\n\n\nCounter.sums = _hold\n"
    began = time.monotonic()
    busy = threading.Event()

    def listen(event: dict[str, object]) -> None:
        if event["type"] == "test" and not busy.is_set():  # the first test is over: the second begins
            busy.set()
            threading.Timer(1.0, lambda: card.used.update({gpu: 900})).start()
            threading.Timer(1.6, lambda: card.used.update({gpu: 10})).start()

    monkeypatch.setattr(gpus, "SETTLE_S", 5.0)
    outcome = judge(JudgeRequest(lab="counter", source=source, hidden=True), on_event=listen)
    verdicts = {test.name: test.verdict for test in outcome.tests}
    assert verdicts["sums_a_tensor"] == "GMLE"
    assert verdicts["adds_any_numbers"] == "AC"
    assert time.monotonic() - began < 25


def test_a_lab_says_both_or_neither(tmp_path: Path) -> None:
    text = (TOYS / "counter/lab.yaml").read_text()
    for more in ("queue: gpu\n", "jail: {gpu_memory_mb: 100}\n", "queue: gpu\njail: {gpu_memory_mb: 100, devices: [/dev/sda]}\n"):
        folder = tmp_path / f"l{len(text + more)}" / "counter"
        folder.mkdir(parents=True)
        for name in ("brief.md", "starter.py"):
            (folder / name).write_text("x\n")
        (folder / "lab.yaml").write_text(text + more)
        with pytest.raises(BadLab, match="gpu"):
            labs.read(folder)


def test_without_a_card_it_says_what_is_missing() -> None:
    if Path("/proc/driver/nvidia").exists():
        assert compute_check(gpus.Driver().gpus()[0]) == ""
        return
    with pytest.raises(Unavailable, match="GPU"):
        gpus.Driver()
