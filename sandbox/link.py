"""The judge's end of the stream: frames under a deadline, with the other end distrusted.

One wait covers a whole message, so an end that sends a byte a second gains nothing. The text that the jail prints is drained in the same loop,
because a full pipe would stop it, and capped, because a flood would fill our memory.
"""

import os
import select
import time
from collections.abc import Callable
from typing import Any

from sandbox.guest import wire
from sandbox.ready import Descriptors

TICK_S = 0.2
FEW = 0.05  # of the time: other threads that compute for less keep nobody waiting for Python's lock
KEPT_TEXT = 16 * 1024


class Deadline(Exception):
    """The message was not there, whole, in time."""


class Closed(Exception):
    """The stream ended before the message did."""


class Flood(Exception):
    """More text was printed than is allowed."""


class Aborted(Exception):
    """A person stopped the run."""


class Wait:
    """How long an answer is waited for.

    Args:
        seconds: from now on.
        more: asked when they are over for seconds that the wait goes on after all; 0 ends it.
    """

    __slots__ = ("_more", "_until")

    def __init__(self, seconds: float, more: Callable[[], float] | None = None) -> None:
        self._until, self._more = time.monotonic() + seconds, more

    def left(self) -> float:
        """Seconds that are left, more than 0. Raises Deadline when none are."""
        while (left := self._until - time.monotonic()) <= 0:
            put_off = self._more() if self._more is not None else 0.0
            if put_off <= 0:
                raise Deadline
            self._until += put_off
        return left


class Link:
    """Frames over non-blocking descriptors.

    Args:
        reading, writing: where frames come from and go to; may be the same descriptor.
        text: where the jail's printed text comes from, or None.
        max_payload: bytes of the largest tensor payload.
    """

    def __init__(self, reading: int, writing: int, text: int | None, max_payload: int = 16 << 20) -> None:
        self._in, self._out, self._text = reading, writing, text
        self.max_payload = max_payload
        self.max_text = 1 << 20
        self.should_abort: Callable[[], bool] | None = None
        self.waited = 0.0  # seconds so far in which the stream did not move
        self._next_tick = 0.0
        self._others = 0.0  # seconds that other threads of this process had computed at the last tick
        self._exactly = True
        self._buffer = bytearray()
        self._kept = bytearray()
        self._printed = 0
        for descriptor in (reading, writing, text):
            if descriptor is not None:
                os.set_blocking(descriptor, False)
        self._watch()

    def _watch(self) -> None:
        text = [] if self._text is None else [(self._text, select.POLLIN)]
        self._to_read = Descriptors([(self._in, select.POLLIN), *text])
        self._to_write = Descriptors([(self._out, select.POLLOUT), *text])

    def send(self, message: wire.Frame, parcel: wire.Parcel | None, wait: Wait) -> None:
        """Writes one frame.

        Raises:
            Deadline, Closed, Flood, Aborted: what the name says.
        """
        raw = memoryview(wire.encode(message, parcel))
        while raw:
            try:
                raw = raw[os.write(self._out, raw) :]
            except BlockingIOError:
                self._wait(wait, write=True)
            except OSError as error:
                raise Closed(str(error)) from None

    def receive(self, wait: Wait) -> tuple[Any, bytearray]:
        """One message and its payload, checked against every cap before memory is taken for it.

        Raises:
            Violation: the frame is malformed.
            Deadline, Closed, Flood, Aborted: what the name says.
        """
        self._fill(wire.HEAD.size, wait)
        header_bytes, payload_bytes = wire.head(self._buffer[: wire.HEAD.size], self.max_payload)
        end = wire.HEAD.size + header_bytes
        self._fill(end, wait)
        message = wire.header(bytes(memoryview(self._buffer)[wire.HEAD.size : end]), payload_bytes, wire.judge_decoder)
        del self._buffer[:end]
        return message, self._payload(payload_bytes, wait)

    def _payload(self, size: int, wait: Wait) -> bytearray:
        if not size:
            return bytearray()
        payload = bytearray(size)
        have = min(size, len(self._buffer))
        payload[:have] = self._buffer[:have]
        del self._buffer[:have]
        view = memoryview(payload)
        while have < size:
            self._wait(wait)
            try:
                got = os.readv(self._in, [view[have:]])
            except BlockingIOError:
                continue
            except OSError as error:
                raise Closed(str(error)) from None
            if not got:
                raise Closed("the stream ended inside a payload")
            have += got
        return payload

    def _fill(self, size: int, wait: Wait) -> None:
        while len(self._buffer) < size:
            self._wait(wait)
            try:
                part = os.read(self._in, 1 << 16)
            except BlockingIOError:
                continue
            except OSError as error:
                raise Closed(str(error)) from None
            if not part:
                raise Closed("the stream ended")
            self._buffer += part

    def _wait(self, wait: Wait, write: bool = False) -> None:
        """Returns when the stream may have moved. Serves text and the wish to abort meanwhile."""
        while True:
            left, now = wait.left(), time.monotonic()
            if now >= self._next_tick:
                others = time.process_time() - time.thread_time()
                self._exactly = others - self._others > FEW * (now - self._next_tick + TICK_S)
                self._next_tick, self._others = now + TICK_S, others
                if self.should_abort is not None and self.should_abort():
                    raise Aborted
            ready, waited = (self._to_write if write else self._to_read).wait(min(left, TICK_S), self._exactly)
            self.waited += waited
            moved = False
            for descriptor in ready:
                if descriptor == self._text:
                    self._read_text()
                else:
                    moved = True
            if moved:
                return

    def _read_text(self) -> None:
        if self._text is None:
            return
        try:
            part = os.read(self._text, 1 << 16)
        except BlockingIOError:
            return
        if not part:
            self._text = None
            self._watch()
            return
        self._printed += len(part)
        self._kept += part[: max(0, KEPT_TEXT - len(self._kept))]
        if self._printed > self.max_text:
            raise Flood(f"more than {self.max_text // 1024} KiB of output")

    def drain_text(self) -> None:
        """Takes what was printed so far, without waiting."""
        poll = select.poll()
        if self._text is not None:
            poll.register(self._text, select.POLLIN)
        while self._text is not None and poll.poll(0):
            self._read_text()

    def take_text(self) -> str:
        """What was printed since the last call, cut to 16 KiB."""
        try:
            self.drain_text()
        except Flood:
            pass
        text = self._kept.decode("utf-8", "replace")
        if self._printed > len(self._kept):
            text += f"\n[{self._printed - len(self._kept)} more bytes]"
        self._kept.clear()
        self._printed = 0
        return text
