"""The page that tells how answers are marked."""

import json
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import reverse

from grading import Question, Rubric, score
from grading.result import ClaimMark
from interviews.review import explained


def told(mark: ClaimMark) -> dict[str, Any]:
    """A mark as `marks.json` keeps it: with the words that met the claim, or that the reason quotes."""
    shown = [e for e in mark.evidence if mark.met or e.text in mark.why]
    start, end = (shown[0].start, shown[0].end) if shown else (None, None)
    return {"id": mark.id, "met": mark.met, "why": mark.why, "start": start, "end": end}


def test_the_marks_of_the_example_are_those_that_the_scorer_gives() -> None:
    prompt, answer = ((explained.EXAMPLE / name).read_text("utf-8") for name in ("prompt.md", "answer.md"))
    rubric = Rubric.from_dict(yaml.safe_load((explained.EXAMPLE / "rubric.yaml").read_text("utf-8")))
    result = score(rubric, answer, Question(prompt))
    assert json.loads((explained.EXAMPLE / "marks.json").read_text("utf-8")) == [told(mark) for c in result.criteria for mark in c.marks]
    assert [points for _, points, _ in explained.example().criteria] == [c.points for c in result.criteria]


def test_the_answer_is_whole_and_its_pieces_are_the_words_of_the_claims() -> None:
    example = explained.example()
    assert "".join(text for text, _, _ in example.answer) == (explained.EXAMPLE / "answer.md").read_text("utf-8")
    numbers = {number for _, _, claims in example.criteria for claim in claims for number in [claim.number] if number}
    assert {number for _, _, ends in example.answer for number in ends} == numbers == {1, 2, 3}


@pytest.mark.django_db
def test_everybody_reads_how_answers_are_marked(client: Client) -> None:
    page = client.get(reverse("marking"))
    text = page.content.decode()
    assert page.status_code == 200
    for section in explained.sections():
        assert f'id="{section.slug}"' in text
    assert "What earns nothing" in text
    assert "python -m grading score" not in text  # the commands are for who has the repository
    assert reverse("marking") in client.get(reverse("home")).content.decode()
