"""GPUs for labs whose submissions run kernels themselves: one lease per GPU, watched while it lasts, checked before the next.

There is no control group for GPU memory and no clean-up that a tenant could be trusted with. So a GPU has one jail at a time, what it uses is polled, and
it is lent again only after nothing runs on it, its memory was overwritten, a computation came out right, and the driver reports no new fault. A GPU that
fails stays out of service, says why on the health page, and is tried again with each request.

A lease is a lock on a file: judges of several processes never share a GPU, and the kernel gives back what a dead judge held.
"""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sandbox.jail import Slots
from sandbox.verdict import Unavailable

POLL_S = 0.1
SETTLE_S = 10.0  # for the driver to take back what a dead process held
SPARE_MB = 64  # what a driver may hold more than before without anybody using it
CHECK_S = 120.0
COMMON = ("/dev/nvidiactl", "/dev/nvidia-uvm")
log = logging.getLogger(__name__)

# All of the free memory is overwritten, in pieces, and a product is computed twice. Runs in a process of its own: a broken GPU must not break the judge.
CHECK = """
import sys, torch
free, _ = torch.cuda.mem_get_info()
held = []
while True:
    try:
        held.append(torch.zeros(64 << 20, dtype=torch.uint8, device="cuda"))
    except torch.OutOfMemoryError:
        break
torch.cuda.synchronize()
del held
torch.cuda.empty_cache()
a = torch.arange(4096, device="cuda", dtype=torch.float64).reshape(64, 64) % 7
if not torch.equal((a @ a).cpu(), a.cpu() @ a.cpu()):
    sys.exit("a matrix product came out wrong")
"""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as the driver names it. `minor` is the number of its device node."""

    minor: int
    uuid: str
    name: str
    memory_mb: int

    @property
    def nodes(self) -> tuple[str, ...]:
        """The device nodes that a jail needs for this GPU, and for no other."""
        return (*COMMON, f"/dev/nvidia{self.minor}")


class Nvml(Protocol):
    """What is asked of the driver's management library."""

    def gpus(self) -> list[Gpu]: ...
    def used_mb(self, gpu: Gpu) -> int: ...
    def busy(self, gpu: Gpu) -> bool:
        """Whether any process computes on it."""

    def faults(self, gpu: Gpu) -> tuple[int, str]:
        """Uncorrected memory errors so far, and what needs a person: "" or a sentence."""


class Driver:
    """`Nvml` by NVIDIA's library (the package nvidia-ml-py).

    Raises:
        Unavailable: no package, no driver, no GPU.
    """

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError:
            raise Unavailable("GPU labs need the package nvidia-ml-py: pip install 'roofline[gpu]'") from None
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            raise Unavailable(f"this machine has no GPU that can be lent: {error}") from None
        if not self._handles:
            raise Unavailable("this machine has no GPU that can be lent: the driver lists none")

    def gpus(self) -> list[Gpu]:
        nvml = self._nvml
        return [
            Gpu(nvml.nvmlDeviceGetMinorNumber(h), nvml.nvmlDeviceGetUUID(h), nvml.nvmlDeviceGetName(h), nvml.nvmlDeviceGetMemoryInfo(h).total >> 20)
            for h in self._handles
        ]

    def _handle(self, gpu: Gpu) -> Any:
        return self._nvml.nvmlDeviceGetHandleByUUID(gpu.uuid)

    def used_mb(self, gpu: Gpu) -> int:
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle(gpu)).used >> 20)

    def busy(self, gpu: Gpu) -> bool:
        return bool(self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle(gpu)))

    def faults(self, gpu: Gpu) -> tuple[int, str]:
        nvml, handle = self._nvml, self._handle(gpu)
        errors, why = 0, ""
        try:
            errors = int(nvml.nvmlDeviceGetTotalEccErrors(handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC))
            _, _, pending, failed = nvml.nvmlDeviceGetRemappedRows(handle)
            if failed:
                why = "its memory can't be repaired any more: replace it"
            elif pending:
                why = "a repair of its memory waits for a reset"
        except nvml.NVMLError_NotSupported:
            pass  # consumer cards count neither
        return errors, why


def compute_check(gpu: Gpu) -> str:
    """Overwrites a GPU's memory and computes on it; "" or what went wrong."""
    env = {"CUDA_VISIBLE_DEVICES": gpu.uuid, "PATH": "/usr/bin:/bin"}
    try:
        done = subprocess.run([sys.executable, "-c", CHECK], env=env, capture_output=True, text=True, timeout=CHECK_S, check=False)
    except subprocess.TimeoutExpired:
        return f"a check did not end within {CHECK_S:.0f} s"
    return "" if done.returncode == 0 else f"a check failed: {done.stderr.strip()[-300:] or f'status {done.returncode}'}"


