"""Who may see the banks: interviewers and admins. A candidate who could read a rubric would be examined on reading it."""

from django.core.exceptions import PermissionDenied
from django.http import Http404

from interviews.accounts.models import User
from interviews.bank.models import Question


def check_reader(user: User) -> None:
    """Raises PermissionDenied unless the user reviews interviews or keeps the banks."""
    if not user.reviews:
        raise PermissionDenied("The question banks are open to interviewers and admins.")


def check_keeper(user: User) -> None:
    """Raises PermissionDenied unless the user keeps the banks."""
    if not user.is_staff:
        raise PermissionDenied("Admins keep the question banks.")


def question_for(user: User, pack: str, slug: str) -> Question:
    """The question, for a user who may read it.

    Raises:
        PermissionDenied: not an interviewer or admin.
        Http404: no such question.
    """
    check_reader(user)
    question = Question.objects.select_related("current", "pack", "held_by").filter(pack__slug=pack, slug=slug).first()
    if question is None or question.current is None:
        raise Http404("There is no such question.")
    return question
