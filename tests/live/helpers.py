"""What a browser does to an answer, without one."""

from datetime import timedelta

from django.utils import timezone
from pycrdt import Doc, Map, Text

from interviews.live import actions, documents
from interviews.live.models import Interview, InterviewQuestion


def question(interview: Interview, kind: str) -> InterviewQuestion:
    return interview.questions.select_related("version", "answer").get(version__kind=kind)


def write(asked: InterviewQuestion, *, text: str = "", code: str = "", fields: dict[str, str] | None = None) -> int:
    """Types into an answer as its candidate and returns the number of the stored update."""
    document = documents.open_document(asked.answer)
    before = document.get_state()
    if text:
        document.get("text", type=Text).insert(0, text)
    if code:
        shared = document.get("code", type=Text)
        del shared[:]
        shared.insert(0, code)
    for key, value in (fields or {}).items():
        document.get("fields", type=Map)[key] = value
    update = document.get_update(before)
    return actions.store_update(answer_id=asked.answer.pk, actor=asked.interview.candidate, data=bytes(update))


def typed(text: str, *, into: Doc | None = None) -> bytes:
    """The update of a fresh document (or of `into`) in which somebody typed this at the beginning."""
    document = into if into is not None else Doc()
    before = document.get_state()
    document.get("text", type=Text).insert(0, text)
    return bytes(document.get_update(before))


def pass_deadline(interview: Interview) -> None:
    Interview.objects.filter(pk=interview.pk).update(deadline=timezone.now() - timedelta(milliseconds=1))
    interview.refresh_from_db()
