"""A question on hold: no new interview asks it, and nothing else changes."""

from pathlib import Path

import pytest
from django.core.management import call_command

from interviews.bank import queries
from interviews.bank.actions import edit_question, load_pack, set_held, take_loaded
from interviews.bank.models import Question
from interviews.errors import Problem
from interviews.live.actions import create_interview, ensure_blueprints, plan, plan_of
from tests.conftest import People
from tests.live.conftest import bank

__all__ = ["bank"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def question(bank: Path) -> Question:
    return Question.objects.get(slug="written-1")


def press(people: People, question: Question, button: str = "hold") -> str:
    page = people.admin.client.post(f"{question.get_absolute_url()}hold/", {button: ""}, follow=True)
    question.refresh_from_db()
    return page.content.decode()


def test_an_admin_holds_a_question_and_has_it_asked_again(people: People, question: Question) -> None:
    page = press(people, question)
    assert "is on hold: no new interview asks it. Those that are set up keep it." in page
    assert "no new interview asks this question" in page and "Have it asked" in page and "Put on hold" not in page
    assert question not in queries.askable() and question in queries.current()
    assert question.held_by == people.admin.user
    assert people.admin.client.get("/bank/").content.decode().count(">on hold<") == 1
    page = press(people, question, "ask")
    assert "new interviews that fit choose from it, too." in page and "Put on hold" in page and "Have it asked" not in page
    assert question in queries.askable() and question.held_by is None


def test_a_button_that_is_pressed_twice_changes_nothing(people: People, question: Question) -> None:
    press(people, question)
    since = question.held_at
    assert "Those that are set up" not in press(people, question)
    assert question.held_at == since
    assert set_held(question=question, held=False, by=people.admin.user)
    assert "choose from it" not in press(people, question, "ask")


def test_only_admins_press_it_and_interviewers_see_what_it_did(people: People, question: Question) -> None:
    address = f"{question.get_absolute_url()}hold/"
    assert {person.name: person.client.post(address).status_code for person in people if person is not people.admin} == {
        "candidate": 403, "other": 403, "interviewer": 403, "stranger": 302,
    }  # fmt: skip
    assert people.admin.client.get(address).status_code == 405
    assert people.admin.client.post("/bank/small/none/hold/").status_code == 404
    question.refresh_from_db()
    assert question.held_at is None
    assert "Put on hold" not in people.interviewer.client.get(question.get_absolute_url()).content.decode()
    press(people, question)
    for page in (question.get_absolute_url(), f"{question.get_absolute_url()}try/"):
        html = people.interviewer.client.get(page).content.decode()
        assert "no new interview asks this question" in html and "Have it asked" not in html


def test_an_interview_that_is_set_up_keeps_it_and_a_new_one_does_without(people: People, question: Question) -> None:
    wanted = plan(level="L6", minutes=40, topics=["batching"])
    before = create_interview(candidate=people.candidate.user, blueprint=wanted, seed=1)
    press(people, question)
    after = create_interview(candidate=people.other.user, blueprint=wanted, seed=1)
    slugs = [{asked.version.question.slug for asked in interview.questions.all()} for interview in (before, after)]
    assert slugs[0] - slugs[1] == {"written-1"}


def test_a_topic_that_only_questions_on_hold_have_is_not_offered(people: People, question: Question) -> None:
    yaml = question.current.files["question.yaml"].replace("topics: [batching]", "topics: [lonely]")
    edit_question(question=question, files=question.current.files | {"question.yaml": yaml}, by=people.admin.user)
    assert queries.topics() == ["batching", "lonely"]
    press(people, question)
    assert queries.topics() == ["batching"]
    assert "lonely" not in people.candidate.client.get("/").content.decode()
    with pytest.raises(Problem, match="Choose more topics"):
        plan(level="L6", minutes=15, topics=["lonely"])
    assert "In the bank: batching, lonely." in people.admin.client.get("/bank/new/").content.decode()
    assert queries.find("written-1") == question, "its answers can be scored again"


def test_what_writes_a_question_leaves_it_on_hold(people: People, bank: Path, question: Question) -> None:
    press(people, question)
    since = question.held_at
    edit_question(question=question, files=question.current.files | {"prompt.md": "Mended.\n"}, by=people.admin.user)
    (bank / "written-1/prompt.md").write_text("The folder's.\n")
    load_pack(folder=bank)
    assert take_loaded(question=question, by=people.admin.user)
    question.refresh_from_db()
    assert (question.current.files["prompt.md"], question.held_at, question.held_by) == ("The folder's.\n", since, people.admin.user)


def test_the_shipped_interviews_do_without_a_kind_that_is_wholly_on_hold(people: People) -> None:
    call_command("load_bank", verbosity=0)
    ensure_blueprints()
    slug = "advanced-inference-l6-60"
    kinds = {kind for section in plan_of(slug)["sections"] for kind in section["kinds"]}
    assert {"quickfire", "estimate", "code"} <= kinds
    for held in Question.objects.filter(current__kind="quickfire"):
        set_held(question=held, held=True, by=people.admin.user)
    answer = people.candidate.client.post("/interviews/new/", {"blueprint": slug})
    assert answer["Location"].startswith("/interviews/")
    assert {kind for section in plan_of(slug)["sections"] for kind in section["kinds"]} == kinds - {"quickfire"}


def test_where_all_is_on_hold_nothing_is_set_up_and_it_is_said(people: People, bank: Path) -> None:
    ensure_blueprints()
    for held in Question.objects.all():
        set_held(question=held, held=True, by=people.admin.user)
    page = people.candidate.client.post("/interviews/new/", {"blueprint": "advanced-inference-l5-30"}, follow=True)
    assert "No question of the bank fits" in page.content.decode()
