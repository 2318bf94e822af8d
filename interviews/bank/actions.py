"""Every write to the banks but uploads' (`uploads.py`). A question's content never changes: a new version is added and becomes the current one."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from grading.models import RubricVersion
from grading.variants import GENERATOR
from interviews.accounts.models import User
from interviews.bank.files import (
    MAX_SLUG,
    PACK,
    BankError,
    ParsedPack,
    ParsedQuestion,
    content_hash,
    parse_question,
    read_pack,
    read_variant,
    write_question,
)
from interviews.bank.models import Pack, Question, QuestionVersion


@dataclass(frozen=True)
class Loaded:
    """What a load did, by question slug. `kept` were changed in the folder and on the site: the site's version stays until somebody decides.
    `renamed` were added on the site and gave their slug to a folder: what they are called now.
    """

    pack: str
    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()


def rubric_row(body: dict[str, Any]) -> RubricVersion:
    """The row of a rubric, made if it is new."""
    row, _ = RubricVersion.objects.get_or_create(hash=content_hash(body), defaults={"body": body})
    return row


def rubric_of(version: QuestionVersion, seed: int) -> RubricVersion:
    """The rubric that marks one variant of a question: the version's own, or the one with this seed's numbers."""
    if not version.has_variants:
        return version.rubric
    _, rubric, _ = read_variant(version.files, version.kind, seed)
    return rubric_row(rubric.to_dict())


def store_version(question: Question, parsed: ParsedQuestion, by: User | None) -> QuestionVersion:
    """The row for this content, made if it is new; content that was current before is the same version again."""
    rubric = rubric_row(parsed.rubric.to_dict())
    meta = parsed.meta
    version, _ = QuestionVersion.objects.get_or_create(
        question=question,
        hash=parsed.hash,
        defaults={
            "files": parsed.files,
            "rubric": rubric,
            "title": meta["title"],
            "kind": meta["kind"],
            "topics": meta["topics"],
            "levels": meta["levels"],
            "minutes": meta["minutes"],
            "syllabus": meta["syllabus"],
            "lab": meta.get("lab") or "",
            "fields": meta.get("fields") or [],
            "created_by": by,
        },
    )
    return version


def make_current(question: Question, version: QuestionVersion, by: User | None) -> None:
    question.current, question.current_by, question.current_at, question.based_on = version, by, timezone.now(), question.loaded
    question.save()


def _take(question: Question, parsed: ParsedQuestion, by: User | None) -> str:
    """Notes what the folder says, and makes it current unless the question was edited on the site. Returns the name of the list in `Loaded`."""
    new, edited = question.current_id is None, question.edited
    question.loaded = store_version(question, parsed, by)
    if not edited and question.edited:
        make_current(question, question.loaded, by)
        return "created" if new else "updated"
    if not question.edited:  # unchanged, or the folder has caught up with the edit
        question.based_on = question.loaded
    question.save()
    return "kept" if question.pack_moved_on else "unchanged"


def set_slugs_free(pack: Pack, parsed: ParsedPack) -> None:
    """Gives questions whose folder has another name now one that is nobody's, because folders may exchange names or pass them on."""
    named = {question.meta["uuid"]: question.slug for question in parsed.questions}
    for question in pack.questions.select_for_update().filter(id__in=named):
        if question.slug != named[str(question.id)]:
            question.slug = f"moving-{question.id}"
            question.save(update_fields=["slug"])


def _make_room(pack: Pack, parsed: ParsedPack) -> list[str]:
    """Renames what was added on the site by the name of a folder that came later. Who ships a pack can't know of it, and could load it no more."""
    folders = {question.slug: question.meta["uuid"] for question in parsed.questions}
    taken = {*folders, *pack.questions.values_list("slug", flat=True)}
    renamed = []
    for question in pack.questions.select_for_update().filter(loaded=None, slug__in=folders).exclude(id__in=folders.values()):
        names = (f"{question.slug[: MAX_SLUG - 4].rstrip('-')}-{number}" for number in count(2))
        question.slug = next(name for name in names if name not in taken)
        question.save(update_fields=["slug"])
        taken.add(question.slug)
        renamed.append(question.slug)
    return renamed


def question_of(pack: Pack, parsed: ParsedQuestion) -> Question:
    """The row of a folder's question under the folder's name, made if it is new."""
    file, uuid = f"{parsed.slug}/question.yaml", parsed.meta["uuid"]
    question = Question.objects.select_for_update().filter(id=uuid).first() or Question(id=uuid, pack=pack)
    if question.pack_id != pack.id:
        raise BankError(file, 1, f"uuid: it belongs to a question of the pack {question.pack.slug}")
    if other := pack.questions.filter(slug=parsed.slug).exclude(id=uuid).first():
        raise BankError(file, 1, f"uuid: this slug is the question {other.id}, which the folder no longer has; keep that uuid, or name the folder otherwise")
    question.slug = parsed.slug
    question.save()
    return question


def store_pack(pack: ParsedPack) -> Pack:
    """The row of a pack as its `pack.yaml` says, made if it is new, and locked."""
    row, _ = Pack.objects.update_or_create(slug=pack.slug, defaults={"title": pack.title, "description": pack.description, "source": pack.source})
    return row


