"""Admins edit questions in the admin site; every save is a new version."""

import re
import shutil
from html import unescape
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils.html import escape

from interviews.accounts.models import Role, User
from interviews.bank.actions import edit_question, load_pack
from interviews.bank.admin import NEW_ANSWER, base_of
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
    data = {"question_yaml": files["question.yaml"], "prompt_md": files["prompt.md"], "rubric_yaml": files["rubric.yaml"], "base": base_of(question)}
    answers = {path: text for path, text in files.items() if path.startswith("answers/")}
    # A browser sends CRLF.
    return {key: value.replace("\n", "\r\n") for key, value in (data | answers | {"another_name": "", "another": NEW_ANSWER} | changes).items()}


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


def test_the_history_names_what_was_changed_and_nothing_else(people: People, question: Question) -> None:
    people.admin.client.post(address(question), form(question, prompt_md="New prompt.\n"))
    history = people.admin.client.get(address(question).replace("/change/", "/history/")).content.decode()
    assert "Changed prompt.md." in history


def test_an_admin_reads_a_version_as_it_was_written(people: People, question: Question) -> None:
    version = question.current
    assert "\n" in version.files["prompt.md"].strip()
    where = f"/admin/bank/questionversion/{version.pk}/change/"
    assert where in people.admin.client.get(question.get_absolute_url()).content.decode()
    assert where not in people.interviewer.client.get(question.get_absolute_url()).content.decode()
    page = people.admin.client.get(where).content.decode()
    for path, text in version.files.items():
        assert f"<summary>{path}</summary>" in page
        assert escape(text) in page
    assert version.hash[:8] in people.admin.client.get("/admin/bank/questionversion/").content.decode()


