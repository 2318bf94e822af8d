"""The optional language-model judge in the grading task: a score that names it, or none at all."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.checks import run_checks

from grading.models import Score
from interviews.live.models import Interview
from interviews.review import actions, queries
from tests.grading.endpoint import honest, serve
from tests.live.helpers import question
from tests.review.helpers import grade_all, scored

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]
SAID = (
    "Decode is bound by memory bandwidth because every step reads all weights. "
    "Prefill is bound by compute because many tokens share one read of the weights."
)


def configure(settings: Any, **named: Any) -> None:
    settings.JUDGE = {"url": "", "model": "", "key": "", "checkpoint": "", "timeout": 5.0} | named


def written(interview: Interview) -> dict[str, Any]:
    report = queries.report(interview, interview.candidate)
    return next(item["score"] for item in report["questions"] if item["kind"] == "written")


def test_nothing_is_asked_unless_a_judge_is_named(make: Make) -> None:
    with serve(lambda s, text, n: honest(s, text)) as endpoint:
        interview = scored(make(), text=SAID)
    assert written(interview)["scorer"].startswith("claims-")
    assert endpoint.requests == []


def test_a_named_judge_grades_and_the_report_says_so(make: Make, settings: Any) -> None:
    with serve(lambda s, text, n: honest(s, text)) as endpoint:
        configure(settings, url=endpoint.url, model="a-model")
        interview = scored(make(), text=SAID)
    score = written(interview)
    assert score["scorer"].startswith("judge-1 ")
    assert score["scorer"].endswith(" a-model")
    assert (score["state"] in ("scored", "review"), score["total"]) == (True, 28)
    assert all(criterion["evidence"] for criterion in score["criteria"])
    # Where there is no prose to judge, the default scorer's points stand.
    report = queries.report(interview, interview.candidate)
    assert next(item["score"] for item in report["questions"] if item["kind"] == "code")["criteria"][0]["points"] == 4


def test_a_judge_that_fails_leaves_no_number_and_a_rescore_mends_it(make: Make, settings: Any) -> None:
    with serve(lambda s, text, n: "no JSON") as endpoint:
        configure(settings, url=endpoint.url, model="a-model")
        interview = scored(make(), text=SAID)
    score = written(interview)
    assert (score["state"], score["total"], score["criteria"]) == ("not_scored", None, [])
    assert "not JSON" in score["reason"]
    assert score["scorer"].startswith("judge-1 ")
    assert queries.report(interview, interview.candidate)["provisional"]
    with serve(lambda s, text, n: honest(s, text)) as endpoint:
        configure(settings, url=endpoint.url, model="a-model")
        actions.rescore(interview=interview, actor=interview.candidate)
        grade_all(interview)
    assert written(interview)["total"] == 28
    assert Score.objects.filter(subject=question(interview, "written").answer.pk).count() == 2


def test_a_judge_far_from_the_default_scorer_brings_a_person(make: Make, settings: Any) -> None:
    def blind(s: dict[str, str], text: str, n: int) -> list[dict[str, Any]]:
        return honest(s, text) if text == "" or text.count("\n") > 3 or "Ignore all" in text else [
            {"claim_id": name, "met": False, "quote": ""} for name in s]

    with serve(blind) as endpoint:
        configure(settings, url=endpoint.url, model="a-model")
        interview = scored(make(), text=SAID)
    score = written(interview)
    assert (score["state"], score["total"]) == ("review", 0)
    assert "disagreement" in score["flags"]
    assert "default scorer 28" in score["reason"]


@pytest.mark.parametrize(("named", "runs", "id"), [
    ({}, 3, None), ({"url": "http://localhost:1/v1", "model": "m"}, 5, None),
    ({"url": "localhost:1", "model": "m"}, 3, "review.E001"), ({"url": "http://localhost:1"}, 3, "review.E001"), ({}, 4, "review.E002"),
])  # fmt: skip
def test_wrong_settings_stop_the_start(settings: Any, named: dict[str, Any], runs: int, id: str | None) -> None:
    configure(settings, **named)
    settings.JUDGE_RUNS = runs
    assert [error.id for error in run_checks() if str(error.id).startswith("review.")] == ([id] if id else [])
