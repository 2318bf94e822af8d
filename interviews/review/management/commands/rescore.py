"""Scores the answers to a question, or to all of them, with the rubric and scorer of today: what would change, and with --apply, what does."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from grading.models import Score
from interviews.accounts.models import User
from interviews.bank.actions import rubric_of
from interviews.bank.models import Question
from interviews.bank.queries import find
from interviews.errors import Problem
from interviews.live.models import Interview, InterviewQuestion
from interviews.live.queries import content_of
from interviews.review import actions, marking, queries


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
        asked = self._answered(questions)
        rows = [row for question in asked if (row := self._compare(question)) is not None]
        self.stdout.write(json.dumps(rows, ensure_ascii=False)) if options["json"] else self._print(rows)
        if options["apply"] and actor is not None:
            self._apply(asked, questions, actor)

    def _question(self, name: str) -> Question:
        found = find(name)
        if found is None:
            raise CommandError(f"No question {name!r}, or several packs have one: write pack/slug.")
        return found

    def _answered(self, questions: Sequence[Question]) -> list[InterviewQuestion]:
        """What was asked in interviews that have been scored, in whatever version."""
        done = (Interview.Status.SCORED, Interview.Status.PUBLISHED)
        asked = InterviewQuestion.objects.filter(interview__status__in=done).select_related("version__question", "version__rubric", "answer", "interview")
        asked = asked.filter(version__question__in=questions) if questions else asked
        return list(asked.order_by("version__question__slug", "interview__finished_at", "pk"))

    def _compare(self, question: InterviewQuestion) -> dict[str, Any] | None:
        """The score that counts and the one that would be, without what people changed; None for an answer that was never graded, or by a person alone."""
        old = next((s for s in queries.counting(list(queries.gradings(question).exclude(scorer=marking.BY_HAND)))), None)
        if old is None:
            return None
        row = {
            "interview": str(question.interview_id),
            "question": question.version.question.slug,
            "before": _points(old.total, old.level, old.state, old.scorer),
        }
        try:
            content = content_of(question)
            run = queries.final_run(question, content.code) if question.version.kind == "code" else None
            new = marking.mark(question, rubric_of(question.version, question.seed).body, content, run)
        except marking.NotScored as why:
            return {**row, "after": _points(None, "", Score.State.NOT_SCORED, ""), "reason": why.reason}
        scored = new.state != Score.State.NOT_SCORED
        return {**row, "after": _points(new.total if scored else None, new.level, new.state, new.scorer), "reason": new.reason}

    def _print(self, rows: Sequence[dict[str, Any]]) -> None:
        for slug in dict.fromkeys(row["question"] for row in rows):
            own = [row for row in rows if row["question"] == slug]
            both = [(row["before"], row["after"]) for row in own if None not in (row["before"]["total"], row["after"]["total"])]
            other = [row for row in own if row["before"] | {"scorer": ""} != row["after"] | {"scorer": ""}]
            mean = sum(after["total"] - before["total"] for before, after in both) / len(both) if both else 0.0
            levels = sum(before["level"] != after["level"] for before, after in both)
            self.stdout.write(f"{slug}: {_counted(len(own), 'answer')}, {len(other)} otherwise, {levels} at another level, {mean:+.2f} points on average")
            for row in other:
                self.stdout.write(f"    {row['interview']}  {_said(row['before'])} -> {_said(row['after'])}")
        if not rows:
            self.stdout.write("No such answer has been scored.")

    def _apply(self, asked: Sequence[InterviewQuestion], questions: Sequence[Question], actor: User) -> None:
        count, left = 0, list[str]()
        for interview in dict.fromkeys(question.interview for question in asked):
            try:
                queued = actions.rescore(interview=interview, actor=actor, only=questions)
            except Problem as problem:
                left.append(f"{interview.pk}: {problem}")
                continue
            count += queued
            left += [] if queued else [f"{interview.pk}: it is being graded already"]
        for line in left:
            self.stderr.write(line)
        self.stdout.write(self.style.SUCCESS(f"{_counted(count, 'answer')} queued to be graded again. The reports show both scores."))


def _points(total: float | None, level: str, state: str, scorer: str) -> dict[str, Any]:
    return {"total": total, "level": level, "state": state, "scorer": scorer}


def _said(points: dict[str, Any]) -> str:
    return "not scored" if points["total"] is None else " ".join(filter(None, (f"{points['total']:g}", points["level"], points["state"])))


def _counted(n: int, thing: str) -> str:
    return f"{n} {thing}{'' if n == 1 else 's'}"
