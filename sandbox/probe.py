"""Does this machine's jail work? A known-good and a known-bad control, judged for real when a worker starts.

A judge that calls a wrong answer right, or can't run a right one, must not judge people. A probe that fails refuses the queue.
"""

from dataclasses import dataclass

from sandbox import drivers, labs
from sandbox.judging import run
from sandbox.verdict import JudgeRequest, Unavailable, Verdict

CONTROL_LAB = "continuous-batcher"


@dataclass(frozen=True, slots=True)
class Report:
    """What a probe found. `detail` is for the operator: what is wrong and how to mend it, or which walls stand."""

    driver: str
    ok: bool
    detail: str


def probe(driver: str = "auto") -> Report:
    """Judges the control lab's reference, which must be accepted, and one of its wrong solutions, which must fail the test that it names."""
    try:
        name = drivers.default() if driver == "auto" else driver
        lab = labs.load(CONTROL_LAB)
        good = run(JudgeRequest(lab.slug, lab.reference, hidden=True, driver=name))
        if good.verdict != Verdict.AC:
            return Report(name, False, f"the known-good control got {good.verdict}: {good.message or good.detail}"[:2000])
        source, test = next(iter(lab.wrong().values()))
        bad = run(JudgeRequest(lab.slug, source, hidden=True, driver=name))
    except Unavailable as error:
        return Report(driver, False, str(error))
    failed = {outcome.name for outcome in bad.tests if outcome.verdict != Verdict.AC}
    if test not in failed:
        return Report(name, False, f"the known-bad control passed the test {test} that it must fail")
    return Report(name, True, f"both controls judged rightly in {good.seconds + bad.seconds:.1f} s; groups: {drivers.hierarchy().version or 'none'}")
