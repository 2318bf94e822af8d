"""What grading keeps: rubrics by content hash and scores by criterion. Both are written once; a rescore is a new row."""

import uuid
from typing import ClassVar

from django.db import models

from grading.insert_only import InsertOnly


class RubricVersion(InsertOnly):
    """A rubric as it was, named by the SHA-256 of its canonical JSON."""

    hash = models.CharField(primary_key=True, max_length=64)
    body = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.hash[:12]


class FittedCalibration(InsertOnly):
    """A `grading.calibration.Calibration` fitted to people's marks, with the report that was shown when it was taken into use. The newest is
    used for scores from then on; scores that exist keep theirs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    body = models.JSONField()
    report = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["created_at"]


class Score(InsertOnly):
    """One grading of one answer against one rubric version.

    `subject` is the id of the answer, which another room owns. `scorer` names what graded, with its version. A score in state
    `not_scored` has no total: the grader could not do its work and says why. `law` holds [points, probability] pairs: how likely a careful
    reader would give that many in all; null where there is none, or the score is older than this.
    """

    class State(models.TextChoices):
        SCORED = "scored"
        REVIEW = "review"
        NOT_SCORED = "not_scored"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    subject = models.UUIDField(db_index=True)
    rubric = models.ForeignKey(RubricVersion, on_delete=models.PROTECT, related_name="scores")
    scorer = models.CharField(max_length=80)
    state = models.CharField(max_length=12, choices=State)
    total = models.FloatField(null=True)
    max = models.FloatField()
    level = models.CharField(max_length=8, blank=True)
    level_set = models.JSONField(default=list)
    law = models.JSONField(null=True)
    flags = models.JSONField(default=list)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="a_total_exactly_when_scored",
                condition=models.Q(state="not_scored", total__isnull=True)
                | (~models.Q(state="not_scored") & models.Q(total__isnull=False)),
            )
        ]


class CriterionScore(InsertOnly):
    """Points for one criterion, with the words that earned them. `unsure`: what a person should look at first, as
    `grading.result.Unsure`; null where the score is older than this."""

    score = models.ForeignKey(Score, on_delete=models.CASCADE, related_name="criteria")
    criterion = models.CharField(max_length=80)
    position = models.PositiveSmallIntegerField()
    points = models.FloatField()
    max = models.FloatField()
    evidence = models.JSONField(default=list)
    reason = models.TextField(blank=True)
    missed = models.JSONField(default=list)
    confidence = models.FloatField(null=True)
    unsure = models.JSONField(null=True)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["score", "criterion"], name="one_row_per_criterion"),
            models.CheckConstraint(name="no_more_than_the_maximum", condition=models.Q(points__lte=models.F("max"))),
        ]