class Lease:
    """One GPU for one run. `over` is set once a jail used more than its cap."""

    def __init__(self, gpus: "Gpus", gpu: Gpu, slot: int, cap_mb: int) -> None:
        self.gpu, self.cap_mb, self.over = gpu, cap_mb, threading.Event()
        self._gpus, self._slot = gpus, slot
        self._before, (self._errors, _) = gpus.nvml.used_mb(gpu), gpus.nvml.faults(gpu)
        self._stop: Callable[[], None] | None = None
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._poll, name=f"gpu-{gpu.minor}", daemon=True)
        self._watch.start()

    def settle(self) -> None:
        """Waits until an earlier jail of the run holds nothing any more, so that the next one is not blamed for it.

        Raises:
            Unavailable: it does not end.
        """
        self._stop = None
        if not self._gpus.free_again(self.gpu, self._before):
            raise Unavailable(f"GPU {self.gpu.minor} is still held by a jail that was ended")
        self.over.clear()

    def guard(self, stop: Callable[[], None]) -> None:
        """From now on `stop` ends what uses the GPU, when it uses too much."""
        self._stop = stop

    def _poll(self) -> None:
        while not self._ended.wait(POLL_S):
            try:
                used = self._gpus.nvml.used_mb(self.gpu) - self._before
            except Exception as error:
                log.warning("GPU %s can't be watched: %s", self.gpu.minor, error)
                used = self.cap_mb + 1  # what can't be seen must not go on
            if used > self.cap_mb and self._stop is not None and not self.over.is_set():
                self.over.set()
                self._stop()

    def release(self) -> threading.Thread:
        """Call once the run's jails are gone. A thread inspects the GPU and gives it back; nobody's verdict waits for that."""
        self._ended.set()
        thread = threading.Thread(target=self._give_back, name=f"gpu-{self.gpu.minor}-check", daemon=True)
        thread.start()
        return thread

    def _give_back(self) -> None:
        self._watch.join()
        try:
            self._gpus.inspect(self.gpu, self._before, self._errors)
        finally:
            self._gpus.slots.give_back(self._slot)


class Gpus:
    """The GPUs of this machine.

    Args:
        nvml: the driver.
        folder: where the locks lie; ours alone.
        check: what overwrites memory and computes; "" or what went wrong.
    """

    def __init__(self, nvml: Nvml, folder: Path, check: Callable[[Gpu], str] = compute_check) -> None:
        self.nvml, self.check = nvml, check
        self.all: Sequence[Gpu] = nvml.gpus()
        self.slots = Slots(folder, max((gpu.minor for gpu in self.all), default=-1) + 1)
        self._folder = folder
        self._lock = threading.Lock()

    def lease(self, cap_mb: int, should_abort: Callable[[], bool] | None = None, timeout_s: float = 600.0) -> Lease:
        """The next free GPU that is in order and has that much memory; waits for one.

        Raises:
            Unavailable: none came free in time, the run was aborted, or no GPU here is in order or large enough; the message says which.
        """
        fit = [gpu for gpu in self.all if gpu.memory_mb >= cap_mb]
        if not fit:
            raise Unavailable(f"no GPU here has {cap_mb} MiB")
        until = time.monotonic() + timeout_s
        while True:
            out = 0
            for gpu in fit:
                slot = self.slots.take_this(gpu.minor)
                if slot is None:
                    continue
                try:
                    # A repair or a reset may have mended it; or a judge died before it had looked after its tenant.
                    if self.out_of_service(gpu) or self._mark_of_use(gpu).exists():
                        self.inspect(gpu, self._idle_mb(gpu), self.nvml.faults(gpu)[0])
                    if not self.out_of_service(gpu):
                        self._mark_of_use(gpu).write_text(str(self.nvml.used_mb(gpu)))
                        return Lease(self, gpu, slot, cap_mb)
                except BaseException:
                    self.slots.give_back(slot)
                    raise
                out += 1
                self.slots.give_back(slot)
            if out == len(fit):
                raise Unavailable("no GPU here is in order: " + "; ".join(f"GPU {gpu.minor}: {self.out_of_service(gpu)}" for gpu in fit))
            if time.monotonic() > until or (should_abort is not None and should_abort()):
                raise Unavailable("no GPU came free in time")
            time.sleep(POLL_S)

    def inspect(self, gpu: Gpu, before_mb: int, errors: int) -> None:
        """Takes a GPU that we hold out of service when it is not in order, or back into it when it is."""
        try:
            why = self._fault(gpu, before_mb, errors)
        except Exception as error:
            why = f"it can't be inspected: {error}"
        self._mark(gpu, why)
        if not why:
            self._mark_of_use(gpu).unlink(missing_ok=True)

    def free_again(self, gpu: Gpu, before_mb: int) -> bool:
        """Whether nothing runs on it and its memory is as it was, at once or within a few seconds."""
        until = time.monotonic() + SETTLE_S
        while self.nvml.busy(gpu) or self.nvml.used_mb(gpu) > before_mb + SPARE_MB:
            if time.monotonic() > until:
                return False
            time.sleep(POLL_S)
        return True

    def _fault(self, gpu: Gpu, before_mb: int, errors: int) -> str:
        if not self.free_again(gpu, before_mb):
            return "something still runs on it or holds its memory"
        found, why = self.nvml.faults(gpu)
        if why:
            return why
        if found > errors:
            return f"{found - errors} uncorrected memory errors during the last run"
        return self.check(gpu)

    def _mark(self, gpu: Gpu, why: str) -> None:
        with self._lock:
            self._note(gpu).write_text(why[:500])
        if why:
            log.error("GPU %s (%s) is out of service: %s", gpu.minor, gpu.name, why)

    def _note(self, gpu: Gpu) -> Path:
        return self._folder / f"{gpu.uuid.replace('/', '_')}.fault"

    def _idle_mb(self, gpu: Gpu) -> int:
        """What was used before the last lease that nobody has given back in order, else what is used now."""
        try:
            return int(self._mark_of_use(gpu).read_text())
        except (FileNotFoundError, ValueError):
            return self.nvml.used_mb(gpu)

    def _mark_of_use(self, gpu: Gpu) -> Path:
        return self._folder / f"{gpu.uuid.replace('/', '_')}.used"

    def out_of_service(self, gpu: Gpu) -> str:
        """Why a GPU is not lent, or ""."""
        try:
            return self._note(gpu).read_text()
        except FileNotFoundError:
            return ""

    def state(self) -> list[dict[str, Any]]:
        """Each GPU for the health page."""
        return [{"gpu": gpu.minor, "name": gpu.name, "ok": not (why := self.out_of_service(gpu)), "detail": why} for gpu in self.all]
