"""A whiteboard as a graph: an Excalidraw scene, or its text alternative, becomes boxes with texts, directed labelled arrows and containment.

Scene files are the JSON that Excalidraw saves: `{"elements": [...]}`, each element with an id, a type, a place and a size. What a person sees is
what counts: deleted elements and freehand strokes are left out, a text that lies in a box without a label is its label, an arrow that was not
bound ends at the nearest box.
"""

from __future__ import annotations

import html
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grading.gates import taken_back
from grading.lexicon import IS_UNTRUE, REJECTION
from grading.polarity import denies
from grading.text import read, tokenise, visible

MAX_ELEMENTS, MAX_CHARS, MAX_BYTES, MAX_POINTS = 2000, 2000, 4 * 1024 * 1024, 500
MAX_ALL_POINTS = 20_000  # of all arrows together
SNAP = 60.0  # scene units (CSS pixels at zoom 1) from an arrow's loose end to the box that it means
REACH = 30.0  # and from there to a box inside another, which goes before the one around it
NEAR = 40.0  # from a loose text to the arrow that it labels
SHAPES = frozenset(["rectangle", "ellipse", "diamond"])
FRAMES = frozenset(["frame", "magicframe"])
Point = tuple[float, float]


class SceneError(ValueError):
    """A scene that can't be read: the place in it and what is wrong there."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.place, self.problem = place, problem


@dataclass(frozen=True, slots=True)
class Box:
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def distance(self, p: Point) -> float:
        """From a point to the box; 0 inside."""
        return math.hypot(max(self.x0 - p[0], 0.0, p[0] - self.x1), max(self.y0 - p[1], 0.0, p[1] - self.y1))

    def holds(self, other: Box, share: float = 0.9) -> bool:
        """Whether at least this share of the other box lies in this larger one."""
        width, height = min(self.x1, other.x1) - max(self.x0, other.x0), min(self.y1, other.y1) - max(self.y0, other.y0)
        return width > 0 and height > 0 and self.area > other.area and width * height >= share * other.area


@dataclass(frozen=True, slots=True)
class Node:
    """A box, a frame or a lone text. `parent` is the id of what it lies in."""

    id: str
    text: str
    box: Box | None = None
    parent: str | None = None
    span: tuple[int, int] | None = None  # of the line that draws it, in a text alternative


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow. `directed` is false for a line without heads; an arrow with two heads is two edges."""

    source: str
    target: str
    label: str = ""
    directed: bool = True
    id: str = ""
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    loose: int = 0  # arrows with an end that meets nothing
    withdrawn: bool = False  # the text that draws it takes back all that stands before or after some sentence

    def node(self, id: str) -> Node:
        return next(node for node in self.nodes if node.id == id)

    def lines(self) -> list[str]:
        """The drawing in words, as a text alternative would give it."""
        names = {node.id: node.text or "(no name)" for node in self.nodes}
        out = [f"{names[e.source]} {'→' if e.directed else '—'} {names[e.target]}" + (f": {e.label}" if e.label else "") for e in self.edges]
        for outer in self.nodes:
            held = [node.text for node in self.nodes if node.parent == outer.id and node.text]
            out += [f"{outer.text} contains {', '.join(held)}"] if held and outer.text else []
        joined = {id for e in self.edges for id in (e.source, e.target)} | {node.parent for node in self.nodes}
        return out + [node.text for node in self.nodes if node.text and node.id not in joined and node.parent is None]

    def inside(self, id: str) -> Iterable[str]:
        """The ids of everything that a node lies in, nearest first."""
        parents, seen = {node.id: node.parent for node in self.nodes}, {id}
        while (up := parents.get(id)) is not None and up not in seen:
            seen.add(up)
            yield up
            id = up


@dataclass(slots=True)
class _Element:
    id: str
    type: str
    box: Box
    raw: Mapping[str, Any]
    text: str = ""
    groups: tuple[str, ...] = ()
    points: tuple[Point, ...] = field(default=())


