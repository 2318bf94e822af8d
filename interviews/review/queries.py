"""Reads of scores: which one counts, and the report."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone

import grading
from grading.calibration import Marked
from grading.models import CriterionScore, Score
from grading.rubric import Criterion
from interviews.accounts.models import User
from interviews.bank.files import in_words, parse_answer
from interviews.bank.markdown import render, render_prompt
from interviews.live.documents import Content
from interviews.live.models import Event, Interview, InterviewQuestion
from interviews.live.queries import content_of, flown, sees_review, withheld
from interviews.review import decided, levels
from interviews.review.marking import BY_HAND
from interviews.review.models import GradeJob, Override
from sandbox.health import read as sandbox_health
from sandbox.models import Run

JUDGE_PATIENCE = timedelta(minutes=10)  # how long code waits where there is no judge
LONG = 20_000  # characters of prose; some 3 s on a core
LOOKED = "An interviewer has looked at this answer. The scorer had left it to a person:"


# The parts of the review list, in the order in which they are offered: a name for the address, words and the field that orders its interviews.
# Who has waited longest for a review comes first, and of what is done, the newest. What was scored again since its review waits for another one.
QUEUES = {
    "scored": ("To review", "finished_at"),
    "grading": ("Being graded", "-finished_at"),
    "published": ("Reviewed", "-published_at"),
}


def review_queue(part: str, name: str = "") -> QuerySet[Interview]:
    """The interviews of one of `QUEUES`, or of the candidates whose name or address holds `name`."""
    return _over(name).filter(_held()[part]).select_related("candidate").order_by(QUEUES[part][1], "pk")


def queued(name: str = "") -> dict[str, int]:
    """How many interviews each part of the review list holds."""
    return _over(name).aggregate(**{part: Count("pk", filter=held) for part, held in _held().items()})


def _held() -> dict[str, Q]:
    """What each of `QUEUES` holds."""
    published, again = Q(status=Interview.Status.PUBLISHED), Q(pk__in=scored_since_review())
    return {"scored": Q(status=Interview.Status.SCORED) | published & again, "grading": Q(status=Interview.Status.GRADING), "published": published & ~again}


def _over(name: str) -> QuerySet[Interview]:
    over = Interview.objects.filter(status__in=[Interview.Status.SCORED, Interview.Status.GRADING, Interview.Status.PUBLISHED])
    return over.filter(Q(candidate__name__icontains=name) | Q(candidate__email__icontains=name)) if name else over


def scored_since_review() -> QuerySet[Score, UUID]:
    """The ids of the interviews with a published review that lacks a score which counts now and which nobody stands behind, as `settled` has it.

    Only gradings after the first can be newer than a review: few are, so it begins with those.
    """
    again = Score.objects.filter(job__generation__gt=0, created_at__gt=F("job__question__interview__published_at")).exclude(state=Score.State.NOT_SCORED)
    newer = Score.objects.filter(subject=OuterRef("subject"), created_at__gt=OuterRef("created_at")).exclude(state=Score.State.NOT_SCORED)
    looked = Override.objects.filter(score=OuterRef("pk"), at__gte=OuterRef("created_at"))
    return again.exclude(Exists(newer)).exclude(Exists(looked)).values_list("job__question__interview", flat=True)


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


def gradings(question: InterviewQuestion) -> QuerySet[Score]:
    """Every grading of an answer, the newest first, those that failed included."""
    return Score.objects.filter(subject=question.answer.pk).order_by("-created_at")


def counting(scores: Sequence[Score]) -> Sequence[Score]:
    """Of an answer's scores, the newest first, those that count: while an earlier score stands, a rescore that failed does not."""
    return [score for score in scores if score.state != Score.State.NOT_SCORED] or scores[:1]


def latest_score(question: InterviewQuestion) -> Score | None:
    """The score that counts: the newest, or the newest before rescores that failed."""
    return next(iter(counting(list(gradings(question)))), None)


def counting_of(asked: QuerySet[InterviewQuestion]) -> dict[UUID, Score]:
    """By answer, the scores that count of these questions, as far as they have one."""
    scores = Score.objects.filter(subject__in=asked.order_by().values("answer__id")).order_by("subject", "-created_at").defer("law", "flags", "level_set")
    return {subject: counting(list(own))[0] for subject, own in groupby(scores, lambda score: score.subject)}


