"""Every write to an interview. Each is one transaction that begins by locking the interview's row and ends with its event."""

import hashlib
import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from interviews.accounts.models import User
from interviews.bank.queries import askable
from interviews.errors import Problem
from interviews.live import blueprints, documents, events, queries
from interviews.live.models import Answer, Blueprint, Event, Interview, InterviewQuestion, Snapshot, Update
from interviews.live.signals import hidden_run_finished, interview_finished
from sandbox import actions as sandbox_actions
from sandbox import labs
from sandbox.errors import Refused
from sandbox.models import Run

log = logging.getLogger(__name__)
SNAPSHOT_EVERY = 200
LEVELS = ("L5", "L6", "L7")
NOTHING_TO_JUDGE = "There is no code yet. Write some, then run it."


def ensure_blueprints() -> None:
    """Makes the shipped blueprints, or brings them up to date with the bank."""
    for slug, title, level, minutes in blueprints.SHIPPED:
        try:
            sections = _sections(level, minutes)
        except Problem:
            continue
        body = {"title": title, "level": level, "minutes": minutes, "sections": sections}
        Blueprint.objects.update_or_create(slug=slug, defaults=body)


def plan_of(slug: str) -> dict[str, Any]:
    """A shipped blueprint's data, with sections of what the bank has now: admins put questions on hold, and edit them.

    Raises:
        Problem: there is none of this name, or nothing to ask.
    """
    blueprint = Blueprint.objects.filter(slug=slug).first()
    if blueprint is None:
        raise Problem("no_blueprint", "There is no such interview to start. Reload the page and choose again.", 404)
    return {**queries.blueprint_json(blueprint), "sections": _sections(blueprint.level, blueprint.minutes)}