@transaction.atomic
def save_pack(*, pack: ParsedPack, by: User | None = None) -> Loaded:
    """Stores a pack that was read and checked. Questions that the folder no longer has stay as they are, and so does what was edited on the site."""
    row = store_pack(pack)
    done = defaultdict(list, renamed=_make_room(row, pack))
    set_slugs_free(row, pack)
    for parsed in pack.questions:
        done[_take(question_of(row, parsed), parsed, by)].append(parsed.slug)
    return Loaded(pack.slug, **{name: tuple(slugs) for name, slugs in done.items()})


def load_pack(*, folder: Path, by: User | None = None) -> Loaded:
    """Reads a pack's folder and stores it, all or nothing.

    Raises:
        BankError: a file is wrong; nothing was stored.
    """
    return save_pack(pack=read_pack(folder), by=by)


class SlugTaken(ValueError):
    """The pack has a question of this name."""


def add_question(
    *, pack: Pack, slug: str, about: Mapping[str, Any], prompt: str, rubric: str, model_answer: str, level: str, by: User | None
) -> Question:
    """Makes a question that no folder has, on hold until somebody says that it may be asked. An export writes it as files, and a load that finds those
    knows it by its uuid. `about` is `question.yaml` without the uuid, `level` the band of the model answer.

    Raises:
        BankError: a file is wrong; nothing was stored.
        SlugTaken: nothing was stored.
    """
    question = Question(pack=pack, slug=slug, held_at=timezone.now(), held_by=by)
    parsed = parse_question(slug, write_question({"uuid": str(question.id), **about}, prompt, rubric, model_answer, level))
    try:
        with transaction.atomic():
            Pack.objects.select_for_update().get(pk=pack.pk)  # a load of the pack looks at its slugs and counts on them
            question.save(force_insert=True)
            make_current(question, store_version(question, parsed, by), by)
    except IntegrityError as error:
        raise SlugTaken(f"{pack} has a question called “{slug}” already.") from error
    return question


@transaction.atomic
def edit_question(*, question: Question, files: Mapping[str, str], by: User | None) -> QuestionVersion:
    """Makes the files the question's current version. What was asked or scored before keeps pointing at its own. Where the pack had changed as well, this
    decides it.

    Raises:
        BankError: a file is wrong, or the uuid or the generator was changed; nothing was stored. A generator is code that the server
            runs, so it comes with a pack from the server's disk and from nowhere else.
    """
    if files.get(GENERATOR) != (question.current.files.get(GENERATOR) if question.current else None):
        raise BankError(f"{question.slug}/{GENERATOR}", 1, "a generator changes only when its pack is loaded")
    parsed = parse_question(question.slug, files)
    if parsed.meta["uuid"] != str(question.id):
        raise BankError(f"{question.slug}/question.yaml", 1, "uuid: it never changes")
    question = Question.objects.select_for_update().get(pk=question.pk)
    version = store_version(question, parsed, by)
    if question.current_id != version.id or question.pack_moved_on:
        make_current(question, version, by)
    return version


def set_held(*, question: Question, held: bool, by: User) -> bool:
    """Takes a question out of what new interviews ask, or puts it back. What is set up already keeps it. Returns whether that changed anything."""
    changed = Question.objects.filter(pk=question.pk, held_at__isnull=held)
    return bool(changed.update(held_at=timezone.now() if held else None, held_by=by if held else None))


@transaction.atomic
def take_loaded(*, question: Question, by: User) -> bool:
    """Makes what the pack's folder held the current version again. Returns whether that was another."""
    question = Question.objects.select_for_update().get(pk=question.pk)
    if question.loaded is None or not question.edited:
        return False
    make_current(question, question.loaded, by)
    return True


class NotEmpty(ValueError):
    """A folder holds what an export would leave in it, and a load would take for a part of the pack."""


def files_of_pack(pack: Pack) -> dict[str, str]:
    """`pack.yaml` and the files of the pack's current questions, by their path in its folder, byte for byte as they were loaded or last edited."""
    questions = pack.questions.exclude(current=None).select_related("current")
    return {PACK: pack.source} | {f"{question.slug}/{path}": text for question in questions for path, text in question.current.files.items()}


def export_pack(*, pack: Pack, folder: Path) -> int:
    """Writes the pack's current questions as files, byte for byte as they were loaded or last edited. Returns how many questions.

    Raises:
        NotEmpty: the folder holds a question or a file of one that the pack does not have; nothing was written.
    """
    files = {folder / path: text for path, text in files_of_pack(pack).items()}
    questions = {path.relative_to(folder).parts[0] for path in files} - {PACK}
    places = [path for path in folder.glob("*") if path.is_dir()]
    strays = [path for path in places if path.name not in questions]
    strays += [path for place in places for path in place.rglob("*") if path.is_file() and path not in files]
    if strays:
        raise NotEmpty(f"{min(strays)} does not belong to the pack {pack.slug} as it is now. Remove it, or write to another folder.")
    for target, text in files.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
    return len(questions)
