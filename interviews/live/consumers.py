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
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from pycrdt import Decoder, Doc, create_sync_message, create_update_message, write_message
from rest_framework.exceptions import NotFound

from interviews.accounts.models import User
from interviews.errors import Problem
from interviews.live import access, actions, documents, events, queries
from interviews.live.models import Answer, Interview

SIGNED_OUT, NOT_YOURS, MALFORMED, TOO_BIG = 4401, 4404, 4400, 4413
MAX_TEXT_FRAME = 64 * 1024
MAX_AWARENESS = 64 * 1024
SYNC, AWARENESS, ACK, REFUSED = 0, 1, 2, 3
STEP_1, STEP_2, UPDATE = 0, 1, 2


class InterviewConsumer(AsyncWebsocketConsumer):
    """Says "event N exists" and what the clock says. What happened is fetched over HTTP."""

    group: str | None = None

    async def connect(self) -> None:
        user = self.scope["user"]
        await self.accept()
        if not user.is_authenticated:
            await self.close(SIGNED_OUT)
            return
        self.pk: UUID = self.scope["url_route"]["kwargs"]["pk"]
        try:
            # Join before reading: an event between the two would ring for nobody.
            self.group = events.interview_group(self.pk)
            await self.channel_layer.group_add(self.group, self.channel_name)
            interview = await self._interview()
        except NotFound:
            await self.close(NOT_YOURS)
            return
        await self._send({"type": "hello", "seq": interview.seq, **self._clock(interview)})

    async def disconnect(self, code: int) -> None:
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

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
                await self._send({"type": "clock", **self._clock(await self._interview())})
            else:
                await self._send({"type": "error", "code": "unknown_type", "detail": "The only message is `clock`."})

    async def doorbell(self, message: dict[str, Any]) -> None:
        await self._send({"type": "seq", "seq": message["seq"]})

    @database_sync_to_async
    def _interview(self) -> Interview:
        return access.interview_for(self.scope["user"], self.pk)

    @staticmethod
    def _clock(interview: Interview) -> dict[str, Any]:
        return {"remaining_ms": interview.remaining_ms, "status": interview.status}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))

    async def _refuse(self, code: int, word: str, detail: str) -> None:
        await self._send({"type": "error", "code": word, "detail": detail})
        await self.close(code)


class AnswerConsumer(AsyncWebsocketConsumer):
    """One connection to one answer's document. Frames are handled in the order in which they come."""

    group: str | None = None

    async def connect(self) -> None:
        await self.accept()
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close(SIGNED_OUT)
            return
        self.pk: UUID = self.scope["url_route"]["kwargs"]["pk"]
        self.stored = 0
        try:
            await self._check_access(user)
        except NotFound:
            await self.close(NOT_YOURS)
            return
        self.group = events.answer_group(self.pk)
        await self.channel_layer.group_add(self.group, self.channel_name)
        self.document, self.seq = await self._open()
        await self.send(bytes_data=create_sync_message(self.document))

    async def disconnect(self, code: int) -> None:
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)
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
        except (documents.Malformed, ValueError, IndexError, TypeError, RuntimeError):
            # The library reports broken frames by several exceptions.
            await self.close(MALFORMED)

    async def _awareness(self, frame: bytes) -> None:
        if len(frame) > MAX_AWARENESS:
            raise documents.Malformed("an awareness message that large")
        await self.channel_layer.group_send(self.group, {"type": "relay.frame", "frame": frame, "sender": self.channel_name})

    async def _on_sync(self, step: int, payload: bytes | None) -> None:
        if payload is None:
            raise documents.Malformed("a sync message without a payload")
        if step == STEP_1:
            await self._catch_up()
            update = self.document.get_update(payload)
            await self.send(bytes_data=bytes([SYNC, STEP_2]) + write_message(update))
        elif step == STEP_2 and await self._says_nothing_new(payload):
            await self._acknowledge()
        elif step in (STEP_2, UPDATE):
            await self._update(payload)
        else:
            raise documents.Malformed(f"no sync message has the number {step}")

    async def _says_nothing_new(self, payload: bytes) -> bool:
        """Whether a step 2 repeats only deletions that are known: Yjs sends all of them at each reconnect."""
        await asyncio.to_thread(documents.check, payload)
        # The client asked for what it lacks before this: what came since has to be sent, because its relay will find the number known.
        await self._catch_up(send=True)
        return documents.repeats(self.document, payload)

    async def _update(self, payload: bytes) -> None:
        await asyncio.to_thread(documents.check, payload)
        self.document.apply_update(payload)
        try:
            seq = await self._store(payload)
        except Problem as problem:
            # This connection's document has what the database refused: build it anew, and tell the client what it missed meanwhile.
            await self._catch_up(send=True)
            self.document = await self._reopen(self.seq)
            await self._refuse(str(problem.detail.code), str(problem.detail))
            return
        await self._acknowledge()
        message = {"type": "relay.update", "data": payload, "seq": seq, "sender": self.channel_name}
        await self.channel_layer.group_send(self.group, message)
        if seq == self.seq + 1:
            self.seq = seq

    async def relay_update(self, message: dict[str, Any]) -> None:
        """Another connection's update, or the echo of this one's."""
        if message["seq"] <= self.seq:
            return
        if message["seq"] == self.seq + 1:
            self.seq = message["seq"]
            if message["sender"] != self.channel_name:
                self.document.apply_update(message["data"])
                await self.send(bytes_data=create_update_message(message["data"]))
        else:
            await self._catch_up(send=True)

    async def relay_frame(self, message: dict[str, Any]) -> None:
        if message["sender"] != self.channel_name:
            await self.send(bytes_data=message["frame"])

    async def _catch_up(self, send: bool = False) -> None:
        """Takes from the database what the channel layer lost or has not brought yet."""
        for seq, data in await self._since(self.seq):
            self.document.apply_update(data)
            self.seq = seq
            if send:
                await self.send(bytes_data=create_update_message(data))

    async def _acknowledge(self) -> None:
        self.stored += 1
        await self.send(bytes_data=bytes([ACK]) + _varuint(self.stored))

    async def _refuse(self, code: str, detail: str) -> None:
        body = json.dumps({"code": code, "detail": detail}).encode()
        await self.send(bytes_data=bytes([REFUSED]) + _varuint(len(body)) + body)

    @database_sync_to_async
    def _check_access(self, user: User) -> None:
        access.answer_for(user, self.pk)

    @database_sync_to_async
    def _open(self) -> tuple[Doc, int]:
        answer = Answer.objects.select_related("snapshot").get(pk=self.pk)
        return documents.open_document(answer, upto=answer.seq), answer.seq

    @database_sync_to_async
    def _reopen(self, seq: int) -> Doc:
        return documents.open_document(Answer.objects.select_related("snapshot").get(pk=self.pk), upto=seq)

    @database_sync_to_async
    def _since(self, seq: int) -> list[tuple[int, bytes]]:
        return [(number, bytes(data)) for number, data in queries.updates_since(self.pk, seq)]

    @database_sync_to_async
    def _store(self, data: bytes) -> int:
        return actions.store_update(answer_id=self.pk, actor=self.scope["user"], data=data)

    @database_sync_to_async
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
