"""Reads of interviews: the state that the room draws, and the events since."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from interviews.accounts.models import User
from interviews.bank.markdown import render_prompt
from interviews.live import documents
from interviews.live.models import Blueprint, Event, Interview, InterviewQuestion, Update
from sandbox import labs
from sandbox import queries as sandbox_queries
from sandbox.models import Run

SET_UP = timedelta(days=1)  # how long an interview that was set up and not started withholds what the reports of others answer


def interviews_of(user: User) -> QuerySet[Interview]:
    """A candidate's interviews, newest first, without those that they discarded."""
    return Interview.objects.filter(candidate=user).exclude(status=Interview.Status.DISCARDED).order_by("-created_at", "pk")


def blueprint_json(blueprint: Blueprint) -> dict[str, Any]:
    return {name: getattr(blueprint, name) for name in ("slug", "title", "level", "minutes", "sections")}


def run_state(run: Run, question_id: UUID, flight: dict[str, Any] | None = None) -> dict[str, Any]:
    """A run as the room shows it. The flight record comes with `flown`: it may be long, and is not for everybody."""
    return {**sandbox_queries.run_json(run, flight), "question_id": str(question_id)}


def flown(run: Run, question: InterviewQuestion, user: User) -> dict[str, Any]:
    """A run with its flight record, as far as this person may see it.

    What a submission has the engine do in a hidden test can spell that test's inputs. So the record of a hidden run is for other interviewers; its
    candidate is shown that of the last public run of the very same code, if there was one.
    """
    kept = run.kind == Run.Kind.HIDDEN and not _looks_on(question.interview, user)
    return run_state(run, question.pk, sandbox_queries.public_flight(run) if kept else run.flight)


def _lab(slug: str) -> dict[str, Any] | None:
    if not slug or slug not in labs.slugs():
        return None
    lab = labs.load(slug)
    tests = [{"name": test.name, "group": test.group, "doc": test.doc} for test in lab.public_tests]
    brief = render_prompt(lab.brief, lab.title)
    return {"slug": slug, "title": lab.title, "brief_html": brief, "starter": lab.starter, "public_tests": tests}


def _question(question: InterviewQuestion, runs: list[Run]) -> dict[str, Any]:
    version = question.version
    return {
        "id": str(question.pk),
        "position": question.position,
        "kind": version.kind,
        "title": version.title,
        "minutes": question.minutes,
        "prompt_html": render_prompt(question.prompt, version.title),
        "answer_id": str(question.answer.pk),
        "fields": [{"id": field["id"], "label": field["label"], "hint": field.get("hint", "")} for field in version.fields],
        "lab": _lab(version.lab),
        "runs": [run_state(run, question.pk) for run in runs],
    }


def _sandbox_state() -> dict[str, Any]:
    from sandbox.health import read

    jail = read()["jail"]
    reason = "" if jail["ok"] else f"Code can't be run at the moment: {jail['detail']} Your code is saved and will be judged when it can."
    return {"ok": jail["ok"], "reason": reason}


def state(interview: Interview, user: User) -> dict[str, Any]:
    """Everything that the room needs, as of event `seq`. Before the start the questions are not shown."""
    asked = list(interview.questions.select_related("version", "answer"))
    ready = interview.status == Interview.Status.READY
    by_answer: dict[UUID, list[Run]] = {}
    for run in sandbox_queries.runs_of([question.answer.pk for question in asked]):
        by_answer.setdefault(run.subject, []).append(run)
    return {
        "id": str(interview.pk),
        "title": interview.title,
        "level": interview.level,
        "status": interview.status,
        "seq": interview.seq,
        "remaining_ms": interview.remaining_ms,
        "duration_ms": interview.minutes * 60_000,
        "server_now": timezone.now().isoformat(),
        "can_write": interview.open and interview.candidate_id == user.pk,
        "sandbox": _sandbox_state(),
        "questions": [] if ready else [_question(question, by_answer.get(question.answer.pk, [])) for question in asked],
        "outline": [
            {"position": question.position, "kind": question.version.kind, "minutes": question.minutes} for question in asked
        ],
    }


def event_json(event: Event) -> dict[str, Any]:
    actor = event.actor.display_name if event.actor else None
    return {"seq": event.seq, "kind": event.kind, "actor": actor, "body": event.body, "at": event.at.isoformat()}


def _looks_on(interview: Interview, user: User) -> bool:
    """Whether this person is an interviewer or admin to whom the interview is somebody else's."""
    return user.reviews and interview.candidate_id != user.pk


def sees_review(interview: Interview, user: User) -> bool:
    """Whether this person reads what interviewers wrote: other interviewers do, the candidate once it is published."""
    return interview.status == Interview.Status.PUBLISHED or _looks_on(interview, user)


def open_elsewhere(interview: Interview) -> set[UUID | str]:
    """The questions, and the labs, that the candidate is being asked in another interview that is not over: it runs, or was set up a short while ago.

    To discard it changes nothing: whoever could set up and discard at will would learn from their reports what each asks, until one asks what they know.
    """
    waiting = Q(interview__status__in=Interview.NEVER_STARTED, interview__created_at__gt=timezone.now() - SET_UP)
    asked = InterviewQuestion.objects.filter(waiting | Q(interview__status=Interview.Status.RUNNING), interview__candidate=interview.candidate_id)
    return {key for row in asked.exclude(interview=interview).values_list("version__question_id", "version__lab") for key in row if key}


def withheld(interview: Interview, user: User) -> set[UUID]:
    """The questions of this interview that its candidate is not told more of for now, because another interview of theirs asks the same."""
    elsewhere = set() if user.reviews else open_elsewhere(interview)
    asked = interview.questions.values_list("pk", "version__question_id", "version__lab") if elsewhere else ()
    return {question for question, *keys in asked if elsewhere.intersection(keys)}


def events_since(interview: Interview, since: int, user: User) -> dict[str, Any]:
    """The events after number `since`.

    Of a review that is not published, the candidate gets the numbers alone, so that none is missing; and of a published one while a question of it is
    open to them in another interview.
    """
    found = interview.events.filter(seq__gt=since).select_related("actor")
    body = [event_json(event) for event in found]
    if not sees_review(interview, user) or withheld(interview, user):
        hidden = (Event.Kind.SCORE_OVERRIDE, Event.Kind.NOTE)
        body = [{**event, "actor": None, "body": {}} if event["kind"] in hidden else event for event in body]
    return {"seq": body[-1]["seq"] if body else max(since, interview.seq), "events": body}


def content_of(question: InterviewQuestion) -> documents.Content:
    """What the candidate's answer says, as acknowledged."""
    return documents.read(documents.open_document(question.answer))


def updates_since(answer_id: UUID, seq: int) -> list[tuple[int, bytes]]:
    """The numbered updates of an answer after number `seq`."""
    return list(Update.objects.filter(answer_id=answer_id, seq__gt=seq).values_list("seq", "data"))
