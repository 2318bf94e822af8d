"""The room that runs a candidate's code: a jail, a trusted judge outside it, and the labs.

The front door is this module: `judge`, `JudgeRequest`, `Outcome`, `TestOutcome`, `labs`, `Unavailable`. What needs torch is loaded on first use,
so that a web process that only reads labs stays light.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox import labs
from sandbox.verdict import JudgeRequest, Outcome, TestOutcome, Unavailable, Verdict

if TYPE_CHECKING:
    from sandbox.pool import Pool

__all__ = ["JudgeRequest", "Outcome", "TestOutcome", "Unavailable", "Verdict", "judge", "labs"]


def judge(
    request: JudgeRequest,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    should_abort: Callable[[], bool] | None = None,
    pool: "Pool | None" = None,
) -> Outcome:
    """Judges one submission in a jail and returns what the candidate may see.

    Args:
        request: the lab, the source, and which tests.
        on_event: called in this thread with `{"type": "planned", "n": int}` once, then `{"type": "test", "test": {...}}` per test.
        should_abort: asked a few times a second; True ends the run with AB.
        pool: warm jails; without one, or when it is empty, a jail is started cold.

    Raises:
        Unavailable: no jail can be had here.
        labs.UnknownLab: there is no such lab.
    """
    from sandbox.judging import run

    return run(request, on_event, should_abort, pool)
