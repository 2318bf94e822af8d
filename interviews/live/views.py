"""The server-rendered pages around the room."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import NotFound

from interviews.bank.queries import topics
from interviews.errors import Problem
from interviews.live import access, actions, queries
from interviews.live.models import Blueprint, Interview

PER_PAGE = 10  # of one's own interviews: what starts a new one stands below them
USUAL = {"level": "L6", "minutes": "45", "topics": []}


def home(request: HttpRequest) -> HttpResponse:
    """What the site is, for a visitor; one's interviews and the way to a new one, for who is signed in."""
    if not request.user.is_authenticated:
        return render(request, "landing.html")
    return _interviews(request)


def _interviews(request: HttpRequest, chosen: dict[str, Any] = USUAL, refused: Problem | None = None) -> HttpResponse:
    """One's interviews and the way to a new one. What was chosen and refused stands in the form as it was, with the reason."""
    context = {
        "interviews": Paginator(queries.interviews_of(request.user), PER_PAGE).get_page(request.GET.get("page")),
        "blueprints": Blueprint.objects.all(),
        "topics": topics(),
        "levels": actions.LEVELS,
        "chosen": chosen,
        "refused": refused and refused.detail,
    }
    return render(request, "home.html", context, status=refused.status_code if refused else 200)


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Makes an interview from the form and goes to its room, or shows the choice again and says what is wrong with it."""
    if request.method == "GET":
        # Who was signed out comes back from the sign-in page this way, without what they had chosen.
        messages.info(request, "Choose the interview once more: nothing was set up.")
        return redirect("home")
    slug = request.POST.get("blueprint")
    minutes = request.POST.get("minutes", "")
    chosen = {"level": request.POST.get("level", ""), "minutes": minutes, "topics": request.POST.getlist("topics")}
    try:
        if slug:
            wanted = actions.plan_of(slug)
        else:
            wanted = actions.plan(**{**chosen, "minutes": int(minutes) if minutes.isdecimal() and len(minutes) < 6 else 0})
        return redirect(actions.create_interview(candidate=request.user, blueprint=wanted))
    except Problem as problem:
        if not slug:
            return _interviews(request, chosen, problem)
        messages.error(request, str(problem.detail))
        return redirect("home")


@login_required
@require_http_methods(["GET", "POST"])
def discard(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks whether an interview that never started shall go, and takes it out of the list."""
    try:
        interview = access.set_up_by(request.user, pk)
    except NotFound as error:
        raise Http404("There is no such interview, or it is not yours.") from error
    if request.method == "GET" and interview.status == Interview.Status.READY:
        return render(request, "live/discard.html", {"interview": interview})
    try:
        # Of one that is not ready any more this says what became of it, and nothing else.
        actions.discard(interview=interview, actor=request.user)
    except Problem as problem:
        messages.error(request, str(problem.detail))
        return redirect(interview)
    messages.success(request, f"“{interview.title}” is discarded.")
    return redirect("home")


@login_required
def room(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The shell of the room; the island fetches its state."""
    try:
        interview = access.interview_for(request.user, pk)
    except NotFound as error:
        raise Http404("There is no such interview, or it is not yours.") from error
    return render(request, "live/room.html", {"interview": interview})
