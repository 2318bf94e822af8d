"""Admins add questions in the browser; what they add is a question like those of the packs."""

import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from grading import draft_yaml
from interviews.accounts.models import Role, User
from interviews.bank import actions
from interviews.bank.actions import edit_question, load_pack, take_loaded
from interviews.bank.files import BankError, parse_answer, read_pack
from interviews.bank.models import Pack, Question, QuestionVersion
from interviews.bank.queries import topics
from interviews.live.actions import create_interview, plan
from tests.bank.test_load_and_export import tree
from tests.conftest import People, Person
from tests.live.conftest import bank

__all__ = ["bank"]

pytestmark = pytest.mark.django_db
PAGE = "/bank/new/"
PROMPT = "Why does prefill suit a GPU better than decode?\n"
ANSWER = "Prefill reads each weight once for many tokens: compute limits it.\n\nDecode reads all weights for one token, so memory bandwidth limits it.\n"
RUBRIC = draft_yaml(PROMPT, ANSWER)
FIELDS = ["title", "slug", "pack", "kind", "minutes", "levels", "topics", "prompt", "model_answer", "level", "points", "rubric"]


def form(**changes: Any) -> dict[str, Any]:
    data = {
        "title": "Prefill: fast, decode: slow", "slug": "", "pack": Pack.objects.get().pk, "kind": "written", "minutes": "15", "levels": ["L5", "L6"],
        "topics": "batching, Fast Prefill", "prompt": PROMPT, "model_answer": ANSWER, "level": "L7", "points": "28", "rubric": RUBRIC, "drafted": "",
    }
    # A browser sends CRLF.
    return {key: value.replace("\n", "\r\n") if isinstance(value, str) else value for key, value in (data | changes).items()}


def save(person: Person, **changes: Any) -> HttpResponse:
    return person.client.post(PAGE, form(**changes) | {"save": ""})


def draft(person: Person, **changes: Any) -> HttpResponse:
    return person.client.post(PAGE, form(**changes) | {"draft": ""})


def box(page: HttpResponse, name: str) -> str:
    """What a text box of the page holds."""
    found = re.search(rf'<textarea name="{name}"[^>]*>\n?(.*?)</textarea>', page.content.decode(), re.DOTALL)
    assert found
    return unescape(found[1]).replace("\r\n", "\n")


def faults(page: HttpResponse) -> dict[str, str]:
    """What the page says at its fields, each of which names the text as its description."""
    html = page.content.decode()
    found = dict(re.findall(r'<ul class="errorlist" id="id_(\w+)_error"><li>(.*?)</li>', html))
    for name in found:
        assert re.search(rf'(?:name="{name}"|id="id_{name}")[^>]*aria-describedby="[^"]*id_{name}_error', html), name
    return {name: unescape(text) for name, text in found.items()}


def added() -> Question:
    return Question.objects.get(loaded=None)


def test_the_page_opens_for_admins_alone_and_only_they_are_shown_the_way(people: People, bank: Path) -> None:
    codes = {"candidate": 403, "other": 403, "interviewer": 403, "admin": 200, "stranger": 302}
    assert {person.name: person.client.get(PAGE).status_code for person in people} == codes
    refused = {person.name: save(person).status_code for person in people if person is not people.admin}
    assert refused == {name: code for name, code in codes.items() if name != "admin"}
    assert not Question.objects.filter(loaded=None).exists()
    assert people.stranger.client.get(PAGE)["Location"].startswith("/accounts/login/")
    assert [f'href="{PAGE}"' in person.client.get("/bank/").content.decode() for person in (people.admin, people.interviewer)] == [True, False]


def test_each_field_has_a_label_and_its_hint(people: People, bank: Path) -> None:
    html = people.admin.client.get(PAGE).content.decode()
    assert "<title>New question · Roofline</title>" in html
    assert "bank/unsaved.js" in html and "data-unsaved" not in html
    for name in FIELDS:
        assert f'<label for="id_{name}">' in html or f'id="id_{name}" tabindex="-1"><legend>' in html, name
    for name in re.findall(r'id="id_(\w+)_helptext"', html):
        assert re.search(rf'name="{name}"[^>]*aria-describedby="id_{name}_helptext"', html), name
    assert "In the bank: batching." in html
    assert not re.search(r'<textarea[^>]*maxlength', html), "it would cut off what is pasted"


