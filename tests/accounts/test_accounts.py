"""Who people are, and what an address and a role open."""

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.http import HttpResponse
from django.test import Client

from interviews.accounts import actions, admin, forms
from interviews.accounts.demo import NotEmbedded, ensure_demo_people
from interviews.accounts.models import Role, User
from tests.conftest import People

pytestmark = pytest.mark.django_db
PASSWORD = "a long pass phrase"


@pytest.fixture(autouse=True)
def no_limit_used_up() -> None:
    cache.clear()


@pytest.fixture
def mailing(settings: object) -> None:
    """As on a site that sends mail."""
    for name, value in {"VERIFICATION": "mandatory", "VERIFICATION_BY_CODE_ENABLED": True}.items():
        setattr(settings, f"ACCOUNT_EMAIL_{name}", value)
    settings.ACCOUNT_PREVENT_ENUMERATION = True  # type: ignore[attr-defined]


def sign_up(client: Client, email: str, password: str) -> str:
    """The address that the answer leads to."""
    return client.post("/accounts/signup/", {"email": email, "password1": password, "password2": password}).url


def sign_in(client: Client, email: str, password: str = PASSWORD) -> bool:
    client.post("/accounts/login/", {"login": email, "password": password})
    return "_auth_user_id" in client.session


def give_code(client: Client) -> bool:
    """Writes the code of the last mail into the page that waits for one. Returns whether that signed in."""
    code = re.search(r"^\S{6,}$", mail.outbox[-1].body, re.MULTILINE)
    client.post("/accounts/confirm-email/", {"code": code[0] if code else ""})
    return "_auth_user_id" in client.session


def reset_password(client: Client, password: str) -> None:
    """By the link of the last mail."""
    key = re.search(r"/accounts/password/reset/key/\S+", mail.outbox[-1].body)
    assert key
    client.post(client.get(key[0]).url, {"password1": password, "password2": password})


@pytest.mark.parametrize("path", ["login", "signup"])
def test_what_describes_a_field_is_on_its_page(client: Client, path: str) -> None:
    for page in (client.get(f"/accounts/{path}/"), client.post(f"/accounts/{path}/", {"email": "a", "login": "a", "password1": "a"})):
        html = page.content.decode()
        described = {name for names in re.findall(r'aria-describedby="([^"]+)"', html) for name in names.split()}
        assert described
        assert described <= set(re.findall(r' id="([^"]+)"', html))


@pytest.mark.parametrize("backend, says", [("console", "in its log: ask whoever runs the site"), ("locmem", "a link is on its way")])
def test_nobody_waits_for_a_mail_that_is_not_sent(people: People, client: Client, settings: object, backend: str, says: str) -> None:
    settings.EMAIL_BACKEND = f"django.core.mail.backends.{backend}.EmailBackend"  # type: ignore[attr-defined]
    assert ("This site sends no mail." in client.get("/accounts/password/reset/").content.decode()) == (backend == "console")
    page = client.post("/accounts/password/reset/", {"email": "candidate@example.test"}, follow=True)
    assert says in page.content.decode()


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


def test_an_address_is_confirmed_by_the_code_in_the_browser_that_signed_up(mailing: None, client: Client) -> None:
    assert sign_up(client, "Ada@example.test", PASSWORD) == "/accounts/confirm-email/"
    assert "_auth_user_id" not in client.session
    assert "ada@example.test" in client.get("/accounts/confirm-email/").content.decode()
    client.post("/accounts/confirm-email/", {"action": "resend"})
    assert [mailed.to for mailed in mail.outbox] == [["ada@example.test"]] * 2
    assert give_code(client)
    assert EmailAddress.objects.get(email="ada@example.test").verified


def test_each_mail_says_what_for_and_what_to_do(mailing: None, people: People) -> None:
    known = people.other.user.email
    EmailAddress.objects.create(user=people.other.user, email=known, primary=True, verified=True)
    for path, email in [("signup", "new@example.test"), ("signup", known), ("password/reset", known), ("password/reset", "nobody@example.test")]:
        Client().post(f"/accounts/{path}/", {"email": email, "password1": PASSWORD, "password2": PASSWORD})
    assert [mailed.subject for mailed in mail.outbox] == [
        "Your code for Roofline", "You have an account at Roofline", "A new password for Roofline", "No account at Roofline with this address"]
    for mailed, means in zip(mail.outbox, [r"^\S{4}-\S{4}$", "^http://testserver/accounts/password/reset/$", r"^http://testserver/accounts/password/reset/key/\S+$",
                                           "^http://testserver/accounts/signup/$"], strict=True):
        assert re.search(means, mailed.body, re.MULTILINE), mailed.body
        assert "If it was not you, do nothing" in mailed.body
        assert mailed.body.endswith("\nRoofline at testserver")


