"""Frames between the judge and the jail.

A frame is `<header bytes: u32><payload bytes: u64>` little endian, a JSON header of at most 64 KiB, and the payload: the raw bytes of the
header's tensors, one after the other. Nothing is ever unpickled. `head`, `header` and `payload` check a frame step by step, so that a reader allocates
nothing that it has not bounded; the same functions serve both ends, but only the judge's end has to distrust.

Values are JSON, with what JSON lacks written as an object of one key: `{"$t": [...]}` a tuple, `{"$d": [[key, value], ...]}` a dict, `{"$f": "nan"}` a
non-finite float, `{"$x": i}` tensor i of this frame, `{"$b": i}` bytes, `{"$o": id}` an object in the jail, `{"$h": [...]}` one of the judge's.
"""

import math
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

HEAD = struct.Struct("<IQ")
MAX_HEADER = 64 * 1024
MAX_TENSORS = 256
MAX_DIMENSIONS = 8
MAX_DEPTH = 32
ITEMSIZE = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip
PLAIN = frozenset((int, str, bool, type(None)))
FINITE = frozenset((float, *PLAIN))
INT64 = 1 << 63
# What a value of a subclass is without it, whatever its own methods say.
PLAINER: tuple[tuple[type, Callable[[Any], Any]], ...] = ((str, str.__str__), (int, int.__int__), (float, float.__float__))


class Violation(Exception):
    """The other end broke the format. The connection is of no further use."""


class Unserialisable(TypeError):
    """A value that may not cross: only None, bool, int, float, str, bytes, list, tuple, dict and dense tensors do."""


class TooBig(ValueError):
    """An answer or a request that does not fit into a frame."""


class Tensor(msgspec.Struct, array_like=True):
    dtype: str
    shape: list[int]
    nbytes: int


class Frame(msgspec.Struct, tag_field="m", kw_only=True):
    """What every message has. `nonce` names the judge's request that it belongs to."""

    nonce: int
    tensors: list[Tensor] = []


class Prepare(Frame, tag="prepare"):
    """Judge: nothing of the last test is left; fork the process of the next one. The nonce is that of its end."""


class Start(Frame, tag="start"):
    """Judge, to the prepared process: load the submission (bytes 0 of the payload). `cpu` is the processor to stay on, or -1."""

    entry: str
    seed: int
    cpu_s: int
    source: Any
    cpu: int = -1


class Call(Frame, tag="call"):
    """Judge: make an object (`target` -1), call a function (0) or a method of object `target`."""

    target: int
    method: str
    args: Any
    kwargs: Any


class Answer(Frame, tag="answer"):
    """Judge: what an engine call returned."""

    value: Any


class Refusal(Frame, tag="refusal"):
    """Judge: an engine call was refused; `kind` names the exception to raise in the submission."""

    kind: str
    message: str


class Finish(Frame, tag="finish"):
    """Judge: the test is over."""


class Return(Frame, tag="return"):
    value: Any


class Raise(Frame, tag="raise"):
    """Jail: the submission raised. `lines` are (line, function) of its own frames, outermost first; `number` is the errno of an OSError."""

    kind: str
    message: str
    number: int | None = None
    lines: list[tuple[int, str]] = []


class Invoke(Frame, tag="invoke"):
    """Jail: the submission calls method `method` of the judge's object `target`."""

    target: int
    method: str
    args: Any
    kwargs: Any


class Ended(Frame, tag="ended"):
    """Jail: the prepared process is gone (exit status or negative signal), and so is all that it left when `clean`."""

    status: int
    clean: bool


class Ready(Frame, tag="ready"):
    """Jail: the zygote waits for its first test."""

    versions: dict[str, str] = {}


FromJudge = Prepare | Start | Call | Answer | Refusal | Finish
FromJail = Return | Raise | Invoke | Ended | Ready
_encoder = msgspec.json.Encoder()
judge_decoder: "msgspec.json.Decoder[FromJail]" = msgspec.json.Decoder(FromJail)
jail_decoder: "msgspec.json.Decoder[FromJudge]" = msgspec.json.Decoder(FromJudge)


# Reading -------------------------------------------------------------------------------------------------------------


