"""The bank's pages are for interviewers and admins."""

import re
from functools import cache
from urllib.parse import urlencode

import pytest

from interviews.bank import files
from interviews.bank.actions import edit_question, save_pack
from interviews.bank.files import read_pack
from interviews.bank.management.commands.load_bank import PACKS
from interviews.bank.models import Question
from tests.conftest import People, Person, queries_of

pytestmark = pytest.mark.django_db
read = cache(read_pack)  # seconds each


@pytest.fixture
def question(db: None) -> Question:
    save_pack(pack=read(PACKS / "advanced-inference"))
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


def search(person: Person, **asked: str) -> list[str]:
    """The slugs of the questions that the list shows."""
    page = person.client.get("/bank/?" + urlencode(asked)).content.decode()
    return re.findall(r'href="/bank/[^/"]+/([^/"]+)/"', page)


@pytest.fixture
def bank(db: None) -> None:
    for folder in sorted(PACKS.iterdir()):
        save_pack(pack=read(folder))


@pytest.mark.parametrize(("asked", "first"), [
    ({"q": "fundamentals SPECULATIVE"}, "speculative-decoding-fundamentals"),  # the title, whatever the order and the case
    ({"q": "kv-cache-of-a-70b llama"}, "kv-cache-of-a-70b-model"),  # the slug
    ({"q": "llama query heads 8,192"}, "kv-cache-of-a-70b-model"),  # the prompt, with its numbers
    ({"q": "whiteboard"}, "serving-engine-on-one-page"),  # the kind
    ({"q": "token-healing tokenization"}, "token-healing"),  # topics
    ({"kind": "debug", "topic": "speculative-decoding", "level": "L6"}, "low-acceptance-rate"),
])
def test_questions_are_found_by_what_is_shown_of_them(people: People, bank: None, asked: dict[str, str], first: str) -> None:
    assert search(people.interviewer, **asked) == search(people.admin, **asked) == [first]


def test_every_word_and_every_choice_must_fit(people: People, bank: None) -> None:
    everything = search(people.admin)
    assert len(everything) == Question.objects.count()
    assert search(people.admin, q=" - ", kind="poem", topic="") == everything, "nothing that could be looked for"
    caches = search(people.admin, q="kv cache")
    assert search(people.admin, q="CACHE  kv\n") == search(people.admin, q="kv-cache") == caches
    debugged = search(people.admin, q="kv cache", kind="debug")
    assert debugged == [slug for slug in caches if Question.objects.get(slug=slug).current.kind == "debug"]
    assert 0 < len(debugged) < len(caches) < len(everything)
    assert search(people.admin, q="kv cache horse") == []


def test_case_is_that_of_every_alphabet_and_signs_mean_themselves(people: People, question: Question) -> None:
    edit_question(question=question, files={**question.current.files, "prompt.md": "ÜBER die Straße, 100% sure_ly.\n"}, by=people.admin.user)
    for text in ("über", "STRASSE", "100%", "sure_"):
        assert search(people.admin, q=text) == [question.slug], text
    assert search(people.admin, q="1%0") == search(people.admin, q="s_re") == []


def test_what_only_rubric_and_exemplars_say_finds_nothing(people: People, question: Question) -> None:
    files = question.current.files
    secret = {**files, "rubric.yaml": files["rubric.yaml"].replace("title: ", "title: Xylophone ", 1), "answers/l5.md": files["answers/l5.md"] + "\nZither.\n"}
    edit_question(question=question, files=secret, by=people.admin.user)
    assert search(people.admin, q="xylophone") == search(people.admin, q="zither") == []
    edit_question(question=question, files={**secret, "prompt.md": "Xylophone\n"}, by=people.admin.user)
    edit_question(question=question, files=secret, by=people.admin.user)
    assert search(people.admin, q="xylophone") == [], "nor what an earlier version said"


def test_a_search_is_open_to_who_reads_the_banks_alone(people: People, bank: None) -> None:
    codes = {person.name: person.client.get("/bank/?q=cache").status_code for person in people}
    assert codes == {"candidate": 403, "other": 403, "interviewer": 200, "admin": 200, "stranger": 302}


def test_a_search_says_how_many_it_found_shows_what_was_asked_and_leads_back(people: People, bank: None) -> None:
    page = people.admin.client.get("/bank/?q=Low+%22acceptance%22&kind=debug").content.decode()
    assert "<title>No questions found: Question bank" in page
    assert "Take a word or a choice away" in page and 'href="/bank/"' in page
    assert 'value="Low &quot;acceptance&quot;"' in page and "<option selected>debug</option>" in page
    page = people.admin.client.get("/bank/?q=low+acceptance&kind=debug").content.decode()
    assert "<title>1 question found: Question bank" in page
    assert f"1 of {Question.objects.count()} questions." in page
    everything = people.admin.client.get("/bank/").content.decode()
    assert "<title>Question bank" in everything and not any(said in everything for said in ("found: ", "found.", "questions.", "Show all"))


def test_a_search_costs_no_query_by_question(people: People, question: Question) -> None:
    before = queries_of(people.admin, "/bank/?q=cache")
    save_pack(pack=read(PACKS / "inference-estimates"))
    assert queries_of(people.admin, "/bank/?q=cache") == before
