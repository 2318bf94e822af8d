"""What a judgement says: the verdict codes, their order, and the frozen records that cross the front door."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """The codes of one test; `PA` and `AB` occur only as the verdict of a whole run.

    The vocabulary is that of the ICPC contest API ("known judgement types") with the codes that it lacks for memory of an
    accelerator, skipped tests and forbidden operations.
    """

    AC = "AC"  # accepted
    PA = "PA"  # some tests passed
    WA = "WA"  # wrong answer
    TLE = "TLE"  # too slow
    ILE = "ILE"  # idle: the wall limit passed with hardly any processor time used
    MLE = "MLE"  # memory limit
    GMLE = "GMLE"  # accelerator memory limit
    OLE = "OLE"  # output limit
    RTE = "RTE"  # runtime error: an exception, a signal, an exit before the answer, a broken frame
    CE = "CE"  # the submission does not load, or lacks the entry point
    SV = "SV"  # a forbidden operation ended the run
    SK = "SK"  # skipped, because a gate group failed
    AB = "AB"  # aborted by a person
    JE = "JE"  # judge error: never counted against the candidate


# When several apply to a run the first of these is shown, unless something passed (then it is PA).
PRECEDENCE = (
    Verdict.JE, Verdict.AB, Verdict.CE, Verdict.SV, Verdict.TLE, Verdict.ILE, Verdict.MLE, Verdict.GMLE, Verdict.OLE,
    Verdict.RTE, Verdict.WA, Verdict.SK,
)  # fmt: skip


class Unavailable(Exception):
    """The jail can't be had on this machine. The message says why, and the command that mends it."""


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """One submission to judge.

    Args:
        lab: slug of the lab.
        source: the submission, one Python module.
        hidden: True for the hidden tests, False for the public ones.
        seed: fixes every input of the run; None draws a secret one.
        driver: "bwrap", "container" or "plain"; None takes the machine's default.
    """

    lab: str
    source: str
    hidden: bool
    seed: int | None = None
    driver: str | None = None


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """The result of one test, already reduced to what the candidate may see."""

    __test__ = False

    name: str
    group: str
    verdict: str
    points: float
    max_points: float
    seconds: float
    message: str = ""
    stdout: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "group": self.group,
            "verdict": str(self.verdict),
            "points": self.points,
            "max_points": self.max_points,
            "seconds": self.seconds,
            "message": self.message,
            "stdout": self.stdout,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run. `flight` has the shape that docs/architecture.md gives, or is None."""

    verdict: str
    score: float
    max_score: float
    tests: tuple[TestOutcome, ...]
    message: str = ""
    flight: dict[str, Any] | None = None
    seconds: float = 0.0
    driver: str = ""
    detail: str = field(default="", repr=False)  # for the operator's log, never for the candidate

    def as_dict(self) -> dict[str, Any]:
        return {
            "verdict": str(self.verdict),
            "score": self.score,
            "max_score": self.max_score,
            "tests": [test.as_dict() for test in self.tests],
            "message": self.message,
            "flight": self.flight,
            "seconds": self.seconds,
            "driver": self.driver,
        }


def overall(verdicts: Iterable[str], planned: int) -> Verdict:
    """The verdict of a run from those of its tests.

    AC needs every planned test to have passed: a run whose tests went missing is a judge error, never a pass.
    """
    seen = [Verdict(verdict) for verdict in verdicts]
    if len(seen) != planned or not planned:
        return Verdict.JE
    if all(verdict is Verdict.AC for verdict in seen):
        return Verdict.AC
    for decisive in (Verdict.JE, Verdict.AB, Verdict.CE):
        if decisive in seen:
            return decisive
    if Verdict.AC in seen:
        return Verdict.PA
    return next(verdict for verdict in PRECEDENCE if verdict in seen)
