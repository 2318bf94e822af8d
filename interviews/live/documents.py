"""Answers as Yjs documents: opening, reading and checking them. No Django models are written here."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pycrdt import Doc, Map, Text, merge_updates

from interviews.live.models import Answer
from interviews.live.updates import Malformed, structs

MAX_UPDATE_BYTES = 2 * 1024 * 1024
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024  # of what an answer says now
MAX_HISTORY_BYTES = 64 * 1024 * 1024  # of all that was ever written into it: a drawing is written anew with each move
JOINED = 64  # updates merged at a time: all at once takes time by the square of their number
MAX_STEPS = 500_000  # structs that an update's structs may have to be compared with, at worst, in this process: some 0.3 s
APART_SECONDS = 10  # of the wall's clock for a trial, whose processor time is bounded more closely
# What a document took to open is known and bounded (consumers.MAX_SECONDS); the update alone may take a second more. The kernel ends what takes longer.
_APPLY = """
import signal, sys
from pycrdt import Doc
signal.setitimer(signal.ITIMER_PROF, 5.0)
size, document = int(sys.argv[1]), Doc()
document.apply_update(sys.stdin.buffer.read(size))
update = sys.stdin.buffer.read()
signal.setitimer(signal.ITIMER_PROF, 1.0)
document.apply_update(update)
signal.setitimer(signal.ITIMER_PROF, 0.0)
"""


class Costly(ValueError):
    """An update that takes too long to put in its place."""


@dataclass(frozen=True)
class Content:
    """What a document says. NUL becomes U+FFFD, one for one, because PostgreSQL's text can't hold it; offsets stay."""

    text: str
    code: str
    fields: dict[str, str]
    scene: str = ""


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def open_document(answer: Answer, upto: int | None = None) -> Doc:
    """The document after all its updates, or after the first `upto`."""
    document: Doc = Doc()
    if updates := _updates(answer, upto):
        # As one, because the library forgets updates that wait for another when a third comes between them.
        document.apply_update(joined(updates))
    return document


def _updates(answer: Answer, upto: int | None) -> list[bytes]:
    """The snapshot and what came after it, or all updates where there is none."""
    rows = answer.updates.all() if upto is None else answer.updates.filter(seq__lte=upto)
    snapshot = getattr(answer, "snapshot", None)
    known = []
    if snapshot is not None and (upto is None or snapshot.seq <= upto):
        known, rows = [bytes(snapshot.data)], rows.filter(seq__gt=snapshot.seq)
    return [*known, *(bytes(data) for data in rows.values_list("data", flat=True))]


def joined(updates: Sequence[bytes]) -> bytes:
    """Updates as one. Unlike what a document says of itself, this keeps those that wait for another. There has to be one."""
    while len(updates) > 1:
        updates = [bytes(merge_updates(*updates[i : i + JOINED])) for i in range(0, len(updates), JOINED)]
    return updates[0]


def merged(answer: Answer, upto: int) -> bytes:
    """The first `upto` updates as one."""
    return joined(_updates(answer, upto))


# What the board's tools draw. Of other kinds Excalidraw shows some as pages in the page.
DRAWN = frozenset(["rectangle", "ellipse", "diamond", "frame", "arrow", "line", "freedraw", "text"])
LEADING = frozenset(["link", "customData"])  # what of an element could lead a reader elsewhere


def _refuse(name: str) -> None:
    raise ValueError(name)


def _element(id: str, value: object) -> tuple[str, str, str] | None:
    """An entry of a whiteboard as (index, id, JSON), or None for one that the board does not draw or that is nested too deeply to be one."""
    try:
        element = json.loads(str(value), parse_constant=_refuse)
        if not isinstance(element, dict) or element.get("id") != id or element.get("type") not in DRAWN:
            return None
        return str(element.get("index") or ""), id, json.dumps({key: part for key, part in element.items() if key not in LEADING}, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):  # a type that is a list has no hash
        return None


def _scene(elements: Map) -> str:
    """The JSON of a whiteboard from its elements, back to front; "" for an empty one. An entry that is no element is passed over."""
    found = sorted(element for id, value in elements.items() if (element := _element(id, value)))
    return f'{{"type": "excalidraw", "version": 2, "elements": [{", ".join(text for _, _, text in found)}]}}' if found else ""


def _field(value: object) -> str:
    """A field's value as text; "" for a list that is nested too deeply to be written."""
    try:
        return _storable(str(value))
    except RecursionError:
        return ""


def read(document: Doc) -> Content:
    """The document's shared types as plain text."""
    fields = document.get("fields", type=Map)
    return Content(
        text=_storable(str(document.get("text", type=Text))),
        code=_storable(str(document.get("code", type=Text))),
        fields={_storable(str(key)): _field(value) for key, value in fields.items()},
        scene=_storable(_scene(document.get("scene", type=Map))),
    )


def costly(count: int, size: int) -> bool:
    """Whether `count` structs may hold everybody up that have to find their places among `size` others and each other."""
    return count * (size + count) > MAX_STEPS


def may_be_costly(update: bytes, size: int) -> bool:
    """Whether to read an update is some work already, or to place it may be: a struct takes two bytes at least."""
    return costly(len(update) // 2, size)


def check(update: bytes, size: int = 0) -> tuple[int, bool]:
    """How many structs an update has, and whether they may be costly in a document of `size` structs: then they are to be tried apart first.

    Raises:
        Malformed: it is no update, or holds what no answer does.
    """
    count = structs(update)
    if costly(count, size):
        return count, True
    try:
        Doc().apply_update(update)
    except BaseException as error:  # the library's panics do not derive from Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise Malformed(str(error)) from error
    return count, False


def try_apart(document: bytes, update: bytes) -> None:
    """Puts an update in its place in a process of its own, which it may hold up.

    Raises:
        Malformed: it can't be read.
        Costly: it would hold everybody up.
    """
    command = [sys.executable, "-c", _APPLY, str(len(document))]
    try:
        done = subprocess.run(command, input=document + update, capture_output=True, timeout=APART_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Costly("an update that takes too long to place") from error
    if done.returncode == 1:
        raise Malformed("an update that can't be read")
    if done.returncode != 0:
        raise Costly("an update that takes too long to place")


def deletes_only(update: bytes) -> bool:
    return update[:1] == b"\0"  # no client's structs


def repeats(document: Doc, update: bytes) -> bool:
    """Whether a checked update without insertions changes nothing in the document. Others are taken to change something."""
    if not deletes_only(update):
        return False
    seen: list[bytes] = []
    subscription = document.observe(lambda event: seen.append(bytes(event.update)))
    try:
        document.apply_update(update)
    finally:
        document.unobserve(subscription)
    return not seen


def starter_update(code: str) -> bytes:
    """The first update of a code answer: the lab's starter. The server writes it, so that two tabs do not insert it twice."""
    document: Doc = Doc()
    document.get("code", type=Text).insert(0, code)
    return bytes(document.get_update())
