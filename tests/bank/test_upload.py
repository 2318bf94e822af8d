"""An admin takes a pack out of the browser and puts one in: looked at first, taken as a whole or not at all."""

import io
import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from interviews.bank import queries, uploads
from interviews.bank.actions import add_question, edit_question, files_of_pack, load_pack, set_held
from interviews.bank.archive import MAX_ARCHIVE, pack_up, unpack
from interviews.bank.files import BankError
from interviews.bank.management.commands.load_bank import PACKS
from interviews.bank.models import Pack, Question, QuestionVersion, Upload
from interviews.bank.uploads import MovedOn, look_at_pack, put_pack, read_upload
from tests.bank.test_load_and_export import tree
from tests.conftest import People, Person
from tests.live.conftest import bank

__all__ = ["bank"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def files(bank: Path) -> dict[str, str]:
    """The pack as the bank has it, free to be changed and sent back."""
    return files_of_pack(Pack.objects.get(slug="small"))


def send(person: Person, files: dict[str, str] | bytes, name: str = "small.zip") -> str:
    """Uploads an archive and returns the page that comes of it."""
    content = files if isinstance(files, bytes) else pack_up("small", files)
    return person.client.post("/bank/upload/", {"archive": SimpleUploadedFile(name, content)}, follow=True).content.decode()


def take(person: Person, page: str, **more: str) -> str:
    """Presses the button on the page of the newest upload."""
    state = re.search('name="state" value="([0-9a-f]{64})"', page)
    assert state, page
    address = Upload.objects.latest("at").get_absolute_url()
    return person.client.post(address, {"take": "", "state": state[1], **more}, follow=True).content.decode()


def stand() -> list[object]:
    """All that an upload could change."""
    packs = list(Pack.objects.values_list("slug", "title", "source"))
    questions = list(Question.objects.order_by("id").values_list("id", "slug", "current", "current_by", "based_on", "loaded", "held_at"))
    return [*packs, *questions, QuestionVersion.objects.count()]


def counts(page: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall("<dt>([^<]+)</dt><dd>([0-9]+)</dd>", page)}


NEW = "00000000-0000-4000-8000-000000000009"


def with_a_new_question(files: dict[str, str], slug: str = "written-9") -> dict[str, str]:
    copied = {path.replace("written-1", slug): text for path, text in files.items() if "written-1/" in path}
    return files | {path: text.replace(NEW[:-1] + "1", NEW) for path, text in copied.items()}


def test_a_pack_is_downloaded_as_the_bank_has_it_and_sent_back_changes_nothing(people: People, bank: Path) -> None:
    question = Question.objects.get(slug="written-1")
    edit_question(question=question, files=question.current.files | {"prompt.md": "Née, 中文, 👩‍💻\n"}, by=people.admin.user)
    answer = people.admin.client.get("/bank/small.zip")
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"] == 'attachment; filename="small.zip"'
    found = unpack(answer.content)
    assert found["written-1/prompt.md"] == "Née, 中文, 👩‍💻\n"
    assert found["pack.yaml"] == (bank / "pack.yaml").read_text()
    before = stand()
    page = send(people.admin, answer.content)
    assert counts(page) == {"New": 0, "Changed": 0, "As before": 4, "Not in the file, stay": 0}
    assert "The bank has all of this already." in page and "Take it" not in page
    assert stand() == before


@pytest.mark.parametrize("pack", sorted(path.parent.name for path in PACKS.glob("*/pack.yaml")))
def test_every_shipped_pack_comes_out_and_back(people: People, pack: str) -> None:
    load_pack(folder=PACKS / pack)
    content = people.admin.client.get(f"/bank/{pack}.zip").content
    assert unpack(content) == {path: text.decode() for path, text in tree(PACKS / pack).items()}
    assert look_at_pack(pack=read_upload(content), by=people.admin.user).nothing


def test_looking_changes_nothing_and_taking_does_what_was_shown(people: People, files: dict[str, str]) -> None:
    changed = with_a_new_question(files) | {"written-2/prompt.md": "What limits <b>decode</b>?\nSay why.\n"}
    changed["pack.yaml"] = files["pack.yaml"].replace("Small", "Little")
    changed = {path: text for path, text in changed.items() if not path.startswith("estimate-3/")}
    before = stand()
    page = send(people.admin, changed)
    assert counts(page) == {"New": 1, "Changed": 1, "As before": 2, "Not in the file, stay": 1}
    assert "The pack's title or description changes." in page and "Take “Little”?" in page
    assert '<span class="added">+What limits &lt;b&gt;decode&lt;/b&gt;?</span>' in page and "2 lines in, 1 out" in page
    assert '<span class="removed">-What limits prefill and decode? Number 2, $a &lt; b$.</span>' in page
    assert stand() == before
    page = take(people.admin, page)
    assert "“Little” is taken: 1 new, 1 changed, 2 as before. What is new is on hold until you have it asked." in page
    one, two = Question.objects.get(id=NEW), Question.objects.get(slug="written-2")
    assert one.held_at and one.held_by == people.admin.user and one.added and one not in queries.askable()
    assert two.current.prompt.startswith("What limits <b>") and two.current_by == two.current.created_by == people.admin.user
    assert Pack.objects.get().title == "Little" and Question.objects.count() == 5
    assert not Upload.objects.exists()


def test_new_questions_are_asked_at_once_where_that_is_said(people: People, files: dict[str, str]) -> None:
    page = take(people.admin, send(people.admin, with_a_new_question(files)), ask="on")
    assert "1 new, 0 changed, 4 as before." in page and "on hold until" not in page
    assert Question.objects.get(id=NEW) in queries.askable()


def test_a_question_on_hold_stays_on_hold_when_it_is_changed(people: People, files: dict[str, str]) -> None:
    set_held(question=Question.objects.get(slug="written-1"), held=True, by=people.admin.user)
    take(people.admin, send(people.admin, files | {"written-1/prompt.md": "Another.\n"}), ask="on")
    question = Question.objects.get(slug="written-1")
    assert question.held_at and question.current.prompt == "Another.\n"


def test_an_upload_is_an_edit_that_no_load_of_the_folder_undoes(people: People, bank: Path, files: dict[str, str]) -> None:
    take(people.admin, send(people.admin, files | {"written-1/prompt.md": "Another.\n"}))
    assert load_pack(folder=bank).unchanged == ("code-4", "estimate-3", "written-1", "written-2")
    question = Question.objects.get(slug="written-1")
    assert question.edited and question.current.prompt == "Another.\n"
    (bank / "written-1/prompt.md").write_text("The folder's.\n")
    assert load_pack(folder=bank).kept == ("written-1",)
    take(people.admin, send(people.admin, files | {"written-1/prompt.md": "The folder's.\n"}))
    question.refresh_from_db()
    assert not question.edited and not question.pack_moved_on, "as the folder has it, by the admin's word"


def test_a_pack_that_the_bank_has_not_got_is_added_whole(people: People, bank: Path, files: dict[str, str]) -> None:
    ours = {path: text.replace("00000000-0000-4000-8000", "00000000-0000-4000-9000") for path, text in files.items()}
    ours["pack.yaml"] = "slug: ours\ntitle: Ours\ndescription: Of our own.\n"
    page = send(people.admin, ours)
    assert counts(page) == {"New": 4, "Changed": 0, "As before": 0} and "A pack that the bank has not got." in page
    take(people.admin, page)
    assert [question.added for question in Pack.objects.get(slug="ours").questions.all()] == [True] * 4
    assert unpack(people.admin.client.get("/bank/ours.zip").content) == ours


def test_questions_may_exchange_their_names(people: People, files: dict[str, str]) -> None:
    other = {"written-1": "written-2", "written-2": "written-1"}
    swapped = {"/".join([other.get(first, first), *rest]): text for path, text in files.items() for first, *rest in [path.split("/")]}
    page = send(people.admin, swapped)
    assert "<code>written-1</code> becomes <code>written-2</code>" in page
    take(people.admin, page)
    assert str(Question.objects.get(slug="written-1").id).endswith("2")


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (
            lambda f: f | {"written-1/prompt.md": " ", "written-2/rubric.yaml": "bands: {}\n"},
            ["<code>written-1/prompt.md</code>, line 1: the prompt is empty", "<code>written-2/rubric.yaml</code>, line "],
        ),
        (
            lambda f: with_a_new_question(f) | {"written-9/question.yaml": f["written-1/question.yaml"]},
            ["written-9/question.yaml</code>, line 1: uuid: written-1 has the same one"],
        ),
        (lambda f: {p.replace("written-1/", "written-2/"): t for p, t in f.items() if not p.startswith("written-2/")}, ["which the folder no longer has"]),
        (lambda f: f | {"pack.yaml": "slug: other\ntitle: Other\ndescription: Elsewhere.\n"}, ["it belongs to a question of the pack small"]),
        (lambda f: f | {"written-1/notes.txt": "x"}, ["no such file belongs to a question"]),
        (lambda f: {p: t for p, t in f.items() if p != "pack.yaml"}, ["the archive has no such file"]),
        (lambda f: b"PK no zip", ["can&#x27;t be read as a zip file"]),
    ],
)  # fmt: skip
def test_a_faulty_pack_changes_nothing_and_each_fault_is_named(people: People, files: dict[str, str], change: object, faults: list[str]) -> None:
    before = stand()
    page = send(people.admin, change(files), "<b>.zip")  # type: ignore[operator]
    assert "Nothing has changed." in page and "&lt;b&gt;.zip can&#x27;t be taken" in page.replace("can't", "can&#x27;t") and "Take it" not in page
    for fault in faults:
        assert fault in page
    assert 'type="file"' in page, "the mended file is chosen on the same page"
    assert stand() == before
    answer = people.admin.client.post(Upload.objects.get().get_absolute_url(), {"take": "", "state": "0" * 64})
    assert answer.status_code == 409 and stand() == before


