"""The HTTP edge: routes, streams, errors in OpenAI's shape, and the end of what a client no longer waits for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engine.errors import ConstraintError, QueueFull, RequestError
from engine.llm import LLM
from engine.params import RequestOutput
from engine.server.loop import EngineLoop, EngineStopped
from engine.server.metrics import Metrics
from engine.server.protocol import BadRequest, Call, Chunks, read_call, response_json, usage_json

log = logging.getLogger(__name__)
MAX_BODY = 4 << 20  # bytes
SCRAPE = 10.0  # seconds that a scrape waits for the engine's thread
DONE = b"data: [DONE]\n\n"


class Api:
    """One engine and its routes. `name` is the model's name for clients; adapters are models of their own names."""

    def __init__(self, llm: LLM, name: str, max_open: int = 256):
        self.llm, self.name = llm, name
        self.engine = EngineLoop(llm, max_open, lambda output: self.metrics.observe(output))
        self.metrics = Metrics(lambda: self.engine.call(llm.stats).result(timeout=SCRAPE), lambda: self.engine.open)
        self.started = int(time.time())

    def app(self) -> Starlette:
        routes = [
            Route("/v1/completions", self.completions, methods=["POST"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/models", self.models),
            Route("/health", self.health),
            Route("/metrics", self.scrape),
        ]

        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            self.engine.start()
            yield
            await run_in_threadpool(self.engine.close)

        return Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _not_found, 405: _not_found, 500: _broken})

    # -- routes ------------------------------------------------------------------------------------------------------

    async def completions(self, request: Request) -> Response:
        return await self._answer(request, "completions")

    async def chat(self, request: Request) -> Response:
        return await self._answer(request, "chat")

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [
            {"id": name, "object": "model", "created": self.started, "owned_by": "engine", "max_model_len": self.llm.limits.max_length,
             "parent": None if name == self.name else self.name} for name in self._names()]})  # fmt: skip

    async def health(self, request: Request) -> Response:
        if self.engine.alive:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "stopped", "reason": str(self.engine.failure or "shutting down")}, 503)

    async def scrape(self, request: Request) -> Response:
        try:
            return Response(await run_in_threadpool(self.metrics.render), media_type="text/plain; version=0.0.4")
        except EngineStopped as error:
            return _error(503, str(error), "engine_stopped")
        except TimeoutError:
            return _error(503, f"the engine's thread has not answered for {SCRAPE:g} seconds", "engine_busy")

    # -- generation --------------------------------------------------------------------------------------------------

    async def _answer(self, request: Request, kind: str) -> Response:
        try:
            # A chat is rendered and tokenized here, which may take long: not on the event loop.
            call = await run_in_threadpool(read_call, kind, await _body(request), self._names(), self._render, self.llm.room)
            streams = [self.engine.generate(prompt, call.params, **call.extra) for prompt in call.prompts]
            name = f"{'chatcmpl' if kind == 'chat' else 'cmpl'}-{uuid4().hex}"
            if not call.stream:
                return await self._whole(request, call, name, streams)
            # The first state of each is awaited before the status goes out, so that a refusal is a status and not a broken stream.
            firsts = await _unless_gone(request, [anext(stream) for stream in streams], streams)
            return EventStream(self._events(call, name, streams, firsts), streams)
        except Exception as error:
            return self._refuse(error)

    def _refuse(self, error: Exception) -> Response:
        status, code, param = 500, "server_error", None
        if isinstance(error, BadRequest):
            status, code, param = {"model_not_found": 404, "too_large": 413}.get(error.code, 400), error.code, error.param
        elif isinstance(error, QueueFull):
            status, code = 429, "queue_full"
        elif isinstance(error, RequestError | ConstraintError):
            status, code = 400, "invalid_request"
        elif isinstance(error, EngineStopped):
            status, code = 503, "engine_stopped"
        elif isinstance(error, ClientGone):
            status, code = 499, "client_gone"
        else:
            log.exception("a request failed")
        self.metrics.refused.labels(str(status)).inc()
        message = str(error) if status != 500 else "the server failed to answer; it is in the server's log"
        return _error(status, message, code, param, {"Retry-After": "1"} if status in (429, 503) else None)

    async def _whole(self, request: Request, call: Call, name: str, streams: Sequence[AsyncIterator[RequestOutput]]) -> Response:
        outputs = await _unless_gone(request, [_last(stream) for stream in streams], streams)
        return JSONResponse(response_json(call, name, outputs, self.llm.tokenizer))

    async def _events(
        self, call: Call, name: str, streams: Sequence[AsyncIterator[RequestOutput]], firsts: Sequence[RequestOutput]
    ) -> AsyncIterator[bytes]:  # fmt: skip
        chunks = [Chunks(call, name, n * call.params.n, self.llm.tokenizer) for n in range(len(streams))]
        last = list(firsts)
        try:
            for n, first in enumerate(firsts):
                for chunk in chunks[n].of(first):
                    yield _event(chunk)
            async for n, state in _merge([s for s, first in zip(streams, firsts, strict=True) if not first.finished],
                                         [n for n, first in enumerate(firsts) if not first.finished]):  # fmt: skip
                last[n] = state
                for chunk in chunks[n].of(state):
                    yield _event(chunk)
            if call.usage:
                yield _event(chunks[0].chunk([], usage_json(last)))
            yield DONE
        except Exception as error:
            log.warning("a stream broke: %s", error)
            yield _event({"error": {"message": str(error), "type": "server_error", "param": None, "code": "stream_broken"}})

    def _names(self) -> list[str]:
        return [self.name, *sorted(self.llm.adapters)]

    def _render(self, messages: list[dict[str, Any]], **extra: Any) -> list[int]:
        if self.llm.tokenizer is None:
            raise RequestError("this checkpoint has no tokenizer; send token ids to /v1/completions")
        self.llm.check_size(message["content"] for message in messages)
        return self.llm.tokenizer.chat_ids(messages, extra)


