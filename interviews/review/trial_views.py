"""The pages of what is done again to be looked at before it counts: the list, what would be covered, and before beside after."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from interviews.accounts.models import User
from interviews.errors import Problem
from interviews.review import trials
from interviews.review.kinds import Kind

LISTED = 100


def _reviewer(request: HttpRequest, kind: Kind) -> User:
    try:
        trials.check_reviews(kind.model, request.user)
    except Problem as problem:
        raise PermissionDenied(str(problem)) from problem
    return request.user


@login_required
def listed(request: HttpRequest, kind: Kind) -> HttpResponse:
    """What was done again, and what this person may begin here."""
    user = _reviewer(request, kind)
    found = trials.listed(kind.model.objects.select_related("by").order_by("-at")[:LISTED], kind.title)
    return render(request, f"review/{kind.list}.html", {"kind": kind, "trials": found, **kind.offered(user)})


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest, kind: Kind) -> HttpResponse:
    """What would be covered, and the button that begins."""
    user = _reviewer(request, kind)
    asked = request.POST if request.method == "POST" else request.GET
    scope = next((name for name in kind.model.Scope.values if asked.get(name)), "")
    target = asked.get(scope, "")
    try:
        if request.method == "POST":
            return redirect(kind.name, kind.law.start(scope=scope, target=target, actor=user).pk)
        pairs = kind.law.counted(scope=scope, target=target, actor=user)
        trials.going_on(kind.model, scope, target, [counted.pk for _, counted in pairs])
    except trials.Undecided as undecided:
        messages.error(request, str(undecided))
        return redirect(kind.name, undecided.trial.pk)
    except Problem as problem:
        messages.error(request, str(problem))
        return redirect(kind.list)
    return render(request, f"review/new_{kind.name}.html", {"kind": kind, "list": kind.list, "scope": scope, "target": target, "pairs": pairs})


@login_required
@require_http_methods(["GET", "POST"])
def trial(request: HttpRequest, pk: UUID, kind: Kind) -> HttpResponse:
    """Before and after, and whether it shall count."""
    user = _reviewer(request, kind)
    try:
        found = trials.find(kind.model, user, pk)
    except Problem as problem:
        raise Http404(str(problem)) from problem
    if request.method == "POST":
        end = kind.law.apply if "apply" in request.POST else kind.law.discard
        try:
            end(trial=found, actor=user)
        except Problem as problem:
            messages.error(request, str(problem))
        return redirect(kind.name, pk)
    page = kind.page(found, request.GET)
    context = {"kind": kind, "list": kind.list, "found": found, "done": page["rows"] - page["waiting"], **page}
    return render(request, f"review/{kind.name}.html", context)