def head(raw: bytes | bytearray | memoryview, max_payload: int) -> tuple[int, int]:
    """The header's and the payload's length in bytes, both within their caps.

    Raises:
        Violation: too long, or an empty header.
    """
    header_bytes, payload_bytes = HEAD.unpack(raw)
    if not 0 < header_bytes <= MAX_HEADER:
        raise Violation(f"a header of {header_bytes} bytes; 1 to {MAX_HEADER} are allowed")
    if payload_bytes > max_payload:
        raise Violation(f"a payload of {payload_bytes} bytes; at most {max_payload} are allowed")
    return header_bytes, payload_bytes


def header(raw: bytes | bytearray, payload_bytes: int, decoder: "msgspec.json.Decoder[Any]") -> Any:
    """The message, whose tensors add up to the payload exactly.

    Raises:
        Violation: not UTF-8 JSON of a known message, nested too deep, or tensors that do not fit.
    """
    try:
        message = decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError, ValueError) as error:
        raise Violation(f"a header that is no message: {type(error).__name__}") from None
    tensors = message.tensors
    if tensors:
        if len(tensors) > MAX_TENSORS:
            raise Violation(f"{len(tensors)} tensors; at most {MAX_TENSORS} are allowed")
        total = 0
        for tensor in tensors:
            total += checked_size(tensor)
        if total != payload_bytes:
            raise Violation(f"tensors of {total} bytes in a payload of {payload_bytes}")
    elif payload_bytes:
        raise Violation(f"a payload of {payload_bytes} bytes without tensors")
    return message


def checked_size(tensor: Tensor) -> int:
    """The tensor's size in bytes, which its dtype and shape must confirm.

    Raises:
        Violation: unknown dtype, bad shape, or sizes that differ.
    """
    if tensor.dtype not in ITEMSIZE:
        raise Violation("a tensor of an unknown dtype")
    if len(tensor.shape) > MAX_DIMENSIONS:
        raise Violation(f"a tensor of {len(tensor.shape)} dimensions")
    size = ITEMSIZE[tensor.dtype]
    for length in tensor.shape:
        if not 0 <= length < 1 << 31:
            raise Violation(f"a tensor dimension of {length}")
        size *= length
    if size != tensor.nbytes:
        raise Violation(f"a tensor of {tensor.nbytes} bytes whose shape and dtype make {size}")
    return size


def unpack(value: Any, message: Frame, payload: bytearray, resolve: Callable[[str, Any], Any]) -> Any:
    """The Python value that `value` of `message` stands for.

    Args:
        resolve: makes the object of an "$o" or "$h" reference, or raises Violation.

    Raises:
        Violation: an unknown tag, a bad index, or nesting deeper than MAX_DEPTH.
    """
    if type(value) is list and FINITE.issuperset(map(type, value)):
        return value
    return _Unpacker(message, payload, resolve).value(value, 0)


class _Unpacker:
    __slots__ = ("_message", "_payload", "_resolve", "_used")

    def __init__(self, message: Frame, payload: bytearray, resolve: Callable[[str, Any], Any]) -> None:
        self._message, self._payload, self._resolve = message, payload, resolve
        self._used: set[int] = set()  # every tensor once: else a small header could ask for the payload a thousand times

    def value(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is list:
            if FINITE.issuperset(map(type, value)):
                return value
            return self._items(value, depth)
        if kind is not dict:
            return value
        if len(value) != 1 or depth >= MAX_DEPTH:
            raise Violation("a malformed value")
        ((tag, body),) = value.items()
        if tag in ("$x", "$b"):
            return self._attachment(tag, body)
        if tag in ("$o", "$h"):
            return self._resolve(tag, body)
        if tag == "$f" and body in ("nan", "inf", "-inf"):
            return float(body)
        if tag == "$t" and type(body) is list:
            return tuple(self._items(body, depth))
        if tag == "$d" and type(body) is list:
            return self._dict(body, depth)
        raise Violation("a value of an unknown kind")

    def _items(self, items: list[Any], depth: int) -> list[Any]:
        if depth >= MAX_DEPTH:
            raise Violation("a value that is nested too deep")
        return [self.value(item, depth + 1) for item in items]

    def _dict(self, pairs: list[Any], depth: int) -> dict[Any, Any]:
        result = {}
        for pair in pairs:
            if type(pair) is not list or len(pair) != 2:
                raise Violation("a malformed dict")
            key, item = self._items(pair, depth)
            try:
                result[key] = item
            except (TypeError, RuntimeError):
                raise Violation("a dict key that can't be one") from None
        return result

    def _attachment(self, tag: str, index: Any) -> Any:
        tensors = self._message.tensors
        if type(index) is not int or not 0 <= index < len(tensors) or index in self._used:
            raise Violation("a tensor that is not in the frame, or is used twice")
        self._used.add(index)
        start = sum(tensor.nbytes for tensor in tensors[:index])
        tensor = tensors[index]
        raw = self._payload[start : start + tensor.nbytes]  # a copy: nobody else holds these bytes
        if tag == "$b":
            return bytes(raw)
        import torch

        if tensor.dtype == "bool" and raw.translate(None, b"\x00\x01"):
            raise Violation("a bool that is neither 0 nor 1")
        dtype: torch.dtype = getattr(torch, tensor.dtype)
        return (torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)).reshape(tensor.shape)


