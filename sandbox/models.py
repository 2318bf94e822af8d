"""What the sandbox keeps: every run of a candidate's code, and each test's result as it arrives."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models

from sandbox.leases import Leased


class Run(Leased):
    """One submission judged against a lab's public or hidden tests.

    `subject` is the id of the answer that the code comes from, which another room owns. A `background` run waits behind all
    others and counts against nobody's limits: nobody sits in front of it.
    """

    class Kind(models.TextChoices):
        PUBLIC = "public"
        HIDDEN = "hidden"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="runs")
    subject = models.UUIDField(null=True, db_index=True)
    lab = models.CharField(max_length=80)
    kind = models.CharField(max_length=8, choices=Kind)
    source = models.TextField()
    background = models.BooleanField(default=False)
    abort_requested = models.BooleanField(default=False)
    verdict = models.CharField(max_length=4, blank=True)
    score = models.FloatField(default=0)
    max_score = models.FloatField(default=0)
    planned = models.PositiveSmallIntegerField(default=0)
    message = models.TextField(blank=True)
    driver = models.CharField(max_length=16, blank=True)
    flight = models.JSONField(null=True)
    tell_at = models.DateTimeField(null=True, db_index=True)  # when the reaper tells of the end once more; none where there is nothing to tell

    class Meta:
        ordering: ClassVar = ["queued_at"]

    def __str__(self) -> str:
        return f"{self.lab} {self.kind} {self.verdict or self.state}"


class TestResult(models.Model):
    """One test of one run, written when it ended."""

    __test__ = False  # not a test class, whatever its name suggests to a collector

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="tests")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=120)
    group = models.CharField(max_length=80)
    verdict = models.CharField(max_length=4)
    points = models.FloatField()
    max_points = models.FloatField()
    seconds = models.FloatField()
    message = models.TextField(blank=True)
    stdout = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "position"], name="one_result_per_test")]


class Worker(models.Model):
    """What a judging worker last said of itself."""

    name = models.CharField(max_length=200, unique=True)
    driver = models.CharField(max_length=16)
    ok = models.BooleanField()
    detail = models.TextField(blank=True)
    device = models.CharField(max_length=80)
    gpus = models.JSONField(default=list)  # those that it lends: {gpu, name, ok, detail}
    seen_at = models.DateTimeField(auto_now=True)