def test_the_cursor_is_where_the_code_belongs(mailing: None, client: Client) -> None:
    sign_up(client, "ada@example.test", PASSWORD)
    assert re.search(r'<input[^>]*name="code"[^>]*\bautofocus\b', client.get("/accounts/confirm-email/").content.decode())


def test_who_claims_anothers_address_keeps_nobody_out_and_gets_nothing(mailing: None) -> None:
    thief, owner = Client(), Client()
    sign_up(thief, "owner@example.test", "the thief's pass phrase")
    assert "confirm-email/" not in mail.outbox[0].body, "no link for the owner to confirm the thief with"
    assert sign_up(owner, "owner@example.test", PASSWORD) == "/accounts/confirm-email/"
    owner.post("/accounts/password/reset/", {"email": "owner@example.test"})
    reset_password(owner, PASSWORD)
    assert not sign_in(thief, "owner@example.test", "the thief's pass phrase")
    assert give_code(owner), "the owner is not locked out"
    assert thief.get("/accounts/confirm-email/").status_code == 200
    for client in (thief, Client()):
        assert not sign_in(client, "owner@example.test", "the thief's pass phrase")
    assert "_auth_user_id" not in thief.session, "confirming confirmed nobody else's browser"
    assert sign_in(Client(), "owner@example.test")


@pytest.mark.parametrize("made_by_admin", [False, True])
def test_an_address_that_somebody_added_and_did_not_confirm_is_still_its_owners(mailing: None, people: People, made_by_admin: bool) -> None:
    EmailAddress.objects.create(user=people.other.user, email=people.other.user.email, primary=True, verified=True)
    if made_by_admin:
        User.objects.create_user("owner@example.test", PASSWORD)
    added = people.other.client.post("/accounts/email/", {"email": "owner@example.test", "action_add": ""})
    assert added.url == "/accounts/confirm-email/"
    assert "Back to your account" in people.other.client.get(added.url).content.decode()
    assert set(EmailAddress.objects.values_list("email", flat=True)) == {people.other.user.email}
    owner = Client()
    if made_by_admin:
        sign_in(owner, "owner@example.test")
    else:
        sign_up(owner, "owner@example.test", PASSWORD)
    assert give_code(owner)
    assert owner.session["_auth_user_id"] != str(people.other.user.pk)
    mail.outbox.clear()
    Client().post("/accounts/password/reset/", {"email": "owner@example.test"})
    assert len(mail.outbox) == 1, "a link for the owner's account alone"


def test_without_mail_a_taken_address_cannot_be_added(people: People) -> None:
    page = people.candidate.client.post("/accounts/email/", {"email": people.other.user.email, "action_add": ""})
    assert page.status_code == 200
    assert not EmailAddress.objects.filter(email=people.other.user.email).exists()


def test_who_was_entered_in_capitals_signs_in_and_is_not_signed_up_twice(people: People) -> None:
    form = {"email": "Bob@Example.test", "name": "Bob", "role": "candidate", "password1": "correct horse battery", "password2": "correct horse battery"}
    assert people.admin.client.post("/admin/accounts/user/add/", {**form, "usable_password": "true"}).status_code == 302
    assert sign_in(Client(), "Bob@Example.test", "correct horse battery")
    again = Client().post("/accounts/signup/", {**form, "email": "bob@example.test"})
    assert "already" in again.content.decode()


def move(people: People, user: User, email: str, by: Client | None = None) -> HttpResponse:
    """An admin gives somebody another address."""
    form = {"email": email, "name": user.name, "role": user.role, "is_active": "on"}
    return (by or people.admin.client).post(f"/admin/accounts/user/{user.pk}/change/", form)


