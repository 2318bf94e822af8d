"""Packs that come as an archive: looked at, then taken as a whole or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from grading.variants import GENERATOR
from interviews.accounts.models import User
from interviews.bank.actions import make_current, question_of, set_slugs_free, store_pack, store_version
from interviews.bank.archive import unpack
from interviews.bank.files import BankError, ParsedPack, content_hash, parse_pack
from interviews.bank.models import Pack, QuestionVersion, Upload

KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Put:
    """What an upload does to one question. `was` is the slug that the bank had it under and `before` the files, None where the bank has not got it."""

    slug: str
    title: str
    was: str | None
    before: Mapping[str, str] | None
    after: Mapping[str, str]

    @property
    def changed(self) -> bool:
        return self.before is not None and self.before != self.after


@dataclass(frozen=True)
class Uploaded:
    """What an upload does. `left` are the questions of the pack that it has not got: they stay as they are. `about_changed` is whether `pack.yaml` is another,
    `held` whether what is new is on hold, and `state` stands for the pack as it was before.
    """

    new_pack: bool
    about_changed: bool
    puts: tuple[Put, ...]
    left: tuple[str, ...]
    held: bool
    state: str

    @property
    def added(self) -> list[Put]:
        return [put for put in self.puts if put.before is None]

    @property
    def changed(self) -> list[Put]:
        return [put for put in self.puts if put.changed]

    @property
    def unchanged(self) -> list[Put]:
        return [put for put in self.puts if put.before == put.after]

    @property
    def moved(self) -> list[Put]:
        return [put for put in self.puts if put.was not in (None, put.slug)]

    @property
    def nothing(self) -> bool:
        """Whether the bank stays as it was."""
        return not (self.new_pack or self.about_changed or self.added or self.changed or self.moved)


class MovedOn(ValueError):
    """The pack is not any more as somebody saw it who decided about it."""


def read_upload(archive: bytes) -> ParsedPack:
    """The pack in an archive, checked. A generator is run to check it, and so has to be one that came from the server's disk.

    Raises:
        BankError: the archive or a file in it is wrong.
    """
    files = unpack(archive)
    theirs = [path for path in files if path.endswith(f"/{GENERATOR}")]
    known = {version.files.get(GENERATOR) for version in QuestionVersion.objects.filter(kind=QuestionVersion.Kind.ESTIMATE)} if theirs else set()
    for path in theirs:
        if files[path] not in known:
            raise BankError(path, 1, "a generator is code that the server runs: this one has to come with a pack from the server's disk first")
    return parse_pack(files)


@transaction.atomic
def put_pack(*, pack: ParsedPack, by: User, ask: bool = False, state: str | None = None) -> Uploaded:
    """Takes an uploaded pack as edits of its questions, which no load of the pack's folder undoes. Questions that the bank has not got are added, on hold
    unless they may be asked at once; those that the upload has not got stay as they are.

    Raises:
        BankError: a question belongs to another pack, or has the name of another one; nothing was stored.
        MovedOn: the pack's `state` is another; nothing was stored.
    """
    old_row = Pack.objects.select_for_update().filter(slug=pack.slug).first()
    new_pack, about_changed = old_row is None, old_row is not None and old_row.source != pack.source
    row = store_pack(pack)
    there = list(row.questions.select_for_update(of=["self"]).select_related("current").order_by("slug"))
    found = content_hash([[str(question.id), question.slug, question.current.hash if question.current else ""] for question in there])
    if state not in (None, found):
        raise MovedOn(pack.slug)
    known = {question.id: question for question in there}
    set_slugs_free(row, pack)
    puts = []
    for parsed in pack.questions:
        question = question_of(row, parsed)
        old = known.pop(question.id, None)
        before = old.current if old else None
        if before is None and not ask:
            question.held_at, question.held_by = timezone.now(), by
        version = store_version(question, parsed, by)
        if question.current_id != version.id:
            make_current(question, version, by)
        puts.append(Put(parsed.slug, parsed.meta["title"], old.slug if old else None, before.files if before else None, parsed.files))
    return Uploaded(new_pack, about_changed, tuple(puts), tuple(question.slug for question in known.values()), not ask, found)


def keep_upload(*, name: str, archive: bytes, by: User) -> Upload:
    """Keeps an archive until somebody decides about it, for a day at most."""
    Upload.objects.filter(at__lt=timezone.now() - KEPT).delete()
    return Upload.objects.create(name=name, archive=archive, by=by)


def look_at_pack(*, pack: ParsedPack, by: User) -> Uploaded:
    """What `put_pack` would do, which is found out by doing it and taking it back.

    Raises:
        BankError: as `put_pack` does.
    """
    with transaction.atomic():
        done = put_pack(pack=pack, by=by)
        transaction.set_rollback(True)
    return done