# Writing -------------------------------------------------------------------------------------------------------------


class Parcel:
    """Collects the tensors and bytes of one frame while its values are packed."""

    __slots__ = ("buffers", "refer", "size", "tensors")
    _dtype_names: ClassVar[dict[Any, str]] = {}

    def __init__(self, refer: Callable[[Any], Any]) -> None:
        self.refer = refer
        self.tensors: list[Tensor] = []
        self.buffers: list[Any] = []
        self.size = 0

    def pack(self, value: Any, depth: int = 0) -> Any:
        """`value` as JSON can say it.

        Raises:
            Unserialisable: something in it may not cross.
        """
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        if kind is int:
            if -INT64 <= value < INT64:
                return value
            raise Unserialisable("an integer of more than 64 bits")
        if kind is float:
            return value if math.isfinite(value) else {"$f": repr(value)}
        if depth >= MAX_DEPTH:
            raise Unserialisable("a value that is nested too deep, or holds itself")
        if isinstance(value, list):
            if PLAIN.issuperset(map(type, value)) and all(-INT64 <= v < INT64 for v in value if type(v) is int):
                return list(value)
            return [self.pack(item, depth + 1) for item in value]
        if isinstance(value, tuple):
            return {"$t": [self.pack(item, depth + 1) for item in value]}
        if isinstance(value, dict):
            return {"$d": [[self.pack(k, depth + 1), self.pack(v, depth + 1)] for k, v in value.items()]}
        if isinstance(value, (bytes, bytearray)):
            return {"$b": self._attach("uint8", [len(value)], bytes(value))}
        for base, plain in PLAINER:
            if isinstance(value, base):  # a StrEnum, an IntEnum, a float of NumPy's
                return self.pack(plain(value), depth)
        if kind.__module__ == "torch" or kind.__module__.startswith("torch."):
            return {"$x": self._tensor(value)}
        return self.refer(value)

    def _tensor(self, value: Any) -> int:
        import torch

        if type(value) not in (torch.Tensor, torch.nn.Parameter):
            raise Unserialisable(f"a {type(value).__name__}; only plain tensors may cross")
        if not self._dtype_names:
            self._dtype_names.update({getattr(torch, name): name for name in ITEMSIZE})
        name = self._dtype_names.get(value.dtype)
        if name is None or value.layout is not torch.strided or value.is_quantized:
            raise Unserialisable(f"a tensor of {value.dtype} and {value.layout}")
        flat = value.detach().cpu().contiguous().reshape(-1)
        raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
        return self._attach(name, list(value.shape), raw)

    def _attach(self, dtype: str, shape: list[int], raw: bytes) -> int:
        self.tensors.append(Tensor(dtype, shape, len(raw)))
        self.buffers.append(raw)
        self.size += len(raw)
        return len(self.tensors) - 1


def encode(message: Frame, parcel: Parcel | None = None) -> bytes:
    """The frame's bytes.

    Raises:
        TooBig: the header passes its cap.
        Unserialisable: text that is not valid Unicode.
    """
    buffers: list[Any] = []
    size = 0
    if parcel is not None and parcel.tensors:
        message.tensors, buffers, size = parcel.tensors, parcel.buffers, parcel.size
    try:
        raw = _encoder.encode(message)
    except UnicodeError:
        raise Unserialisable("text with lone surrogates") from None
    if len(raw) > MAX_HEADER:
        raise TooBig(f"a message of {len(raw)} bytes; at most {MAX_HEADER} are allowed. Long data goes as a tensor.")
    return b"".join((HEAD.pack(len(raw), size), raw, *buffers))