def holding(score: Score, rubric_id: str) -> dict[str, Override]:
    """By criterion, what a person decided about an answer and holds for another score of it, too: they judged the answer, not the scorer. Not under another
    rubric."""
    kept = score.rubric_id == rubric_id and score.state != Score.State.NOT_SCORED
    return {override.criterion: override for override in score.overrides.order_by("id")} if kept else {}


def settled(score: Score, overrides: Iterable[Override], published_at: datetime | None) -> bool:
    """Whether a person stands behind this very score: an interviewer changed it, or published the interview with it.

    Changes that were taken over from the score before are older than the score and settle nothing: nobody has looked at the rest of it.
    """
    if score.state == Score.State.NOT_SCORED:
        return False
    published = published_at is not None and score.created_at <= published_at
    return published or any(override.at >= score.created_at for override in overrides)


def marked_by_people() -> list[Marked]:
    """Every prose answer of a published review, scored anew without calibration, beside the points of the newest score that a person stands behind."""
    found = []
    published = InterviewQuestion.objects.filter(interview__status=Interview.Status.PUBLISHED).select_related("interview", "version", "answer")
    for question in published.exclude(version__kind="code"):
        scores = gradings(question).exclude(scorer=BY_HAND).prefetch_related("overrides")
        score = next((s for s in scores if settled(s, s.overrides.all(), question.interview.published_at)), None)
        if score is None:
            continue
        rubric = grading.Rubric.from_dict(score.rubric.body)
        points = {row.criterion: row.points for row in score.criteria.all()} | {o.criterion: o.points for o in score.overrides.all()}
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
    return {"id": override.pk, "points": override.points, "reason": override.reason, "by": override.by.display_name, "at": override.at.isoformat()}


def _before_json(score: Score | None) -> dict[str, Any] | None:
    """What the score before this one said, changes by people included, so that the difference can be shown."""
    if score is None:
        return None
    overrides = {override.criterion: override.points for override in score.overrides.all()}
    points = {row.criterion: overrides.get(row.criterion, row.points) for row in score.criteria.all()}
    return {"total": sum(points.values()), "scorer": score.scorer, "at": score.created_at.isoformat(), "points": points}


def _criterion_json(row: CriterionScore, criterion: Criterion, changed: Override | None, reviewer: bool) -> dict[str, Any]:
    return {
        "id": row.criterion,
        "title": criterion.title,
        "points": changed.points if changed else row.points,
        "auto_points": row.points,
        "max": row.max,
        "levels": list(criterion.levels),
        "evidence": row.evidence,
        "reason": row.reason,
        "missed": row.missed,
        "confidence": row.confidence,
        "unsure": (reviewer and row.unsure) or [],
        "override": _override_json(changed) if changed else None,
    }


def _law(score: Score) -> dict[float, float]:
    """How likely a careful reader would give how many points in all, beside those that people decided; {} where nothing says so."""
    law = dict(score.law or [])
    return decided.law_of(_rows(score), law, len(score.level_set) < 2) if _changes(score) else law


def _changes(score: Score) -> dict[str, Override]:
    """The newest change of each criterion that a person changed."""
    return {override.criterion: override for override in score.overrides.all()}


def _rows(score: Score) -> list[decided.Row]:
    changed = {name: override.points for name, override in _changes(score).items()}
    return [decided.Row(row.criterion, row.points, row.max, row.confidence, changed.get(row.criterion)) for row in score.criteria.all()]


def _marks_json(score: Score, sure: bool, reviewer: bool) -> dict[str, Any]:
    """The points of a score and what follows from them."""
    if score.state == Score.State.NOT_SCORED:
        # Not read as a rubric: that it can't be may be why there is no score.
        return {"total": None, "level": "", "level_set": [], "bands": score.rubric.body.get("bands", {}), "criteria": []}
    rubric = grading.Rubric.from_dict(score.rubric.body)
    changes = _changes(score)
    criteria = [_criterion_json(row, rubric.criterion(row.criterion), changes.get(row.criterion), reviewer) for row in score.criteria.all()]
    points = {row["id"]: row["points"] for row in criteria}
    level = rubric.level(points) if rubric.bands else ""
    level_set = score.level_set
    if sure and level:
        level_set = [level]
    elif changes:
        level_set = list(decided.levels_of(rubric, _rows(score), _law(score)))
    return {"total": sum(points.values()), "level": level, "level_set": level_set, "bands": dict(rubric.bands), "criteria": criteria}


