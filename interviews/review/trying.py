"""Trying a question's rubric on answers before anybody's interview rests on it: as it stands, or as somebody is writing it.

What is tried is marked by the workers, as interviews are, behind the gradings that candidates wait for. It counts for nothing and is kept for a week.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

import grading
from grading.variants import PUBLISHED
from interviews.accounts.models import User
from interviews.bank.actions import edit_question
from interviews.bank.files import MAX_RUBRIC, Exemplar, parse_question, read_variant
from interviews.bank.models import Question, QuestionVersion
from interviews.errors import Problem
from interviews.review import actions, marking
from interviews.review.models import Tryout
from interviews.review.tried import Tried, stored, told
from sandbox.leases import MAX_ATTEMPTS, Lost

log = logging.getLogger(__name__)
RUBRIC = "rubric.yaml"
KEPT = timedelta(days=7)
MAX_WAITING = 3  # of one person
MAX_CHARACTERS = 40_000  # of an answer; candidates write fewer


def files_with(version: QuestionVersion, rubric: str) -> dict[str, str]:
    """The version's files with another rubric.yaml; "" for its own."""
    return {**version.files, RUBRIC: rubric or version.files[RUBRIC]}


def can_be_tried(version: QuestionVersion) -> bool:
    """Whether answers can be marked without an interview. What code earns the sandbox finds out, from a candidate's run."""
    return version.kind != "code"


def exemplars_of(version: QuestionVersion) -> tuple[Exemplar, ...]:
    """The question's exemplar answers, with the published numbers."""
    _, _, exemplars = read_variant(version.files, version.kind, PUBLISHED)
    return exemplars


def _tried(exemplar: Exemplar) -> Tried:
    answer = exemplar.answer
    return Tried(exemplar.name, exemplar.level, answer.text, dict(answer.fields), answer.scene)


def start(*, question: Question, actor: User, text: str, fields: Mapping[str, str], rubric: str = "", exemplars: bool = False) -> Tryout:
    """Queues an answer, the question's exemplars, or both to be marked by its rubric, or by `rubric` (YAML).

    Raises:
        BankError: the rubric can't be used.
        Problem: nothing to mark, too long, code, or too many of this person's tries still wait.
    """
    version = question.current
    if not can_be_tried(version):
        raise Problem("code", "Code is judged in the sandbox: sit an interview with this question to see what an answer earns.", 409)
    if rubric == version.files[RUBRIC]:
        rubric = ""
    if len(rubric) > MAX_RUBRIC:
        raise Problem("too_long", f"A rubric has at most {MAX_RUBRIC} characters here.")
    if rubric:
        parse_question(question.slug, files_with(version, rubric))
    written = Tried("", "", text, {name: value for name, value in fields.items() if value.strip()})
    if max(map(len, [text, *written.fields.values()])) > MAX_CHARACTERS:
        raise Problem("too_long", f"An answer has at most {MAX_CHARACTERS} characters.")
    answers = [] if written.answer.blank else [written]
    answers += map(_tried, exemplars_of(version)) if exemplars else []
    if not answers:
        raise Problem("nothing", "Write an answer, or have the exemplar answers marked.")
    return _queue(version, rubric, answers, actor)


@transaction.atomic
def _queue(version: QuestionVersion, rubric: str, answers: Sequence[Tried], actor: User) -> Tryout:
    if Tryout.objects.filter(by=actor).exclude(state=Tryout.State.DONE).count() >= MAX_WAITING:
        raise Problem("too_many", "Your last tries are still being marked. Wait for one of them.", 429)
    Tryout.objects.filter(queued_at__lt=timezone.now() - KEPT).delete()
    tryout = Tryout.objects.create(version=version, rubric=rubric, answers=stored(answers), by=actor)
    transaction.on_commit(lambda: wake(tryout))
    return tryout


def wake(tryout: Tryout) -> None:
    """Rings for a try."""
    actions.ring("try_answers", tryout)


def look(tryout: Tryout, give_way: Callable[[], None] = lambda: None) -> None:
    """Marks the answers of a claimed try, one by one, so that whoever waits sees them come, and goes on where an earlier attempt stopped. Between two answers
    it lets others do what is more urgent: `give_way`.

    Raises:
        Lost: another attempt holds it.
    """
    try:
        version = tryout.version
        prompt, rubric, _ = read_variant(files_with(version, tryout.rubric), version.kind, PUBLISHED)
        question = grading.Question(prompt=prompt, title=version.title, kind=version.kind)
        found = list(tryout.told)
        for answer in tryout.answers[len(found) :]:
            if found:
                give_way()
            tried = Tried(**answer)
            found.append(told(tried, rubric, marking.mark_answer(rubric, question, tried.answer), version.fields))
            tryout.advance(told=found)
        _end(tryout)
    except Lost:
        raise
    except Exception:
        log.exception("try %s: attempt %s failed", tryout.pk, tryout.attempt)
        if tryout.attempt >= MAX_ATTEMPTS:
            give_up(tryout=tryout, held=tryout.mine())
        else:
            tryout.advance(state=Tryout.State.QUEUED, lease_until=None)
            wake(tryout)


def _end(tryout: Tryout, held: QuerySet[Tryout] | None = None, failed: bool = False) -> None:
    tryout.advance(held, state=Tryout.State.DONE, finished_at=timezone.now(), lease_until=None, failed=failed)


def give_up(*, tryout: Tryout, held: QuerySet[Tryout] | None = None) -> None:
    """Ends a try that failed as often as may be, or whose workers died. It then says so, and never a number.

    Raises:
        Lost: the last of them lives after all.
    """
    _end(tryout, tryout.lapsed() if held is None else held, failed=True)


@transaction.atomic
def keep_rubric(*, tryout: Tryout, actor: User) -> QuestionVersion:
    """Makes the rubric that was tried the question's: a new version, which new interviews ask.

    Raises:
        Problem: not an admin, the rubric is the version's own, or the question was changed since.
        BankError: a rule made since refuses it.
    """
    if not actor.is_staff:
        raise Problem("not_admin", "Only admins change questions.", 403)
    if not tryout.rubric:
        raise Problem("own", "This is the question's rubric already.", 409)
    question = Question.objects.select_for_update().get(pk=tryout.version.question_id)
    files = files_with(tryout.version, tryout.rubric)
    if question.current_id != tryout.version_id and question.current.files != files:  # the second press of a button finds it done
        raise Problem("changed", "The question was changed since. Try your rubric on what it is now, then keep it.", 409)
    return edit_question(question=question, files=files, by=actor)