@pytest.mark.parametrize("with_mail", [False, True])
def test_who_holds_an_address_that_an_admin_changed_is_out(request: pytest.FixtureRequest, people: People, with_mail: bool) -> None:
    if with_mail:
        request.getfixturevalue("mailing")
    user, old = people.candidate.user, people.candidate.user.email
    EmailAddress.objects.create(user=user, email=old, primary=True, verified=True)
    EmailAddress.objects.create(user=user, email="second@example.test", verified=True)
    opened = Client()
    opened.post("/accounts/password/reset/", {"email": old})
    link = re.search(r"/accounts/password/reset/key/\S+", mail.outbox[-1].body)
    assert link
    form = opened.get(link[0]).url
    assert move(people, user, "Moved@example.test").status_code == 302
    assert list(EmailAddress.objects.filter(user=user).values_list("email", "primary", "verified")) == [("moved@example.test", True, False)]
    assert people.candidate.client.get("/accounts/email/").status_code == 302, "the session ended"
    for address in (old, "second@example.test"):
        assert not sign_in(Client(), address)
    opened.post(form, {"password1": "the thief's pass phrase", "password2": "the thief's pass phrase"})
    assert Client().get(link[0]).status_code == 200, "the link that was sent before leads nowhere"
    mail.outbox.clear()
    Client().post("/accounts/password/reset/", {"email": old})
    assert not any("/key/" in mailed.body for mailed in mail.outbox)
    client = Client()
    assert sign_in(client, "moved@example.test") or give_code(client)
    assert people.other.client.get("/accounts/email/").status_code == 200, "nobody else's session ended"


@pytest.mark.parametrize("signed_in", [False, True])
def test_a_code_that_was_sent_before_an_admin_changed_the_address_gives_it_to_nobody(mailing: None, people: People, signed_in: bool) -> None:
    user, waiting, old = people.candidate.user, people.candidate.client, people.candidate.user.email
    if signed_in:
        EmailAddress.objects.create(user=user, email=old, primary=True, verified=True)
        waiting.post("/accounts/email/", {"email": "second@example.test", "action_add": ""})
    else:
        waiting = Client()
        sign_in(waiting, old)
    assert mail.outbox, "a code waits"
    move(people, user, "moved@example.test")
    assert not give_code(waiting)
    assert list(EmailAddress.objects.filter(user=user).values_list("email", flat=True)) == ["moved@example.test"]


def test_an_admin_who_moves_to_an_address_that_was_confirmed_stays_signed_in_here_alone(people: People) -> None:
    user, elsewhere = people.admin.user, Client()
    elsewhere.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    EmailAddress.objects.create(user=user, email="moved@example.test", verified=True)
    assert move(people, user, "moved@example.test").status_code == 302
    assert "no other address" in people.admin.client.get("/admin/").content.decode()
    assert elsewhere.get("/admin/").status_code == 302
    assert EmailAddress.objects.get(user=user).verified


def test_saving_a_person_whose_address_stays_ends_nothing(people: People) -> None:
    user = people.candidate.user
    EmailAddress.objects.create(user=user, email="second@example.test", verified=True)
    assert move(people, user, user.email.upper()).status_code == 302
    assert people.candidate.client.get("/accounts/email/").status_code == 200
    assert EmailAddress.objects.filter(user=user).exists()


