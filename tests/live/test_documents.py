"""What a document says, whatever somebody wrote into it."""

import json
from collections.abc import Callable

import pytest
from pycrdt import Doc, Map, Text

from interviews.live import actions, documents
from interviews.live.models import Interview
from tests.live.helpers import question

Make = Callable[..., Interview]


def drawn(depths: range) -> Doc:
    """A board with an element of each depth, and one plain element in front of them."""
    document: Doc = Doc()
    scene = document.get("scene", type=Map)
    for depth in depths:
        scene[f"d{depth}"] = f'{{"id": "d{depth}", "index": "a", "customData": {"[" * depth}{"]" * depth}}}'
    scene["plain"] = '{"id": "plain", "index": "b", "text": "KV → cache"}'
    return document


def test_elements_of_every_depth_can_be_read() -> None:
    elements = json.loads(documents.read(drawn(range(600, 1000))).scene)["elements"]
    assert elements[-1] == {"id": "plain", "index": "b", "text": "KV → cache"}


def test_elements_come_back_as_they_were_drawn_from_back_to_front() -> None:
    document = drawn(range(1, 3))
    document.get("scene", type=Map)["first"] = '{"id": "first"}'
    elements = [{"id": "first"}, *({"id": f"d{n}", "index": "a", "customData": [[]] if n == 2 else []} for n in (1, 2))]
    elements.append({"id": "plain", "index": "b", "text": "KV → cache"})
    assert documents.read(document).scene == json.dumps({"type": "excalidraw", "version": 2, "elements": elements}, ensure_ascii=False)


def test_an_index_or_a_field_that_is_nested_without_end_is_passed_over() -> None:
    document, nested = drawn(range(0)), []
    for _ in range(2000):
        nested = [nested]
    document.get("scene", type=Map)["deep"] = f'{{"id": "deep", "index": {"[" * 600}{"]" * 600}}}'
    document.get("fields", type=Map).update({"size": nested, "rate": "5 GB/s"})
    content = documents.read(document)
    assert content.fields == {"size": "", "rate": "5 GB/s"}
    assert json.loads(content.scene)["elements"][-1]["id"] == "plain"


@pytest.mark.django_db
def test_an_interview_with_such_elements_ends(make: Make) -> None:
    interview = make()
    answer = question(interview, "code").answer
    actions.store_update(answer_id=answer.pk, actor=interview.candidate, data=bytes(drawn(range(600, 1000)).get_update()))
    assert actions.finish(interview=interview, actor=interview.candidate).status == "grading"


def nested(levels: int) -> bytes:
    """An update that puts arrays in arrays into a field."""
    document: Doc = Doc()
    document.get("fields", type=Map)["size"] = [[["q"]]]
    update = bytes(document.get_update())
    opened = b"\x75\x01"  # an array of one, in lib0's encoding
    assert opened * 3 in update
    return update.replace(opened * 3, opened * levels)


def test_values_nested_too_deep_to_be_read_are_refused_and_the_process_lives() -> None:
    documents.check(nested(1000))
    for levels in (20_000, 500_000):
        with pytest.raises(documents.Malformed, match="nested too deep"):
            documents.check(nested(levels))


def test_a_long_paste_is_no_nest() -> None:
    document: Doc = Doc()
    document.get("text", type=Text).insert(0, "You have to value every unit. " * 20_000)
    documents.check(bytes(document.get_update()))
