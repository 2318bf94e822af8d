"""What a document says, whatever somebody wrote into it."""

import json
from collections.abc import Callable
from itertools import permutations

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
        scene[f"d{depth}"] = f'{{"id": "d{depth}", "type": "line", "index": "a", "points": {"[" * depth}{"]" * depth}}}'
    scene["plain"] = '{"id": "plain", "type": "text", "index": "b", "text": "KV → cache"}'
    return document


def test_elements_of_every_depth_can_be_read() -> None:
    elements = json.loads(documents.read(drawn(range(600, 1000))).scene)["elements"]
    assert elements[-1] == {"id": "plain", "type": "text", "index": "b", "text": "KV → cache"}


def test_elements_come_back_as_they_were_drawn_from_back_to_front() -> None:
    document = drawn(range(1, 3))
    document.get("scene", type=Map)["first"] = '{"id": "first", "type": "text"}'
    elements = [{"id": "first", "type": "text"}, *({"id": f"d{n}", "type": "line", "index": "a", "points": [[]] if n == 2 else []} for n in (1, 2))]
    elements.append({"id": "plain", "type": "text", "index": "b", "text": "KV → cache"})
    assert documents.read(document).scene == json.dumps({"type": "excalidraw", "version": 2, "elements": elements}, ensure_ascii=False)


def test_an_index_or_a_field_that_is_nested_without_end_is_passed_over() -> None:
    document, nested = drawn(range(0)), []
    for _ in range(2000):
        nested = [nested]
    document.get("scene", type=Map)["deep"] = f'{{"id": "deep", "type": "text", "index": {"[" * 600}{"]" * 600}}}'
    document.get("fields", type=Map).update({"size": nested, "rate": "5 GB/s"})
    content = documents.read(document)
    assert content.fields == {"size": "", "rate": "5 GB/s"}
    assert json.loads(content.scene)["elements"][-1]["id"] == "plain"


def test_nothing_of_a_drawing_is_a_page_or_leads_to_one() -> None:
    document = drawn(range(0))
    page = {"customData": {"generationData": {"status": "done", "html": "<h2>Sign in again</h2>"}}, "link": "https://evil.example/"}
    elements = {"page": "iframe", "film": "embeddable", "photo": "image", "magic": "magicframe", "none": None, "list": ["iframe"], "box": "rectangle"}
    document.get("scene", type=Map).update({id: json.dumps({"id": id, "type": type, **page}) for id, type in elements.items()})
    assert json.loads(documents.read(document).scene)["elements"] == [
        {"id": "box", "type": "rectangle"}, {"id": "plain", "type": "text", "index": "b", "text": "KV → cache"}
    ]  # fmt: skip


@pytest.mark.django_db
def test_an_interview_with_such_elements_ends(make: Make) -> None:
    interview = make()
    answer = question(interview, "code").answer
    actions.store_update(answer_id=answer.pk, actor=interview.candidate, data=bytes(drawn(range(600, 1000)).get_update()))
    assert actions.finish(interview=interview, actor=interview.candidate).status == "grading"


def number(value: int) -> bytes:
    """lib0's unsigned integer."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def maps(levels: int) -> bytes:
    """An update that puts a shared map into a field, one into that, and so on."""
    first = b"\x27\x01\x06fields\x01a\x01"
    return b"\x01" + number(levels) + b"\x01\x00" + first + b"".join(b"\x27\x00\x01" + number(n) + b"\x01a\x01" for n in range(levels - 1)) + b"\0"


def scattered(pieces: int) -> bytes:
    """An update of pieces that each lie before another letter of one text: finding their places takes time by the square of their number."""
    letters = b"\x01\x05\x00\x04\x01\x04text" + number(pieces) + b"a" * pieces
    return b"\x02" + number(pieces) + b"\x09\x00" + b"".join(b"\x44\x05" + number(n) + b"\x01b" for n in range(pieces)) + letters + b"\0"


def field_of(value: object) -> bytes:
    document: Doc = Doc()
    document.get("fields", type=Map)["size"] = value
    return bytes(document.get_update())


@pytest.mark.parametrize("update", [
    field_of([1]), field_of({"a": 1}), field_of(b"bytes"), field_of(Map({"a": "b"})), field_of(Text("a")), maps(2), maps(20_000), bytes(Doc().get_update())[:1],
    b"\0\0\0", b"\x01\x01\x01\x00\x04\x01\x05other\x01a\0", b"", b"\xff" * 12,
])  # fmt: skip
def test_an_update_that_holds_what_no_answer_does_is_refused_before_the_library_sees_it(update: bytes) -> None:
    with pytest.raises(documents.Malformed):
        documents.check(update)


@pytest.mark.parametrize("value", ["80 GB", "", 5, -(2**40), 2.5, True, None, "KV → 𝒳"])
def test_a_field_of_text_or_a_number_passes(value: object) -> None:
    assert documents.check(field_of(value)) == (1, False)


def test_an_update_that_would_hold_everybody_up_is_refused_and_the_process_goes_on() -> None:
    assert documents.check(scattered(500)) == (501, False)
    assert documents.check(scattered(40_000)) == (40_001, True)
    with pytest.raises(documents.Costly):
        documents.try_apart(b"\0\0", scattered(40_000))


def test_many_edits_at_once_are_tried_apart_and_pass() -> None:
    document: Doc = Doc()
    text = document.get("text", type=Text)
    for _ in range(1500):
        text.insert(0, "word ")
    update = bytes(document.get_update())
    assert documents.check(update) == (1500, True)
    documents.try_apart(b"\0\0", update)


def test_updates_in_any_order_are_one_document() -> None:
    document, log = Doc(), list[bytes]()
    subscription = document.observe(lambda event: log.append(bytes(event.update)))
    for letter in "cba":
        document.get("text", type=Text).insert(0, letter)
        document.get("fields", type=Map)[letter] = letter
    document.unobserve(subscription)
    for order in permutations(log[:5]):
        copy: Doc = Doc()
        copy.apply_update(documents.joined([*order, log[5]]))
        assert documents.read(copy) == documents.read(document)


def test_a_long_paste_is_no_nest() -> None:
    document: Doc = Doc()
    document.get("text", type=Text).insert(0, "You have to value every unit. " * 20_000)
    documents.check(bytes(document.get_update()))
