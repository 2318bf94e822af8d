"""Rubrics in, explained scores out. The names below are the only ones that other rooms import."""

from grading.result import Answer, ClaimMark, CriterionScore, Evidence, Question, Score
from grading.rubric import BELOW, Rubric, RubricError

__all__ = ["BELOW", "Answer", "ClaimMark", "CriterionScore", "Evidence", "Question", "Rubric", "RubricError", "Score"]
