"""The server-rendered shells of the report and the review desk."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from rest_framework.exceptions import NotFound

from interviews.accounts.models import User
from interviews.live import access
from interviews.live.models import Interview
from interviews.review import explained, queries

PER_PAGE = 25  # interviews of the review list


def _interview(user: User, pk: UUID) -> Interview:
    try:
        return access.interview_for(user, pk)
    except NotFound as error:
        raise Http404("There is no such interview, or it is not yours.") from error


def marking(request: HttpRequest) -> HttpResponse:
    """How answers are marked, for everybody."""
    return render(request, "review/marking.html", {"example": explained.example(), "sections": explained.sections()})


@login_required
def report(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The report's shell; before the end, the room."""
    interview = _interview(request.user, pk)
    if interview.status in (Interview.Status.READY, Interview.Status.RUNNING):
        return redirect("room", pk)
    return render(request, "live/report.html", {"interview": interview})


@login_required
def queue(request: HttpRequest) -> HttpResponse:
    """One page of one part of the review list."""
    if not request.user.reviews:
        raise PermissionDenied("The review desk is open to interviewers and admins.")
    asked, name = request.GET.get("show", ""), request.GET.get("name", "").strip()
    part = asked if asked in queries.QUEUES else next(iter(queries.QUEUES))
    counts = queries.queued(name)
    context = {
        "part": part,
        "name": name,
        "parts": [(key, title, counts[key]) for key, (title, _) in queries.QUEUES.items()],
        "interviews": Paginator(queries.review_queue(part, name), PER_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "review/queue.html", context)


@login_required
def desk(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The review desk's shell."""
    if not request.user.reviews:
        raise PermissionDenied("The review desk is open to interviewers and admins.")
    interview = _interview(request.user, pk)
    if interview.status in (Interview.Status.READY, Interview.Status.RUNNING):
        raise Http404("The interview is not over yet.")
    return render(request, "review/desk.html", {"interview": interview})
