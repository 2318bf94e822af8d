"""What a drawing earns that shows the right words and not the right thing. Each is made from the best exemplar, without its prose."""

import json
import random
from collections.abc import Callable, Iterable
from itertools import combinations, permutations
from typing import Any

import pytest

import grading
from interviews.bank.files import ParsedQuestion, read_pack
from interviews.bank.management.commands.load_bank import PACKS

BOARDS = [q for path in PACKS.glob("*/pack.yaml") for q in read_pack(path.parent).questions if q.meta["kind"] == "whiteboard"]
Elements = list[dict[str, Any]]


def turned(elements: Elements) -> Elements:
    """Every arrow the other way."""
    swap = {"startBinding": "endBinding", "endBinding": "startBinding"}
    return [{swap.get(key, key): value for key, value in e.items()} if e["type"] == "arrow" else e for e in elements]


def headless(elements: Elements) -> Elements:
    return [e | {"endArrowhead": None} if e["type"] == "arrow" else e for e in elements]


def renamed(elements: Elements) -> Elements:
    """The boxes' names dealt out anew."""
    owners = {e["id"] for e in elements if e["type"] == "rectangle"}
    names = [e["text"] for e in elements if e.get("containerId") in owners]
    random.Random(5).shuffle(names)
    deal = iter(names)
    return [e | {"text": next(deal)} if e.get("containerId") in owners else e for e in elements]


def no_arrows(elements: Elements) -> Elements:
    arrows = {e["id"] for e in elements if e["type"] == "arrow"}
    return [e for e in elements if e["id"] not in arrows and e.get("containerId") not in arrows]


def joined(elements: Elements, pick: Callable[[list[str]], Iterable[tuple[str, str]]]) -> Elements:
    """The boxes with these arrows in place of their own."""
    boxes = [e["id"] for e in elements if e["type"] == "rectangle" and e.get("boundElements")]
    joins = [{"id": f"j{i}", "type": "arrow", "x": 0, "y": 0, "points": [[0, 0], [1, 1]], "startBinding": {"elementId": a}, "endBinding": {"elementId": b}}
             for i, (a, b) in enumerate(pick(boxes))]
    return no_arrows(elements) + joins


def all_joined(elements: Elements) -> Elements:
    """Every box joined to every other."""
    return joined(elements, lambda boxes: permutations(boxes, 2))


def each_to_all_later(elements: Elements) -> Elements:
    """Every box joined to all that come after it, which is an arrow the right way for whatever lies in its order."""
    return joined(elements, lambda boxes: combinations(boxes, 2))


def half_both_ways(elements: Elements) -> Elements:
    """Every box joined to all that come after it, and every other arrow with its way back."""
    return joined(elements, lambda boxes: [pair for i, (a, b) in enumerate(combinations(boxes, 2)) for pair in ((a, b), (b, a))[: 1 + i % 2]])


def one_box(elements: Elements) -> Elements:
    """All the words in two boxes, each pointing at the other."""
    words = " ".join(e["text"] for e in elements if e["type"] == "text")
    out: Elements = []
    for i in range(2):
        out.append({"id": f"b{i}", "type": "rectangle", "x": 500 * i, "y": 0, "width": 400, "height": 100})
        out.append({"id": f"t{i}", "type": "text", "x": 500 * i, "y": 0, "width": 390, "height": 90, "containerId": f"b{i}", "text": words})
        out.append({"id": f"a{i}", "type": "arrow", "x": 0, "y": 0, "points": [[0, 0], [1, 1]], "startBinding": {"elementId": f"b{i}"},
                    "endBinding": {"elementId": f"b{1 - i}"}})
    return out


def marked(question: ParsedQuestion, elements: Elements, text: str = "") -> grading.Score:
    asked = grading.Question(prompt=question.prompt, title=question.meta["title"], kind="whiteboard")
    return grading.score(question.rubric, grading.Answer(text, scene=json.dumps({"elements": elements})), asked)


def best(question: ParsedQuestion) -> Elements:
    elements: Elements = json.loads(next(e for e in question.exemplars if e.level == "L7").answer.scene)["elements"]
    return elements


def drawn_points(question: ParsedQuestion, score: grading.Score) -> float:
    return sum(c.points for c, r in zip(score.criteria, question.rubric.criteria, strict=True) if r.diagram)


@pytest.mark.parametrize("question", BOARDS, ids=lambda q: q.slug)
@pytest.mark.parametrize("attack", [turned, headless, renamed, no_arrows, all_joined, each_to_all_later, half_both_ways, one_box], ids=lambda f: f.__name__)
def test_the_right_words_in_a_wrong_drawing_stay_below_every_band(question: ParsedQuestion, attack: Callable[[Elements], Elements]) -> None:
    genuine, score = marked(question, best(question)), marked(question, attack(best(question)))
    assert drawn_points(question, genuine) == sum(c.points for c in question.rubric.criteria if c.diagram)
    assert score.level == "below", [(c.id, c.points) for c in score.criteria]
    # Where only the arrows are wrong, names and containment are still right.
    assert drawn_points(question, score) <= 0.6 * drawn_points(question, genuine)


@pytest.mark.parametrize("question", BOARDS, ids=lambda q: q.slug)
def test_another_hand_draws_the_same_for_the_same_points(question: ParsedQuestion) -> None:
    elements = best(question)
    moved = [e | {"x": e["x"] + 731, "y": e["y"] - 52} for e in elements]
    loose = [{key: value for key, value in e.items() if key not in ("startBinding", "endBinding")} for e in elements]
    unbound = [e | {"containerId": None} if e.get("containerId", "").startswith("b") else e for e in elements]
    scribbled = [*elements, {"id": "s", "type": "freedraw", "x": 0, "y": 0, "width": 900, "height": 900, "points": [[0, 0], [5, 5]]}]
    for same in (moved, loose, unbound, scribbled, elements[::-1]):
        assert drawn_points(question, marked(question, same)) == drawn_points(question, marked(question, elements))
