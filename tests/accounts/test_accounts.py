"""Who people are, and what an address and a role open."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client

from interviews.accounts.demo import NotEmbedded, ensure_demo_people
from interviews.accounts.models import Role, User
from tests.conftest import People

pytestmark = pytest.mark.django_db


def test_signing_up_makes_a_candidate_and_signs_them_in(client: Client) -> None:
    form = {"email": "ada@example.test", "password1": "correct horse battery", "password2": "correct horse battery"}
    assert client.post("/accounts/signup/", form).status_code == 302
    user = User.objects.get(email="ada@example.test")
    assert user.role == Role.CANDIDATE
    assert not user.is_staff
    assert client.session["_auth_user_id"] == str(user.pk)


def test_a_role_sent_along_with_the_sign_up_is_not_taken(client: Client) -> None:
    form = {"email": "eve@example.test", "password1": "correct horse battery", "password2": "correct horse battery", "role": "admin"}
    client.post("/accounts/signup/", form)
    assert User.objects.get(email="eve@example.test").role == Role.CANDIDATE


def test_signing_in_takes_the_address_in_any_case(client: Client, people: People) -> None:
    answer = client.post("/accounts/login/", {"login": "Candidate@Example.test", "password": "a long pass phrase"})
    assert answer.status_code == 302


def test_a_wrong_password_says_so_and_signs_nobody_in(client: Client, people: People) -> None:
    page = client.post("/accounts/login/", {"login": "candidate@example.test", "password": "wrong"})
    assert page.status_code == 200
    assert "_auth_user_id" not in client.session


def test_two_addresses_that_differ_in_case_are_one(people: People) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(email="CANDIDATE@example.test")


def test_the_admin_site_opens_for_admins_alone(people: People) -> None:
    codes = {person.name: person.client.get("/admin/").status_code for person in people}
    assert codes == {"candidate": 302, "other": 302, "interviewer": 302, "admin": 200, "stranger": 302}


def test_demo_people_are_made_once_with_random_passwords(settings: object) -> None:
    settings.EMBEDDED = True  # type: ignore[attr-defined]
    made = ensure_demo_people()
    assert {person.role for person in made} == {"candidate", "interviewer", "admin"}
    assert len({person.password for person in made}) == 3
    for person in made:
        assert User.objects.get(email=person.email).check_password(person.password)
    assert ensure_demo_people() == []
    again = ensure_demo_people(reset=True)
    assert {person.password for person in again}.isdisjoint({person.password for person in made})


def test_there_are_no_demo_people_on_a_database_of_ones_own(settings: object) -> None:
    settings.EMBEDDED = False  # type: ignore[attr-defined]
    with pytest.raises(NotEmbedded):
        ensure_demo_people()
    assert not User.objects.exists()


def test_the_demo_command_prints_each_password_once(settings: object, capsys: pytest.CaptureFixture[str]) -> None:
    settings.EMBEDDED = True  # type: ignore[attr-defined]
    call_command("demo")
    first = capsys.readouterr().out
    assert first.count("@roofline.example") == 3
    call_command("demo")
    assert "@roofline.example" not in capsys.readouterr().out


def test_a_form_that_another_tab_made_stale_says_what_to_do(people: People) -> None:
    page = Client(enforce_csrf_checks=True).post("/accounts/login/", {"login": "candidate@example.test", "password": "a long pass phrase"})
    assert page.status_code == 403
    assert "Go back, reload it and try again" in page.content.decode()


def test_who_is_signed_out_is_told_what_to_do(client: Client, db: None) -> None:
    answer = client.post("/api/interviews/", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_authenticated")
    assert "Sign in in another tab, then try again" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("primary", "verified", "offered"),
    [
        (True, True, set()),
        (True, False, {"action_send"}),
        (False, True, {"action_primary", "action_remove"}),
        (False, False, {"action_send", "action_remove"}),
    ],
)
def test_every_page_leads_to_the_account_where_each_address_has_what_can_be_done(
    people: People, primary: bool, verified: bool, offered: set[str]
) -> None:
    client, user = people.candidate.client, people.candidate.user
    EmailAddress.objects.create(user=user, email="one@example.test", primary=primary, verified=verified)
    EmailAddress.objects.create(user=user, email=user.email, primary=not primary, verified=True)
    assert 'href="/accounts/email/"' in client.get("/").content.decode()
    page = client.get("/accounts/email/").content.decode()
    assert 'href="/accounts/password/change/"' in page
    form = next(part for part in page.split("</form>") if 'value="one@example.test"' in part)
    assert set(re.findall(r'name="(action_\w+)"', form)) == offered
    if "action_remove" in offered:
        client.post("/accounts/email/", {"email": "one@example.test", "action_remove": ""})
        assert not EmailAddress.objects.filter(email="one@example.test").exists()
