"""Writes to accounts beyond one row of a form."""

from collections.abc import Collection, Mapping
from typing import Any

from allauth.account.internal.flows.email_verification_by_code import EMAIL_VERIFICATION_CODE_SESSION_KEY
from allauth.account.internal.stagekit import LOGIN_SESSION_KEY
from allauth.account.internal.userkit import user_id_to_str
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from interviews.accounts.models import Role, User


@transaction.atomic
def leave_old_addresses(*, user: User, keep_session: str | None = None) -> None:
    """Makes the address that an admin gave the user the only one that signs in or is sent a mail, not confirmed yet unless it was before.

    Links to a new password that were sent before count no more, because they hold the addresses of their time. Whoever is signed in, or waits for a code,
    starts anew: a code sent to the old address would give it back. `keep_session` is that of an admin who moves their own account.
    """
    EmailAddress.objects.filter(user=user).exclude(email=user.email).delete()
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"primary": True})
    open_sessions = Session.objects.filter(expire_date__gt=timezone.now()).exclude(pk=keep_session or "")
    Session.objects.filter(pk__in=[row.pk for row in open_sessions.iterator() if _concerns(user, row.get_decoded())]).delete()


def _concerns(user: User, session: Mapping[str, Any]) -> bool:
    """Whether a session signs the user in, or would when a code is given."""
    waiting, stopped = session.get(EMAIL_VERIFICATION_CODE_SESSION_KEY) or {}, session.get(LOGIN_SESSION_KEY) or {}
    return user_id_to_str(user) in (session.get(SESSION_KEY), waiting.get("user_id")) or user_pk_to_url_str(user) == stopped.get("user_pk")


class LastAdmin(ValueError):
    """Nobody would be left who can administer the site."""

    def __init__(self) -> None:
        super().__init__("No admin would be left, and only an admin makes another one. Make somebody else an admin first.")


@transaction.atomic
def keep_an_admin(*, without: Collection[int]) -> None:
    """Checks that somebody besides these people, named by their ids, can administer the site.

    The admins are locked until the transaction around it ends, which is to be the one that lowers or deletes those people: of two who lower each other
    the second sees what the first did.

    Raises:
        LastAdmin: they are all that there are.
    """
    admins = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True).order_by("pk")
    if (left := {user.pk for user in admins}) and left <= set(without):
        raise LastAdmin
