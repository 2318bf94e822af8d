"""Writes packs back as folders."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from interviews.bank.actions import NotEmpty, export_pack
from interviews.bank.models import Pack


class Command(BaseCommand):
    help = "Write question packs as folders of files, byte for byte as they were loaded or last edited."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="where to write; each pack gets a folder in it")
        parser.add_argument("pack", nargs="*", help="slugs of packs; all when none is named")

    def handle(self, *args: Any, **options: Any) -> None:
        packs = Pack.objects.filter(slug__in=options["pack"]) if options["pack"] else Pack.objects.all()
        if missing := set(options["pack"]) - {pack.slug for pack in packs}:
            raise CommandError(f"No such pack: {', '.join(sorted(missing))}")
        for pack in packs:
            try:
                count = export_pack(pack=pack, folder=options["folder"] / pack.slug)
            except NotEmpty as error:
                raise CommandError(f"{pack.slug}: nothing written. {error}") from error
            self.stdout.write(f"{pack.slug}: {count} questions")
