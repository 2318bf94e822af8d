"""Scores an answer file from the shell, the way an interview's answer is scored."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import grading
from interviews.bank.actions import rubric_of
from interviews.bank.files import BankError, parse_answer
from interviews.bank.queries import find
from interviews.review.marking import groups_of, nothing_judged
from sandbox import JudgeRequest, Unavailable, judge


class Command(BaseCommand):
    help = "Score FILE as an answer to QUESTION (slug, pack/slug or uuid). Code is judged for real against the hidden tests."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("question")
        parser.add_argument("file", type=Path, help="an answer as .md (front matter is passed by), or a module as .py")
        parser.add_argument("--seed", type=int, default=0, help="the variant that was asked, for a question with generated numbers")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        question = find(options["question"])
        if question is None or question.current is None:
            name = options["question"]
            raise CommandError(f"No question {name!r}, or several packs have one: write pack/slug. `load_bank` loads the packs.")
        version = question.current
        answer = self._answer(options["file"], version.kind)
        run = None
        if version.kind == "code":
            run = self._judge(version.lab, answer.code) if answer.code.strip() else nothing_judged(version.lab)
        asked = grading.Question(prompt=version.variant(options["seed"])["prompt.md"], title=version.title, kind=version.kind)
        score = grading.score(grading.Rubric.from_dict(rubric_of(version, options["seed"]).body), answer, asked, run=run)
        if options["json"]:
            self.stdout.write(json.dumps(self._json(score), ensure_ascii=False))
        else:
            self._print(score)

    def _answer(self, path: Path, kind: str) -> grading.Answer:
        try:
            text = path.read_bytes().decode("utf-8")
            if path.suffix == ".py":
                return grading.Answer(text="", code=text)
            return parse_answer(text, kind=kind, file=str(path))[1]
        except (OSError, UnicodeDecodeError, BankError) as error:
            raise CommandError(f"{path} can't be read: {error}") from error

    def _judge(self, lab: str, code: str) -> dict[str, Any]:
        try:
            outcome = judge(JudgeRequest(lab=lab, source=code, hidden=True))
        except Unavailable as error:
            raise CommandError(f"The code can't be judged here: {error}") from error
        if outcome.verdict == "JE":
            raise CommandError(f"The judge failed: {outcome.message}")
        return groups_of(outcome.tests)

    def _json(self, score: grading.Score) -> dict[str, Any]:
        criteria = [
            {
                "id": criterion.id,
                "points": criterion.points,
                "evidence": [span._asdict() for span in criterion.evidence],
                "reason": criterion.reason,
                "missed": list(criterion.missed),
            }
            for criterion in score.criteria
        ]
        scored = score.state != "not_scored"
        return {
            "total": score.total if scored else None,
            "max": score.max,
            "level": score.level,
            "state": score.state,
            "flags": list(score.flags),
            "criteria": criteria,
        }

    def _print(self, score: grading.Score) -> None:
        for criterion in score.criteria:
            self.stdout.write(f"{criterion.points:4g}/{criterion.max:g}  {criterion.title}: {criterion.reason}")
            for span in criterion.evidence:
                self.stdout.write(f"          “{span.text}”")
            for missed in criterion.missed:
                self.stdout.write(f"          missed: {missed}")
        total = "not scored" if score.state == "not_scored" else f"{score.total:g} of {score.max:g}, {score.level}"
        self.stdout.write(f"{total} ({score.state}{': ' + score.reason if score.reason else ''})")
