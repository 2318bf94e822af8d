"""Judges a file from the shell, as a submission is judged."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sandbox import JudgeRequest, Outcome, Unavailable, judge, labs


class Command(BaseCommand):
    help = "Judge FILE against LAB's hidden tests (or its public ones). Exit status 0 only when it is accepted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("lab")
        parser.add_argument("file", type=Path)
        parser.add_argument("--public", action="store_true", help="the public tests instead of the hidden ones")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["lab"] not in labs.slugs():
            raise CommandError(f"No lab {options['lab']!r}; there are {', '.join(labs.slugs()) or 'none'}.")
        try:
            source = options["file"].read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
        show = None if options["json"] else self._line
        try:
            outcome = judge(JudgeRequest(lab=options["lab"], source=source, hidden=not options["public"]), on_event=show)
        except Unavailable as error:
            raise CommandError(f"The jail is not available: {error}") from error
        if options["json"]:
            self.stdout.write(json.dumps(self._json(outcome)))
        else:
            self.stdout.write(f"{outcome.verdict}  {outcome.score:g} of {outcome.max_score:g}  {outcome.message}".rstrip())
        if outcome.verdict != "AC":
            sys.exit(1)

    def _line(self, event: dict[str, Any]) -> None:
        if event["type"] == "test":
            test = event["test"]
            self.stdout.write(f"{test['verdict']:<4} {test['points']:g}/{test['max_points']:g}  {test['group']}: {test['name']}")
            if test["message"]:
                self.stdout.write("     " + test["message"].replace("\n", "\n     "))

    @staticmethod
    def _json(outcome: Outcome) -> dict[str, Any]:
        names = ("name", "group", "verdict", "points", "max_points", "seconds", "message")
        tests = [{name: test.as_dict()[name] for name in names} for test in outcome.tests]
        return {"verdict": str(outcome.verdict), "score": outcome.score, "max_score": outcome.max_score, "message": outcome.message, "tests": tests}