def parse_scene(scene: str | Mapping[str, Any]) -> Graph:
    """The graph of a scene, given as JSON text or as what it parses to.

    Raises:
        SceneError: no scene, too large, or an element that is malformed; names the element.
    """
    if isinstance(scene, str):
        if not scene.strip():
            return Graph()
        if len(scene) > MAX_BYTES:
            raise SceneError("", f"the scene is larger than {MAX_BYTES // 2**20} MiB")
        try:
            scene = json.loads(scene)
        except (ValueError, RecursionError) as error:
            raise SceneError("", f"not JSON: {error}") from None
    if not isinstance(scene, Mapping) or not isinstance(scene.get("elements"), list):
        raise SceneError("elements", "a scene is an object with a list of elements")
    if len(scene["elements"]) > MAX_ELEMENTS:
        raise SceneError("elements", f"more than {MAX_ELEMENTS} elements")
    elements = [e for i, raw in enumerate(scene["elements"]) if (e := _element(raw, f"elements[{i}]")) is not None]
    ids = [e.id for e in elements]
    if len(set(ids)) != len(ids):
        raise SceneError("elements", f"the id {next(id for id in ids if ids.count(id) > 1)!r} stands twice")
    if sum(len(e.points) for e in elements) > MAX_ALL_POINTS:
        raise SceneError("elements", f"the arrows have more than {MAX_ALL_POINTS:,} points in all")
    return _graph(elements)


def _number(raw: Mapping[str, Any], key: str, place: str) -> float:
    value = raw.get(key, 0.0)
    # The size comes first: an integer of hundreds of digits is no float, and neither tested as one nor written out.
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9 or not math.isfinite(value):
        raise SceneError(f"{place}.{key}", "is no finite number up to 1e9")
    return float(value)


