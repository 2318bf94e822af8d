"""An interview, what it asks, what was typed, and everything that happened, in order."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from grading.insert_only import InsertOnly
from interviews.bank.models import QuestionVersion


class Blueprint(models.Model):
    """What an interview is made of: sections of `{kinds, topics, level, count, minutes}`."""

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=120)
    level = models.CharField(max_length=2)
    minutes = models.PositiveSmallIntegerField()
    sections = models.JSONField()

    class Meta:
        ordering: ClassVar = ["minutes", "slug"]

    def __str__(self) -> str:
        return self.title


class Interview(models.Model):
    """One sitting. `seq` is the number of its last event; whoever changes the interview holds this row's lock."""

    class Status(models.TextChoices):
        READY = "ready"
        RUNNING = "running"
        GRADING = "grading"
        SCORED = "scored"
        PUBLISHED = "published"
        DISCARDED = "discarded"  # never started, and never to be

    NEVER_STARTED: ClassVar = (Status.READY, Status.DISCARDED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    candidate = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="interviews")
    title = models.CharField(max_length=120)
    level = models.CharField(max_length=2)
    minutes = models.PositiveSmallIntegerField()
    blueprint = models.JSONField()
    status = models.CharField(max_length=10, choices=Status, default=Status.READY, db_index=True)
    seq = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    deadline = models.DateTimeField(null=True, db_index=True)
    finished_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """The room until it is graded, then the report."""
        graded = self.status in (self.Status.SCORED, self.Status.PUBLISHED)
        return reverse("report" if graded else "room", args=[self.id])

    @property
    def remaining_ms(self) -> int:
        """Milliseconds that the server still grants; the whole length before the start."""
        if self.status == self.Status.READY or self.deadline is None:
            return self.minutes * 60_000
        if self.status != self.Status.RUNNING:
            return 0
        return max(0, int((self.deadline - timezone.now()).total_seconds() * 1000))

    @property
    def open(self) -> bool:
        """Whether a write of the candidate counts at this moment, by the server's clock."""
        return self.status == self.Status.RUNNING and self.remaining_ms > 0


class InterviewQuestion(models.Model):
    """A question as it is asked in this interview: a version that never changes, with the numbers that `seed` makes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    interview = models.ForeignKey(Interview, on_delete=models.CASCADE, related_name="questions")
    position = models.PositiveSmallIntegerField()
    version = models.ForeignKey(QuestionVersion, on_delete=models.PROTECT, related_name="asked")
    minutes = models.PositiveSmallIntegerField()
    seed = models.PositiveIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["interview", "position"], name="one_question_per_position")]

    @property
    def files(self) -> dict[str, str]:
        """The question's files with this interview's numbers."""
        return self.version.variant(self.seed)

    @property
    def prompt(self) -> str:
        """The Markdown of what the candidate was asked."""
        return self.files["prompt.md"]


class Answer(models.Model):
    """The answer's document: the sum of its updates. `seq` is the last update's number, `size` the bytes of all."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    question = models.OneToOneField(InterviewQuestion, on_delete=models.CASCADE, related_name="answer")
    seq = models.PositiveIntegerField(default=0)
    size = models.PositiveIntegerField(default=0)


class Update(InsertOnly):
    """One Yjs update, as it was acknowledged. All are kept: they are the playback."""

    answer = models.ForeignKey(Answer, on_delete=models.CASCADE, related_name="updates")
    seq = models.PositiveIntegerField()
    data = models.BinaryField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["seq"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["answer", "seq"], name="one_update_per_number")]


class Snapshot(models.Model):
    """The document after update `seq`, so that opening it need not replay everything. A cache: the updates are the truth."""

    answer = models.OneToOneField(Answer, on_delete=models.CASCADE, related_name="snapshot")
    seq = models.PositiveIntegerField()
    data = models.BinaryField()


class Event(InsertOnly):
    """Something that happened to an interview. `body` may hold `state`, a patch of the state's top level, and `run`, a run as it is now."""

    class Kind(models.TextChoices):
        CREATED = "created"
        STARTED = "started"
        RUN_QUEUED = "run_queued"
        RUN_STARTED = "run_started"
        RUN_TEST = "run_test"
        RUN_FINISHED = "run_finished"
        FINISHED = "finished"
        EXPIRED = "expired"
        GRADED = "graded"
        SCORED = "scored"
        SCORE_OVERRIDE = "score_override"
        NOTE = "note"
        PUBLISHED = "published"
        REJUDGED = "rejudged"
        RESCORED = "rescored"
        DISCARDED = "discarded"

    interview = models.ForeignKey(Interview, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=Kind)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    body = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["seq"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["interview", "seq"], name="one_event_per_number")]