def boxes(page: str) -> dict[str, str]:
    """The text boxes of a page: what each one holds."""
    found = re.findall(r'<textarea name="([^"]+)"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    return {name: unescape(text).replace("\r\n", "\n") for name, text in found}


def test_exemplar_answers_are_edited_added_and_removed(people: People, question: Question) -> None:
    before = question.current.files
    mine = sorted(path for path in before if path.startswith("answers/"))
    assert len(mine) > 2
    held = boxes(people.admin.client.get(address(question)).content.decode())
    assert {path: held[path] for path in mine} == {path: before[path] for path in mine}
    edited, removed, *_ = mine
    new = "---\nlevel: below\n---\nBatching makes each request faster.\n"
    changed = {edited: f"{before[edited]}One more line.\n", removed: ""}
    sent = form(question, **changed, another_name="wrong-speed", another=new)
    assert people.admin.client.post(address(question), sent).status_code == 302
    question.refresh_from_db()
    kept = {path: text for path, text in before.items() if path not in (edited, removed)}
    assert question.current.files == kept | {edited: f"{before[edited]}One more line.\n", "answers/wrong-speed.md": new}
    assert question.current.rubric == question.versions.earliest("created_at").rubric
    assert ">wrong-speed " in people.admin.client.get(question.get_absolute_url()).content.decode()
    history = people.admin.client.get(address(question).replace("/change/", "/history/")).content.decode()
    assert f"Changed {edited}, {removed}, Name of another exemplar answer and Its text." in history


ANOTHER = "---\nlevel: L5\n---\nPaged.\n"
WRONG_ANSWERS = {
    "no level": ({"another_name": "new", "another": "Paged.\n"}, "another", "line 1: the front matter must say `level:`"),
    "a level that is none": ({"another_name": "new", "another": ANOTHER.replace("L5", "L9")}, "another", "line 1: the front matter must say"),
    "no name": ({"another_name": "", "another": ANOTHER}, "another_name", "Name the answer, or empty its box."),
    "a name that no file can have": ({"another_name": "../Up", "another": ANOTHER}, "another_name", "Lower-case letters and digits"),
    "a name of two lines": ({"another_name": "a b", "another": ANOTHER}, "another_name", "Lower-case letters and digits"),
    "a name that is taken": ({"another_name": "l5", "another": ANOTHER}, "another_name", "of this name already"),
    "a name alone": ({"another_name": "new", "another": " \n"}, "another", "Write the answer, or leave out its name."),
    "one that is there": ({"answers/l5.md": "No front matter.\n"}, "answers/l5.md", "line 1: the front matter must say"),
    "front matter that is no YAML": ({"answers/l6.md": "---\nlevel: [\n---\nA.\n"}, "answers/l6.md", "line "),
    "too large": ({"answers/l6.md": ANOTHER + "x" * 530_000}, "answers/l6.md", "larger than 512 KiB"),
}


@pytest.mark.parametrize("fault", WRONG_ANSWERS)
def test_a_fault_of_an_exemplar_is_shown_at_its_box_and_nothing_is_saved_or_lost(people: People, question: Question, fault: str) -> None:
    changes, field, said = WRONG_ANSWERS[fault]
    page = people.admin.client.post(address(question), form(question, **changes)).content.decode()
    assert question.versions.count() == 1
    found = re.search(rf'<ul class="errorlist" id="id_{re.escape(field)}_error"><li>(.*?)</li>', page)
    assert found and said in unescape(found[1])
    held = boxes(page)
    assert {name: held[name] for name in changes if name != "another_name"} == {name: text for name, text in changes.items() if name != "another_name"}
    if changes.get("another_name"):
        assert f'value="{changes["another_name"]}"' in page


def test_an_exemplar_that_was_not_sent_stays(people: People, question: Question) -> None:
    sent = {name: text for name, text in form(question, prompt_md="New prompt.\n").items() if not name.startswith(("answers/", "another"))}
    before = question.current.files
    assert people.admin.client.post(address(question), sent).status_code == 302
    question.refresh_from_db()
    assert question.current.files == before | {"prompt.md": "New prompt.\n"}


def test_room_for_another_exemplar_that_nobody_used_adds_none(people: People, question: Question) -> None:
    held = boxes(people.admin.client.get(address(question)).content.decode())
    assert held["another"] == NEW_ANSWER
    people.admin.client.post(address(question), form(question))
    people.admin.client.post(address(question), form(question, another=""))
    assert question.versions.count() == 1


def test_who_edits_an_exemplar_that_a_colleague_removed_is_told_and_keeps_the_text(people: People, question: Question) -> None:
    mine = form(question, **{"answers/l5.md": "---\nlevel: L5\n---\nMine.\n"})
    assert people.admin.client.post(address(question), form(question, **{"answers/l5.md": ""})).status_code == 302
    page = people.admin.client.post(address(question), mine).content.decode()
    assert "undo what Admin changed meanwhile" in page
    assert boxes(page)["answers/l5.md"] == "---\nlevel: L5\n---\nMine.\n"
    question.refresh_from_db()
    assert "answers/l5.md" not in question.current.files


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


def test_a_restart_leaves_what_an_admin_edited_and_says_nothing(people: People, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("prepare", verbosity=0)
    question = Question.objects.filter(current__kind="written").first()
    people.admin.client.post(address(question), form(question, prompt_md="Mended.\n"))
    call_command("prepare", verbosity=0)
    question.refresh_from_db()
    assert question.current.files["prompt.md"] == "Mended.\n"
    assert not question.pack_moved_on
    assert "".join(capsys.readouterr()) == ""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack with one question, free to be changed; loaded."""
    folder = tmp_path / "pack"
    shutil.copytree(PACKS / "advanced-inference/prefix-caching", folder / "asked")
    (folder / "pack.yaml").write_text("slug: small\ntitle: Small\ndescription: One question.\n")
    load_pack(folder=folder)
    return folder


@pytest.fixture
def torn(people: People, pack: Path) -> Question:
    """A question whose prompt an admin changed, and then its folder."""
    question = Question.objects.get()
    edit_question(question=question, files=question.current.files | {"prompt.md": "The admin's.\n"}, by=people.admin.user)
    (pack / "asked/prompt.md").write_text("The pack's.\n")
    (pack / "asked/answers/l5.md").write_text("---\nlevel: L5\n---\nAnother answer.\n")
    assert load_pack(folder=pack).kept == ("asked",)
    question.refresh_from_db()
    return question


def prompt(question: Question) -> str:
    question.refresh_from_db()
    return question.current.files["prompt.md"]


def test_a_changed_folder_changes_what_nobody_edited(people: People, pack: Path) -> None:
    (pack / "asked/prompt.md").write_text("The pack's.\n")
    assert load_pack(folder=pack).updated == ("asked",)
    assert prompt(Question.objects.get()) == "The pack's.\n"


def test_where_both_changed_the_edit_stays_and_each_load_and_page_says_so_by_name(
    people: People, pack: Path, torn: Question, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        call_command("load_bank", pack, verbosity=0)
        assert "small/asked: changed in its folder and on the site" in capsys.readouterr().err
        assert prompt(torn) == "The admin's.\n"
    call_command("load_bank", pack)
    assert "0 new, 0 changed, 0 as before, 1 kept as edited" in capsys.readouterr().out
    assert "edited here, and the pack changed: decide" in people.admin.client.get("/admin/bank/question/").content.decode()
    page = people.admin.client.get(address(torn)).content.decode()
    assert all(line in page for line in ("+The pack&#x27;s.", "+Another answer.", "the edit stayed"))
    assert "the edit stayed" in people.interviewer.client.get(torn.get_absolute_url()).content.decode()


@pytest.mark.parametrize("saved", ["The admin's.\n", "Both.\n"])
def test_an_admin_who_saves_has_decided_until_the_folder_changes_again(people: People, pack: Path, torn: Question, saved: str) -> None:
    assert people.admin.client.post(address(torn), form(torn, prompt_md=saved)).status_code == 302
    assert load_pack(folder=pack).unchanged == ("asked",)
    assert prompt(torn) == saved
    assert "the edit stayed" not in people.admin.client.get(address(torn)).content.decode()
    (pack / "asked/prompt.md").write_text("The pack's third.\n")
    assert load_pack(folder=pack).kept == ("asked",)


def test_an_admin_takes_the_packs_version_as_a_whole(people: People, pack: Path, torn: Question) -> None:
    page = people.admin.client.post("/admin/bank/question/", {"action": "take_the_packs", "_selected_action": [str(torn.pk)]}, follow=True)
    assert "As in the pack again" in page.content.decode()
    assert prompt(torn) == "The pack's.\n"
    assert "Another answer." in torn.current.files["answers/l5.md"]
    assert (torn.edited, torn.pack_moved_on, torn.current_by) == (False, False, people.admin.user)
    (pack / "asked/prompt.md").write_text("The pack's third.\n")
    assert load_pack(folder=pack).updated == ("asked",)
    assert torn.versions.count() == 4, "the edit is kept among the versions"


@pytest.mark.parametrize("path", ["asked/prompt.md", None])
def test_a_folder_that_went_back_or_took_the_edit_over_leaves_nothing_to_decide(people: People, pack: Path, torn: Question, path: str | None) -> None:
    files = torn.current.files if path else torn.based_on.files
    for name, text in files.items():
        (pack / "asked" / name).write_text(text)
    assert load_pack(folder=pack).unchanged == ("asked",)
    assert prompt(torn) == "The admin's.\n"
    assert torn.edited is (path is None)


def test_a_pack_that_is_loaded_while_an_admin_edits_is_not_passed_over(people: People, pack: Path, torn: Question) -> None:
    begun = form(torn, prompt_md="Mine.\n")
    (pack / "asked/prompt.md").write_text("The pack's third.\n")
    load_pack(folder=pack)
    page = people.admin.client.post(address(torn), begun).content.decode()
    assert "undo what a load of the pack changed meanwhile" in page
    assert "Mine." in page
    assert prompt(torn) == "The admin's.\n"


def test_who_restores_a_version_is_named_and_not_its_first_author(people: People, question: Question) -> None:
    loaded = question.current.files["prompt.md"]
    people.admin.client.post(address(question), form(question, prompt_md="Mine.\n"))
    question.refresh_from_db()
    begun = form(question, prompt_md="Mine too.\n")
    bea = Client()
    bea.force_login(User.objects.create_user("bea@example.test", role=Role.ADMIN, name="Bea"), "django.contrib.auth.backends.ModelBackend")
    assert bea.post(address(question), form(question, prompt_md=loaded)).status_code == 302
    assert "undo what Bea changed meanwhile" in people.admin.client.post(address(question), begun).content.decode()
    assert " by <bdi>Bea</bdi>)" in people.interviewer.client.get(question.get_absolute_url()).content.decode()