def _string(raw: Mapping[str, Any], key: str, place: str) -> str:
    value = raw.get(key)
    if value is not None and not isinstance(value, str):
        raise SceneError(f"{place}.{key}", "is no text")
    # Without characters that are none, such as NUL, which no database takes.
    return " ".join("".join(c for c in (value or "")[:MAX_CHARS] if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs")).split())


def _element(raw: Any, place: str) -> _Element | None:
    if not isinstance(raw, Mapping):
        raise SceneError(place, "an element is an object")
    id, kind = raw.get("id"), raw.get("type")
    if not isinstance(id, str) or not id or not isinstance(kind, str):
        raise SceneError(place, "an element has an id and a type")
    if raw.get("isDeleted") or raw.get("opacity") == 0:  # what nobody can see earns nothing
        return None
    x, y, w, h = (_number(raw, key, place) for key in ("x", "y", "width", "height"))
    points: list[Point] = []
    if kind in ("arrow", "line"):
        given = raw.get("points")
        if not isinstance(given, list) or len(given) > MAX_POINTS:
            raise SceneError(f"{place}.points", "an arrow has a list of points")
        for i, p in enumerate(given):
            if not isinstance(p, list) or len(p) < 2:
                raise SceneError(f"{place}.points[{i}]", "a point is a pair of numbers")
            at = {"x": p[0], "y": p[1]}
            points.append((x + _number(at, "x", f"{place}.points[{i}]"), y + _number(at, "y", f"{place}.points[{i}]")))
        if len(points) < 2:
            return None
    groups = raw.get("groupIds") or ()
    if not isinstance(groups, list | tuple) or not all(isinstance(g, str) for g in groups):
        raise SceneError(f"{place}.groupIds", "is no list of ids")
    box = Box(min(x, x + w), min(y, y + h), max(x, x + w), max(y, y + h))
    return _Element(id, kind, box, raw, _string(raw, "name" if kind in FRAMES else "text", place), tuple(groups), tuple(points))


def _graph(elements: Sequence[_Element]) -> Graph:
    by_id = {e.id: e for e in elements}
    shapes = {e.id: e for e in elements if e.type in SHAPES | FRAMES}
    arrows = [e for e in elements if e.points]
    labels: dict[str, list[str]] = {}
    stands_for = {id: id for id in shapes}  # text id -> the shape or text that it belongs to
    alone: list[_Element] = []
    for text in (e for e in elements if e.type == "text" and e.text):
        owner = by_id.get(str(text.raw.get("containerId") or ""))
        if owner is not None and owner is not text and (owner.id in shapes or owner.points):
            labels.setdefault(owner.id, []).append(text.text)
            stands_for[text.id] = owner.id
        else:
            alone.append(text)
    lines = _Lines(arrows)
    for text in sorted(alone, key=lambda e: (e.box.y0, e.box.x0)):
        home = _home(text, shapes, labels)
        if home is None and (arrow := _labelled(text, lines, labels)) is not None:
            labels.setdefault(arrow.id, []).append(text.text)
        elif home is not None:
            labels.setdefault(home.id, []).append(text.text)
            stands_for[text.id] = home.id
        else:
            stands_for[text.id] = text.id
    nodes = [Node(e.id, " ".join([*([e.text] if e.type in FRAMES and e.text else []), *labels.get(e.id, ())]), e.box) for e in shapes.values()]
    nodes += [Node(e.id, e.text, e.box) for e in alone if stands_for.get(e.id) == e.id]
    nodes = [replace(node, parent=_parent(node, nodes, by_id)) for node in nodes]
    edges, loose = _edges(arrows, nodes, stands_for, labels)
    return Graph(tuple(nodes), tuple(edges), loose)


def _home(text: _Element, shapes: Mapping[str, _Element], labels: Mapping[str, list[str]]) -> _Element | None:
    """The shape that a loose text names: one of its group, or the smallest around it, as long as that has no label of its own yet. In a shape that
    holds other shapes a text is its title only above them all; lower down it is a thing by itself."""
    around = sorted((s for s in shapes.values() if s.box.holds(text.box, 0.8)), key=lambda s: s.box.area)
    grouped = [s for s in shapes.values() if set(s.groups) & set(text.groups)]
    for shape in [*([grouped[0]] if len(grouped) == 1 else []), *around[:1]]:
        inner = [s for s in shapes.values() if s is not shape and shape.box.holds(s.box)]
        if shape.id not in labels and not (shape.type in FRAMES and shape.text) and all(text.box.y1 <= s.box.y0 + 1 for s in inner):
            return shape
    return None


class _Lines:
    """All arrows as one array of segments: a scene may have a thousand texts beside twenty thousand points."""

    def __init__(self, arrows: Sequence[_Element]) -> None:
        self.arrows = arrows
        self._first = np.cumsum([0, *(len(a.points) - 1 for a in arrows)])[:-1]  # segment of each arrow
        self._x, self._y = np.array([p for a in arrows for p in a.points[:-1]], float).reshape(-1, 2).T.copy()
        x, y = np.array([p for a in arrows for p in a.points[1:]], float).reshape(-1, 2).T
        self._dx, self._dy = x - self._x, y - self._y
        squares = self._dx**2 + self._dy**2
        self._squares = np.where(squares > 0, squares, 1.0)

    def distances(self, p: Point) -> NDArray[np.float64]:
        """From a point to each arrow."""
        x, y = p[0] - self._x, p[1] - self._y
        along = np.clip((x * self._dx + y * self._dy) / self._squares, 0.0, 1.0)
        return np.minimum.reduceat(np.hypot(x - along * self._dx, y - along * self._dy), self._first)


def _labelled(text: _Element, lines: _Lines, labels: Mapping[str, list[str]]) -> _Element | None:
    """The arrow that runs by a loose text. An arrow that begins or ends at it is an arrow of its own and not labelled by it."""
    if not lines.arrows or any(text.box.distance(end) <= NEAR / 2 for a in lines.arrows for end in (a.points[0], a.points[-1])):
        return None
    middle = ((text.box.x0 + text.box.x1) / 2, (text.box.y0 + text.box.y1) / 2)
    near = [(distance - (text.box.y1 - text.box.y0) / 2, i)
            for i, (distance, arrow) in enumerate(zip(lines.distances(middle).tolist(), lines.arrows, strict=True)) if arrow.id not in labels]
    distance, i = min(near, default=(math.inf, 0))
    return lines.arrows[i] if distance <= NEAR else None


def _parent(node: Node, nodes: Sequence[Node], by_id: Mapping[str, _Element]) -> str | None:
    around = [n for n in nodes if n.id != node.id and by_id[n.id].type != "text" and n.box is not None and node.box is not None and n.box.holds(node.box)]
    if around:
        return min(around, key=lambda n: n.box.area if n.box else 0.0).id
    frame = by_id[node.id].raw.get("frameId")
    return frame if isinstance(frame, str) and frame != node.id and frame in by_id and by_id[frame].type in FRAMES else None


def _edges(arrows: Sequence[_Element], nodes: Sequence[Node], stands_for: Mapping[str, str], labels: Mapping[str, list[str]]) -> tuple[list[Edge], int]:
    known, edges, loose = {node.id for node in nodes}, list[Edge](), 0
    for arrow in arrows:
        heads = [arrow.raw.get(key, "arrow" if key == "endArrowhead" and arrow.type == "arrow" else None) for key in ("startArrowhead", "endArrowhead")]
        if arrow.type == "line" and not any(heads) and arrow.raw.get("polygon"):
            continue
        ends = []
        for key, point in (("startBinding", arrow.points[0]), ("endBinding", arrow.points[-1])):
            binding = arrow.raw.get(key)
            bound = stands_for.get(str(binding.get("elementId"))) if isinstance(binding, Mapping) else None
            ends.append(bound if bound in known else _nearest(point, nodes))
        source, target = ends
        if source is None or target is None or source == target:
            loose += 1
            continue
        label = " ".join(labels.get(arrow.id, ()))
        start, end = bool(heads[0]), bool(heads[1])
        if end or not start:
            edges.append(Edge(source, target, label, end, arrow.id))
        if start:
            edges.append(Edge(target, source, label, True, arrow.id))
    return edges, loose


def _nearest(point: Point, nodes: Sequence[Node]) -> str | None:
    """The box nearest to an arrow's end. A box that holds others is around most ends that are drawn in it: what lies in it goes first when it is
    within reach, and of several around the point the smallest."""
    parents = {n.parent for n in nodes}
    found = [(n.box.distance(point), n.box.area, n.id) for n in nodes if n.box is not None]
    close = [item for item in found if item[0] <= SNAP]
    leaves = [item for item in close if item[0] <= REACH and item[2] not in parents]
    return min(leaves or close)[2] if close else None


# Arrows as they are typed, as editors turn them into signs (\ufe0f asks for the coloured form of ➡), and as TeX and HTML spell them. Each run of dashes is
# tried from its beginning alone.
_DASH = "-‐‑‒–—―−─━"
_SHAFT, _LONG = rf"(?:(?<![{_DASH}])[{_DASH}]++|(?<!=)=++)", rf"(?<![{_DASH}])(?:--|[–—―─━])[{_DASH}]*+"
_TO, _FROM = "(?:>|[→⟶⇒⟹➔➜➝➞➙➛➟➠➡➤⇨⟼↦⇢⇝↝⟿⇾↣↠⇛⮕⭢🡒🠖►▶▸]\ufe0f?)", "(?:<|[←⟵⇐⟸⬅⇦⟻↤⇠⇜↜⇽↢↞⇚⭠🡐🠔◄◀◂]\ufe0f?)"
_ARROW = re.compile(
    rf"(?P<two>{_FROM}{_SHAFT}{_TO}|{_SHAFT}?[↔⟷⇔⟺⇄⇆⇋⇌⬌⭤🡘]\ufe0f?{_SHAFT}?)|(?P<back>{_FROM}{_SHAFT}(?![{_DASH}>])|(?!<){_FROM})"
    rf"|{_SHAFT}\[(?P<inner>[^\]\n]{{0,200}})\]{_SHAFT}?{_TO}|{_LONG}\s(?P<mid>[^{_DASH}<>\n]+?)\s{_LONG}{_TO}|~>|{_SHAFT}{_TO}|(?!>){_TO}")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31});")
