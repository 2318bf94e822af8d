"""Refusals of the sandbox's edge, shown to the person who asked."""

from rest_framework.exceptions import APIException


class Refused(APIException):
    """A request that is not served: a sentence, a machine word, an HTTP status, and seconds to wait where waiting helps."""

    def __init__(self, code: str, detail: str, status: int = 400, retry_after: float | None = None) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.retry_after = retry_after
