"""Reads of the banks."""

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet

from interviews.bank.models import Pack, Question, QuestionVersion


@dataclass(frozen=True)
class Search:
    """What questions are looked for: those with every word of the text, and with the kind, topic and level that are given."""

    text: str = ""
    kind: str = ""
    topic: str = ""
    level: str = ""

    def finds(self, question: Question) -> bool:
        """Whether a question that has a current version is one of them.

        Title, slug, prompt, topics and kind are looked at, as they are shown; hyphens part words, as spaces do. Not the database's to say: a prompt's
        numbers are filled in here, and to SQLite letters beyond ASCII have no case.
        """
        version = question.current
        if self.kind not in ("", version.kind) or self.topic not in ("", *version.topics) or self.level not in ("", *version.levels):
            return False
        words = self.text.casefold().replace("-", " ").split()
        if not words:
            return True
        shown = "\n".join([version.title, question.slug, version.kind, *version.topics, version.prompt]).casefold()
        return all(word in shown for word in words)


def packs() -> list[tuple[Pack, list[Question]]]:
    """All packs, each with its questions that have a current version."""
    found = Pack.objects.prefetch_related("questions__current")
    return [(pack, [question for question in pack.questions.all() if question.current]) for pack in found]


def current() -> QuerySet[Question]:
    """Questions that have a current version."""
    return Question.objects.exclude(current=None).select_related("current", "pack")


def askable() -> QuerySet[Question]:
    """Questions that a new interview may ask: none that is on hold."""
    return current().filter(held_at=None)


def topics(questions: QuerySet[Question] | None = None) -> list[str]:
    """Every topic of these questions, sorted; of those that a new interview may ask unless told otherwise."""
    found = askable() if questions is None else questions
    return sorted({topic for topics in found.values_list("current__topics", flat=True) for topic in topics})


def find(name: str) -> Question | None:
    """A question by `slug`, `pack/slug` or uuid; None when there is none, or several packs have the slug."""
    pack, _, slug = name.rpartition("/")
    found = current().filter(slug=slug, **({"pack__slug": pack} if pack else {}))
    if not found:
        try:
            found = current().filter(id=name)
        except ValidationError:  # no uuid
            return None
    return found[0] if len(found) == 1 else None


def versions_of(question: Question) -> QuerySet[QuestionVersion]:
    """Every version of a question, the newest first, with the number of answers to it in interviews that are over."""
    answers = Count("asked", filter=Q(asked__interview__finished_at__isnull=False))
    return question.versions.defer("files").select_related("created_by").annotate(answers=answers).order_by("-created_at")
