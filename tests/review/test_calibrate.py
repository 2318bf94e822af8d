"""`manage.py calibrate`: overrides teach the scorer, and no score that exists changes."""

import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

import grading.scorer
from grading.models import CriterionScore, FittedCalibration, Score
from interviews.live.models import Interview
from interviews.review import actions
from interviews.review.queries import latest_score, marked_by_people
from tests.conftest import People
from tests.live.helpers import question
from tests.review.helpers import finish, grade_all, scored

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def run(*flags: str) -> str:
    out = StringIO()
    call_command("calibrate", *flags, stdout=out)
    return out.getvalue()


def published(make: Make, people: People, count: int) -> list[Interview]:
    """Reviews of two prose answers each, in which an interviewer gave a point less on one criterion."""
    made = []
    for _ in range(count):
        interview = scored(make())
        score = latest_score(question(interview, "written"))
        assert score is not None
        first = score.criteria.get(position=0)
        actions.override(interview=interview, actor=people.interviewer.user, score_id=score.pk, criterion_id=first.criterion,
                         points=max(0.0, first.points - 1), reason="Too kind.")  # fmt: skip
        actions.publish(interview=interview, actor=people.interviewer.user)
        made.append(interview)
    return made


def test_too_few_reviews_are_told(make: Make, people: People) -> None:
    published(make, people, 1)
    with pytest.raises(CommandError, match="2 answers of published reviews can be used; 10 are needed"):
        run()


def test_a_rescore_that_nobody_looked_at_teaches_nothing(make: Make, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    (interview,) = published(make, people, 1)
    before = [one.points for one in marked_by_people()]
    monkeypatch.setattr(grading.scorer, "CUT", 1.1)  # a scorer that finds nothing stated
    actions.rescore(interview=interview, actor=people.interviewer.user)
    grade_all(interview)
    assert [one.points for one in marked_by_people()] == before
    actions.publish(interview=interview, actor=people.interviewer.user)
    after = [one.points for one in marked_by_people()]
    assert after != before and len(after) == len(before)


def test_overrides_are_reported_used_and_change_no_old_score(make: Make, people: People) -> None:
    published(make, people, 10)
    before = sorted(CriterionScore.objects.values_list("pk", "points"))
    found = json.loads(run("--json"))
    assert found["answers"] == 20
    assert found["before"]["criteria_exact"]["value"] < 1
    assert not FittedCalibration.objects.exists()
    assert "In use for scores from now on" in run("--use")
    assert sorted(CriterionScore.objects.values_list("pk", "points")) == before
    fitted = FittedCalibration.objects.get()
    assert fitted.report["answers"] == 20
    after = grade_all(finish(make()))
    assert "+" in Score.objects.get(pk=latest_score(question(after, "written")).pk).scorer
