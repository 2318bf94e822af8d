"""Admins edit questions in the admin site; every save is a new version."""

import pytest

from interviews.bank.actions import load_pack
from interviews.bank.management.commands.load_bank import PACKS
from interviews.bank.models import Question
from tests.conftest import People

pytestmark = pytest.mark.django_db


@pytest.fixture
def question(db: None) -> Question:
    load_pack(folder=PACKS / "advanced-inference")
    return Question.objects.filter(current__kind="written").first()


def form(question: Question, **changes: str) -> dict[str, str]:
    files = question.current.files
    data = {"question_yaml": files["question.yaml"], "prompt_md": files["prompt.md"], "rubric_yaml": files["rubric.yaml"], "base": question.current.hash}
    # A browser sends CRLF.
    return {key: value.replace("\n", "\r\n") for key, value in (data | changes).items()}


def address(question: Question) -> str:
    return f"/admin/bank/question/{question.pk}/change/"


def test_an_admin_sees_the_files_as_text(people: People, question: Question) -> None:
    page = people.admin.client.get(address(question))
    assert page.status_code == 200
    assert "rubric.yaml" in page.content.decode()
    assert "bank/unsaved.js" in page.content.decode()


def test_saving_an_edit_adds_a_version_that_knows_its_author(people: People, question: Question) -> None:
    old = question.current
    answer = people.admin.client.post(address(question), form(question, prompt_md="New prompt.\n"))
    assert answer.status_code == 302
    question.refresh_from_db()
    assert question.current != old
    assert question.current.files["prompt.md"] == "New prompt.\n"
    assert question.current.created_by == people.admin.user
    assert question.versions.count() == 2


def test_saving_without_a_change_adds_no_version(people: People, question: Question) -> None:
    people.admin.client.post(address(question), form(question))
    assert question.versions.count() == 1


def test_a_fault_is_shown_at_its_field_with_its_line_and_nothing_is_saved(people: People, question: Question) -> None:
    page = people.admin.client.post(address(question), form(question, rubric_yaml="bands: {L5: 14}\n"))
    assert page.status_code == 200
    assert "line 1" in page.content.decode()
    assert question.versions.count() == 1


def test_nobody_but_an_admin_gets_in(people: People, question: Question) -> None:
    for person in (people.candidate, people.other, people.interviewer, people.stranger):
        assert person.client.get(address(question)).status_code == 302
        assert person.client.post(address(question), form(question, prompt_md="Mine.\n")).status_code == 302
    assert question.versions.count() == 1


def test_of_two_who_edit_at_once_the_second_is_told_and_keeps_the_text(people: People, question: Question) -> None:
    first, second = form(question, prompt_md="Mine.\n"), form(question, prompt_md="Theirs.\n")
    assert people.admin.client.post(address(question), first).status_code == 302
    page = people.admin.client.post(address(question), second)
    assert page.status_code == 200
    assert "undo what Admin changed meanwhile" in page.content.decode()
    assert "Theirs." in page.content.decode()
    question.refresh_from_db()
    assert question.current.files["prompt.md"] == "Mine.\n"
    assert people.admin.client.post(address(question), form(question, prompt_md="Both.\n")).status_code == 302


def test_a_save_that_does_not_say_what_it_began_as_is_refused(people: People, question: Question) -> None:
    assert people.admin.client.post(address(question), form(question, prompt_md="Mine.\n", base="")).status_code == 200
    assert question.versions.count() == 1
