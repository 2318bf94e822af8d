"""Question banks: packs of questions, and every version of a question that there ever was."""

import uuid
from typing import ClassVar

from django.db import models
from django.urls import reverse

from grading.insert_only import InsertOnly
from grading.models import RubricVersion
from grading.variants import GENERATOR, PUBLISHED, files_of


class Pack(models.Model):
    """A folder of questions about one field."""

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    # pack.yaml as it was loaded, so that an export gives it back byte for byte.
    source = models.TextField()

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.title


class Question(models.Model):
    """A question through all its versions. `current` is the one that new interviews ask, unless the question is on hold.

    Two write it, the folder of its pack and admins on the site, and neither undoes the other: `loaded` is what the folder held when the pack was last
    loaded, `based_on` the loaded version that whoever made `current` knew of.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    pack = models.ForeignKey(Pack, on_delete=models.PROTECT, related_name="questions")
    slug = models.SlugField(max_length=80)
    current = models.ForeignKey("QuestionVersion", on_delete=models.PROTECT, null=True, related_name="+")
    current_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")  # null: a load of the pack
    current_at = models.DateTimeField(null=True)
    loaded = models.ForeignKey("QuestionVersion", on_delete=models.PROTECT, null=True, related_name="+")
    based_on = models.ForeignKey("QuestionVersion", on_delete=models.PROTECT, null=True, related_name="+")
    held_at = models.DateTimeField(null=True)  # null: new interviews ask it
    held_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["pack", "slug"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["pack", "slug"], name="one_slug_per_pack")]

    def __str__(self) -> str:
        return self.current.title if self.current else self.slug

    def get_absolute_url(self) -> str:
        return reverse("bank_question", args=[self.pack.slug, self.slug])

    @property
    def added(self) -> bool:
        """Whether it was made on the site, and its pack's folder has not got it yet."""
        return self.loaded_id is None

    @property
    def edited(self) -> bool:
        """Whether new interviews ask something else than the pack's folder says."""
        return self.current_id != self.loaded_id

    @property
    def pack_moved_on(self) -> bool:
        """Whether the folder changed after the question was edited on the site, and nobody has decided since which of both it shall be."""
        return self.based_on_id != self.loaded_id


class QuestionVersion(InsertOnly):
    """A question as it was. `files` maps paths such as `prompt.md` to their text; `hash` is the SHA-256 of its canonical JSON."""

    class Kind(models.TextChoices):
        WRITTEN = "written"
        DESIGN = "design"
        DEBUG = "debug"
        ESTIMATE = "estimate"
        QUICKFIRE = "quickfire"
        WHITEBOARD = "whiteboard"
        CODE = "code"

    question = models.ForeignKey(Question, on_delete=models.CASCADE, related_name="versions")
    hash = models.CharField(max_length=64)
    files = models.JSONField()
    rubric = models.ForeignKey(RubricVersion, on_delete=models.PROTECT, related_name="question_versions")
    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=Kind)
    topics = models.JSONField(default=list)
    levels = models.JSONField(default=list)
    minutes = models.PositiveSmallIntegerField()
    syllabus = models.JSONField(default=list)
    lab = models.CharField(max_length=80, blank=True)
    fields = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["created_at", "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["question", "hash"], name="one_row_per_content")]

    def __str__(self) -> str:
        return f"{self.title} ({self.hash[:8]})"

    @property
    def has_variants(self) -> bool:
        """Whether a generator makes this question's numbers."""
        return GENERATOR in self.files

    def variant(self, seed: int = PUBLISHED) -> dict[str, str]:
        """The files with the numbers of one seed; the same for every seed unless the question has variants."""
        return files_of(self.files, seed)

    @property
    def prompt(self) -> str:
        """The Markdown of the published variant's prompt."""
        return self.variant()["prompt.md"]


class Upload(models.Model):
    """An archive that an admin sent and has not decided about."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=200)
    archive = models.BinaryField()
    by = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    def get_absolute_url(self) -> str:
        return reverse("bank_upload", args=[self.id])
