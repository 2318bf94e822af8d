"""What Django checks before the site runs."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

CONSOLE = "django.core.mail.backends.console.EmailBackend"


@register()
def mail_is_sent(**_: Any) -> list[CheckMessage]:
    """Codes that confirm an address are no secret in a log, and nobody who signs up would ever get one."""
    if settings.EMBEDDED or settings.ACCOUNT_EMAIL_VERIFICATION == "none" or settings.EMAIL_BACKEND != CONSOLE:
        return []
    hint = "Set EMAIL_URL to a server that sends mail, or ACCOUNT_EMAIL_VERIFICATION=none."
    return [Error("Addresses are confirmed by mail, and mail goes to the log.", hint=hint, id="accounts.E001")]
