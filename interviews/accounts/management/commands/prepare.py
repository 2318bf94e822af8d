"""What must be there before the site serves."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from interviews.live.actions import ensure_blueprints


class Command(BaseCommand):
    help = "Bring the database up to date and load the shipped banks and blueprints. Safe to run at each deployment."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        call_command("load_bank", verbosity=options["verbosity"])
        ensure_blueprints()