def test_a_generator_that_did_not_come_from_the_servers_disk_is_never_run(people: People, tmp_path: Path) -> None:
    load_pack(folder=PACKS / "inference-estimates")
    pack = Pack.objects.get()
    files, ran = files_of_pack(pack), tmp_path / "ran"
    path = "kv-cache-of-a-70b-model/generate.py"
    evil = f"open({str(ran)!r}, 'w').close()\n{files[path]}"
    page = send(people.admin, files | {path: evil})
    assert f"<code>{path}</code>, line 1: a generator is code that the server runs" in page
    with pytest.raises(BankError, match="from the server"):
        read_upload(pack_up("x", {f"deeper/{name}": text for name, text in files.items()} | {"deeper/a/b/generate.py": evil}))
    assert not ran.exists()
    assert not look_at_pack(pack=read_upload(pack_up("x", files | {"kv-cache-of-a-70b-model/prompt.md": "{{batch_gib:g}}?\n"})), by=people.admin.user).nothing


def test_who_decides_has_seen_the_pack_as_it_is(people: People, files: dict[str, str]) -> None:
    page = send(people.admin, files | {"written-1/prompt.md": "Uploaded.\n"})
    question = Question.objects.get(slug="written-1")
    edit_question(question=question, files=question.current.files | {"prompt.md": "Edited.\n"}, by=people.admin.user)
    page = take(people.admin, page)
    assert "Somebody changed the pack since you looked at it. Nothing was taken" in page
    assert Question.objects.get(slug="written-1").current.prompt == "Edited.\n"
    assert '<span class="removed">-Edited.</span>' in page
    take(people.admin, page)
    assert Question.objects.get(slug="written-1").current.prompt == "Uploaded.\n"
    with pytest.raises(MovedOn):
        put_pack(pack=read_upload(pack_up("small", files)), by=people.admin.user, state="")


