"""Reads of scores: which one counts, and the report."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet

import grading
from grading.calibration import Marked
from grading.models import Score
from interviews.accounts.models import User
from interviews.bank.files import in_words, parse_answer
from interviews.bank.markdown import render, render_prompt
from interviews.live.documents import Content
from interviews.live.models import Interview, InterviewQuestion
from interviews.live.queries import content_of, run_state, sees_review
from interviews.review import levels
from interviews.review.models import Override
from sandbox.models import Run

LOOKED = "An interviewer has looked at this answer. The scorer had left it to a person:"


def review_queue() -> QuerySet[Interview]:
    """Interviews that are over, those to review first."""
    done = (Interview.Status.SCORED, Interview.Status.PUBLISHED, Interview.Status.GRADING)
    return Interview.objects.filter(status__in=done).select_related("candidate").order_by("-status", "-finished_at")


def _hidden_runs(question: InterviewQuestion) -> QuerySet[Run]:
    return Run.objects.filter(subject=question.answer.pk, kind=Run.Kind.HIDDEN)


def pending_run(question: InterviewQuestion) -> Run | None:
    """A run against the hidden tests that is not over."""
    return _hidden_runs(question).exclude(state=Run.State.DONE).first()


def final_run(question: InterviewQuestion, code: str) -> Run | None:
    """The last run that judged exactly this code against the hidden tests."""
    runs = _hidden_runs(question).filter(state=Run.State.DONE, source=code).prefetch_related("tests")
    judged = runs.exclude(verdict__in=("AB", "JE")).order_by("-finished_at").first()
    return judged or runs.order_by("-finished_at").first()


def latest_score(question: InterviewQuestion) -> Score | None:
    """The score that counts: the newest."""
    return Score.objects.filter(subject=question.answer.pk).order_by("-created_at").first()


def marked_by_people() -> list[Marked]:
    """Every prose answer of a published review, scored anew without calibration, beside the points that it was published with."""
    found = []
    published = InterviewQuestion.objects.filter(interview__status=Interview.Status.PUBLISHED).select_related("version", "answer")
    for question in published.exclude(version__kind="code"):
        score = latest_score(question)
        if score is None or score.total is None:
            continue
        rubric = grading.Rubric.from_dict(score.rubric.body)
        points = {row.criterion: row.points for row in score.criteria.all()} | {o.criterion: o.points for o in score.overrides.order_by("id")}
        content = content_of(question)
        answer = grading.Answer(text=content.text, code=content.code, fields=content.fields, scene=content.scene)
        asked = grading.Question(prompt=question.prompt, title=question.version.title, kind=question.version.kind)
        own = {c.id for c in rubric.criteria if c.claims}
        if own & points.keys():
            raw = grading.score(rubric, answer, asked)
            found.append(Marked(rubric, raw, {name: value for name, value in points.items() if name in own}, str(question.version.question_id)))
    return found


def question_of_score(interview: Interview, score_id: UUID) -> InterviewQuestion | None:
    """The question of this interview that the score belongs to."""
    score = Score.objects.filter(pk=score_id).first()
    return interview.questions.select_related("answer").filter(answer__id=score.subject).first() if score else None


def _override_json(override: Override) -> dict[str, Any]:
    return {"points": override.points, "reason": override.reason, "by": override.by.display_name, "at": override.at.isoformat()}


def _before_json(score: Score | None) -> dict[str, Any] | None:
    """What the score before this one said, changes by people included, so that the difference can be shown."""
    if score is None or score.state == Score.State.NOT_SCORED:
        return None
    overrides = {override.criterion: override.points for override in score.overrides.all()}
    points = {row.criterion: overrides.get(row.criterion, row.points) for row in score.criteria.all()}
    return {"total": sum(points.values()), "scorer": score.scorer, "at": score.created_at.isoformat(), "points": points}


def _score_json(score: Score, version_hash: str, before: Score | None, published_at: datetime | None) -> dict[str, Any]:
    """A score is settled when an interviewer changed it, or published the interview with it."""
    rubric = grading.Rubric.from_dict(score.rubric.body)
    overrides = {override.criterion: override for override in score.overrides.all()}
    points: dict[str, float] = {}
    criteria = []
    for row in score.criteria.all():
        criterion = rubric.criterion(row.criterion)
        changed = overrides.get(row.criterion)
        points[row.criterion] = changed.points if changed else row.points
        criteria.append(
            {
                "id": row.criterion,
                "title": criterion.title,
                "points": points[row.criterion],
                "auto_points": row.points,
                "max": row.max,
                "levels": list(criterion.levels),
                "evidence": row.evidence,
                "reason": row.reason,
                "missed": row.missed,
                "confidence": row.confidence,
                "override": _override_json(changed) if changed else None,
            }
        )
    scored = score.state != Score.State.NOT_SCORED
    settled = scored and (bool(overrides) or (published_at is not None and score.created_at <= published_at))
    level = rubric.level(points) if scored else ""
    return {
        "id": str(score.pk),
        "total": sum(points.values()) if scored else None,
        "auto_total": score.total,
        "max": score.max,
        "level": level,
        "level_set": [level] if settled else score.level_set,
        "state": Score.State.SCORED if settled else score.state,
        "settled": settled,
        "flags": score.flags,
        "reason": f"{LOOKED} {score.reason}" if settled and score.state == Score.State.REVIEW else score.reason,
        "scorer": score.scorer,
        "before": _before_json(before),
        "bands": dict(rubric.bands),
        "version": {"question": version_hash, "rubric": score.rubric_id},
        "criteria": criteria,
    }


def _model_answer(question: InterviewQuestion) -> str:
    """The best exemplar answer of the version that was asked, as HTML."""
    files = question.files
    for level in ("l7", "l6", "l5"):
        if text := files.get(f"answers/{level}.md"):
            _, answer = parse_answer(text, kind=question.version.kind)
            code = f"\n\n```python\n{answer.code}```\n" if answer.code else ""
            return render(in_words(answer) + code)
    return ""


def _question_json(question: InterviewQuestion, content: Content, scores: list[Score], published_at: datetime | None) -> dict[str, Any]:
    """`scores`: those of the answer, the newest first."""
    version = question.version
    run = final_run(question, content.code) if version.kind == "code" else None
    labels = {field["id"]: field["label"] for field in version.fields}
    return {
        "id": str(question.pk),
        "position": question.position,
        "kind": version.kind,
        "title": version.title,
        "minutes": question.minutes,
        "prompt_html": render_prompt(question.prompt, version.title),
        "answer": {"text": content.text, "code": content.code, "fields": content.fields, "scene": content.scene},
        "field_labels": labels,
        "model_answer_html": _model_answer(question),
        "run": run_state(run, question.pk, flight=True) if run else None,
        "score": _score_json(scores[0], version.hash, scores[1] if len(scores) > 1 else None, published_at) if scores else None,
    }


def _scores(questions: list[InterviewQuestion], reviewed: bool) -> dict[UUID, list[Score]]:
    """The scores of each answer, the newest first, with what the report shows of them: overrides only for who may read the review."""
    overrides = Prefetch("overrides", Override.objects.select_related("by") if reviewed else Override.objects.none())
    rows = Score.objects.filter(subject__in=[question.answer.pk for question in questions])
    found: dict[UUID, list[Score]] = {}
    for score in rows.order_by("-created_at").select_related("rubric").prefetch_related("criteria", overrides):
        found.setdefault(score.subject, []).append(score)
    return found


def report(interview: Interview, user: User) -> dict[str, Any]:
    """The report as it stands. The candidate reads overrides and notes once the review is published; until then, what the scorer said."""
    reviewed = sees_review(interview, user)
    questions = list(interview.questions.select_related("version", "answer"))
    scores = _scores(questions, reviewed)
    body = [_question_json(question, content_of(question), scores.get(question.answer.pk, []), interview.published_at) for question in questions]
    marks = []
    for question, item in zip(questions, body, strict=True):
        if (score := item["score"]) is None:
            marks.append(levels.Mark(None, float(levels.SCALE)))
        else:
            law = {} if score["settled"] else dict(scores[question.answer.pk][0].law or [])
            marks.append(levels.Mark(score["total"], score["max"], score["state"] == "review", law))
    where = levels.standing(marks)
    notes = interview.notes.select_related("by") if reviewed else []
    return {
        "interview": {
            "id": str(interview.pk),
            "title": interview.title,
            "level": interview.level,
            "candidate": interview.candidate.display_name,
            "finished_at": interview.finished_at.isoformat() if interview.finished_at else None,
            "status": interview.status,
        },
        "total": where.total,
        "max": where.max,
        "scaled_28": where.scaled,
        "level": where.level,
        "level_set": list(where.level_set),
        "provisional": where.provisional,
        "why": where.why,
        "bands": levels.BANDS,
        "can_review": user.reviews and interview.candidate_id != user.pk,
        "notes": [
            {
                "id": note.pk,
                "by": note.by.display_name,
                "text": note.text,
                "at": note.at.isoformat(),
                "question_id": str(note.question_id) if note.question_id else None,
            }
            for note in notes
        ],
        "questions": body,
    }