def test_a_draft_fills_the_box_keeps_the_rest_and_is_saved(people: People, bank: Path) -> None:
    page = draft(people.admin, rubric="", levels=[], title="", topics="")
    assert faults(page) == {}
    assert box(page, "rubric") == RUBRIC
    assert (box(page, "prompt"), box(page, "model_answer")) == (PROMPT, ANSWER)
    html = page.content.decode()
    assert "data-unsaved" in html and "Nothing is saved yet" in html
    assert re.search(r'<textarea name="rubric"[^>]* autofocus', html)
    assert not Question.objects.filter(loaded=None).exists()
    answer = save(people.admin, rubric=box(page, "rubric"))
    assert (answer.status_code, answer["Location"]) == (302, "/bank/small/prefill-fast-decode-slow/")
    page = people.admin.client.get(answer["Location"]).content.decode()
    assert "“Prefill: fast, decode: slow” is in the bank now, on hold until you have it asked. Its rubric is a draft:" in page


def test_what_is_saved_is_what_was_typed(people: People, bank: Path) -> None:
    save(people.admin)
    question = added()
    version = question.current
    assert question.id.version == 4
    assert version.files == {
        "question.yaml": f"uuid: {question.id}\ntitle: 'Prefill: fast, decode: slow'\nkind: written\ntopics: [batching, Fast Prefill]\nlevels: [L5, L6]\n"
                         "minutes: 15\nsyllabus: []\n",
        "prompt.md": PROMPT, "rubric.yaml": RUBRIC, "answers/l7.md": f"---\nlevel: L7\n---\n{ANSWER}",
    }  # fmt: skip
    assert (version.created_by, question.current_by, version.topics) == (people.admin.user, people.admin.user, ["batching", "Fast Prefill"])
    assert (question.added, question.edited, question.pack_moved_on, question.based_on) == (True, True, False, None)
    assert "added here" in people.admin.client.get("/admin/bank/question/").content.decode()


def test_a_topic_that_the_bank_has_is_not_had_twice(people: People, bank: Path) -> None:
    save(people.admin, topics=" BATCHING ,, Fast  Prefill,batching")
    assert added().current.topics == ["batching", "Fast Prefill"]


def test_a_rubric_with_all_that_a_draft_lacks_is_not_called_one(people: People, bank: Path) -> None:
    whole = re.sub('(        text: .*\n)', r'\1        paraphrases: ["Said otherwise."]\n        contradictions: ["Said wrongly."]\n', RUBRIC)
    assert whole.count("Said wrongly.") >= 2
    page = people.admin.client.post(PAGE, form(rubric=whole) | {"save": ""}, follow=True).content.decode()
    assert "is in the bank now" in page
    assert "is a draft" not in page


EDITED = RUBRIC.replace("Prefill reads", "Prefill only reads")


@pytest.mark.parametrize("mine", ["bands: {L5: 14}\n", EDITED, "x" * 120_001], ids=["another", "edited", "too long"])
def test_a_draft_overwrites_nothing_that_was_written(people: People, bank: Path, mine: str) -> None:
    first = draft(people.admin, rubric="").content.decode()
    drafted = re.search(r'name="drafted" value="(\w+)"', first)
    assert drafted
    page = draft(people.admin, rubric=mine, drafted=drafted[1])
    assert box(page, "rubric") == mine
    assert list(faults(page)) == ["rubric"]


def test_a_draft_that_nobody_touched_is_drafted_anew(people: People, bank: Path) -> None:
    drafted = re.search(r'name="drafted" value="(\w+)"', draft(people.admin, rubric="").content.decode())
    assert drafted
    page = draft(people.admin, drafted=drafted[1], points="4", model_answer=f"{ANSWER}Batching closes the gap.\n")
    assert box(page, "rubric") == draft_yaml(PROMPT, f"{ANSWER}Batching closes the gap.\n", 4)


