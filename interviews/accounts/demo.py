"""Demo people for the embedded default: one for each role, each with a random password that is shown once and kept nowhere."""

import secrets
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from interviews.accounts.models import Role, User

DOMAIN = "roofline.example"


@dataclass(frozen=True)
class Demo:
    role: str
    email: str
    password: str


class NotEmbedded(RuntimeError):
    """Demo accounts belong to the embedded default alone."""


def reset_command() -> str:
    """What gives all of them new passwords, as it is typed in the project's folder, for this site and no other."""
    python = Path(sys.executable)
    python = python.relative_to(settings.BASE_DIR) if python.is_relative_to(settings.BASE_DIR) else python
    own = [] if settings.STATE_DIR == settings.DEFAULT_STATE_DIR else [f"ROOFLINE_STATE={shlex.quote(str(settings.STATE_DIR))}"]
    return " ".join([*own, shlex.quote(str(python)), "manage.py demo --reset"])


@transaction.atomic
def ensure_demo_people(*, reset: bool = False) -> list[Demo]:
    """Makes the demo accounts that are missing, or all of them anew with `reset`. Returns those made now, with their passwords.

    Raises:
        NotEmbedded: the site runs on a database of its own, where a well-known address would be a hole.
    """
    if not settings.EMBEDDED:
        raise NotEmbedded("Demo accounts exist only in the embedded default (no DATABASE_URL).")
    made = []
    for role in (Role.CANDIDATE, Role.INTERVIEWER, Role.ADMIN):
        email = f"{role.value}@{DOMAIN}"
        user = User.objects.filter(email=email).first()
        if user and not reset:
            continue
        password = secrets.token_urlsafe(12)
        if user is None:
            user = User.objects.create_user(email, name=f"Demo {role.value}", role=role)
        user.set_password(password)
        user.save()
        made.append(Demo(role.value, email, password))
    return made
