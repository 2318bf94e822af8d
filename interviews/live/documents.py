"""Answers as Yjs documents: opening, reading and checking them. No Django models are written here."""

import json
import subprocess
import sys
from dataclasses import dataclass

from pycrdt import Doc, Map, Text, merge_updates

from interviews.live.models import Answer

MAX_UPDATE_BYTES = 2 * 1024 * 1024
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
OPENERS = b"\x75", b"\x76"  # what an array and a map begin with in lib0's encoding of values
MAX_OPENERS = 8000
APART_SECONDS = 5
_APPLY = """
import sys, threading
from pycrdt import Doc
threading.stack_size(1 << 20)
thread = threading.Thread(target=Doc().apply_update, args=[sys.stdin.buffer.read()])
thread.start()
thread.join()
"""


class Malformed(ValueError):
    """Bytes that are no Yjs update."""


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
    updates = answer.updates.all()
    if upto is not None:
        updates = updates.filter(seq__lte=upto)
    snapshot = getattr(answer, "snapshot", None)
    if snapshot is not None and (upto is None or snapshot.seq <= upto):
        document.apply_update(bytes(snapshot.data))
        updates = updates.filter(seq__gt=snapshot.seq)
    for data in updates.values_list("data", flat=True):
        document.apply_update(bytes(data))
    return document


def merged(answer: Answer, upto: int) -> bytes:
    """The first `upto` updates as one. Unlike what a document says of itself, this keeps updates that wait for another."""
    return bytes(merge_updates(*(bytes(data) for data in answer.updates.filter(seq__lte=upto).values_list("data", flat=True))))


def _refuse(name: str) -> None:
    raise ValueError(name)


def _element(id: str, value: object) -> tuple[str, str, str] | None:
    """An entry of a whiteboard as (index, id, JSON), or None for one that is no element or nested too deeply to be one."""
    try:
        element = json.loads(str(value), parse_constant=_refuse)
        if not isinstance(element, dict) or element.get("id") != id:
            return None
        return str(element.get("index") or ""), id, json.dumps(element, ensure_ascii=False)
    except (ValueError, RecursionError):
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


def check(update: bytes) -> None:
    """Raises Malformed unless the bytes are an update that some document could take.

    The library reads nested values by recursion and has no guard: some 20,000 levels take the whole process down. Few updates hold enough bytes that
    could open a level; those are tried in a process of their own first, on a stack with much less room than the ones here.
    """
    if sum(update.count(opener) for opener in OPENERS) > MAX_OPENERS:
        _try_apart(update)
    try:
        Doc().apply_update(update)
    except BaseException as error:  # the library's panics do not derive from Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise Malformed(str(error)) from error


def _try_apart(update: bytes) -> None:
    try:
        done = subprocess.run([sys.executable, "-c", _APPLY], input=update, capture_output=True, timeout=APART_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Malformed("an update that takes too long to read") from error
    if done.returncode != 0:
        raise Malformed("an update with values nested too deep")


def repeats(document: Doc, update: bytes) -> bool:
    """Whether a checked update without insertions changes nothing in the document. Others are taken to change something."""
    if update[:1] != b"\0":
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