class EventStream(StreamingResponse):
    """Server-sent events. However it ends, and even if it never began, the requests behind it end with it."""

    def __init__(self, events: AsyncIterator[bytes], streams: Sequence[AsyncIterator[RequestOutput]]):
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self.events, self.streams = events, streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await _close([self.events, *self.streams])


class ClientGone(Exception):
    """The client closed its connection before there was an answer."""


async def _body(request: Request) -> Any:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_BODY:
            raise BadRequest(f"the body is larger than {MAX_BODY} bytes", code="too_large")
    try:
        body = json.loads(bytes(data), parse_int=_whole_number)
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is no text: nothing behind this edge could encode it
        return body
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}", code="invalid_json") from None


def _whole_number(digits: str) -> int:
    """Every number behind the edge fits a tensor's int64 and has a float (`math.isfinite` raises for what has none)."""
    number = int(digits)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError("a whole number does not fit 64 bits")
    return number


async def _unless_gone(request: Request, works: Sequence[Awaitable[Any]], streams: Sequence[AsyncIterator[RequestOutput]]) -> Any:
    """The outcomes of `works`, unless the client leaves first; then, and after an error, its requests are aborted."""
    gone = asyncio.ensure_future(_gone(request))
    tasks = [asyncio.ensure_future(one) for one in works]
    work: asyncio.Future[Any] = asyncio.gather(*tasks)
    done = False
    try:
        await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGone("the client left")
        result, done = work.result(), True
        return result
    finally:
        gone.cancel()
        if not done:
            for task in tasks:  # one by one: a gather that has failed lets the others run on, and what runs can't be closed
                task.cancel()
            await asyncio.gather(work, *tasks, return_exceptions=True)
            await _close(streams)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _close(streams: Sequence[AsyncIterator[Any]]) -> None:
    for stream in streams:
        with contextlib.suppress(Exception):
            await stream.aclose()  # type: ignore[attr-defined]


async def _last(stream: AsyncIterator[RequestOutput]) -> RequestOutput:
    state = None
    async for state in stream:  # noqa: B007
        pass
    assert state is not None
    return state


async def _merge(streams: Sequence[AsyncIterator[RequestOutput]], numbers: Sequence[int]) -> AsyncIterator[tuple[int, RequestOutput]]:
    """The states of several streams in the order in which they come."""
    waiting = {asyncio.ensure_future(anext(stream)): (n, stream) for n, stream in zip(numbers, streams, strict=True)}  # type: ignore[arg-type]
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                n, stream = waiting.pop(task)
                try:
                    state = task.result()
                except StopAsyncIteration:
                    continue
                yield n, state
                waiting[asyncio.ensure_future(anext(stream))] = (n, stream)  # type: ignore[arg-type]
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _error(status: int, message: str, code: str, param: str | None = None, headers: dict[str, str] | None = None) -> Response:
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status, headers)


async def _not_found(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _error(status, f"{request.method} {request.url.path} is not served; see /v1/models, /v1/completions, /v1/chat/completions", "not_found")


async def _broken(request: Request, error: Exception) -> Response:
    return _error(500, "the server failed to answer; it is in the server's log", "server_error")
