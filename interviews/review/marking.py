"""From a stored answer to a score: what the scorer is given, and what came back as rows. The scorer itself is `grading`'s."""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings

import grading
from grading.calibration import Calibration
from grading.judge import judge_batch, scorer_name
from grading.judge_models import model_of
from grading.models import CriterionScore, FittedCalibration, RubricVersion, Score
from grading.result import SCORER
from grading.units import registry
from interviews.live.documents import Content
from interviews.live.models import InterviewQuestion
from sandbox import labs
from sandbox.actions import MAX_SOURCE_BYTES
from sandbox.models import Run

log = logging.getLogger(__name__)
_making = threading.Lock()  # two threads may mark, and the one that comes first makes what there must be one of in a process
BY_HAND = "a person"  # as the name of what graded
JUDGE_FAILED = "The judge could not run this code. That is our fault and counts for nothing; an interviewer can have it judged again."


@dataclass(frozen=True)
class NotScored(Exception):
    """The answer can't be graded, and why, in words for the candidate."""

    reason: str


def current_calibration() -> Calibration | None:
    """What people's marks have taught the scorer so far."""
    newest = FittedCalibration.objects.order_by("-created_at").first()
    return Calibration.from_dict(newest.body) if newest else None


def grader() -> str:
    """What grades prose at present: the scorer with what it was taught, and the language model where one is named."""
    model, calibration = model_of(**settings.JUDGE), current_calibration()
    names = [SCORER, calibration.name if calibration else "", scorer_name(model, settings.JUDGE_RUNS) if model else ""]
    return " ".join(filter(None, names))


@cache
def _make_ready() -> None:
    """Makes the units, which mix with no other registry's, the encoder, which is large, and what reads the order of words."""
    from grading import order  # loads torch, which a web process does without
    from grading.encoder import encoder

    registry()
    encoder()
    order.shipped()


def make_ready() -> None:
    """Does what the first answer would wait for. Threads that come meanwhile wait for the one that came first."""
    with _making:
        _make_ready()


def groups_of(tests: Sequence[Any]) -> dict[str, Any]:
    """Points earned and possible per test group, from a run's tests."""
    groups: dict[str, list[float]] = {}
    for test in tests:
        earned = groups.setdefault(test.group, [0.0, 0.0])
        earned[0] += test.points
        earned[1] += test.max_points
    return {"groups": groups}


def nothing_judged(lab: str) -> dict[str, Any]:
    """What a module earns that has no code, or more than the judge takes: nothing of each group."""
    return {"groups": {group.name: [0.0, group.points] for group in labs.load(lab).groups}}


def mark(asked: InterviewQuestion, rubric_body: Mapping[str, Any], content: Content, run: Run | None) -> grading.Score:
    """Grades one answer as it stands, against a rubric with the numbers that were asked.

    Raises:
        NotScored: the code was never judged, for reasons that are ours.
    """
    judged, version = None, asked.version
    if version.kind == "code":
        judged = nothing_judged(version.lab)
        if content.code.strip() and len(content.code.encode()) <= MAX_SOURCE_BYTES:
            if run is None or run.verdict in ("JE", "AB", ""):
                raise NotScored(JUDGE_FAILED)
            judged = groups_of(list(run.tests.all()))
    question = grading.Question(prompt=asked.prompt, title=version.title, kind=version.kind)
    answer = grading.Answer(text=content.text, code=content.code, fields=content.fields, scene=content.scene)
    return mark_answer(grading.Rubric.from_dict(dict(rubric_body)), question, answer, judged)


def mark_answer(rubric: grading.Rubric, question: grading.Question, answer: grading.Answer, judged: Mapping[str, Any] | None = None) -> grading.Score:
    """Grades any answer as those of interviews are. `judged`: what its code earned, by test group."""
    make_ready()
    marked = grading.score(rubric, answer, question, run=judged, calibration=current_calibration())
    model = model_of(**settings.JUDGE)
    return marked if model is None else judge_batch(rubric, question, [(answer, marked)], model, settings.JUDGE_RUNS)[0]


def store(subject: UUID, rubric: RubricVersion, marked: grading.Score) -> Score:
    """Writes a score and its criteria. Call inside a transaction."""
    if marked.state == "not_scored":
        return store_not_scored(subject, rubric, marked.max, marked.reason, marked.scorer)
    row = Score.objects.create(
        subject=subject,
        rubric=rubric,
        scorer=marked.scorer,
        state=marked.state,
        total=marked.total,
        max=marked.max,
        level=marked.level,
        level_set=list(marked.level_set),
        law=[[points, round(p, 6)] for points, p in marked.law.items()],
        flags=list(marked.flags),
        reason=marked.reason,
    )
    CriterionScore.objects.bulk_create(
        CriterionScore(
            score=row,
            criterion=criterion.id,
            position=position,
            points=criterion.points,
            max=criterion.max,
            evidence=[span._asdict() for span in criterion.evidence],
            reason=criterion.reason,
            missed=list(criterion.missed),
            confidence=criterion.confidence,
            unsure=[look._asdict() for look in criterion.unsure],
        )
        for position, criterion in enumerate(marked.criteria)
    )
    return row


def store_not_scored(subject: UUID, rubric: RubricVersion, maximum: float, reason: str, scorer: str = "") -> Score:
    """Writes that there is no score, and why."""
    return Score.objects.create(
        subject=subject, rubric=rubric, scorer=scorer, state=Score.State.NOT_SCORED, total=None, max=maximum, reason=reason
    )


def store_by_hand(subject: UUID, rubric: RubricVersion, points: Mapping[str, float]) -> Score:
    """Writes a person's points for every criterion of an answer as a score of its own. Call inside a transaction."""
    read = grading.Rubric.from_dict(rubric.body)
    criteria = tuple(grading.CriterionScore(c.id, c.title, points[c.id], c.points) for c in read.criteria)
    level = read.level(points) if read.bands else ""
    return store(subject, rubric, grading.Score(sum(points.values()), read.max, level, (level,) if level else (), "scored", criteria, scorer=BY_HAND))
