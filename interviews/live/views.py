"""The server-rendered pages around the room."""

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
from interviews.live.models import Blueprint

PER_PAGE = 10  # of one's own interviews: what starts a new one stands below them


def home(request: HttpRequest) -> HttpResponse:
    """What the site is, for a visitor; one's interviews and the way to a new one, for who is signed in."""
    if not request.user.is_authenticated:
        return render(request, "landing.html")
    context = {
        "interviews": Paginator(queries.interviews_of(request.user), PER_PAGE).get_page(request.GET.get("page")),
        "blueprints": Blueprint.objects.all(),
        "topics": topics(),
        "levels": actions.LEVELS,
    }
    return render(request, "home.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Makes an interview from the form and goes to its room. A wrong choice comes back as a message."""
    if request.method == "GET":
        # Who was signed out comes back from the sign-in page this way, without what they had chosen.
        messages.info(request, "Choose the interview once more: nothing was set up.")
        return redirect("home")
    slug = request.POST.get("blueprint")
    try:
        if slug:
            wanted = actions.plan_of(slug)
        else:
            minutes = request.POST.get("minutes", "")
            wanted = actions.plan(
                level=request.POST.get("level", ""),
                minutes=int(minutes) if minutes.isdecimal() and len(minutes) < 6 else 0,
                topics=request.POST.getlist("topics"),
            )
        return redirect(actions.create_interview(candidate=request.user, blueprint=wanted))
    except Problem as problem:
        messages.error(request, str(problem.detail))
        return redirect("home")


@login_required
def room(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The shell of the room; the island fetches its state."""
    try:
        interview = access.interview_for(request.user, pk)
    except NotFound as error:
        raise Http404("There is no such interview, or it is not yours.") from error
    return render(request, "live/room.html", {"interview": interview})
