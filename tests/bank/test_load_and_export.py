"""Banks as folders: what is loaded comes out byte for byte, and a broken pack loads nothing."""

import importlib
import re
import shutil
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import DatabaseError, IntegrityError

from grading.insert_only import Immutable
from interviews.bank.actions import edit_question, load_pack
from interviews.bank.files import BankError
from interviews.bank.management.commands.load_bank import PACKS
from interviews.bank.models import Pack, Question, QuestionVersion
from tests.conftest import People
from tests.live.conftest import bank

__all__ = ["bank"]

pytestmark = pytest.mark.django_db
PACK = PACKS / "advanced-inference"


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A pack with one question, free to be broken."""
    folder = tmp_path / "small"
    source = next(path for path in sorted(PACK.iterdir()) if (path / "rubric.yaml").exists() and (path / "answers/l5.md").exists())
    shutil.copytree(source, folder / "a-question")
    (folder / "pack.yaml").write_text("slug: small\ntitle: Small\ndescription: One question.\n")
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_shipped_pack_round_trips_byte_for_byte(tmp_path: Path) -> None:
    call_command("load_bank", verbosity=0)
    call_command("export_bank", tmp_path)
    shipped = sorted(path.parent for path in PACKS.glob("*/pack.yaml"))
    assert shipped
    for folder in shipped:
        assert tree(tmp_path / folder.name) == tree(folder)


def test_loading_twice_makes_no_second_version(small: Path) -> None:
    assert load_pack(folder=small).created == ("a-question",)
    assert load_pack(folder=small).unchanged == ("a-question",)
    assert QuestionVersion.objects.count() == 1


def test_a_changed_file_makes_a_new_version_and_keeps_the_old(small: Path) -> None:
    load_pack(folder=small)
    old = QuestionVersion.objects.get()
    (small / "a-question/prompt.md").write_text("Another prompt.\n")
    assert load_pack(folder=small).updated == ("a-question",)
    question = Question.objects.get()
    assert question.current.prompt == "Another prompt.\n"
    assert question.current != old
    assert set(question.versions.all()) == {old, question.current}


def test_going_back_to_old_content_is_the_old_version_again(small: Path) -> None:
    load_pack(folder=small)
    old = QuestionVersion.objects.get()
    before = (small / "a-question/prompt.md").read_text()
    (small / "a-question/prompt.md").write_text("Another prompt.\n")
    load_pack(folder=small)
    (small / "a-question/prompt.md").write_text(before)
    load_pack(folder=small)
    assert Question.objects.get().current == old
    assert QuestionVersion.objects.count() == 2


def test_an_edited_question_exports_what_was_edited(small: Path, tmp_path: Path) -> None:
    load_pack(folder=small)
    question = Question.objects.get()
    edit_question(question=question, files=question.current.files | {"prompt.md": "Née, 中文, 👩‍💻\n"}, by=None)
    call_command("export_bank", tmp_path / "out")
    assert (tmp_path / "out/small/a-question/prompt.md").read_bytes() == "Née, 中文, 👩‍💻\n".encode()


@pytest.mark.parametrize("names", [
    {"written-1": "written-2", "written-2": "written-1"},
    {"written-1": "written-2", "written-2": "written-9"},
    {"written-2": "another"},
])  # fmt: skip
def test_folders_may_exchange_their_names_or_pass_them_on(bank: Path, names: dict[str, str]) -> None:
    before = {question.slug: question.pk for question in Question.objects.all()}
    for name in names:
        (bank / name).rename(bank / f"{name}-old")
    for name, new in names.items():
        (bank / f"{name}-old").rename(bank / new)
    assert len(load_pack(folder=bank).unchanged) == 4
    assert {question.slug: question.pk for question in Question.objects.all()} == {names.get(slug, slug): pk for slug, pk in before.items()}


def test_a_name_passes_to_a_new_question_and_not_from_one_that_the_folder_lacks(bank: Path) -> None:
    shutil.copytree(bank / "written-1", bank / "another")
    edit(bank / "written-1/question.yaml", "000000000001", "000000000009")
    assert load_pack(folder=bank).created == ("written-1",)
    assert str(Question.objects.get(slug="another").pk).endswith("1")
    shutil.rmtree(bank / "written-2")
    (bank / "another").rename(bank / "written-2")
    with pytest.raises(BankError, match="which the folder no longer has"):
        load_pack(folder=bank)
    assert Question.objects.filter(slug="another").exists()


def test_an_export_overwrites_its_own_files_and_refuses_to_stand_beside_others(bank: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        call_command("export_bank", out)
    assert tree(out / "small") == tree(bank)
    (out / "small/README.md").write_text("A load does not read this.\n")
    (out / "small/written-1/answers").mkdir()
    (out / "small/written-1/answers/old.md").write_text("It was an answer.\n")
    with pytest.raises(CommandError, match=r"written-1/answers/old\.md does not belong"):
        call_command("export_bank", out)
    (out / "small/written-1/answers/old.md").unlink()
    (bank / "written-1").rename(bank / "written-9")
    load_pack(folder=bank)
    with pytest.raises(CommandError, match="small/written-1 does not belong"):
        call_command("export_bank", out)
    assert not (out / "small/written-9").exists()
    shutil.rmtree(out / "small/written-1")
    call_command("export_bank", out)
    assert load_pack(folder=out / "small").unchanged == ("code-4", "estimate-3", "written-2", "written-9")


BROKEN = {
    "a missing file": (lambda q: (q / "prompt.md").unlink(), "a-question/prompt.md:1", "missing"),
    "a missing key": (lambda q: edit(q / "question.yaml", "title:", "titel:"), "a-question/question.yaml:", "title"),
    "a key twice": (lambda q: edit(q / "question.yaml", "title:", "kind: design\ntitle:"), "a-question/question.yaml:", "twice"),
    "a kind that is none": (lambda q: edit(q / "question.yaml", "kind: ", "kind: oral-"), "a-question/question.yaml:", "kind"),
    "an unknown file": (lambda q: (q / "notes.txt").write_text("x"), "a-question/notes.txt:1", "belongs"),
    "a NUL byte": (lambda q: (q / "prompt.md").write_text("a\nb\0"), "a-question/prompt.md:2", "NUL"),
    "bytes that are no UTF-8": (lambda q: (q / "prompt.md").write_bytes(b"\xff"), "a-question/prompt.md:1", "UTF-8"),
    "YAML that is none": (lambda q: (q / "rubric.yaml").write_text("a: [1,\nb"), "a-question/rubric.yaml:", ""),
    "a claim without text": (lambda q: edit(q / "rubric.yaml", "        text:", "        txet:"), "a-question/rubric.yaml:", "claims"),
    "a level that is none": (lambda q: edit(q / "answers/l5.md", "level: L5", "level: L9"), "a-question/answers/l5.md:", "level"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_pack_is_refused_with_file_line_and_reason_and_loads_nothing(fault: str, small: Path) -> None:
    spoil, where, why = BROKEN[fault]
    shutil.copytree(small / "a-question", small / "b-question")
    (small / "b-question/question.yaml").write_text(
        (small / "b-question/question.yaml").read_text().replace("uuid: ", "uuid: 00000000-0000-4000-8000-000000000000 # ", 1)
    )
    spoil(small / "a-question")
    with pytest.raises(CommandError) as refusal:
        call_command("load_bank", small)
    assert where in str(refusal.value)
    assert why in str(refusal.value)
    assert not Pack.objects.exists()
    assert not Question.objects.exists()


def test_the_line_named_is_the_line_of_the_fault(small: Path) -> None:
    path = small / "a-question/question.yaml"
    edit(path, "minutes: ", "minutes: 0 # ")
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if text.startswith("minutes:"))
    with pytest.raises(BankError) as refusal:
        load_pack(folder=small)
    assert refusal.value.line == line


@pytest.mark.parametrize("text", [
    "? [a]\n: 1\n", "a: &a [*a]\n", "a: &a [1, 2]\nb: [*a, *a]\n", "a: 2024-99-99\n", "a: !!bool abc\n", "a: !!int ''\n", f"a: {'9' * 5000}\n", "{a: 1}: 2\n",
])
def test_yaml_that_no_pack_needs_is_refused_by_file_and_line(small: Path, text: str) -> None:
    (small / "a-question/rubric.yaml").write_text(text)
    with pytest.raises(BankError, match=r"rubric\.yaml:\d"):
        load_pack(folder=small)


USELESS = {
    "half a character": (r'title: "A \ud83d"', "half a character"),
    "a NUL": (r'title: "A \0"', "NUL"),
    "a title that is half a key": (r'"titl\ud83d": "A"', "half a character"),
    "a number that is none": ("title: .nan", "no finite number"),
    "no end of points": ("title: .inf", "no finite number"),
    "more than a float holds": (f"title: {'9' * 400}", "too large"),
}


@pytest.mark.parametrize("fault", USELESS)
@pytest.mark.parametrize("file", ["question.yaml", "rubric.yaml"])
def test_what_only_an_escape_or_a_word_for_infinity_can_say_is_refused_by_line(small: Path, file: str, fault: str) -> None:
    path = small / "a-question" / file
    line, why = USELESS[fault]
    number = 1 + next(number for number, text in enumerate(path.read_text().splitlines()) if text.strip(" -").startswith("title:"))
    path.write_text(re.sub("title:.*", lambda _: line, path.read_text(), count=1))
    with pytest.raises(BankError, match=rf"{file}:{number}: .*{why}"):
        load_pack(folder=small)


@pytest.mark.parametrize(("slug", "title"), [("s" * 51, "Small"), ("small", "t" * 121)])
def test_a_pack_whose_name_no_database_holds_is_refused(small: Path, slug: str, title: str) -> None:
    (small / "pack.yaml").write_text(f"slug: {slug}\ntitle: {title}\ndescription: One question.\n")
    with pytest.raises(BankError, match=r"pack\.yaml:\d"):
        load_pack(folder=small)


def test_a_folder_whose_name_no_database_holds_is_refused(small: Path) -> None:
    (small / "a-question").rename(small / ("q" * 81))
    with pytest.raises(BankError, match="80 characters at most"):
        load_pack(folder=small)


def test_an_integer_may_be_as_large_as_an_estimate_needs(small: Path) -> None:
    edit(small / "a-question/rubric.yaml", "        text:", "        numbers: [{value: 315000000000000000000000}]\n        text:")
    assert load_pack(folder=small).created == ("a-question",)


MISFITS = {
    "a field that is none": ("estimate-3", "rubric.yaml", "quantities: [{field: sise, value: 12.5, unit: GiB, points: 4}]", "no field 'sise'; there are size"),
    "tests of a written question": ("written-1", "rubric.yaml", "tests: [budget]", "no test group 'budget'; only a code question has tests"),
    "a test group that is none": ("code-4", "rubric.yaml", "tests: [bugdet]", "no test group 'bugdet'; its lab has .*budget"),
    "a lab that is none": ("code-4", "question.yaml", "lab: continous-batcher", "no lab 'continous-batcher'; there are continuous-batcher"),
    "a lab with too long a name": ("code-4", "question.yaml", f"lab: {'x' * 300}", "is too long"),
    "a field twice": ("estimate-3", "question.yaml", "fields: [{id: size, label: A}, {id: size, label: B}]", "'size' is used twice"),
    "a field called text": ("estimate-3", "question.yaml", "fields: [{id: text, label: A}]", "'text' is what a rubric calls the prose"),
}
INSTEAD_OF = {"rubric.yaml": r"(tests: \[admission\]|claims:\n(        ?.*\n|      -.*\n)+    rule: .*)", "question.yaml": "(lab|fields): .*"}


ROUND = "kind: quickfire\nfields: [{id: size, label: Size}]\n"
SHORT = "  - {id: one, title: Size, points: 1, accepted: [four], field: size}\n"


@pytest.mark.parametrize(("rubric", "why"), [
    ("  - {id: one, title: Size, points: 1, accepted: [four], field: sise}\n", "3: field: the question has no field 'sise'; there are size, text"),
    ("  - {id: one, title: Size, points: 1, accepted: [four]}\n", "3: a quick-fire round has nothing but its fields"),
    ("  - {id: one, title: Size, points: 1, quantities: [{field: text, value: 4, points: 1}]}\n", "3: a quick-fire round has nothing but its fields"),
    ("  - id: one\n    title: Size\n    points: 1\n    claims: [{id: a, text: There are four of them.}]\n", "3: a quick-fire round has nothing but its fields"),
])
def test_a_round_is_made_of_its_fields(small: Path, rubric: str, why: str) -> None:
    place = small / "a-question"
    edit(place / "question.yaml", "kind: written", ROUND.rstrip())
    (place / "rubric.yaml").write_text(f"bands: {{L5: 1}}\ncriteria:\n{rubric}")
    with pytest.raises(BankError, match=f"a-question/rubric.yaml:{why}"):
        load_pack(folder=small)
    (place / "rubric.yaml").write_text(f"bands: {{L5: 1}}\ncriteria:\n{SHORT}")
    assert load_pack(folder=small).created == ("a-question",)


def test_a_round_without_fields_is_refused(small: Path) -> None:
    edit(small / "a-question/question.yaml", "kind: written", "kind: quickfire")
    with pytest.raises(BankError, match="an estimate and a quick-fire round list what is filled in"):
        load_pack(folder=small)


@pytest.mark.parametrize("fault", MISFITS)
def test_a_rubric_that_looks_for_what_its_question_has_not_is_refused_by_line(bank: Path, fault: str) -> None:
    slug, file, line, why = MISFITS[fault]
    path = bank / slug / file
    text, found = re.subn(INSTEAD_OF[file], line, path.read_text(), count=1)
    assert found
    path.write_text(text)
    number = 1 + next(number for number, words in enumerate(text.splitlines()) if line in words)
    with pytest.raises(BankError, match=rf"{slug}/{file}:{number}: .*{why}"):
        load_pack(folder=bank)


def test_a_uuid_of_another_pack_is_refused(small: Path, tmp_path: Path) -> None:
    load_pack(folder=small)
    other = tmp_path / "other"
    shutil.copytree(small, other)
    edit(other / "pack.yaml", "slug: small", "slug: other")
    with pytest.raises(BankError, match="belongs to a question of the pack small"):
        load_pack(folder=other)
    assert Pack.objects.count() == 1


def test_a_version_can_be_changed_neither_by_python_nor_by_sql(small: Path) -> None:
    load_pack(folder=small)
    version = QuestionVersion.objects.get()
    version.title = "Other"
    with pytest.raises(Immutable):
        version.save()
    with pytest.raises(Immutable):
        QuestionVersion.objects.update(title="Other")
    with pytest.raises((DatabaseError, IntegrityError), match="written once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE bank_questionversion SET title = 'Other'")


def test_banks_from_before_loads_were_noted_keep_their_edits(bank: Path, people: People) -> None:
    edited = Question.objects.get(slug="written-1")
    before = edited.current
    edit_question(question=edited, files=before.files | {"prompt.md": "Mended.\n"}, by=people.admin.user)
    Question.objects.update(loaded=None, based_on=None, current_by=None, current_at=None)
    importlib.import_module("interviews.bank.migrations.0004_what_was_loaded").tell_loads_from_edits(apps, None)
    edited.refresh_from_db()
    assert (edited.loaded, edited.based_on, edited.current_by) == (before, before, people.admin.user)
    assert [question.slug for question in Question.objects.all() if question.edited] == ["written-1"]
    assert len(load_pack(folder=bank).unchanged) == 4
    assert edited.current.files["prompt.md"] == "Mended.\n"


def test_the_first_fault_of_each_question_is_named(bank: Path) -> None:
    (bank / "written-1/prompt.md").write_text(" ")
    (bank / "written-2/rubric.yaml").unlink()
    (bank / "an-empty-folder").mkdir()
    with pytest.raises(CommandError) as told:
        call_command("load_bank", bank)
    assert [line.split(": ")[-2:] for line in str(told.value).splitlines()] == [
        ["nothing loaded. an-empty-folder/question.yaml:1", "the file is missing"],
        ["written-1/prompt.md:1", "the prompt is empty"],
        ["written-2/rubric.yaml:1", "the file is missing"],
    ]
