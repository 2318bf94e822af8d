"""Errors that a person caused and can mend: one exception, one JSON shape."""

from typing import Any

from rest_framework.exceptions import APIException, AuthenticationFailed, ErrorDetail, NotAuthenticated, ParseError, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler


class Problem(APIException):
    """A refusal with a sentence that says what to do and a machine word. Raised by actions and access doors, shown by the API."""

    def __init__(self, code: str, detail: str, status: int = 400, retry_after: float | None = None) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.retry_after = retry_after


def _flatten(detail: Any, path: str = "") -> str:
    if isinstance(detail, dict):
        return " ".join(_flatten(value, f"{path}.{key}" if path else str(key)) for key, value in detail.items())
    if isinstance(detail, list):
        return " ".join(_flatten(value, path) for value in detail)
    return f"{path}: {detail}" if path and path != "detail" else str(detail)


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Every API error as `{detail, code}`, with `retry_after` seconds where waiting helps."""
    if isinstance(exc, RecursionError):  # of the JSON parser
        exc = ParseError("The request is nested too deeply.")
    response = drf_handler(exc, context)
    if response is None:
        return None
    detail = getattr(exc, "detail", "")
    code = detail.code if isinstance(detail, ErrorDetail) else "invalid" if isinstance(exc, ValidationError) else "error"
    if response.status_code == 404 and not isinstance(exc, Problem):
        detail, code = "There is no such thing, or it is not yours.", "not_found"
    if isinstance(exc, NotAuthenticated | AuthenticationFailed):
        detail = "You are signed out. Sign in in another tab, then try again."
    response.data = {"detail": _flatten(detail) or "The request could not be served.", "code": code}
    # Ours, the sandbox's and DRF's own refusals all say how long to wait, where waiting helps.
    wait = getattr(exc, "retry_after", getattr(exc, "wait", None))
    if wait is not None:
        response.data["retry_after"] = round(wait, 1)
        response["Retry-After"] = str(max(1, round(wait)))
    return response
