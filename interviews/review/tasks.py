"""Celery's side of grading."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from interviews.live.models import Interview
from interviews.review import actions
from interviews.review.models import GradeJob
from sandbox.leases import LEASE, Lost


@shared_task
def grade_answer(job_id: str) -> None:
    """Grades one answer. Safe to be delivered twice or late: only the claim decides."""
    job = GradeJob.claim(UUID(job_id))
    if job is None:
        return
    try:
        with job.heartbeat():
            actions.grade(job)
    except Lost:
        pass


@shared_task
def reap() -> None:
    """Queues again what dead workers held or the broker lost, ends what is out of attempts, and mends interviews that wait."""
    requeued, exhausted = GradeJob.requeue_expired()
    for job in GradeJob.objects.filter(pk__in=exhausted, state__in=GradeJob.ACTIVE).select_related("question__version__rubric"):
        try:
            actions.give_up(job=job)
        except Lost:
            continue
    forgotten = GradeJob.objects.filter(state=GradeJob.State.QUEUED, queued_at__lt=timezone.now() - 2 * LEASE)
    for job in [*GradeJob.objects.filter(pk__in=requeued), *forgotten.order_by("queued_at")[:50]]:
        actions.wake(job)
    waiting = Interview.objects.filter(status=Interview.Status.GRADING, finished_at__lt=timezone.now() - LEASE)
    for interview in waiting:
        actions.mend_stuck(interview=interview)