def _doubt(score: Score, sure: bool, level_set: Sequence[str]) -> tuple[str, str]:
    """The state and the reason of a score, after what people decided. A doubt about the level alone is that of the levels that are left."""
    if sure:
        return Score.State.SCORED, f"{LOOKED} {score.reason}" if score.state == Score.State.REVIEW else score.reason
    own = grading.doubtful(score.level_set) if len(score.level_set) > 1 else None
    if score.state != Score.State.REVIEW or score.reason != own:
        return score.state, score.reason
    return (Score.State.REVIEW, grading.doubtful(level_set)) if len(level_set) > 1 else (Score.State.SCORED, "")


def to_mark(score: Score) -> list[dict[str, Any]]:
    """The criteria that a person can give points for where there is no score. Not read as a rubric, as above."""
    if score.state != Score.State.NOT_SCORED:
        return []
    return [{"id": row["id"], "title": row["title"], "max": row["points"], "levels": row.get("levels", [])} for row in score.rubric.body["criteria"]]


def _score_json(scores: Sequence[Score], version_hash: str, published_at: datetime | None, reviewer: bool) -> dict[str, Any]:
    """The score that counts of an answer's, which come the newest first."""
    score, *earlier = counting(scores)
    sure = settled(score, score.overrides.all(), published_at)
    marks = _marks_json(score, sure, reviewer)
    state, reason = _doubt(score, sure, marks["level_set"])
    return {
        "id": str(score.pk),
        "auto_total": score.total,
        "max": score.max,
        "state": state,
        "settled": sure,
        "flags": score.flags,
        "reason": reason,
        "rescore_failed": None if score is scores[0] else scores[0].reason,
        "scorer": score.scorer,
        "before": _before_json(earlier[0] if earlier else None),
        "version": {"question": version_hash, "rubric": score.rubric_id},
        "to_mark": to_mark(score) if reviewer else [],
        **marks,
    }


def _model_answer(question: InterviewQuestion) -> str:
    """The best exemplar answer of the version that was asked, as HTML."""
    files = question.files
    for level in ("l7", "l6", "l5"):
        if text := files.get(f"answers/{level}.md"):
            _, answer = parse_answer(text, kind=question.version.kind)
            code = f"\n\n```python\n{answer.code}```\n" if answer.code else ""
            return render(in_words(answer, question.version.fields) + code)
    return ""


def _withhold(item: dict[str, Any]) -> dict[str, Any]:
    """A question's part of the report without what would answer it: what was missed, what interviewers said of that, and the model answer."""
    score = item["score"] and {**item["score"], "criteria": [_withhold_criterion(row) for row in item["score"]["criteria"]]}
    return {**item, "score": score, "model_answer_html": "", "withheld": True}


def _withhold_criterion(row: dict[str, Any]) -> dict[str, Any]:
    override = row["override"] and {**row["override"], "reason": ""}
    return {**row, "missed": [], "levels": [], "override": override}


def told_since(interview: Interview, seq: int, reader: User) -> str:
    """What others wrote into the review after event `seq`, in words; "" for nothing."""
    done = {Event.Kind.SCORE_OVERRIDE: "changed points", Event.Kind.NOTE: "wrote a note"}
    found = interview.events.filter(seq__gt=seq, kind__in=done).exclude(actor=reader).select_related("actor")
    return " and ".join(dict.fromkeys(f"{event.actor.display_name} {done[Event.Kind(event.kind)]}" for event in found if event.actor))


def takes_long(question: InterviewQuestion) -> bool:
    """Whether to grade the answer to this takes many seconds. What can't be read does not: grading says so at once."""
    if question.answer.size <= LONG:  # each character was at least a byte of an update
        return False
    try:
        return len(content_of(question).text) > LONG
    except Exception:
        return False


