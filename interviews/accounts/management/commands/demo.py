"""Makes the demo accounts and prints their passwords."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from interviews.accounts.demo import NotEmbedded, ensure_demo_people, reset_command


class Command(BaseCommand):
    help = "Make the demo accounts of the embedded default; with --reset, give them new passwords."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reset", action="store_true", help="new passwords for accounts that exist")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            people = ensure_demo_people(reset=options["reset"])
        except NotEmbedded as error:
            raise CommandError(str(error)) from error
        for person in people:
            self.stdout.write(f"{person.role:<12} {person.email:<34} {person.password}")
        if not people:
            self.stdout.write(f"The demo accounts exist already; `{reset_command()}` gives them new passwords.")