@pytest.mark.parametrize(("changes", "field"), [
    ({"prompt": " \n"}, "prompt"), ({"model_answer": ""}, "model_answer"), ({"model_answer": "-- !"}, "model_answer"), ({"points": "0"}, "points"),
    ({"points": ""}, "points"), ({"model_answer": "---\nlevel: L6\n---\nPaged.\n"}, None),
])  # fmt: skip
def test_what_a_draft_can_t_be_made_of_is_said_at_its_field(people: People, bank: Path, changes: dict[str, str], field: str | None) -> None:
    page = draft(people.admin, rubric="", title="", **changes)
    assert list(faults(page)) == ([field] if field else [])


CRITERION = "criteria:\n  - id: a\n    title: A\n    points: 4"
FAULTS = {
    "no title": ({"title": " "}, {"title": "required"}),
    "a title that no address can hold": ({"title": "中文?"}, {"slug": "Write a name here"}),
    "capitals in the name": ({"slug": "Prefill"}, {"slug": "Lower-case"}),
    "an underscore": ({"slug": "a_b"}, {"slug": "Lower-case"}),
    "a long name": ({"slug": "a" * 81}, {"slug": "80 characters at most"}),
    "a name that is taken": ({"slug": "written-1"}, {"slug": "Small has a question called “written-1” already. Write another name here."}),
    "no pack": ({"pack": "0"}, {"pack": "valid choice"}),
    "a kind with files": ({"kind": "code"}, {"kind": "valid choice"}),
    "no levels": ({"levels": []}, {"levels": "required"}),
    "a level that is none": ({"levels": ["L9"]}, {"levels": "valid choice"}),
    "no topics": ({"topics": " , "}, {"topics": "one topic"}),
    "a long topic": ({"topics": "a" * 201}, {"topics": "200 characters"}),
    "no minutes": ({"minutes": "0"}, {"minutes": "greater than or equal to 1"}),
    "no prompt": ({"prompt": "\n \n"}, {"prompt": "required"}),
    "a long prompt": ({"prompt": "p" * 20_001}, {"prompt": "at most 20000"}),
    "no model answer": ({"model_answer": ""}, {"model_answer": "required"}),
    "a long model answer": ({"model_answer": "m" * 40_001}, {"model_answer": "at most 40000"}),
    "front matter": ({"model_answer": "---\nlevel: L5\n---\nPaged.\n"}, {"model_answer": "leave out the lines between --- and ---"}),
    "no rubric": ({"rubric": ""}, {"rubric": "required"}),
    "a rubric without criteria": ({"rubric": "# A draft\nbands: {L5: 14}\n"}, {"rubric": "line 1: 'criteria' is a required"}),
    "a claim without text": ({"rubric": RUBRIC.replace("        text: ", "        txet: ", 1)}, {"rubric": "line 15: criteria.0..claims.0."}),
    "YAML that is none": ({"rubric": "bands: {L5: 14\n\nx: ["}, {"rubric": "line 3: "}),
    "a rubric of an estimate": ({"rubric": f"{CRITERION}\n    quantities: [{{field: kv, value: 1, points: 4}}]"}, {"rubric": "line 5: .*no field 'kv'"}),
    "several at once": ({"title": "", "topics": "", "rubric": ""}, {"title": "required", "topics": "required", "rubric": "required"}),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_said_at_its_field_and_nothing_is_saved_or_lost(people: People, bank: Path, fault: str) -> None:
    changes, said = FAULTS[fault]
    versions = QuestionVersion.objects.count()
    page = save(people.admin, **changes)
    found = faults(page)
    assert found.keys() == said.keys()
    assert all(re.search(said[name], found[name]) for name in said), found
    assert (Question.objects.count(), QuestionVersion.objects.count()) == (4, versions)
    html = page.content.decode()
    sent = form(**changes)
    for name in ("prompt", "model_answer", "rubric"):
        assert box(page, name) == sent[name].replace("\r\n", "\n")
    for name in ("title", "slug", "topics", "minutes", "points"):
        value = re.search(rf'name="{name}"(?: value="([^"]*)")?', html)
        assert value and unescape(value[1] or "") == sent[name], name
    assert sorted(re.findall(r'name="levels" value="(\w+)"[^>]* checked', html)) == [level for level in sent["levels"] if level != "L9"]
    assert "data-unsaved" in html and " autofocus" in html


def test_what_is_sent_by_no_button_is_not_saved(people: People, bank: Path) -> None:
    page = people.admin.client.post(PAGE, form())
    assert page.status_code == 200
    assert box(page, "rubric") == RUBRIC
    assert not Question.objects.filter(loaded=None).exists()


@pytest.mark.parametrize("text", [
    "---\nNot front matter, a line.\n", "- a\n- b\n\n---\n\nlevel: L5\n---\n", "level: L5\n---\n", "# Heading\n\n```python\nx = 1\n```\n",
    "    indented\n\ttoo  \n", "中文 👩‍💻 \u2028 é\n",
    "A lone \r return.\n", "{{name}} and {% tag %} & <b>\n",
])  # fmt: skip
def test_a_model_answer_is_read_as_it_was_typed(people: People, bank: Path, text: str) -> None:
    assert save(people.admin, model_answer=text).status_code == 302
    front, answer = parse_answer(added().current.files["answers/l7.md"], kind="written")
    assert (front, f"{answer.text}\n") == ({"level": "L7"}, text)


def test_a_text_without_a_last_line_end_gets_one(people: People, bank: Path) -> None:
    save(people.admin, prompt="Why?", model_answer="Because.", level="L5", rubric=RUBRIC.rstrip("\n"))
    files = added().current.files
    assert (files["prompt.md"], files["answers/l5.md"], files["rubric.yaml"]) == ("Why?\n", "---\nlevel: L5\n---\nBecause.\n", RUBRIC)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_save_one_name_at_once_the_second_is_told(people: People, bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2)
    parse = actions.parse_question

    def wait(*args: Any) -> Any:
        both.wait(20)
        return parse(*args)

    monkeypatch.setattr(actions, "parse_question", wait)
    bea = Client()
    bea.force_login(User.objects.create_user("bea@example.test", role=Role.ADMIN, name="Bea"), "django.contrib.auth.backends.ModelBackend")
    data = form(slug="the-same") | {"save": ""}

    def post(client: Client) -> HttpResponse:
        try:
            return client.post(PAGE, data)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        pages = sorted(pool.map(post, [people.admin.client, bea]), key=lambda page: page.status_code)
    assert [page.status_code for page in pages] == [200, 302]
    assert "called “the-same” already" in faults(pages[0])["slug"]
    assert box(pages[0], "rubric") == RUBRIC
    assert Question.objects.filter(slug="the-same").count() == 1


def test_an_export_has_it_and_a_load_of_that_knows_it(people: People, bank: Path, tmp_path: Path) -> None:
    save(people.admin)
    before = added()
    call_command("export_bank", tmp_path / "out")
    folder = tmp_path / "out/small"
    place = "prefill-fast-decode-slow"
    assert {path: text.decode() for path, text in tree(folder / place).items()} == before.current.files
    assert next(parsed.meta["uuid"] for parsed in read_pack(folder).questions if parsed.slug == place) == str(before.pk)
    loaded = load_pack(folder=folder)
    assert (loaded.created, loaded.updated, loaded.kept, loaded.renamed, place in loaded.unchanged) == ((), (), (), (), True)
    question = Question.objects.get(pk=before.pk)
    assert (question.added, question.edited, question.pack_moved_on, question.current_id) == (False, False, False, before.current_id)
    (folder / place / "prompt.md").write_text("The folder's.\n")
    assert load_pack(folder=folder).updated == (place,)
    call_command("export_bank", tmp_path / "out", "small")
    assert (folder / place / "prompt.md").read_text() == "The folder's.\n"


def test_a_load_without_it_leaves_it(people: People, bank: Path) -> None:
    save(people.admin)
    (bank / "written-1/prompt.md").write_text("Another.\n")
    assert load_pack(folder=bank).updated == ("written-1",)
    question = added()
    assert question.current.files["prompt.md"] == PROMPT
    assert take_loaded(question=question, by=people.admin.user) is False
    assert added().current == question.current
    asked = {"action": "take_the_packs", "_selected_action": [str(question.pk)]}
    assert "or not in it" in people.admin.client.post("/admin/bank/question/", asked, follow=True).content.decode()


def test_where_it_was_edited_since_its_export_an_admin_decides(people: People, bank: Path, tmp_path: Path) -> None:
    save(people.admin)
    call_command("export_bank", tmp_path / "out")
    edit_question(question=added(), files=added().current.files | {"prompt.md": "Mended.\n"}, by=people.admin.user)
    assert load_pack(folder=tmp_path / "out/small").kept == ("prefill-fast-decode-slow",)
    question = Question.objects.get(slug="prefill-fast-decode-slow")
    assert (question.current.files["prompt.md"], question.pack_moved_on) == ("Mended.\n", True)
    assert people.admin.client.get(f"/admin/bank/question/{question.pk}/change/").status_code == 200
    assert take_loaded(question=question, by=people.admin.user) is True
    question.refresh_from_db()
    assert (question.current.files["prompt.md"], question.pack_moved_on) == (PROMPT, False)


@pytest.mark.parametrize("slug", ["another", "a" * 80])
def test_it_gives_its_name_to_a_folder_that_has_it_now(people: People, bank: Path, slug: str, capsys: pytest.CaptureFixture[str]) -> None:
    save(people.admin, slug=slug)
    save(people.admin, slug=f"{slug[:76]}-2")
    (bank / "written-2").rename(bank / slug)
    (bank / slug / "question.yaml").write_text((bank / slug / "question.yaml").read_text().replace("000000000002", "000000000009"))
    call_command("load_bank", bank)
    new = f"{slug[:76]}-3"
    assert f"small/{new}: added on the site, and called this from now on" in capsys.readouterr().err
    assert str(Question.objects.get(slug=slug).pk).endswith("9")
    assert Question.objects.get(slug=new).current.files["prompt.md"] == PROMPT
    assert people.admin.client.get(f"/bank/small/{new}/").status_code == 200
    assert load_pack(folder=bank).renamed == ()


def have_it_asked(people: People) -> None:
    people.admin.client.post(f"{added().get_absolute_url()}hold/", {"ask": ""})


def test_a_new_interview_asks_it_once_an_admin_says_so(people: People, bank: Path) -> None:
    save(people.admin, topics="only-this")
    assert (added().held_by, "only-this" in topics()) == (people.admin.user, False)
    have_it_asked(people)
    interview = create_interview(candidate=people.candidate.user, blueprint=plan(level="L6", minutes=15, topics=["only-this"]), seed=1)
    assert [asked.version for asked in interview.questions.all()] == [added().current]


def test_a_report_shows_the_model_answer(people: People, bank: Path) -> None:
    from interviews.review.queries import _model_answer

    save(people.admin, topics="only-this", level="L6")
    have_it_asked(people)
    interview = create_interview(candidate=people.candidate.user, blueprint=plan(level="L6", minutes=15, topics=["only-this"]), seed=1)
    assert "Decode reads all weights for one token" in _model_answer(interview.questions.get())


def test_an_admin_edits_it_as_any_other(people: People, bank: Path) -> None:
    save(people.admin)
    question = added()
    page = people.admin.client.get(f"/admin/bank/question/{question.pk}/change/").content.decode()
    assert "Prefill reads each weight once" in page
    edit_question(question=question, files=question.current.files | {"prompt.md": "Mended.\n"}, by=people.admin.user)
    question.refresh_from_db()
    assert (question.current.files["prompt.md"], question.added, question.pack_moved_on) == ("Mended.\n", True, False)


def test_nothing_is_half_stored_where_a_file_is_wrong(people: People, bank: Path) -> None:
    about = {"title": "A", "kind": "written", "topics": ["a"], "levels": ["L5"], "minutes": 181, "syllabus": []}
    with pytest.raises(BankError, match=r"a-name/question\.yaml:\d: minutes"):
        actions.add_question(
            pack=Pack.objects.get(), slug="a-name", about=about, prompt=PROMPT, rubric=RUBRIC, model_answer=ANSWER, level="L7", by=people.admin.user
        )
    assert not Question.objects.filter(slug="a-name").exists()


def test_without_a_pack_the_page_says_what_to_do(people: People) -> None:
    page = people.admin.client.get(PAGE).content.decode()
    assert "load_bank" in page and "<form method=\"post\" id" not in page


def test_a_topic_is_shown_as_text(people: People, bank: Path) -> None:
    save(people.admin, topics="<script>alert(1)</script>")
    shown = people.admin.client.get(PAGE).content.decode()
    assert "<script>alert(1)" not in shown and "&lt;script&gt;alert(1)" in shown
