"""The process of one test: loads the submission, then answers the judge's calls and carries the submission's calls to the engine.

It can return data and nothing else. Whatever it says about itself is the submission's word.
"""

import builtins
import contextlib
import io
import linecache
import os
import random
import resource
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from guest import sdk, wire

FILE = "submission.py"
MAX_LINES = 8
MAX_MESSAGE = 2000


class Stream:
    """Blocking frames over a pair of descriptors (reading at `descriptor`, writing at the next one)."""

    def __init__(self, descriptor: int) -> None:
        self._in, self._out = descriptor, descriptor + 1

    def send(self, message: wire.Frame, parcel: wire.Parcel | None = None) -> None:
        raw = memoryview(wire.encode(message, parcel))
        while raw:
            raw = raw[os.write(self._out, raw) :]

    def receive(self) -> tuple[Any, bytearray]:
        header_bytes, payload_bytes = wire.head(self._exactly(wire.HEAD.size), 1 << 40)
        message = wire.header(self._exactly(header_bytes), payload_bytes, wire.jail_decoder)
        return message, self._exactly(payload_bytes)

    def _exactly(self, size: int) -> bytearray:
        data = bytearray()
        while len(data) < size:
            part = os.read(self._in, min(size - len(data), 1 << 20))
            if not part:
                os._exit(0)  # the judge is gone
            data += part
        return data


class Server:
    """The submission's objects, and the stream that their calls come and go by."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._module = types.ModuleType("submission")
        self._objects: dict[int, Any] = {}
        self._remotes: dict[int, Any] = {}
        self._nonce = 0
        self._lock = threading.RLock()

    def load(self, source: str, entry: str) -> None:
        sys.modules["roofline"] = sdk
        sys.modules["submission"] = self._module
        self._module.__file__ = FILE
        source = source.removeprefix("\ufeff")  # a byte order mark, which Python ignores in a file
        linecache.cache[FILE] = (len(source), None, io.StringIO(source, newline=None).readlines(), FILE)
        exec(compile(source, FILE, "exec", dont_inherit=True), self._module.__dict__)
        if not callable(getattr(self._module, entry, None)):
            raise ImportError(f"the module defines no {entry}")

    def handle(self, call: wire.Call, payload: bytearray) -> None:
        """Carries out one call of the judge and sends what came of it."""
        outer, self._nonce = self._nonce, call.nonce
        try:
            self._answer(call.nonce, lambda: self._apply(call, payload), made=call.target < 0)
        finally:
            self._nonce = outer

    def answer_load(self, start: wire.Start, payload: bytearray) -> bool:
        self._nonce = start.nonce
        source = wire.unpack(start.source, start, payload, self._resolve)
        return self._answer(start.nonce, lambda: self.load(source.decode(), start.entry))

    def _apply(self, call: wire.Call, payload: bytearray) -> Any:
        args = wire.unpack(call.args, call, payload, self._resolve)
        kwargs = wire.unpack(call.kwargs, call, payload, self._resolve)
        owner = self._module if call.target <= 0 else self._objects[call.target]
        result = getattr(owner, call.method)(*args, **kwargs)
        if call.target >= 0:
            return result
        identity = len(self._objects) + 1
        self._objects[identity] = result
        return identity

    def _answer(self, nonce: int, action: Callable[[], Any], made: bool = False) -> bool:
        try:
            result = action()
            parcel = wire.Parcel(_refuse)
            value = {"$o": result} if made else parcel.pack(result)
            _flush()
            self._stream.send(wire.Return(nonce=nonce, value=value), parcel)
            return True
        except SystemExit as leaving:
            _flush()
            os._exit(leaving.code if isinstance(leaving.code, int) else 1)
        except BaseException as error:
            _flush()
            self._stream.send(_raised(nonce, error))
            return False

    def _resolve(self, tag: str, body: Any) -> Any:
        if tag == "$o":
            return self._objects[body]
        identity, name, methods, constants = body
        if identity not in self._remotes:
            self._remotes[identity] = _remote(self, identity, name, methods, constants)
        return self._remotes[identity]

    def invoke(self, target: int, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls the judge's object; meanwhile the judge may call back."""
        with self._lock:
            parcel = wire.Parcel(_refuse)
            request = wire.Invoke(
                nonce=self._nonce,
                target=target,
                method=method,
                args=parcel.pack(list(args)),
                kwargs=parcel.pack(kwargs),
            )
            self._stream.send(request, parcel)
            while True:
                message, payload = self._stream.receive()
                if isinstance(message, wire.Answer):
                    return wire.unpack(message.value, message, payload, self._resolve)
                if isinstance(message, wire.Refusal):
                    raise sdk.KINDS.get(message.kind, sdk.EngineError)(message.message)
                if isinstance(message, wire.Call):
                    self.handle(message, payload)
                else:
                    raise wire.Violation("an answer was due")


