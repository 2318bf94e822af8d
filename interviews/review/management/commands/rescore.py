"""Scores the answers to a question, or to all of them, with the rubric and scorer of today: what would change, and with --apply, what does."""

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from interviews.accounts.models import User
from interviews.bank.models import Question
from interviews.bank.queries import find
from interviews.errors import Problem
from interviews.live.models import InterviewQuestion
from interviews.review import actions, queries, rescoring
from interviews.review.differing import Difference, Side, summary

Pair = tuple[InterviewQuestion, Difference]


class Command(BaseCommand):
    help = (
        "Score the answers of finished interviews again and show the difference, question by question. Without --apply nothing changes; with it the workers "
        "grade them, the old scores stay beside the new ones, and what people decided holds for both."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("questions", nargs="*", metavar="QUESTION", help="slug, pack/slug or uuid; none means every question")
        parser.add_argument("--apply", action="store_true", help="have them graded again")
        parser.add_argument("--by", help="e-mail address of the interviewer or admin who answers for it; needed to apply")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        questions = [self._question(name) for name in options["questions"]]
        actor = User.objects.filter(email__iexact=options["by"] or "").first()
        if options["apply"] and (actor is None or not actor.reviews):
            raise CommandError(f"--apply needs --by, the address of an interviewer or admin here, and not {options['by']!r}.")
        asked = rescoring.over().filter(version__question__in=questions) if questions else rescoring.over()
        scores = queries.counting_of(asked)
        found = [(question, rescoring.compare(question, scores[question.answer.pk])) for question in asked if question.answer.pk in scores]
        self.stdout.write(json.dumps([_row(*pair) for pair in found], ensure_ascii=False)) if options["json"] else self._print(found)
        if options["apply"] and actor is not None:
            self._apply(asked, actor)

    def _question(self, name: str) -> Question:
        found = find(name)
        if found is None:
            raise CommandError(f"No question {name!r}, or several packs have one: write pack/slug.")
        return found

    def _print(self, found: Sequence[Pair]) -> None:
        for slug, own in groupby(found, _slug):
            pairs = list(own)
            all_ = summary([difference for _, difference in pairs])
            failed = f", {all_.failed} not scored" if all_.failed else ""
            told = f"{all_.otherwise} otherwise, {all_.levels} at another level, {all_.mean:+.2f} points on average{failed}"
            self.stdout.write(f"{slug}: {_counted(all_.answers, 'answer')}, {told}")
            for question, difference in pairs:
                if difference.change != "same":
                    self.stdout.write(f"    {question.interview_id}  {_said(difference.before)} -> {_said(difference.after)}")
        if not found:
            self.stdout.write("No such answer has been scored.")

    def _apply(self, asked: Iterable[InterviewQuestion], actor: User) -> None:
        count, left = 0, list[str]()
        for interview, own in groupby(sorted(asked, key=lambda question: question.interview_id), lambda question: question.interview):
            try:
                actions.check_reviewer(interview, actor)
                queued = actions.rescore(interview=interview, actor=actor, only=[question.pk for question in own], background=True)
            except Problem as problem:
                left.append(f"{interview.pk}: {problem}")
                continue
            count += len(queued)
            left += [] if queued else [f"{interview.pk}: it is being graded already"]
        for line in left:
            self.stderr.write(line)
        self.stdout.write(self.style.SUCCESS(f"{_counted(count, 'answer')} queued to be graded again. The reports show both scores."))


def _slug(pair: Pair) -> str:
    return pair[0].version.question.slug


def _row(question: InterviewQuestion, difference: Difference) -> dict[str, Any]:
    return {"interview": str(question.interview_id), "question": question.version.question.slug, **difference.to_dict()}


def _said(side: Side) -> str:
    return "not scored" if side.total is None else " ".join(filter(None, (f"{side.total:g}", side.level, side.state)))


def _counted(n: int, thing: str) -> str:
    return f"{n} {thing}{'' if n == 1 else 's'}"
