"""The two sockets: an interview's doorbell, and an answer's document.

The document socket speaks y-websocket's protocol (yjs/y-protocols) with an acknowledgement added. Each connection keeps a document of
its own, built from the database; what others write arrives through the channel layer, and a gap in the numbers is filled from the
database. So any number of server processes may serve one answer.

What a client sent is stored as it came, not as this connection's document observed it: an update may wait for another that went
through a different connection, and a document observes only what it can integrate. Both kinds of frame that carry an update, step 2
and update, are treated alike.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.utils import await_many_dispatch
from pycrdt import Decoder, Doc, create_sync_message, create_update_message, write_message
from rest_framework.exceptions import NotFound

from interviews.accounts.models import User
from interviews.errors import Problem
from interviews.live import access, actions, documents, events, queries
from interviews.live.models import Answer, Interview

SIGNED_OUT, NOT_YOURS, COME_AGAIN, MALFORMED, TOO_BIG = 4401, 4404, 4402, 4400, 4413
RECHECK_SECONDS = 5.0  # between two looks at whether the session that opened a socket still would
REJOIN_SECONDS = 3.0  # between two tries to join a channel layer that was away
MAX_TEXT_FRAME = 64 * 1024
MAX_AWARENESS = 64 * 1024
SYNC, AWARENESS, ACK, REFUSED = 0, 1, 2, 3
STEP_1, STEP_2, UPDATE = 0, 1, 2
MAX_COSTLY = 3  # changes that would hold everybody up, from one connection: a browser sends one, and the next on a new connection
MAX_SECONDS = 3.0  # of processor time that putting an answer's changes in their places may take from one connection

log = logging.getLogger(__name__)
# Threads of its own: in the one that everything else shares, whoever waits for a locked row would hold up all other sockets.
in_database = partial(database_sync_to_async, thread_sensitive=False, executor=ThreadPoolExecutor(16, "socket"))
# What is tried apart takes seconds, so nothing else may wait behind it; and of the costly things that one person's sockets send, one is looked at at a time.
_trials = ThreadPoolExecutor(2, "trial")
_turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()


class _Socket(AsyncWebsocketConsumer):
    """A socket that works without its group, too: what others write then comes when the client asks, what this one writes is stored all the same."""

    group = ""
    channel_name: str | None = None
    joined = False
    let_in = False
    looked_at = 0.0

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        """Like the base class, which lets nobody in while the channel layer is away. Here such a socket joins as soon as the layer is back."""
        self.scope, self.base_send = scope, send
        self.channel_layer, self.tried = get_channel_layer(), asyncio.Event()
        try:
            with suppress(StopConsumer):
                await await_many_dispatch([receive, self._hear], self.dispatch)
        finally:
            await self._leave()  # not before `_hear` has ended, which may join until then

    async def _hear(self) -> dict[str, Any]:
        """What the channel layer brings next. After a time without it, that is first of all the word that something may have been missed."""
        await self.tried.wait()
        while not self.joined:
            await asyncio.sleep(REJOIN_SECONDS)
            # The others heard as little, so they are told as well; and first, because the layer keeps a channel for each time that it was joined in vain.
            if await self._tell({"type": "missed"}) and await self._join(self.group):
                return {"type": "missed"}
        return await self.channel_layer.receive(self.channel_name)

    async def missed(self, message: dict[str, Any]) -> None:
        """Makes good what the channel layer did not bring while it was away."""
        raise NotImplementedError

    async def dispatch(self, message: dict[str, Any]) -> None:
        if message["type"] in ("websocket.connect", "websocket.disconnect") or await self._may_stay():
            await super().dispatch(message)

    async def _may_stay(self) -> bool:
        """Whether a frame may pass, in or out. The session is looked at every few seconds in which some do, not for each.

        Whoever may not stay is told to come again, not that they are signed out: a change of the password ends the session that opened this socket too,
        and only the cookies of a new connection say whether the browser has another.
        """
        if self.let_in and time.monotonic() - self.looked_at >= RECHECK_SECONDS:
            self._enter(await self._would_open())
            if not self.let_in:
                await self.close(COME_AGAIN)
        return self.let_in

    def _enter(self, let_in: bool = True) -> None:
        self.let_in, self.looked_at = let_in, time.monotonic()

    @in_database
    def _would_open(self) -> bool:
        user = access.session_user(self.scope["session"].session_key)
        try:
            return user.pk == self.scope["user"].pk and bool(self._door(user))
        except NotFound:
            return False

    def _door(self, user: User) -> Any:
        """What the socket is about, for someone who may look at it. Raises NotFound for all others."""
        raise NotImplementedError

    async def _join(self, group: str) -> bool:
        self.group = group
        try:
            self.channel_name = self.channel_name or await self.channel_layer.new_channel()
            await self.channel_layer.group_add(group, self.channel_name)
            self.joined = True
        except Exception as error:
            log.warning("no doorbell from %s: %s", group, error)
        self.tried.set()
        return self.joined

    async def _leave(self) -> None:
        if self.channel_name:  # whether or not it heard that it had joined
            try:
                await self.channel_layer.group_discard(self.group, self.channel_name)
            except Exception as error:
                log.warning("%s could not be left: %s", self.group, error)

    async def _tell(self, message: dict[str, Any]) -> bool:
        try:
            await self.channel_layer.group_send(self.group, message)
        except Exception as error:
            log.warning("%s could not be told: %s", self.group, error)
            return False
        return True


class InterviewConsumer(_Socket):
    """Says "event N exists" and, when asked, which is the last and what the clock says. What happened is fetched over HTTP."""

    async def connect(self) -> None:
        user = self.scope["user"]
        await self.accept()
        if not user.is_authenticated:
            await self.close(SIGNED_OUT)
            return
        self.pk: UUID = self.scope["url_route"]["kwargs"]["pk"]
        try:
            # Join before reading: an event between the two would ring for nobody.
            await self._join(events.interview_group(self.pk))
            interview = await self._interview()
        except NotFound:
            await self.close(NOT_YOURS)
            return
        self._enter()
        await self._send({"type": "hello", **self._now(interview)})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data is None:
            await self._refuse(MALFORMED, "malformed", "This socket takes JSON text.")
        elif len(text_data) > MAX_TEXT_FRAME:
            await self._refuse(TOO_BIG, "too_big", "The message is too large.")
        else:
            try:
                message = json.loads(text_data)
                kind = message["type"]
            except (ValueError, TypeError, KeyError, RecursionError):
                await self._refuse(MALFORMED, "malformed", 'A message is JSON such as {"type": "clock"}.')
                return
            if kind == "clock":
                await self._send({"type": "clock", **self._now(await self._interview())})
            else:
                await self._send({"type": "error", "code": "unknown_type", "detail": "The only message is `clock`."})

    async def missed(self, message: dict[str, Any]) -> None:
        await self.doorbell({"seq": (await self._interview()).seq})

    async def doorbell(self, message: dict[str, Any]) -> None:
        await self._send({"type": "seq", "seq": message["seq"]})

    def _door(self, user: User) -> Interview:
        return access.interview_for(user, self.pk)

    @in_database
    def _interview(self) -> Interview:
        return self._door(self.scope["user"])

    @staticmethod
    def _now(interview: Interview) -> dict[str, Any]:
        return {"seq": interview.seq, "remaining_ms": interview.remaining_ms, "status": interview.status}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))

    async def _refuse(self, code: int, word: str, detail: str) -> None:
        await self._send({"type": "error", "code": word, "detail": detail})
        await self.close(code)


class AnswerConsumer(_Socket):
    """One connection to one answer's document. Frames are handled in the order in which they come."""

    opened = False
    refused_costly = 0

    async def connect(self) -> None:
        await self.accept()
        if not self.scope["user"].is_authenticated:
            await self.close(SIGNED_OUT)
            return
        self.pk: UUID = self.scope["url_route"]["kwargs"]["pk"]
        self.stored = 0
        self.turn = _turns.setdefault(self.scope["user"].pk, asyncio.Lock())
        try:
            await self._check_access()
        except NotFound:
            await self.close(NOT_YOURS)
            return
        self._enter()
        await self._join(events.answer_group(self.pk))
        self.document, self.seq, self.size, self.live, self.spent = await self._open()
        self.opened = True
        await self.send(bytes_data=create_sync_message(self.document))

    async def disconnect(self, code: int) -> None:
        if self.opened:
            await self._snapshot()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not bytes_data:
            await self.close(MALFORMED)
            return
        if len(bytes_data) > documents.MAX_UPDATE_BYTES:
            await self._refuse("too_large", "The change is larger than 2 MiB and was not saved. Undo the last paste and go on.")
            return
        try:
            decoder = Decoder(bytes_data)
            kind = decoder.read_var_uint()
            if kind == AWARENESS:
                await self._awareness(bytes_data)
            elif kind == SYNC:
                step = decoder.read_var_uint()
                await self._on_sync(step, decoder.read_message())
            else:
                raise documents.Malformed(f"no message has the number {kind}")
        except documents.Costly:
            await self._refuse("too_large", "This change is too scattered to be put in its place and was not saved. Undo it and go on.")
            self.refused_costly += 1
            if self.refused_costly == MAX_COSTLY:
                await self.close(TOO_BIG)
        except (documents.Malformed, ValueError, IndexError, TypeError, RuntimeError):
            # The library reports broken frames by several exceptions.
            await self.close(MALFORMED)

    async def _awareness(self, frame: bytes) -> None:
        if len(frame) > MAX_AWARENESS:
            raise documents.Malformed("an awareness message that large")
        await self._tell({"type": "relay.frame", "frame": frame, "sender": self.channel_name})

    async def _on_sync(self, step: int, payload: bytes | None) -> None:
        if payload is None:
            raise documents.Malformed("a sync message without a payload")
        if step == STEP_1:
            await self._catch_up()
            update = self.document.get_update(payload)
            await self.send(bytes_data=bytes([SYNC, STEP_2]) + write_message(update))
        elif step in (STEP_2, UPDATE):
            await self._change(step, payload)
        else:
            raise documents.Malformed(f"no sync message has the number {step}")

    async def _change(self, step: int, payload: bytes) -> None:
        applied = False
        try:
            count = await self._check(step, payload)
            if step == STEP_2 and await self._says_nothing_new(payload):
                await self._acknowledge()
                return
            if self.spent > MAX_SECONDS:
                raise documents.Costly("an answer of too many pieces")
            applied, began = True, time.thread_time()
            self._apply(payload)
            self.spent += time.thread_time() - began
            self.size += count
            if self.live > documents.MAX_DOCUMENT_BYTES:
                self.live = len(self.document.get_update())
            seq = await self._store(payload)
        except Problem as problem:
            # Tell the client what it missed meanwhile. If this connection's document has what the database refused, build it anew.
            await self._catch_up(send=True)
            if applied:
                self.document = await self._reopen(self.seq)
                self.live = len(self.document.get_update())
            await self._refuse(str(problem.detail.code), str(problem.detail))
            return
        await self._acknowledge()
        await self._tell({"type": "relay.update", "data": payload, "seq": seq, "sender": self.channel_name})
        if seq == self.seq + 1:
            self.seq = seq

    async def _check(self, step: int, payload: bytes) -> int:
        """How many structs an update has that this document can take. Work is done only for who may write, and for deletions alone, which may be known."""
        work = documents.may_be_costly(payload, self.size)
        async with self.turn if work else nullcontext():
            if work and not (step == STEP_2 and documents.deletes_only(payload)):
                await self._check_writer()
            count, costly = await asyncio.to_thread(documents.check, payload, self.size)
            if costly:
                known = bytes(self.document.get_update())
                await asyncio.get_running_loop().run_in_executor(_trials, documents.try_apart, known, payload)
            return count

    async def _says_nothing_new(self, payload: bytes) -> bool:
        """Whether a step 2 repeats only deletions that are known: Yjs sends all of them at each reconnect."""
        # The client asked for what it lacks before this: what came since has to be sent, because its relay will find the number known.
        await self._catch_up(send=True)
        return documents.repeats(self.document, payload)

    async def relay_update(self, message: dict[str, Any]) -> None:
        """Another connection's update, or the echo of this one's."""
        if message["seq"] <= self.seq:
            return
        if message["seq"] == self.seq + 1:
            self.seq = message["seq"]
            if message["sender"] != self.channel_name:
                self._apply(message["data"])
                await self.send(bytes_data=create_update_message(message["data"]))
        else:
            await self._catch_up(send=True)

    async def missed(self, message: dict[str, Any]) -> None:
        await self._catch_up(send=True)

    async def relay_frame(self, message: dict[str, Any]) -> None:
        if message["sender"] != self.channel_name:
            await self.send(bytes_data=message["frame"])

    async def _catch_up(self, send: bool = False) -> None:
        """Takes from the database what the channel layer lost or has not brought yet."""
        for seq, data in await self._since(self.seq):
            self._apply(data)
            self.seq = seq
            if send:
                await self.send(bytes_data=create_update_message(data))

    def _apply(self, update: bytes) -> None:
        self.document.apply_update(update)
        self.live += len(update)  # at most: what it deleted is taken off when the sum has grown too large

    async def _acknowledge(self) -> None:
        self.stored += 1
        await self.send(bytes_data=bytes([ACK]) + _varuint(self.stored))

    async def _refuse(self, code: str, detail: str) -> None:
        body = json.dumps({"code": code, "detail": detail}).encode()
        await self.send(bytes_data=bytes([REFUSED]) + _varuint(len(body)) + body)

    def _door(self, user: User) -> Answer:
        return access.answer_for(user, self.pk)

    @in_database
    def _check_access(self) -> None:
        self._door(self.scope["user"])

    @in_database
    def _open(self) -> tuple[Doc, int, int, int, float]:
        """The document, the number of its last update, its structs and bytes, and the processor time that it took to put them in their places."""
        answer = Answer.objects.select_related("snapshot").get(pk=self.pk)
        began = time.thread_time()
        document = documents.open_document(answer, upto=answer.seq)
        spent = time.thread_time() - began
        update = bytes(document.get_update())
        return document, answer.seq, documents.structs(update), len(update), spent

    @in_database
    def _reopen(self, seq: int) -> Doc:
        return documents.open_document(Answer.objects.select_related("snapshot").get(pk=self.pk), upto=seq)

    @in_database
    def _since(self, seq: int) -> list[tuple[int, bytes]]:
        return [(number, bytes(data)) for number, data in queries.updates_since(self.pk, seq)]

    @in_database
    def _check_writer(self) -> None:
        actions.check_writer(answer_id=self.pk, actor=self.scope["user"])

    @in_database
    def _store(self, data: bytes) -> int:
        return actions.store_update(answer_id=self.pk, actor=self.scope["user"], data=data, live=self.live)

    @in_database
    def _snapshot(self) -> None:
        actions.snapshot(answer_id=self.pk)


def _varuint(number: int) -> bytes:
    """lib0's variable-length unsigned integer: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