def test_a_question_added_meanwhile_is_seen_too(people: People, files: dict[str, str]) -> None:
    page = send(people.admin, files | {"written-1/prompt.md": "Uploaded.\n"})
    rubric = files["written-1/rubric.yaml"]
    about = {"title": "New", "kind": "written", "topics": ["batching"], "levels": ["L5"], "minutes": 15, "syllabus": []}
    pack = Pack.objects.get(slug="small")
    add_question(pack=pack, slug="new", about=about, prompt="Why?", rubric=rubric, model_answer="Because.", level="L7", by=people.admin.user)
    assert "Somebody changed the pack" in take(people.admin, page)


def test_a_file_is_thrown_away_taken_once_and_kept_for_a_day(people: People, files: dict[str, str]) -> None:
    before = stand()
    send(people.admin, files | {"written-1/prompt.md": "Another.\n"})
    address = Upload.objects.get().get_absolute_url()
    page = people.admin.client.post(address, {"drop": ""}, follow=True).content.decode()
    assert "small.zip was thrown away. Nothing has changed." in page and stand() == before
    for method in (people.admin.client.get, people.admin.client.post):
        assert "Choose it again if it is still to be taken." in method(address, follow=True).content.decode()
    send(people.admin, files)
    Upload.objects.update(at=timezone.now() - uploads.KEPT - timedelta(minutes=1))
    send(people.admin, files)
    assert Upload.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "Choose a file."), (b"", "The file is empty."), (b"\0" * (MAX_ARCHIVE + 1), "The file is larger than 8 MiB.")],
)
def test_what_is_no_file_is_said_at_its_box(people: People, bank: Path, content: bytes | None, said: str) -> None:
    sent = {} if content is None else {"archive": SimpleUploadedFile("a.zip", content)}
    page = people.admin.client.post("/bank/upload/", sent).content.decode()
    assert said in page and not Upload.objects.exists()


def test_admins_alone_upload_and_download(people: People, files: dict[str, str]) -> None:
    page = send(people.admin, files | {"written-1/prompt.md": "Another.\n"})
    addresses = ["/bank/upload/", "/bank/small.zip", Upload.objects.get().get_absolute_url()]
    for person in people:
        if person is people.admin:
            continue
        code = 302 if person is people.stranger else 403
        assert [person.client.get(address).status_code for address in addresses] == [code] * 3
        assert person.client.post(addresses[2], {"take": ""}).status_code == code
        assert person.client.post(addresses[0], {"archive": io.BytesIO(b"x")}).status_code == code
    assert Upload.objects.count() == 1 and "Take it" in page
    assert people.admin.client.get("/bank/none.zip").status_code == 404
    shown = people.interviewer.client.get("/bank/").content.decode()
    assert ".zip" not in shown and "upload" not in shown.lower()
    assert "/bank/small.zip" in people.admin.client.get("/bank/").content.decode()


def test_an_empty_bank_leads_to_the_upload(people: People, tmp_path: Path, bank: Path) -> None:
    content = people.admin.client.get("/bank/small.zip").content
    Question.objects.all().update(current=None, loaded=None, based_on=None)
    shutil.rmtree(bank)
    QuestionVersion.objects.all()._raw_delete("default")
    Question.objects.all().delete()
    Pack.objects.all().delete()
    assert 'href="/bank/upload/"' in people.admin.client.get("/bank/").content.decode()
    take(people.admin, send(people.admin, content))
    assert queries.current().count() == 4
