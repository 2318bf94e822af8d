"""The server-rendered shells of the report and the review desk."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import NotFound

from interviews.accounts.models import Role, User
from interviews.errors import Problem
from interviews.live import access
from interviews.live.models import Interview
from interviews.review import comparing, explained, queries, rejudging
from interviews.review.models import Rejudge

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


def _reviewer(request: HttpRequest) -> User:
    if not request.user.reviews:
        raise PermissionDenied("Judging again is for interviewers and admins.")
    return request.user


@login_required
def rejudges(request: HttpRequest) -> HttpResponse:
    """What was judged again, and, for admins, the labs that can be."""
    user = _reviewer(request)
    found = comparing.listed(Rejudge.objects.select_related("by")[:100])
    return render(request, "review/rejudges.html", {"rejudges": found, "labs": comparing.labs_judged() if user.role == Role.ADMIN else []})


@login_required
@require_http_methods(["GET", "POST"])
def new_rejudge(request: HttpRequest) -> HttpResponse:
    """What would be judged again, and the button that does."""
    user = _reviewer(request)
    asked = request.POST if request.method == "POST" else request.GET
    scope = next((name for name in Rejudge.Scope.values if asked.get(name)), "")
    target = asked.get(scope, "")
    try:
        if request.method == "POST":
            return redirect("rejudge", rejudging.start(scope=scope, target=target, actor=user).pk)
        pairs = rejudging.counted(scope=scope, target=target, actor=user)
        rejudging.going_on(scope=scope, target=target, pairs=pairs)
    except rejudging.Undecided as undecided:
        messages.error(request, str(undecided))
        return redirect("rejudge", undecided.rejudge.pk)
    except Problem as problem:
        messages.error(request, str(problem))
        return redirect("rejudges")
    return render(request, "review/new_rejudge.html", {"scope": scope, "target": target, "pairs": pairs})


@login_required
@require_http_methods(["GET", "POST"])
def rejudge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Before and after, and whether it shall count."""
    user = _reviewer(request)
    try:
        found = rejudging.rejudge_for(user, pk)
    except Problem as problem:
        raise Http404(str(problem)) from problem
    if request.method == "POST":
        end = rejudging.apply if "apply" in request.POST else rejudging.discard
        try:
            end(rejudge=found, actor=user)
        except Problem as problem:
            messages.error(request, str(problem))
        return redirect("rejudge", pk)
    shown = comparing.rejudge_json(found)
    done = len(shown["rows"]) - shown["counts"]["waiting"]
    return render(request, "review/rejudge.html", {"rejudge": shown, "done": done, "words": comparing.WORDS})
