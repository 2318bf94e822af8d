"""What Django checks before the site runs."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

CONSOLE = "django.core.mail.backends.console.EmailBackend"


def mail_is_logged() -> bool:
    """Whether mail goes to the site's log and to nobody, as in the embedded default."""
    return settings.EMAIL_BACKEND == CONSOLE


@register()
def mail_is_sent(**_: Any) -> list[CheckMessage]:
    """Codes that confirm an address are no secret in a log, and nobody who signs up would ever get one."""
    if settings.EMBEDDED or settings.ACCOUNT_EMAIL_VERIFICATION == "none" or not mail_is_logged():
        return []
    hint = "Set EMAIL_URL to a server that sends mail, or ACCOUNT_EMAIL_VERIFICATION=none."
    return [Error("Addresses are confirmed by mail, and mail goes to the log.", hint=hint, id="accounts.E001")]