_TEX = tuple((re.compile(rf"(?:\${{1,2}} ?|\\\( ?)?\\(?:{names})(?![A-Za-z])(?: ?\${{1,2}}| ?\\\))?"), f" {sign} ") for names, sign in (
    ("to|(?:long)?rightarrow|(?:Long)?[Rr]ightarrow|(?:long)?mapsto|implies|leadsto|rightsquigarrow|hookrightarrow", "→"),
    ("gets|(?:long)?leftarrow|(?:Long)?[Ll]eftarrow|hookleftarrow", "←"),
    ("(?:long)?leftrightarrow|(?:Long)?[Ll]eftrightarrow|leftrightarrows|rightleftarrows|rightleftharpoons", "↔")))
_IN = re.compile(r"^(?P<outer>.{1,80}?)\s+(?:contains?|holds|includes|consists of)\s*:?\s+(?P<inner>.{1,300})$", re.I)
_MARK = re.compile(r"^\s*(?:[-*+•●○▪◦·‣▸►▶➤➜–—→⇒]\ufe0f?|\d{1,2}[.)])\s+")
_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n]*$", re.M)
# What stands at an arrow and says that there is none: "this is wrong", "it never happens". A bare "no" or "false" is a branch of a decision.
_BRANCH = re.compile(r"\W*(?:no|false|not true)\W*$", re.I)
_NOT_SO = re.compile(rf"{REJECTION}\s*(?:[^\w\s]|$|(?:because|since)\b)", re.I)
_SUCH = r"(?:this|that|it|which|(?:this|that|the|no such|such an?) (?:\w+ )?(?:arrow|edge|line|link|connection|direction|order|way|step))"
_NEVER = r"(?:(?:do|does|did|will|can|must|should)(?: not|n['’]t)|cannot|won['’]t|never|no longer)(?: (?:ever|\w+ly))?"
_NO_ARROW = re.compile(rf"\b{_SUCH}{IS_UNTRUE}|(?:^|[,;.(–—])\s*(?:{_SUCH} )?{_NEVER} (?:happens?|occurs?|exists?)\b", re.I)
_CONDITION = re.compile(r"\b(?:if|when(?:ever)?|unless|whether|until|while|where|once|as long as|in case)\b", re.I)
_UNTRUE_END = re.compile(rf"{IS_UNTRUE}\W*$", re.I)


