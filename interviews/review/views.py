"""The server-rendered shells of the report and the review desk."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from rest_framework.exceptions import NotFound

from interviews.accounts.models import User
from interviews.live import access
from interviews.live.models import Interview
from interviews.review import queries


def _interview(user: User, pk: UUID) -> Interview:
    try:
        return access.interview_for(user, pk)
    except NotFound as error:
        raise Http404("There is no such interview, or it is not yours.") from error


@login_required
def report(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The report's shell; before the end, the room."""
    interview = _interview(request.user, pk)
    if interview.status in (Interview.Status.READY, Interview.Status.RUNNING):
        return redirect("room", pk)
    return render(request, "live/report.html", {"interview": interview})


@login_required
def queue(request: HttpRequest) -> HttpResponse:
    """Interviews to review."""
    if not request.user.reviews:
        raise PermissionDenied("The review desk is open to interviewers and admins.")
    return render(request, "review/queue.html", {"interviews": queries.review_queue()})


@login_required
def desk(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The review desk's shell."""
    if not request.user.reviews:
        raise PermissionDenied("The review desk is open to interviewers and admins.")
    interview = _interview(request.user, pk)
    if interview.status in (Interview.Status.READY, Interview.Status.RUNNING):
        raise Http404("The interview is not over yet.")
    return render(request, "review/desk.html", {"interview": interview})
