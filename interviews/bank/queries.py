"""Reads of the banks."""

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from interviews.bank.models import Pack, Question


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
