"""The middleware of ours: a content security policy that lets a page talk to its own host alone, and no NUL for the database."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.utils.decorators import sync_and_async_middleware, sync_only_middleware

# CodeMirror and KaTeX set styles on elements; nothing of ours needs an inline script.
POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' data:",
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ]
)


def _mark(response: HttpResponse) -> HttpResponse:
    if not settings.DJANGO_VITE["default"]["dev_mode"]:
        response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("Referrer-Policy", "same-origin")
    return response


@sync_and_async_middleware
def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Adds the policy to every response that did not set its own."""
    if iscoroutinefunction(get_response):

        async def async_middleware(request: HttpRequest) -> HttpResponse:
            return _mark(await get_response(request))

        return async_middleware

    def middleware(request: HttpRequest) -> HttpResponse:
        return _mark(get_response(request))

    return middleware


def _holds_nul(request: HttpRequest) -> bool:
    """Whether a text of the request has a character that PostgreSQL can't store. JSON is not looked at: its fields refuse it themselves."""
    texts = [request.path, *request.COOKIES.values()]
    forms = [request.GET, request.POST] if request.method == "POST" and request.content_type != "application/json" else [request.GET]
    return any("\0" in text for text in texts) or any("\0" in value for form in forms for key, values in form.lists() for value in (key, *values))


@sync_only_middleware
def no_nul(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Refuses what no field of the site can hold."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return HttpResponseBadRequest("A NUL character can't be sent here.") if _holds_nul(request) else get_response(request)

    return middleware
