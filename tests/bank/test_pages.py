"""The bank's pages are for interviewers and admins."""

import pytest

from interviews.bank import files
from interviews.bank.actions import load_pack
from interviews.bank.management.commands.load_bank import PACKS
from interviews.bank.models import Question
from tests.conftest import People

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