def _being_judged(interview: Interview) -> set[UUID]:
    """The questions with code that is being judged, or whose judging is not told of yet: a grading follows. What waits in vain for a judge is not."""
    runs = Run.objects.filter(subject=OuterRef("answer__id"), kind=Run.Kind.HIDDEN).exclude(state=Run.State.DONE, tell_at=None)
    asked = interview.questions.filter(version__kind="code")
    found = set(asked.filter(Exists(runs)).values_list("pk", flat=True))
    if found and not sandbox_health()["jail"]["ok"]:
        runs = runs.exclude(state=Run.State.QUEUED, queued_at__lt=timezone.now() - JUDGE_PATIENCE)
        found = set(asked.filter(Exists(runs)).values_list("pk", flat=True))
    return found


def being_graded(interview: Interview) -> set[UUID]:
    """The questions of this interview with a grading that is not over, or that is to come when their code has been judged."""
    jobs = GradeJob.objects.filter(question__interview=interview).exclude(state=GradeJob.State.DONE)
    return set(jobs.values_list("question_id", flat=True)) | _being_judged(interview)


def _question_json(
    question: InterviewQuestion, content: Content, scores: list[Score], published_at: datetime | None, graded: bool, user: User
) -> dict[str, Any]:
    """`scores`: those of the answer, the newest first; `graded`: whether it is being graded now; `user`: who reads."""
    version = question.version
    run = final_run(question, content.code) if version.kind == "code" else None
    labels = {field["id"]: field["label"] for field in version.fields}
    reviewer = user.reviews and question.interview.candidate_id != user.pk
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
        "withheld": False,
        "run": flown(run, question, user) if run else None,
        "score": _score_json(scores, version.hash, published_at, reviewer) if scores else None,
        "rescoring": graded and bool(scores),
    }


def _scores(questions: list[InterviewQuestion], reviewed: bool) -> dict[UUID, list[Score]]:
    """The scores of each answer, the newest first, with what the report shows of them: what people decided only for who may read the review."""
    overrides = Prefetch("overrides", Override.objects.select_related("by") if reviewed else Override.objects.none())
    rows = Score.objects.filter(subject__in=[question.answer.pk for question in questions])
    rows = rows if reviewed else rows.exclude(scorer=BY_HAND)
    found: dict[UUID, list[Score]] = {}
    for score in rows.order_by("-created_at").select_related("rubric").prefetch_related("criteria", overrides):
        found.setdefault(score.subject, []).append(score)
    return found


def report(interview: Interview, user: User) -> dict[str, Any]:
    """The report as it stands, with all that happened up to event `seq`. The candidate reads overrides and notes once the review is published; until then, what
    the scorer said. `interview` is read anew by who wrote to it."""
    reviewed = sees_review(interview, user)
    questions = list(interview.questions.select_related("version", "answer"))
    scores, open_jobs = _scores(questions, reviewed), being_graded(interview)
    body = [
        _question_json(question, content_of(question), scores.get(question.answer.pk, []), interview.published_at, question.pk in open_jobs, user)
        for question in questions
    ]
    hidden = withheld(interview, user)
    body = [_withhold(item) if question.pk in hidden else item for question, item in zip(questions, body, strict=True)]
    marks = []
    for question, item in zip(questions, body, strict=True):
        if (score := item["score"]) is None:
            marks.append(levels.Mark(None, float(levels.SCALE)))
        else:
            law = {} if score["settled"] else _law(counting(scores[question.answer.pk])[0])
            marks.append(levels.Mark(score["total"], score["max"], score["state"] == "review", law, score["level_set"]))
    where = levels.standing(marks)
    unsettled = any(score["total"] is not None and not score["settled"] for item in body if (score := item["score"]))
    notes = interview.notes.select_related("by") if reviewed and not hidden else []
    return {
        "interview": {
            "id": str(interview.pk),
            "title": interview.title,
            "level": interview.level,
            "candidate": interview.candidate.display_name,
            "finished_at": interview.finished_at.isoformat() if interview.finished_at else None,
            "status": interview.status,
        },
        "seq": interview.seq,
        "total": where.total,
        "max": where.max,
        "scaled_28": where.scaled,
        "level": where.level,
        "level_set": list(where.level_set),
        "provisional": where.provisional,
        "why": where.why,
        "bands": levels.BANDS,
        "publish_again": interview.status == Interview.Status.PUBLISHED and unsettled,
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
