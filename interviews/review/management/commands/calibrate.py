"""Fits the scorer to the marks of published reviews."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from grading.calibration import fit, report, table
from grading.models import FittedCalibration
from interviews.review.queries import marked_by_people

LEAST = 10


class Command(BaseCommand):
    help = "Refit cuts and certainty to the criteria that interviewers marked in published reviews, and report agreement before and after. No score changes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--use", action="store_true", help="use the result for scores from now on; without it nothing is kept")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        marked = marked_by_people()
        if len(marked) < LEAST:
            raise CommandError(f"{len(marked)} answers of published reviews can be used; {LEAST} are needed. Publish more reviews, then run this again.")
        found = report(marked)
        self.stdout.write(json.dumps(found) if options["json"] else table(found))
        if options["use"]:
            fitted = fit(marked)
            FittedCalibration.objects.create(body=fitted.to_dict(), report=found)
            self.stdout.write(self.style.SUCCESS(f"In use for scores from now on: {fitted.name}"))
