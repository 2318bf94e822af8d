"""Reads of the banks."""

from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet

from interviews.bank.models import Pack, Question, QuestionVersion


def packs() -> QuerySet[Pack]:
    """All packs with their questions and current versions."""
    return Pack.objects.prefetch_related("questions__current")


def askable() -> QuerySet[Question]:
    """Questions that a new interview may ask."""
    return Question.objects.exclude(current=None).select_related("current", "pack")


def topics() -> list[str]:
    """Every topic that a current question has, sorted."""
    return sorted({topic for question in askable() for topic in question.current.topics})


def find(name: str) -> Question | None:
    """A question by `slug`, `pack/slug` or uuid; None when there is none, or several packs have the slug."""
    pack, _, slug = name.rpartition("/")
    found = askable().filter(slug=slug, **({"pack__slug": pack} if pack else {}))
    if not found:
        try:
            found = askable().filter(id=name)
        except ValidationError:  # no uuid
            return None
    return found[0] if len(found) == 1 else None


def versions_of(question: Question) -> QuerySet[QuestionVersion]:
    """Every version of a question, the newest first, with the number of answers to it in interviews that are over."""
    answers = Count("asked", filter=Q(asked__interview__finished_at__isnull=False))
    return question.versions.defer("files").select_related("created_by").annotate(answers=answers).order_by("-created_at")
