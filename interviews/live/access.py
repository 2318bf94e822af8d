"""The doors to interviews. Candidates have their own; interviewers and admins look at all, and write in none."""

from importlib import import_module
from types import SimpleNamespace
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound

from interviews.accounts.models import User
from interviews.errors import Problem
from interviews.live.models import Answer, Interview, InterviewQuestion
from sandbox.models import Run


def session_user(key: str | None) -> User | AnonymousUser:
    """Whom the session signs in now, read anew: nobody once it ended, its password was changed or the user is not active."""
    return get_user(SimpleNamespace(session=import_module(settings.SESSION_ENGINE).SessionStore(key)))


def visible(user: User) -> QuerySet[Interview]:
    """The interviews that the user may look at. Nobody looks at one that was discarded."""
    if not user.is_authenticated:
        return Interview.objects.none()
    kept = Interview.objects.exclude(status=Interview.Status.DISCARDED)
    return kept if user.reviews else kept.filter(candidate=user)


def interview_for(user: User, interview_id: UUID, *, own: bool = False) -> Interview:
    """The interview, for someone who may look at it; with `own`, for its candidate.

    Raises:
        NotFound: no such interview, or not for this user, which is the same to them.
        Problem: an interviewer tried what only the candidate may do.
    """
    interview = visible(user).filter(pk=interview_id).select_related("candidate").first()
    if interview is None:
        raise NotFound
    if own and interview.candidate_id != user.pk:
        raise Problem("not_candidate", "Only the candidate of this interview can do that.", 403)
    return interview


def set_up_by(user: User, interview_id: UUID) -> Interview:
    """The interview, for its candidate, even where they discarded it: to ask for that twice is no fault.

    Raises:
        NotFound: no such interview, or not this user's own.
    """
    interview = Interview.objects.filter(candidate=user, pk=interview_id).first()
    if interview is None:
        raise NotFound
    return interview


def question_for(user: User, interview_id: UUID, question_id: UUID, *, own: bool = False) -> InterviewQuestion:
    """A question of an interview, by the interview's door."""
    interview = interview_for(user, interview_id, own=own)
    question = interview.questions.select_related("version", "answer").filter(pk=question_id).first()
    if question is None or interview.status == Interview.Status.READY:
        raise NotFound
    return question


def answer_for(user: User, answer_id: UUID) -> Answer:
    """An answer's document, by its interview's door."""
    answer = Answer.objects.select_related("question__interview").filter(pk=answer_id).first()
    if answer is None:
        raise NotFound
    interview = interview_for(user, answer.question.interview_id)
    if interview.status == Interview.Status.READY:
        raise NotFound
    return answer


def run_for(user: User, run_id: UUID, *, own: bool = False) -> tuple[Run, InterviewQuestion]:
    """A run and the question that it belongs to, by the interview's door."""
    run = Run.objects.prefetch_related("tests").filter(pk=run_id).first()
    question = InterviewQuestion.objects.filter(answer__id=run.subject).first() if run and run.subject else None
    if run is None or question is None:
        raise NotFound
    return run, question_for(user, question.interview_id, question.pk, own=own)
