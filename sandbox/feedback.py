"""What the candidate is told about a test.

Public tests show everything. Hidden tests show the verdict, a reason code or the kind of a known exception, and a coarse time: no text and no number that
the submission chose, because it could carry the hidden inputs out, and nothing that the test's author wrote for public eyes. The lines that an exception
passed are such numbers: the jail says them, and in a long file one of them is 17 bits.
"""

import builtins
import math
import re
import unicodedata
from typing import Any

import torch

from sandbox.failures import Broken, LoadFailed, Raised, Stop, TooManyCalls, Wrong
from sandbox.spec import Limits
from sandbox.verdict import Verdict

MAX_MESSAGE = 4000
MAX_VALUE = 600
MAX_SOURCE_LINE = 160

REASONS = {
    "shape": "the shape of the answer is wrong",
    "dtype": "the dtype of the answer is wrong",
    "non-finite": "the answer holds NaN or infinity where it must not, or lacks one",
    "value": "the answer is wrong",
    "order": "things happened in the wrong order",
    "law": "the answers do not follow the law that they must",
    "budget": "more work was done than is allowed, or less than is needed",
    "form": "the answer does not have the agreed form",
    "state": "something was left in a state that it must not be in",
}
FIXED = {
    Verdict.TLE: "ran out of time",
    Verdict.ILE: "waited without computing until its time was up",
    Verdict.MLE: "used more memory than is allowed",
    Verdict.GMLE: "used more GPU memory than is allowed",
    Verdict.OLE: "printed more than is allowed",
    Verdict.SK: "skipped, because a group that comes first failed",
    Verdict.AB: "aborted",
    Verdict.JE: "the judge failed; this does not count against you",
}
LINE_END = re.compile(r"\r\n|\r|\n")  # where Python's numbers count on; `splitlines` knows more ends
NOT_HERE = "its words and lines are shown for public tests only"
OUT_OF_TURN = "not run: the tests before it used up the time of the run"
TOO_OFTEN = "called the engine more often than a test allows"
STUCK = "the file never finished loading"
BROKEN, ENDED = "the answer breaks the protocol", "the process ended before the submission answered"
_BUILTIN = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}
_OURS = {"EngineError", "OutOfBlocks", "BudgetExceeded", "BadHandle", "BadRequest", "Unserialisable", "TooBig"}


def clean(text: str, limit: int = MAX_MESSAGE) -> str:
    """Text without control characters (newline and tab stay) and lone surrogates, cut to `limit` characters."""
    cut = text[: limit + 1]
    kept = "".join(
        character if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs", "Cf") else "\ufffd" for character in cut
    )
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def coarse(seconds: float) -> float:
    """Rounded up to a power of two of 1/16 s, so that a time says little about a hidden input."""
    return 0.0625 * 2 ** max(0, math.ceil(math.log2(seconds / 0.0625))) if seconds > 0 else 0.0


def stuck(limits: Limits) -> str:
    """What the candidate reads about a run whose file never finished loading."""
    return f"The file never finished loading, so no test could begin. What stands outside of its functions has {min(limits.load_s, limits.test_s):g} s."


def message(stop: Stop, source: str, hidden: bool, first: bool = False) -> str:
    """What the candidate reads about a test that ended this way.

    Args:
        first: no test's input has reached the submission yet, so that its words about a failed load hold nothing to hide.
    """
    if isinstance(stop, LoadFailed):
        return clean("The submission does not load.\n" + _raised(stop.cause, source, hidden and not first))
    if isinstance(stop, Raised):
        return clean(_raised(stop, source, hidden))
    if isinstance(stop, Wrong):
        return clean(REASONS.get(stop.reason, REASONS["value"]) if hidden else _wrong(stop))
    if isinstance(stop, TooManyCalls) and hidden:
        return TOO_OFTEN
    if hidden:
        # Not the exit status either: the submission chooses it, and could spell an input with it.
        return FIXED.get(Verdict(stop.verdict), BROKEN if isinstance(stop, Broken) else ENDED)
    return clean(str(stop) or FIXED.get(Verdict(stop.verdict), ""))


def _raised(error: Raised, source: str, hidden: bool) -> str:
    kind = error.kind if error.kind in _BUILTIN | _OURS else "Exception"
    if hidden:
        return f"{kind}: {NOT_HERE}"
    lines = LINE_END.split(source)
    shown = []
    for number, _ in error.lines:
        if 0 < number <= len(lines):  # the text is from our copy: the jail says only which line
            shown.append(f"  line {number}: {lines[number - 1].strip()[:MAX_SOURCE_LINE]}")
    return "\n".join([f"{kind}: {error.text}" if error.text else kind, *shown])


def _wrong(stop: Wrong) -> str:
    parts = [str(stop)]
    for label, value in (("input", stop.given), ("expected", stop.expected), ("actual", stop.actual)):
        if value is not None:
            parts.append(f"{label}: {show(value)}")
    if stop.where:
        parts.append(f"first difference at {stop.where}")
    return "\n".join(parts)


def show(value: Any) -> str:
    """A value, short enough to read."""
    if isinstance(value, torch.Tensor):
        head = ", ".join(f"{item:.6g}" for item in value.flatten()[:16].tolist())
        return f"tensor{list(value.shape)} {str(value.dtype).removeprefix('torch.')} [{head}{', …' if value.numel() > 16 else ''}]"
    text = repr(value)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
