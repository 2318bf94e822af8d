"""The bank's pages are for interviewers and admins."""

import pytest

from interviews.bank import files
from interviews.bank.actions import edit_question, load_pack
from interviews.bank.management.commands.load_bank import PACKS
from interviews.bank.models import Question
from tests.conftest import People, queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def question(db: None) -> Question:
    load_pack(folder=PACKS / "advanced-inference")
    return Question.objects.filter(current__kind="written").first()


def test_the_list_opens_for_interviewers_and_admins_alone(people: People, question: Question) -> None:
    codes = {person.name: person.client.get("/bank/").status_code for person in people}
    assert codes == {"candidate": 403, "other": 403, "interviewer": 200, "admin": 200, "stranger": 302}


def test_a_question_opens_for_interviewers_and_admins_alone(people: People, question: Question) -> None:
    codes = {person.name: person.client.get(question.get_absolute_url()).status_code for person in people}
    assert codes == {"candidate": 403, "other": 403, "interviewer": 200, "admin": 200, "stranger": 302}


def test_a_question_that_is_none_is_not_found(people: People, question: Question) -> None:
    assert people.admin.client.get("/bank/advanced-inference/none/").status_code == 404


def test_a_version_that_was_stored_before_a_rule_was_made_is_still_shown(people: People, question: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(files.QUESTION_SCHEMA["properties"]["minutes"], "maximum", 1)
    with pytest.raises(files.BankError):
        files.parse_question(question.slug, question.current.files)
    assert people.admin.client.get(question.get_absolute_url()).status_code == 200


@pytest.mark.parametrize("where", ["the question", "the admin site"])
def test_no_version_of_a_question_costs_a_query_of_its_own(people: People, question: Question, where: str) -> None:
    path = question.get_absolute_url() if where == "the question" else "/admin/bank/questionversion/"

    def edit(prompt: str) -> None:
        edit_question(question=question, files={**question.current.files, "prompt.md": prompt}, by=people.admin.user)

    edit("Anew.\n")
    before = queries_of(people.admin, path)
    for n in range(3):
        edit(f"Anew, for the {n + 2}. time.\n")
    assert queries_of(people.admin, path) == before
