"""Rubrics in, explained scores out. The names below are the only ones that other rooms import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grading.calibration import Calibration
from grading.certainty import doubtful, run_of_levels
from grading.draft import draft_rubric, draft_yaml
from grading.result import Answer, ClaimMark, CriterionScore, Evidence, Question, Score, Unsure
from grading.rubric import BELOW, Rubric, RubricError

__all__ = ["BELOW", "Answer", "Calibration", "ClaimMark", "CriterionScore", "Evidence", "Question", "Rubric", "RubricError", "Score", "Unsure", "doubtful",
           "draft_rubric", "draft_yaml", "run_of_levels", "score"]


def score(rubric: Rubric, answer: Answer | str, question: Question | str | None = None, *,
          run: Mapping[str, Any] | None = None, calibration: Calibration | None = None) -> Score:
    """Mark an answer; see `grading.scorer.score`, and `grading.whiteboard.score` for a rubric that asks for a drawing.

    The scorer and its encoder load on the first call of a process.
    """
    from grading.scorer import score as default

    if any(criterion.diagram for criterion in rubric.criteria):
        from grading.whiteboard import score as board

        return board(rubric, Answer(answer) if isinstance(answer, str) else answer, Question(question) if isinstance(question, str) else question,
                     lambda plain, said, asked: default(plain, said, asked, run=run, calibration=calibration))
    return default(rubric, answer, question, run=run, calibration=calibration)
