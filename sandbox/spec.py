"""What a jail is made of and what a test may use, as frozen values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JailSpec:
    """One kind of jail. Two jails with equal specs are interchangeable, which is what lets a pool hold them ready.

    Args:
        memory_mb: cap in MiB on everything inside, scratch space included (control group), and on each process's data segment (rlimit).
        processes: cap on processes and threads.
        scratch_mb: size in MiB of the only writable file system.
        file_mb: the largest single file in MiB.
        open_files: descriptors per process.
        threads: what torch and OpenMP may use.
        packages: distributions that the submission may import, with what they require.
        gpu_memory_mb: cap in MiB on the memory of the GPU that a run leases; 0, as for every lab that runs no kernels itself, leases none.
        devices: device nodes bound one by one: those of the leased GPU.
    """

    memory_mb: int = 1024
    processes: int = 64
    scratch_mb: int = 64
    file_mb: int = 16
    open_files: int = 128
    threads: int = 1
    packages: tuple[str, ...] = ("torch", "numpy", "msgspec")
    gpu_memory_mb: int = 0
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one test may use, enforced by the judge on its own clock.

    Seconds are wall time, less that in which the test could have gone on and had to wait for a processor or for Python's lock, which the judges of one
    worker share, since a busy machine is nobody's fault.

    Args:
        run_s: seconds after which no other test of a run begins.
        test_s: seconds of a test on the submission's side, and as many again for the engine's work on its behalf.
        call_s: seconds of one call into the submission, from the request's first byte to the answer's last.
        load_s: wall seconds to import the submission.
        output_kb: KiB of text that a test may print before it is stopped.
        frame_mb: the largest tensor payload of one frame in MiB.
        engine_calls: calls of the engine per test.
    """

    run_s: float = 300.0
    test_s: float = 20.0
    call_s: float = 10.0
    load_s: float = 10.0
    output_kb: int = 256
    frame_mb: int = 16
    engine_calls: int = 100_000