def test_an_admin_gives_nobody_the_second_address_of_another(people: People) -> None:
    EmailAddress.objects.create(user=people.other.user, email="second@example.test", verified=True)
    assert "second address" in move(people, people.candidate.user, "Second@example.test").content.decode()
    form = {"email": "second@example.test", "role": "candidate", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert "second address" in people.admin.client.post("/admin/accounts/user/add/", form).content.decode()
    assert not User.objects.filter(email="second@example.test").exists()
    assert move(people, people.other.user, "second@example.test").status_code == 302


def test_failures_from_one_address_lock_out_nobody_elsewhere(people: People) -> None:
    for _ in range(12):
        assert not sign_in(Client(REMOTE_ADDR="192.0.2.1"), "candidate@example.test", "wrong")
    assert not sign_in(Client(REMOTE_ADDR="192.0.2.1"), "candidate@example.test"), "guessing is slowed where it is done"
    assert sign_in(Client(REMOTE_ADDR="192.0.2.2"), "candidate@example.test")


def test_guessing_from_many_addresses_is_slowed_but_for_a_browser_that_was_signed_in_before(people: People, settings: object) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login_failed_anywhere": "20/h/key"}  # type: ignore[attr-defined]
    mine, theirs = Client(REMOTE_ADDR="192.0.2.1"), Client(REMOTE_ADDR="192.0.2.2")
    assert sign_in(mine, "candidate@example.test")
    assert sign_in(theirs, "other@example.test")
    for client in (mine, theirs):
        client.post("/accounts/logout/")
    for number in range(20):
        sign_in(Client(REMOTE_ADDR=f"198.51.100.{number}"), "candidate@example.test", "wrong")
    assert not sign_in(Client(REMOTE_ADDR="192.0.2.3"), "candidate@example.test"), "a browser that nobody knows waits"
    assert not sign_in(theirs, "candidate@example.test"), "and so does one that knows another account"
    for _ in range(5):
        assert not sign_in(Client(REMOTE_ADDR="192.0.2.1"), "candidate@example.test", "wrong")
    assert sign_in(mine, "candidate@example.test"), "even behind the same router"
    mine.post("/accounts/logout/")
    for _ in range(5):
        assert not sign_in(mine, "candidate@example.test", "wrong")
    assert not sign_in(mine, "candidate@example.test"), "a known browser guesses no faster"


def test_a_form_that_was_refused_says_so_first_and_what_describes_a_field_is_there(client: Client) -> None:
    assert "<title>Create an account" in client.get("/accounts/signup/").content.decode()
    page = client.post("/accounts/signup/", {"email": "ada@example.test", "password1": "short", "password2": "short"}).content.decode()
    assert "<title>Error: Create an account" in page
    described = {name for names in re.findall(r'aria-describedby="([^"]+)"', page) for name in names.split()}
    assert {"id_password1_helptext", "id_password1_error"} <= described
    assert described <= set(re.findall(r' id="([^"]+)"', page))


def change(by: Client, user: User, **fields: str | None) -> HttpResponse:
    """Saves a person's page in the admin site; None leaves a box unticked."""
    form = {"email": user.email, "name": user.name, "role": user.role, "is_active": "on"} | fields
    return by.post(f"/admin/accounts/user/{user.pk}/change/", {name: value for name, value in form.items() if value is not None})


def delete(by: Client, user: User) -> HttpResponse:
    return by.post(f"/admin/accounts/user/{user.pk}/delete/", {"post": "yes"})


def delete_several(by: Client, *users: User) -> HttpResponse:
    return by.post("/admin/accounts/user/", {"action": "delete_selected", "_selected_action": [str(user.pk) for user in users], "post": "yes"})


def another_admin() -> tuple[User, Client]:
    user, client = User.objects.create_user("bea@example.test", role=Role.ADMIN), Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return user, client


def admins() -> set[str]:
    return set(User.objects.filter(role=Role.ADMIN, is_active=True).values_list("email", flat=True))


TAKING_AWAY: dict[str, Callable[[Client, User], HttpResponse]] = {
    "lower": lambda by, user: change(by, user, role="interviewer"),
    "deactivate": lambda by, user: change(by, user, is_active=None),
    "both": lambda by, user: change(by, user, role="candidate", is_active=None),
    "delete": delete,
    "delete several": delete_several,
}


@pytest.mark.parametrize("way", TAKING_AWAY)
def test_the_last_admin_stays_one(people: People, way: str) -> None:
    user, (bea, by) = people.admin.user, another_admin()
    bea.is_active = False  # one who can't sign in is no help
    bea.save()
    answer = TAKING_AWAY[way](people.admin.client, user)
    assert answer.status_code == 200
    assert "No admin would be left" in answer.content.decode()
    assert admins() == {user.email}
    bea.is_active = True
    bea.save()
    assert TAKING_AWAY[way](by, user).status_code == 302
    assert admins() == {bea.email}
    assert change(by, people.other.user, role="interviewer", is_active=None).status_code == 302, "who is no admin goes as before"


def test_all_admins_at_once_are_not_deleted(people: People) -> None:
    bea, _ = another_admin()
    page = people.admin.client.post("/admin/accounts/user/", {"action": "delete_selected", "_selected_action": [str(bea.pk), str(people.admin.user.pk)]})
    assert "the last admin" in page.content.decode(), "said before anybody confirms it"
    assert delete_several(people.admin.client, bea, people.admin.user).status_code == 200
    assert len(admins()) == 2
    assert delete_several(people.admin.client, bea, people.other.user).status_code == 302
    assert admins() == {people.admin.user.email}


def test_before_the_last_admin_is_deleted_the_page_says_that_it_is_refused(people: People) -> None:
    page = people.admin.client.get(f"/admin/accounts/user/{people.admin.user.pk}/delete/").content.decode()
    assert "No admin would be left" in page
    assert 'name="post"' not in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", TAKING_AWAY)
def test_of_two_admins_who_lower_each_other_at_once_one_stays(people: People, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    bea, by = another_admin()
    both_asked = threading.Barrier(2)

    def asks_with_the_other(**kwargs: Any) -> None:
        try:
            actions.keep_an_admin(**kwargs)
        finally:
            try:
                both_asked.wait(1)  # the second is held up by the first, and does not come
            except threading.BrokenBarrierError:
                pass

    for asker in (forms, admin):
        monkeypatch.setattr(asker, "keep_an_admin", asks_with_the_other)

    def work(client: Client, user: User) -> None:
        try:
            TAKING_AWAY[way](client, user)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=pair) for pair in ((people.admin.client, bea), (by, people.admin.user))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(admins()) == 1
