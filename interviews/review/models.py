"""Grading as durable jobs, judging again, and what people add to scores. Nothing here changes a score: overrides and notes stand beside it."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from grading.insert_only import InsertOnly
from grading.models import Score
from interviews.bank.models import QuestionVersion
from interviews.live.models import Event, Interview, InterviewQuestion
from sandbox.leases import Leased
from sandbox.models import Run


class GradeJob(Leased):
    """One grading of one answer. A rescore is a job of the next generation."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    question = models.ForeignKey(InterviewQuestion, on_delete=models.CASCADE, related_name="grade_jobs")
    generation = models.PositiveSmallIntegerField(default=0)
    score = models.OneToOneField(Score, on_delete=models.PROTECT, null=True, related_name="job")
    background = models.BooleanField(default=False)  # one of many that a trial had done: behind what somebody waits for

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["question", "generation"], name="one_job_per_generation")]


class Override(InsertOnly):
    """An interviewer's points for one criterion of one score. The latest counts; the earlier ones stay."""

    score = models.ForeignKey(Score, on_delete=models.CASCADE, related_name="overrides")
    criterion = models.CharField(max_length=80)
    points = models.FloatField()
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]


class Note(InsertOnly):
    """What an interviewer wrote down, about the interview or one question. The candidate reads it once the review is published."""

    interview = models.ForeignKey(Interview, on_delete=models.CASCADE, related_name="notes")
    question = models.ForeignKey(InterviewQuestion, on_delete=models.CASCADE, null=True, related_name="notes")
    text = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]


class Letter(models.Model):
    """A mail that tells the candidate of a publication, and whether it is on its way yet."""

    event = models.OneToOneField(Event, on_delete=models.CASCADE, related_name="letter")
    address = models.CharField(max_length=500)  # of the report
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)


class Trial(models.Model):
    """Something done again, to be looked at before it counts. Its `rows` hold before and after; each kind of trial has a `scope` of its own."""

    class State(models.TextChoices):
        OPEN = "open"
        APPLIED = "applied"
        DISCARDED = "discarded"

    # How people call it. The name of the model is that of its page, too.
    AGAIN: ClassVar[str]  # what is done: "judge again"
    DONE: ClassVar[str]  # what has been: "judged"
    WHAT: ClassVar[str]  # what counts: "runs"
    do_not_call_in_templates = True  # the class: templates ask it for its words

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    target = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        ordering: ClassVar = ["-at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["scope", "target"], condition=models.Q(state="open"), name="one_open_%(class)s_each")]


class TrialRow(models.Model):
    """What a trial did again for one answer. `applied` once it counts; `note` says why it never will."""

    question = models.ForeignKey(InterviewQuestion, on_delete=models.CASCADE, related_name="+")
    applied = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        abstract = True
        ordering: ClassVar = ["id"]


class Rejudge(Trial):
    """Code judged again, to be looked at before it counts: of one run, of all interviews with a lab, or of one interview."""

    class Scope(models.TextChoices):
        RUN = "run"
        LAB = "lab"
        INTERVIEW = "interview"

    AGAIN, DONE, WHAT = "judge again", "judged", "runs"
    scope = models.CharField(max_length=10, choices=Scope)


class RejudgedRun(TrialRow):
    """One run of a rejudge: the one that counted, and the one that would."""

    WAITING: ClassVar = ~models.Q(after__state=Run.State.DONE)
    rejudge = models.ForeignKey(Rejudge, on_delete=models.CASCADE, related_name="rows")
    before = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    after = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="+")


class Rescoring(Trial):
    """Answers scored again, to be looked at before it counts: those to a question, to a version of one, or to all questions there are."""

    class Scope(models.TextChoices):
        QUESTION = "question"
        VERSION = "version"
        BANK = "bank"

    AGAIN, DONE, WHAT = "score again", "scored", "scores"
    scope = models.CharField(max_length=10, choices=Scope)


class RescoredAnswer(TrialRow, Leased):
    """One answer of a rescoring. Once it is done, `told` holds its marks before and after (`differing.Difference`), `before` is the score that counted then,
    `seq` the last event of its interview by then, and `basis` what the marks after rest on.
    """

    WAITING: ClassVar = ~models.Q(state=Leased.State.DONE)
    rescoring = models.ForeignKey(Rescoring, on_delete=models.CASCADE, related_name="rows")
    before = models.ForeignKey(Score, on_delete=models.CASCADE, related_name="+")
    seq = models.PositiveIntegerField(default=0)
    basis = models.CharField(max_length=300, blank=True)
    told = models.JSONField(null=True)

    @classmethod
    def unheard(cls) -> "models.QuerySet[Any]":
        """Of each rescoring the row whose turn it is, if it waits in vain."""
        own = cls.objects.filter(rescoring=models.OuterRef("rescoring"))
        ahead = own.filter(models.Q(state__in=cls.ACTIVE) | models.Q(state=cls.State.QUEUED, pk__lt=models.OuterRef("pk")))
        return super().unheard().exclude(models.Exists(ahead))


class Tryout(Leased):
    """Answers marked by a question's rubric to see how it marks them: the one that somebody wrote, the question's exemplars, or both. Counts for nothing.

    `rubric`: rubric.yaml as it was typed, "" for the version's own. `answers`: a list of `tried.Tried` as JSON. `told`: the mark of each so far.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(QuestionVersion, on_delete=models.CASCADE, related_name="+")
    rubric = models.TextField(blank=True)
    answers = models.JSONField()
    told = models.JSONField(default=list)
    failed = models.BooleanField(default=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
