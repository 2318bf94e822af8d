"""Judges code again from the shell: what would change, and with --apply, what does."""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from interviews.accounts.models import User
from interviews.errors import Problem
from interviews.review import rejudging, trials
from interviews.review.comparing import rejudge_json
from interviews.review.models import Rejudge

POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Judge the code that counts again, and show before and after. The workers judge; without --apply nothing changes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        target = parser.add_mutually_exclusive_group(required=True)
        target.add_argument("--run", help="the id of one run")
        target.add_argument("--lab", help="all finished interviews with this lab")
        target.add_argument("--interview", help="the id of an interview")
        parser.add_argument("--by", required=True, help="e-mail address of the interviewer or admin who answers for it")
        parser.add_argument("--apply", action="store_true", help="let the new results count")
        parser.add_argument("--timeout", type=float, default=3600, help="seconds to wait for the workers")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = User.objects.filter(email__iexact=options["by"]).first()
        if actor is None or not actor.reviews:
            raise CommandError(f"{options['by']} is not an interviewer or admin here.")
        scope = next(name for name in Rejudge.Scope.values if options[name])
        try:
            rejudge = self._start(scope, options[scope], actor)
            self._wait(rejudge, options["timeout"])
            if options["apply"]:
                rejudge = rejudging.apply(trial=rejudge, actor=actor)
        except Problem as problem:
            raise CommandError(str(problem)) from problem
        shown = rejudge_json(rejudge)
        self.stdout.write(json.dumps(shown, ensure_ascii=False)) if options["json"] else self._print(shown)

    def _start(self, scope: str, target: str, actor: User) -> Rejudge:
        """Begins, or looks again at what is judged and undecided: here the same command both shows it and, with --apply, decides."""
        try:
            return rejudging.start(scope=scope, target=target, actor=actor)
        except trials.Undecided as undecided:
            if undecided.behind:
                raise
            self.stderr.write(f"These are the results of {undecided.trial.at:%Y-%m-%d %H:%M} UTC. To judge anew, apply or discard them first.")
            return undecided.trial

    def _wait(self, rejudge: Rejudge, timeout: float) -> None:
        until, last = time.monotonic() + timeout, -1
        total = rejudge.rows.count()
        while (done := total - trials.waiting(rejudge).count()) < total:
            if done != last:
                self.stderr.write(f"{done} of {total} judged")
                last = done
            if time.monotonic() > until:
                raise CommandError(f"{done} of {total} judged in {timeout:g} s. The same command looks again. Is a worker running (manage.py serve)?")
            time.sleep(POLL_SECONDS)

    def _print(self, shown: dict[str, Any]) -> None:
        for row in shown["rows"]:
            before, after = row["before"], row["after"]
            change = f"{before['verdict']} {before['score']:g} -> {after['verdict']} {after['score']:g}"
            whose = f"{row['interview']['candidate']}, {row['question']['title']}"
            self.stdout.write(f"{row['words']:<24} {change:<22} {whose}  {row['note']}".rstrip())
            for test in row["tests"]:
                told = [f"{side[0]} {side[1]:g}" if side else "-" for side in (test["before"], test["after"])]
                self.stdout.write(f"    {test['name']}: {told[0]} -> {told[1]}")
        counts = ", ".join(f"{n} {name}" for name, n in shown["counts"].items() if n)
        self.stdout.write(f"{shown['title']}: {counts}; {shown['state']}")
