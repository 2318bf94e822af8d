"""A drawing on its way from the answer's document to its marks and the report."""

import json
from collections.abc import Callable

import pytest
from pycrdt import Map

from interviews.bank.actions import load_pack
from interviews.bank.files import BankError, parse_question
from interviews.bank.management.commands.load_bank import PACKS
from interviews.bank.models import Question
from interviews.live import actions, documents
from interviews.live.models import Interview
from interviews.review import queries
from tests.conftest import People
from tests.review.helpers import grade_all

pytestmark = pytest.mark.django_db
FOLDER = PACKS / "inference-whiteboards"
Sit = Callable[[], Interview]


@pytest.fixture
def sit(people: People) -> Sit:
    load_pack(folder=FOLDER)

    def sit() -> Interview:
        plan = actions.plan(level="L6", minutes=20, topics=["engine-architecture"])
        interview = actions.create_interview(candidate=people.candidate.user, blueprint=plan, seed=1)
        return actions.start(interview=interview, actor=people.candidate.user)

    return sit


def draw(interview: Interview, elements: dict[str, str]) -> None:
    """Writes entries of the scene as the board does: element id -> its JSON."""
    asked = interview.questions.select_related("answer").get()
    document = documents.open_document(asked.answer)
    before = document.get_state()
    for id, value in elements.items():
        document.get("scene", type=Map)[id] = value
    update = bytes(document.get_update(before))
    actions.store_update(answer_id=asked.answer.pk, actor=interview.candidate, data=update)


def exemplar(name: str) -> dict[str, str]:
    question = Question.objects.get(slug="serving-engine-on-one-page")
    found = next(e for e in parse_question(question.slug, question.current.files).exemplars if e.name == name)
    return {element["id"]: json.dumps(element) for element in json.loads(found.answer.scene)["elements"]}


def finish(interview: Interview) -> dict:
    grade_all(actions.finish(interview=interview, actor=interview.candidate))
    return queries.report(interview, interview.candidate)["questions"][0]


def test_what_is_drawn_is_marked_and_shown_with_what_earned_it(sit: Sit) -> None:
    interview = sit()
    assert interview.questions.get().version.kind == "whiteboard"
    draw(interview, exemplar("l7"))
    shown = finish(interview)
    points = {c["id"]: c["points"] for c in shown["score"]["criteria"]}
    assert [points[id] for id in ("way-in", "token-loop", "paged-memory", "reuse", "placement")] == [4] * 5
    assert (points["out-of-memory"], points["limits"]) == (0, 0)  # nothing was written
    drawn = [e for c in shown["score"]["criteria"] for e in c["evidence"]]
    assert {"channel": "scene", "start": 0, "end": 0, "text": "Model runner → Sampler: logits", "field": ""} in drawn
    assert len(json.loads(shown["answer"]["scene"])["elements"]) == len(exemplar("l7"))
    assert "Waiting queue → Scheduler" in shown["model_answer_html"]


def test_entries_that_are_no_elements_are_passed_over_and_a_broken_element_brings_a_person(sit: Sit) -> None:
    interview = sit()
    draw(interview, {"x": "{", "y": "NaN", "z": '{"id": "other"}', "n": '{"id": "n", "type": "text", "text": "no\\u0000pe"}'})
    assert [e["id"] for e in json.loads(documents.read(documents.open_document(interview.questions.get().answer)).scene)["elements"]] == ["n"]
    draw(interview, {"bad": '{"id": "bad", "type": "rectangle", "x": "left"}'})
    score = finish(interview)["score"]
    assert (score["state"], score["total"]) == ("review", 0)
    assert "elements[0].x" in score["reason"]


def test_a_character_that_no_database_takes_costs_a_drawing_nothing(sit: Sit) -> None:
    interview, drawn = sit(), exemplar("l7")
    draw(interview, {id: value.replace('"text": "', '"text": "\\u0000\\u0007').replace('"name": "', '"name": "\\u0000') for id, value in drawn.items()})
    score = finish(interview)["score"]
    assert (score["state"] != "not_scored", [c["points"] for c in score["criteria"][:5]]) == (True, [4] * 5)
    told = {"channel": "scene", "start": 0, "end": 0, "text": "Model runner → Sampler: logits", "field": ""}
    assert told in [e for c in score["criteria"] for e in c["evidence"]]


def test_an_empty_board_earns_nothing(sit: Sit) -> None:
    shown = finish(sit())
    assert (shown["answer"]["scene"], shown["score"]["total"], shown["score"]["state"]) == ("", 0, "scored")


def test_an_exemplar_whose_scene_can_not_be_read_is_refused() -> None:
    load_pack(folder=FOLDER)
    files = Question.objects.get(slug="serving-engine-on-one-page").current.files
    for spoilt, why in (('```excalidraw\n{"elements": [1]}\n```\n', r"elements\[0\]"), ("```excalidraw\n{}\n```\n" * 2, "has more")):
        with pytest.raises(BankError, match=why):
            parse_question("serving-engine-on-one-page", files | {"answers/l7.md": "---\nlevel: L7\n---\n" + spoilt})
