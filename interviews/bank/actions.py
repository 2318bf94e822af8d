"""Every write to the banks. A question's content never changes: a new version is added and becomes the current one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from grading.models import RubricVersion
from grading.variants import GENERATOR
from interviews.accounts.models import User
from interviews.bank.files import BankError, ParsedPack, ParsedQuestion, content_hash, parse_question, read_pack, read_variant
from interviews.bank.models import Pack, Question, QuestionVersion


@dataclass(frozen=True)
class Loaded:
    """What a load did, by question slug."""

    pack: str
    created: tuple[str, ...]
    updated: tuple[str, ...]
    unchanged: tuple[str, ...]


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


def _store_version(question: Question, parsed: ParsedQuestion, by: User | None) -> QuestionVersion:
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


def _make_current(question: Question, parsed: ParsedQuestion, by: User | None) -> bool:
    version = _store_version(question, parsed, by)
    if question.current_id == version.id:
        return False
    question.current = version
    question.save(update_fields=["current"])
    return True


@transaction.atomic
def save_pack(*, pack: ParsedPack, by: User | None = None) -> Loaded:
    """Stores a pack that was read and checked. Questions that the folder no longer has stay as they are."""
    row, _ = Pack.objects.update_or_create(
        slug=pack.slug, defaults={"title": pack.title, "description": pack.description, "source": pack.source}
    )
    created, updated, unchanged = [], [], []
    for parsed in pack.questions:
        question = Question.objects.select_for_update().filter(id=parsed.meta["uuid"]).first()
        if question is None:
            if row.questions.filter(slug=parsed.slug).exists():
                raise BankError(
                    f"{parsed.slug}/question.yaml", 1, "uuid: this slug belongs to a question with another uuid; a uuid never changes"
                )
            question = Question.objects.create(id=parsed.meta["uuid"], pack=row, slug=parsed.slug)
            _make_current(question, parsed, by)
            created.append(parsed.slug)
            continue
        if question.pack_id != row.id:
            raise BankError(f"{parsed.slug}/question.yaml", 1, f"uuid: it belongs to a question of the pack {question.pack.slug}")
        if question.slug != parsed.slug:
            question.slug = parsed.slug
            question.save(update_fields=["slug"])
        (updated if _make_current(question, parsed, by) else unchanged).append(parsed.slug)
    return Loaded(pack.slug, tuple(created), tuple(updated), tuple(unchanged))


def load_pack(*, folder: Path, by: User | None = None) -> Loaded:
    """Reads a pack's folder and stores it, all or nothing.

    Raises:
        BankError: a file is wrong; nothing was stored.
    """
    return save_pack(pack=read_pack(folder), by=by)


@transaction.atomic
def edit_question(*, question: Question, files: Mapping[str, str], by: User | None) -> QuestionVersion:
    """Makes the files the question's current version. What was asked or scored before keeps pointing at its own.

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
    _make_current(question, parsed, by)
    version = question.current
    assert version is not None
    return version


def export_pack(*, pack: Pack, folder: Path) -> int:
    """Writes the pack's current questions as files, byte for byte as they were loaded. Returns how many questions."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_bytes(pack.source.encode())
    count = 0
    for question in pack.questions.select_related("current").exclude(current=None):
        assert question.current is not None
        for path, text in question.current.files.items():
            target = folder / question.slug / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
        count += 1
    return count
