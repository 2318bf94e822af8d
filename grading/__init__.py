"""Rubrics in, explained scores out. The names below are the only ones that other rooms import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grading.draft import draft_rubric
from grading.result import Answer, ClaimMark, CriterionScore, Evidence, Question, Score
from grading.rubric import BELOW, Rubric, RubricError

__all__ = ["BELOW", "Answer", "ClaimMark", "CriterionScore", "Evidence", "Question", "Rubric", "RubricError", "Score", "draft_rubric",
           "score"]


def score(rubric: Rubric, answer: Answer | str, question: Question | str | None = None, *,
          run: Mapping[str, Any] | None = None) -> Score:
    """Mark an answer; see `grading.scorer.score`. The scorer and its encoder load on the first call of a process."""
    from grading.scorer import score as default

    return default(rubric, answer, question, run=run)
