"""Interviews that are over, graded by the real scorer in this process."""

from django.utils import timezone

from interviews.live import actions
from interviews.live.models import Interview
from interviews.review.models import GradeJob
from interviews.review.tasks import grade_answer
from sandbox.models import Run, TestResult
from tests.live.helpers import question, write

GOOD = (
    "Prefill is limited by compute, because many tokens reuse each weight that is read from memory. "
    "Decode is limited by memory bandwidth, because each decode step reads all the weights for one token per sequence."
)


def finish(interview: Interview, *, text: str = GOOD) -> Interview:
    """Answers the written question, ends the interview and leaves its grading queued."""
    if text:
        write(question(interview, "written"), text=text)
    return actions.finish(interview=interview, actor=interview.candidate)


def judged(interview: Interview, *, verdict: str = "PA", points: dict[str, tuple[float, float]] | None = None) -> Run:
    """Ends the interview's queued hidden run as a worker would have."""
    run = end(Run.objects.get(subject=question(interview, "code").answer.pk, kind="hidden", state="QU"), points or {}, verdict)
    actions.note_run(run_id=run.pk, kind="finished")
    return run


def end(waiting: Run, points: dict[str, tuple[float, float]], verdict: str) -> Run:
    """Claims a queued run and ends it with (earned, possible) points of a test per group."""
    run = Run.claim(waiting.pk)
    assert run is not None
    for position, (group, (earned, possible)) in enumerate(points.items()):
        TestResult.objects.create(
            run=run, position=position, name=f"test_{group}", group=group, verdict="AC" if earned == possible else "WA",
            points=earned, max_points=possible, seconds=0.1,
        )  # fmt: skip
    total, most = (sum(pair[i] for pair in points.values()) for i in (0, 1))
    run.advance(state="D", verdict=verdict, planned=len(points), score=total, max_score=most, finished_at=timezone.now())
    return run


def grade_all(interview: Interview) -> Interview:
    """Runs the grading tasks that wait."""
    for job in GradeJob.objects.filter(question__interview=interview, state="QU"):
        grade_answer(str(job.pk))
    interview.refresh_from_db()
    return interview


def scored(interview: Interview, **answers: str) -> Interview:
    """A finished interview with every answer graded."""
    finish(interview, **answers)
    judged(interview, points={"admission": (4, 4), "budget": (2, 4)})
    return grade_all(interview)
