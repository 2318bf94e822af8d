"""Loads packs of questions from their folders."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from interviews.bank.actions import load_pack
from interviews.bank.files import BankError

PACKS = Path(__file__).resolve().parents[2] / "packs"


class Command(BaseCommand):
    help = "Load question packs. Without a folder: every pack that the project ships. A broken pack loads nothing, and what was edited on the site stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", nargs="*", type=Path, help="a pack's folder, the one with pack.yaml")

    def handle(self, *args: Any, **options: Any) -> None:
        folders = options["folder"] or sorted(path.parent for path in PACKS.glob("*/pack.yaml"))
        for folder in folders:
            try:
                loaded = load_pack(folder=folder)
            except BankError as error:
                faults = "".join(f"\n{fault}" for fault in error.others)
                raise CommandError(f"{folder}: nothing loaded. {error}{faults}") from error
            if options["verbosity"]:
                counts = f"{len(loaded.created)} new, {len(loaded.updated)} changed, {len(loaded.unchanged)} as before"
                self.stdout.write(f"{loaded.pack}: {counts}" + (f", {len(loaded.kept)} kept as edited" if loaded.kept else ""))
            for slug in loaded.renamed:
                self.stderr.write(f"{loaded.pack}/{slug}: added on the site, and called this from now on: the folder has another question of its name.")
            for slug in loaded.kept:
                self.stderr.write(f"{loaded.pack}/{slug}: changed in its folder and on the site. The site's version stays; decide in the admin site.")
