"""What ends an interview sends its answers to be graded."""

from typing import Any

from django.dispatch import receiver

from interviews.live.models import Interview, InterviewQuestion
from interviews.live.signals import hidden_run_finished, interview_finished
from interviews.review import actions


@receiver(interview_finished)
def queue_all(sender: Any, interview: Interview, **_: Any) -> None:
    actions.queue_ready_answers(interview=interview)


@receiver(hidden_run_finished)
def queue_judged(sender: Any, question: InterviewQuestion, **_: Any) -> None:
    if question.interview.finished_at is None:
        return
    if question.interview.status == Interview.Status.GRADING:
        actions.queue_ready_answers(interview=question.interview)
    # Code may be given up while other answers are still being graded.
    actions.regrade_judged(question=question)