def rejected(label: str) -> bool:
    """Whether what stands at an arrow takes it back. A condition before that ("if it is wrong") tells when the arrow is gone along."""
    found = None if _BRANCH.match(label) else _NOT_SO.match(label) or _NO_ARROW.search(label)
    return found is not None and not _CONDITION.search(label, 0, found.start())


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that draws arrows: between each two names one, as in the chain A -> B -> C. `label` stands behind the last name."""

    names: Sequence[str]
    arrows: Sequence[re.Match[str]]
    label: str

    @property
    def denied(self) -> bool:
        """Whether it says that its arrows are none: "it is wrong that A -> B", "A -> B is wrong"."""
        first, last = self.names[0], self.names[-1]
        untrue = _UNTRUE_END.search(last)
        return denies(tokenise(first), first) or rejected(last) or (untrue is not None and not _CONDITION.search(last, 0, untrue.start()))


def _plain(body: str) -> str:
    """A line with its entities of HTML and its arrows of TeX as the signs that they stand for."""
    body = _ENTITY.sub(lambda m: html.unescape(m[0]), body)
    for spelled, sign in _TEX:
        body = spelled.sub(sign, body)
    return body


def _drawn(body: str) -> _Line | None:
    arrows = list(_ARROW.finditer(body))
    cuts = [0, *(cut for m in arrows for cut in m.span()), len(body)]
    names = [body[a:b] for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
    names[-1], _, label = names[-1].partition(":")
    return _Line(names, arrows, label) if arrows and all(name.strip() and len(name.split()) <= 12 for name in names) else None


def _unsaid(lines: Sequence[str], drawn: Sequence[_Line | None]) -> tuple[list[bool], bool]:
    """(for each line whether the answer doesn't stand by it, whether it takes back all before or after some sentence), as prose would be read."""
    text = _FENCE.sub(lambda m: " " * len(m[0]), "".join(lines))
    starts = [0, *accumulate(map(len, lines))]
    chars = list(text)
    for here, below, end, line in zip(drawn, drawn[1:], starts[1:], lines[1:], strict=False):
        if (here or below) and not _MARK.match(line):
            chars[end - 1] = "\u2029"  # an arrow's line is a sentence, whatever stands at its end
    document = read("".join(chars))
    why, whole = taken_back(document)
    gone = bytearray(len(text))
    for sentence, unsaid in zip(document.sentences, why, strict=True):
        if unsaid:
            gone[sentence.start : sentence.end] = b"\1" * (sentence.end - sentence.start)
    return [any(gone[a:b]) for a, b in pairwise(starts)], whole


def parse_text(text: str) -> tuple[Graph, str]:
    """The graph that the lines of a text alternative draw, and the prose: the same text with those lines blanked, so that offsets stay.

    A line is `A -> B: label`, a chain `A -> B -> C`, `A <- B`, `A <-> B`, `A -[label]-> B`, or `A contains B, C`, which stays prose as well; any
    other sign for an arrow will do. Same names, whatever their case and blanks, are the same box. What is struck out, commented or taken back draws
    nothing, and what is denied no arrow.
    """
    nodes: dict[str, Node] = {}
    edges, prose, at = list[Edge](), list[str](), 0

    def node(name: str, span: tuple[int, int]) -> str:
        name = " ".join(name.strip(" \t*`\"'•$").split())[:MAX_CHARS]
        key = re.sub(r"^(?:the|an?)\s+", "", name.casefold())
        nodes.setdefault(key, Node(key, name, span=span))
        return key

    lines = visible(text).splitlines(keepends=True)
    bodies = [_plain(_MARK.sub("", line.rstrip())).rstrip(" .;") for line in lines]
    drawn = [_drawn(body) if number < MAX_ELEMENTS and len(body) <= MAX_CHARS else None for number, body in enumerate(bodies)]
    unsaid, withdrawn = _unsaid(lines, drawn)
    for number, (line, body, this, gone) in enumerate(zip(lines, bodies, drawn, unsaid, strict=True)):
        raw, span, at = text[at : at + len(line)], (at, at + len(line.rstrip())), at + len(line)
        # What is hidden in the line stays for whoever reads the prose: it may speak to the grader.
        prose.append("".join(b if a.isspace() else " " for a, b in zip(line, raw, strict=True)) if this else raw)
        if gone:
            continue
        if this:
            keys = [node(name, span) for name in this.names]
            for m, a, b in zip(() if this.denied else this.arrows, keys, keys[1:], strict=False):
                said = " ".join((m["inner"] or m["mid"] or this.label).split())
                source, target = (b, a) if m["back"] else (a, b)
                if a != b:
                    edges.append(Edge(source, target, said, True, f"line {number + 1}", span))
                if a != b and m["two"]:
                    edges.append(Edge(target, source, said, True, f"line {number + 1}", span))
            continue
        held = _IN.match(body) if len(body) <= MAX_CHARS else None
        if held and len(held["outer"].split()) <= 5 and not re.search(r"[.;!?]\s", body):
            outer = node(held["outer"], span)
            for name in re.split(r",\s*(?:and\s+)?|\s+and\s+", held["inner"]):
                if name.strip() and len(name.split()) <= 6 and (inner := node(name, span)) != outer:
                    nodes[inner] = replace(nodes[inner], parent=outer)
    return Graph(tuple(nodes.values()), tuple(edges), withdrawn=withdrawn and any(drawn)), "".join(prose)
