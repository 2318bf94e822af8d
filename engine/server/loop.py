"""The engine's thread. One thread steps the engine; everything else talks to it through a queue of calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from engine.errors import EngineBroken, EngineError, QueueFull
from engine.llm import LLM, Prepared, Prompt
from engine.params import RequestOutput, SamplingParams

T = TypeVar("T")
log = logging.getLogger(__name__)


class EngineStopped(EngineError):
    """The engine takes no more requests: it is shutting down, or a step failed and left it broken."""


class RequestFailed(EngineError):
    """The step that computed the request failed. The engine goes on, and the request may be sent again."""


class Mailbox:
    """The newest state of one request. Outputs hold all the text so far, so a slow reader costs no memory and delays nobody."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self.loop = loop
        self.news = asyncio.Event()
        self.newest: RequestOutput | None = None
        self.failure: Exception | None = None

    def put(self, output: RequestOutput | None, failure: Exception | None = None) -> None:
        """From the engine's thread."""
        try:
            self.loop.call_soon_threadsafe(self._put, output, failure)
        except RuntimeError:
            log.debug("a reader's event loop is closed")

    def _put(self, output: RequestOutput | None, failure: Exception | None) -> None:
        self.newest, self.failure = output or self.newest, failure
        self.news.set()

    async def states(self) -> AsyncIterator[RequestOutput]:
        """Each newer state until the finished one. Raises what ended the request otherwise."""
        while True:
            await self.news.wait()
            self.news.clear()
            if self.failure is not None:
                raise self.failure
            output = self.newest
            assert output is not None
            yield output
            if output.finished:
                return


class EngineLoop:
    """Steps `llm` while it has work. `max_open`: requests that may be open at once; one more is QueueFull.

    `watch` sees each finished output, on the engine's thread. `broken` is called there when the engine can't go on. A step that fails ends its
    requests, and the engine goes on if it can.
    """

    def __init__(self, llm: LLM, max_open: int = 256, watch: Callable[[RequestOutput], None] = lambda output: None):
        self.llm, self.max_open, self.watch = llm, max_open, watch
        self.broken: Callable[[], None] = lambda: None
        self.failure: Exception | None = None
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._gate = threading.Lock()  # no call is queued behind the last one that is answered
        self._ended = False
        self._readers: dict[str, Mailbox] = {}
        self._open = 0  # of the edge: submitted and not yet left
        self._closing = False
        self._compiler = ThreadPoolExecutor(1, "grammars")
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self.failure is None and not self._closing

    @property
    def open(self) -> int:
        return self._open

    def close(self, timeout: float = 30.0) -> None:
        """Abort what runs, free its pages, and end the thread."""
        self._closing = True
        self._calls.put(None)
        self._thread.join(timeout)

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run a function on the engine's thread between two steps."""
        future: Future[T] = Future()
        with self._gate:
            if not self.alive or self._ended:
                raise EngineStopped("the engine takes no more requests")
            self._calls.put((future, function))
        return future

    async def generate(self, prompt: Prompt, params: SamplingParams, **extra: Any) -> AsyncIterator[RequestOutput]:
        """States of a request as they come, the finished one last. Leaving the iterator early aborts it.

        Raises:
            QueueFull: too many requests are open; nothing was queued.
            RequestError: the request can't be served.
            EngineStopped: the engine takes no more requests.
        """
        if self._open >= self.max_open:
            raise QueueFull(f"{self._open} requests are open, the most that this server takes; try again in a second")
        if not self.alive:
            raise EngineStopped("the engine takes no more requests")
        self._open += 1
        mailbox = Mailbox(asyncio.get_running_loop())
        request_id: str | None = None
        submitted: Future[str] | None = None
        try:
            # Nobody waits for somebody else's long prompt, nor for a grammar that is not theirs but who has one to compile too.
            ready = await asyncio.to_thread(self.llm.read, prompt, params)
            if ready.missing:
                ready = await asyncio.get_running_loop().run_in_executor(self._compiler, self._compile, ready)

            def submit() -> str:
                name = self.llm.submit(ready, **extra)
                self._readers[name] = mailbox
                return name

            submitted = self.call(submit)
            request_id = await asyncio.wrap_future(submitted)
            async for output in mailbox.states():
                if output.finished:
                    request_id = None
                yield output
        finally:
            self._open -= 1
            over = submitted is None or (request_id is None and submitted.done() and bool(submitted.cancelled() or submitted.exception() or mailbox.newest))
            if submitted is not None and not over:
                with contextlib.suppress(EngineStopped):
                    self.call(partial(self._leave, submitted))

    def _compile(self, ready: Prepared) -> Prepared:
        """On the compiler's thread; never called for a reader who has left before its turn."""
        if not self.alive:
            raise EngineStopped("the engine takes no more requests")
        return self.llm.compile(ready)

    def _leave(self, submitted: Future[str]) -> None:
        """The reader has gone: end the request and release its pages. Runs behind `submit`, so its outcome is known."""
        if not submitted.cancelled() and submitted.exception() is None:
            name = submitted.result()
            self._readers.pop(name, None)
            self.llm.abort(name)

    def _run(self) -> None:
        try:
            while True:
                if not self._answer(block=self.llm.idle):
                    return
                if not self.llm.idle:
                    self._step()
        except BaseException as error:
            log.exception("the engine stopped")
            self.failure = EngineStopped(f"the engine failed: {error}")
        finally:
            self._end(self.failure or EngineStopped("the server is shutting down"))
            if self.failure is not None:
                self.broken()

    def _end(self, why: Exception) -> None:
        """Tell everybody who waits for an answer that none comes."""
        with self._gate:
            self._ended = True
        with contextlib.suppress(queue.Empty):
            while True:
                call = self._calls.get(block=False)
                if call is not None and call[0].set_running_or_notify_cancel():
                    call[0].set_exception(why)
        for mailbox in self._readers.values():
            mailbox.put(None, why)
        self._readers.clear()

    def _answer(self, block: bool) -> bool:
        """Run the calls that wait; False when the loop shall end."""
        try:
            while True:
                call = self._calls.get(block=block)
                block = False
                if call is None:
                    for name in list(self._readers):
                        self.llm.abort(name)
                    while not self.llm.idle:
                        self.llm.step()
                    return False
                _run(*call)
        except queue.Empty:
            return True

    def _step(self) -> None:
        try:
            outputs = self.llm.step()
        except EngineBroken:
            raise
        except Exception:
            log.exception("a step failed; its requests end")
            outputs = self.llm.step()  # computes nothing, for nobody is left, and reports them
        for output in outputs:
            if output.finished:
                self.watch(output)
            mailbox = self._readers.pop(output.request_id, None) if output.finished else self._readers.get(output.request_id)
            if mailbox is not None:
                failed = RequestFailed("the step that computed the request failed; it is in the server's log") if output.error is not None else None
                mailbox.put(output, failed)


def _run(future: Future[T], function: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