def _remote(server: Server, identity: int, name: str, methods: list[str], constants: dict[str, Any]) -> Any:
    """An object whose methods run outside the jail and whose constants are plain attributes."""

    def method(word: str) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return server.invoke(identity, word, args, kwargs)

        call.__name__ = word
        return call

    return type(name, (), {**constants, **{word: method(word) for word in methods}})()


def _refuse(value: Any) -> Any:
    raise wire.Unserialisable(
        f"a value of type {type(value).__name__} can't leave the jail: return None, bool, int, float, str, bytes, list, tuple, dict or a tensor"
    )


def _flush() -> None:
    for file in (sys.stdout, sys.stderr):
        try:
            file.flush()
        except Exception:
            pass


def _raised(nonce: int, error: BaseException) -> wire.Raise:
    lines: list[tuple[int, str]] = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            lines.append((trace.tb_lineno, str(trace.tb_frame.f_code.co_name)[:80]))
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == FILE and error.lineno:
        lines.append((error.lineno, "<module>"))
    kind = next((base.__name__ for base in type(error).__mro__ if base in _KNOWN), "Exception")
    try:
        message = str(error)
    except BaseException:
        message = "(its message can't be shown)"
    message = message[:MAX_MESSAGE].encode("utf-8", "replace").decode()
    number = error.errno if isinstance(error, OSError) and type(error.errno) is int else None
    return wire.Raise(nonce=nonce, kind=kind, message=message, number=number, lines=lines[-MAX_LINES:])


_KNOWN = {
    *(value for value in vars(builtins).values() if isinstance(value, type) and issubclass(value, BaseException)),
    *sdk.KINDS.values(),
    wire.Unserialisable,
    wire.TooBig,
}


def _seed(number: int) -> None:
    random.seed(number)
    for name, seed in (("numpy", lambda m: m.random.seed(number % (1 << 32))), ("torch", lambda m: m.manual_seed(number))):
        if name in sys.modules:
            seed(sys.modules[name])  # type: ignore[no-untyped-call]


def _touch() -> None:
    """Goes once through what every test does, since a fork pays for each page when it first writes to it: now nobody waits for that."""
    _seed(0)
    exec(compile("class Touch:\n    def back(self, value):\n        return value\n", FILE, "exec", dont_inherit=True), {"__name__": "touch"})
    torch = sys.modules.get("torch")
    value = torch.zeros(4).softmax(0) if torch else 1.5
    parcel = wire.Parcel(_refuse)
    frame = wire.encode(wire.Answer(nonce=1, value=parcel.pack([value])), parcel)
    header_bytes, payload_bytes = wire.head(frame[: wire.HEAD.size], len(frame))
    body = frame[wire.HEAD.size :]
    message = wire.header(body[:header_bytes], payload_bytes, wire.jail_decoder)
    wire.unpack(message.value, message, bytearray(body[header_bytes:]), lambda tag, body: None)


def serve(stream: Stream) -> int:
    """Waits for one test and runs it. Returns the exit status."""
    _touch()
    start, payload = stream.receive()
    if not isinstance(start, wire.Start):
        raise wire.Violation("a test must start first")
    resource.setrlimit(resource.RLIMIT_CPU, (start.cpu_s, start.cpu_s + 1))
    if start.cpu >= 0:
        with contextlib.suppress(OSError):  # not a processor of ours: run where the kernel likes
            os.sched_setaffinity(0, {start.cpu})
    _seed(start.seed)
    server = Server(stream)
    if not server.answer_load(start, payload):
        return 0
    while True:
        message, payload = stream.receive()
        if isinstance(message, wire.Finish):
            _flush()
            return 0
        if not isinstance(message, wire.Call):
            raise wire.Violation("a call was due")
        server.handle(message, payload)
