"""How a test can end other than well. Each kind knows its verdict; none of them is raised by the jail itself."""

import errno
from typing import Any

from sandbox.verdict import Verdict


class Stop(Exception):
    """Ends a test with a verdict. The message is for the candidate; it must hold nothing secret."""

    verdict = Verdict.RTE


# How torch says that the system gave it no memory, in a RuntimeError, and that the GPU had none left.
ALLOCATOR, CUDA = "DefaultCPUAllocator: ", "CUDA out of memory"


class Raised(Stop):
    """The submission raised. `lines` are (line, function) of its own frames, `number` is an OSError's errno; all of it is the submission's word."""

    def __init__(self, kind: str, message: str, lines: list[tuple[int, str]], number: int | None = None) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind, self.text, self.lines = kind, message, lines
        # A person may write any of these words about a pool or a limit of their own: what the system refused carries its errno, or torch's text.
        torch_says = message if kind == "RuntimeError" else ""
        if kind == "MemoryError" or ALLOCATOR in torch_says or (kind == "OSError" and number == errno.ENOMEM):
            self.verdict = Verdict.MLE
        elif CUDA in torch_says:
            self.verdict = Verdict.GMLE
        elif kind == "PermissionError" and number in (errno.EPERM, errno.EACCES):
            self.verdict = Verdict.SV


class LoadFailed(Stop):
    """The submission does not load, or lacks its entry point."""

    verdict = Verdict.CE

    def __init__(self, cause: Raised) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Gone(Stop):
    """The submission's process ended before it answered."""


class Died(Gone):
    """The jail itself ended before the submission was loaded, which need not be the submission's doing."""


class Broken(Stop):
    """The submission's side broke the protocol."""


class TooSlow(Stop):
    verdict = Verdict.TLE


class TooManyCalls(TooSlow):
    """The submission called the engine more often than a test allows."""


class Idle(Stop):
    verdict = Verdict.ILE


class Starved(Stop):
    """The machine had no processor for the submission for so long that nothing can be said of it."""

    verdict = Verdict.JE


class OutOfMemory(Stop):
    verdict = Verdict.MLE


class OutOfGpuMemory(Stop):
    verdict = Verdict.GMLE


class TooMuchOutput(Stop):
    verdict = Verdict.OLE


class Stopped(Stop):
    """A person aborted the run."""

    verdict = Verdict.AB


class Wrong(Stop):
    """A check said no.

    Args:
        reason: a code, the only part that a hidden test shows: shape, dtype, non-finite, value, order, law, budget, form, state.
        message: what is wrong, for public tests.
        given, expected, actual: shown for public tests.
    """

    verdict = Verdict.WA

    def __init__(
        self, reason: str, message: str, *, given: Any = None, expected: Any = None, actual: Any = None, where: str = ""
    ) -> None:
        super().__init__(message)
        self.reason, self.given, self.expected, self.actual, self.where = reason, given, expected, actual, where