def _sections(level: str, minutes: int, topics: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The sections that the bank can fill with questions on these topics, or on any.

    Raises:
        Problem: there are none.
    """
    asked = askable().values_list("current__kind", "current__topics")
    kinds = frozenset(kind for kind, on in asked if not topics or not set(topics).isdisjoint(on))
    try:
        return [section.as_dict() for section in blueprints.generate(level, minutes, topics, kinds)]
    except blueprints.NothingToAsk as error:
        raise Problem("nothing_to_ask", str(error)) from error


def plan(*, level: str, minutes: int, topics: Sequence[str]) -> dict[str, Any]:
    """A blueprint's data for what somebody asked for.

    Raises:
        Problem: no such level, length or topic, or nothing in the bank fits.
    """
    if level not in LEVELS:
        raise Problem("bad_level", f"Choose a level: {', '.join(LEVELS)}.")
    if not blueprints.MIN_MINUTES <= minutes <= blueprints.MAX_MINUTES:
        raise Problem("bad_minutes", f"Choose {blueprints.MIN_MINUTES} to {blueprints.MAX_MINUTES} minutes.")
    wanted = set(topics)
    title = f"{', '.join(sorted(wanted)) or 'All topics'}, {level}, {minutes} minutes"[:120]
    return {"title": title, "level": level, "minutes": minutes, "sections": _sections(level, minutes, sorted(wanted))}


def _make_answer(question: InterviewQuestion) -> None:
    answer = Answer.objects.create(question=question)
    if question.version.lab and question.version.lab in labs.slugs():
        _store(answer, documents.starter_update(labs.load(question.version.lab).starter))


def _variant_seed(seed: int, position: int) -> int:
    """The seed of a question's numbers: from the interview's own, and never that of the published variant."""
    digest = hashlib.sha256(f"{seed}:{position}".encode()).digest()
    return 1 + int.from_bytes(digest[:4], "big") % (2**31 - 1)


@transaction.atomic
def create_interview(*, candidate: User, blueprint: dict[str, Any], seed: int | None = None) -> Interview:
    """An interview that is ready to start, with its questions fixed as they stand in the bank now.

    Raises:
        Problem: the bank can't fill the blueprint.
    """
    seed = secrets.randbits(32) if seed is None else seed
    sections = [blueprints.Section.from_dict(section) for section in blueprint["sections"]]
    had = InterviewQuestion.objects.filter(interview__candidate=candidate).exclude(interview__status=Interview.Status.DISCARDED)
    try:
        chosen = blueprints.choose(sections, list(askable()), frozenset(had.values_list("version__question_id", flat=True)), seed)
    except blueprints.NothingToAsk as error:
        raise Problem("nothing_to_ask", str(error)) from error
    interview = Interview.objects.create(
        candidate=candidate,
        title=blueprint["title"],
        level=blueprint["level"],
        minutes=blueprint["minutes"],
        blueprint={**blueprint, "seed": seed},
    )
    for position, (question, minutes) in enumerate(chosen):
        drawn = _variant_seed(seed, position) if question.current.has_variants else 0
        _make_answer(InterviewQuestion.objects.create(interview=interview, position=position, version=question.current, minutes=minutes, seed=drawn))
    events.append(events.lock(interview.pk), Event.Kind.CREATED, actor=candidate)
    interview.refresh_from_db()
    return interview


@transaction.atomic
def start(*, interview: Interview, actor: User) -> Interview:
    """Starts the clock. A second start changes nothing.

    Raises:
        Problem: it was discarded meanwhile.
    """
    interview = events.lock(interview.pk)
    if interview.status == Interview.Status.DISCARDED:
        raise Problem("discarded", "This interview was discarded. Set up another one.", 409)
    if interview.status == Interview.Status.READY:
        interview.status = Interview.Status.RUNNING
        interview.started_at = timezone.now()
        interview.deadline = interview.started_at + timedelta(minutes=interview.minutes)
        interview.save(update_fields=["status", "started_at", "deadline"])
        events.append(interview, Event.Kind.STARTED, actor=actor, body={"state": {"status": interview.status, "can_write": True}})
    return interview


@transaction.atomic
def discard(*, interview: Interview, actor: User) -> None:
    """Takes an interview that never started out of its candidate's sight, for good. A second time changes nothing.

    Its row stays: what it would have asked is withheld as if it were there, `queries.open_elsewhere` says why.

    Raises:
        Problem: it has started, and what was written in it is not thrown away.
    """
    interview = events.lock(interview.pk)
    if interview.status == Interview.Status.READY:
        interview.status = Interview.Status.DISCARDED
        interview.save(update_fields=["status"])
        events.append(interview, Event.Kind.DISCARDED, actor=actor)
    elif interview.status != Interview.Status.DISCARDED:
        raise Problem("started", "This interview has started, so it can't be discarded any more.", 409)


def _store(answer: Answer, data: bytes) -> int:
    answer.seq += 1
    answer.size += len(data)
    Update.objects.create(answer=answer, seq=answer.seq, data=data)
    answer.save(update_fields=["seq", "size"])
    return answer.seq


def _check_writer(interview: Interview, actor: User) -> None:
    if interview.candidate_id != actor.pk:
        raise Problem("read_only", "Only the candidate writes here.", 403)
    if interview.status == Interview.Status.READY:
        raise Problem("not_started", "The interview has not started.", 409)
    if not interview.open:
        raise Problem("deadline", "The time is over. What was saved before is what counts.", 409)


def check_writer(*, answer_id: UUID, actor: User) -> None:
    """Says early, before work is done for it, that an update would not be stored.

    Raises:
        Problem: not the candidate's own, or the deadline has passed.
    """
    _check_writer(InterviewQuestion.objects.select_related("interview").get(answer__id=answer_id).interview, actor)


@transaction.atomic
def store_update(*, answer_id: UUID, actor: User, data: bytes, live: int = 0) -> int:
    """Stores one update of an answer's document and returns its number. What this returned, no crash takes back.

    `live` is the size in bytes of the document with this update, without what was deleted.

    Raises:
        Problem: not the candidate's own, the deadline has passed, or the document would grow too large. Nothing was stored.
    """
    question = InterviewQuestion.objects.select_related("answer").get(answer__id=answer_id)
    # The lock puts this write before or after the finish, never beside it: what is graded is what was acknowledged.
    _check_writer(events.lock(question.interview_id), actor)
    answer = Answer.objects.get(pk=answer_id)
    if live > documents.MAX_DOCUMENT_BYTES:
        raise Problem("too_large", "This answer has grown too large to store. Delete some of it and go on.", 413)
    if answer.size + len(data) > documents.MAX_HISTORY_BYTES:
        raise Problem("full", "So much was written and deleted here that no more can be stored. What was saved before is what counts.", 413)
    return _store(answer, data)


@transaction.atomic
def snapshot(*, answer_id: UUID) -> None:
    """Stores the document as it is, when enough updates have come since the last snapshot. The updates stay."""
    answer = Answer.objects.select_related("snapshot").get(pk=answer_id)
    last = answer.snapshot.seq if hasattr(answer, "snapshot") else 0
    if answer.seq - last >= SNAPSHOT_EVERY:
        data = documents.merged(answer, upto=answer.seq)
        Snapshot.objects.update_or_create(answer=answer, defaults={"seq": answer.seq, "data": data})


@transaction.atomic
def request_run(*, question: InterviewQuestion, actor: User, kind: str) -> Run:
    """Queues a run of the code as the server has it.

    Raises:
        Problem: not a code question, no code, or the time is over.
        sandbox.errors.Refused: a limit of the sandbox.
    """
    interview = events.lock(question.interview_id)
    if question.version.kind != "code":
        raise Problem("no_code", "This question has no code to run.")
    if not interview.open:
        raise Problem("deadline", "The time is over: no more runs.", 409)
    code = documents.read(documents.open_document(question.answer)).code
    if not code.strip():
        raise Problem("empty", NOTHING_TO_JUDGE)
    return sandbox_actions.request_run(user=actor, subject=question.answer.pk, lab=question.version.lab, source=code, kind=kind)


RUN_EVENTS = {
    "queued": Event.Kind.RUN_QUEUED,
    "started": Event.Kind.RUN_STARTED,
    "test": Event.Kind.RUN_TEST,
    "finished": Event.Kind.RUN_FINISHED,
}


@transaction.atomic
def note_run(*, run_id: UUID, kind: str) -> None:
    """Writes a run's change into the log of the interview that it belongs to. Runs of no interview are passed by."""
    subject = Run.objects.values_list("subject", flat=True).get(pk=run_id)
    question = InterviewQuestion.objects.filter(answer__id=subject).select_related("version").first() if subject else None
    if question is None:
        return
    interview = events.lock(question.interview_id)
    run = Run.objects.select_related("user").prefetch_related("tests").get(pk=run_id)  # behind the lock, so that the log's order is that of the states
    body = {"run": queries.run_state(run, question.pk)}
    events.append(interview, RUN_EVENTS[kind], actor=run.user if kind == "queued" else None, body=body)
    if kind == "finished" and run.kind == Run.Kind.HIDDEN:
        hidden_run_finished.send(sender=Interview, question=question, run=run)


@transaction.atomic
def abort_run(*, run: Run, question: InterviewQuestion) -> Run:
    """Aborts a run of the candidate's.

    Raises:
        Problem: the interview is over. The runs that are left decide the score, and an aborted one would take its question out of the total.
    """
    if not events.lock(question.interview_id).open:
        raise Problem("deadline", "The time is over. The runs that are left count, and end by themselves.", 409)
    return sandbox_actions.abort_run(run=run)


def judge_final_code(question: InterviewQuestion) -> None:
    """The code as it stands at the end is what counts: judged now, unless exactly it was judged before.

    What the sandbox refuses, such as a module that is too large, ends no interview's end: grading says what became of it.
    """
    code = documents.read(documents.open_document(question.answer)).code
    if not code.strip():
        return
    same = Run.objects.filter(subject=question.answer.pk, kind=Run.Kind.HIDDEN, source=code, abort_requested=False)
    if not same.exclude(verdict__in=("AB", "JE")).exists():
        candidate = question.interview.candidate
        try:
            sandbox_actions.request_run(user=candidate, subject=question.answer.pk, lab=question.version.lab, source=code, kind="hidden", limited=False)
        except Refused as why:
            log.warning("the final code of answer %s is not judged: %s", question.answer.pk, why)


def _end(interview: Interview, kind: str, actor: User | None) -> None:
    interview.status = Interview.Status.GRADING
    interview.finished_at = timezone.now()
    interview.save(update_fields=["status", "finished_at"])
    for question in interview.questions.select_related("version", "answer", "interview__candidate"):
        if question.version.kind == "code":
            judge_final_code(question)
    events.append(interview, kind, actor=actor, body={"state": {"status": interview.status, "can_write": False}})
    interview_finished.send(sender=Interview, interview=interview)


@transaction.atomic
def finish(*, interview: Interview, actor: User) -> Interview:
    """Ends the interview and sends it to be graded. A second finish changes nothing.

    Raises:
        Problem: the interview has not started.
    """
    interview = events.lock(interview.pk)
    if interview.status in Interview.NEVER_STARTED:
        raise Problem("not_started", "The interview has not started.", 409)
    if interview.status == Interview.Status.RUNNING:
        _end(interview, Event.Kind.FINISHED, actor)
    return interview


@transaction.atomic
def expire(*, interview_id: UUID) -> bool:
    """Ends an interview whose deadline has passed. Returns whether it did."""
    interview = events.lock(interview_id)
    if interview.status != Interview.Status.RUNNING or interview.open:
        return False
    _end(interview, Event.Kind.EXPIRED, None)
    return True
