"""What the account pages say of the site."""

from django import template
from django.conf import settings

from interviews.accounts.checks import CONSOLE

register = template.Library()


@register.simple_tag
def mail_is_logged() -> bool:
    """Whether mail goes to the site's log and to nobody, as in the embedded default."""
    return settings.EMAIL_BACKEND == CONSOLE
