"""Five people, and the doors they knock on."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from hypothesis import settings

if TYPE_CHECKING:
    from interviews.accounts.models import User

# The same examples on every machine, so that a red run can be run again; HYPOTHESIS_PROFILE=explore draws new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@dataclass
class Person:
    """Somebody with a browser. The stranger has no account."""

    name: str
    user: "User | None"
    client: Client


@dataclass
class People:
    candidate: Person
    other: Person
    interviewer: Person
    admin: Person
    stranger: Person

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter((self.candidate, self.other, self.interviewer, self.admin, self.stranger))


@pytest.fixture(autouse=True)
def fast_passwords(settings: object) -> None:
    """Slow hashes protect people; these are none."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # type: ignore[attr-defined]


@pytest.fixture
def people(db: None) -> People:
    """A candidate, another candidate, an interviewer, an admin and a stranger; each signed in but the last."""
    from interviews.accounts.models import Role, User

    def person(name: str, role: str) -> Person:
        user = User.objects.create_user(f"{name}@example.test", "a long pass phrase", role=role, name=name.title())
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return Person(name, user, client)

    return People(
        candidate=person("candidate", Role.CANDIDATE),
        other=person("other", Role.CANDIDATE),
        interviewer=person("interviewer", Role.INTERVIEWER),
        admin=person("admin", Role.ADMIN),
        stranger=Person("stranger", None, Client()),
    )


def queries_of(person: Person, path: str) -> int:
    """How many queries the page costs once whatever is looked up only once has been."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    person.client.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert person.client.get(path).status_code == 200
    return len(queries)
