"""The trusted reader: whatever bytes come, it answers with a message or with Violation, and never allocates beyond its caps."""

import enum
import struct

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sandbox.guest import wire


def round_trip(value: object) -> object:
    parcel = wire.Parcel(lambda other: pytest.fail(f"not plain: {other!r}"))
    frame = bytes(wire.encode(wire.Return(nonce=1, value=parcel.pack(value)), parcel))
    header_bytes, payload_bytes = wire.head(frame[: wire.HEAD.size], 1 << 24)
    header = frame[wire.HEAD.size : wire.HEAD.size + header_bytes]
    message = wire.header(header, payload_bytes, wire.judge_decoder)
    return wire.unpack(message.value, message, bytearray(frame[wire.HEAD.size + header_bytes :]), lambda tag, body: pytest.fail(tag))


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(plain)
def test_plain_values_come_out_as_they_went_in(value: object) -> None:
    try:
        text_is_sound = repr(value).encode()
    except UnicodeEncodeError:
        return
    assert text_is_sound
    assert round_trip(value) == value


class Reason(enum.StrEnum):
    STOP = "stop"


class Level(enum.IntEnum):
    HIGH = 3


class Loud(str):
    def __str__(self) -> str:
        return self.upper()


@pytest.mark.parametrize(("value", "plain"), [(Reason.STOP, "stop"), (Level.HIGH, 3), (Loud("quiet"), "quiet"), (numpy.float64(0.5), 0.5)])
def test_what_is_a_string_or_a_number_crosses_as_one(value: object, plain: object) -> None:
    for sent, due in ((value, plain), ([value, None], [plain, None]), (("a", value), ("a", plain)), ({value: 1}, {plain: 1})):
        back = round_trip(sent)
        assert back == due
        assert type(back) is type(due)
    assert type(round_trip(value)) is type(plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.float16])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_tensors_keep_dtype_shape_and_bits(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.randn(shape) * 10).to(dtype)
    back = round_trip([tensor])[0]  # type: ignore[index]
    assert back.dtype == dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_header_breaks_the_reader(header: bytes, payload: bytes) -> None:
    try:
        message = wire.header(header, len(payload), wire.judge_decoder)
        wire.unpack(getattr(message, "value", None), message, bytearray(payload), lambda tag, body: None)
    except wire.Violation:
        pass


HEADERS = st.fixed_dictionaries(
    {
        "m": st.sampled_from(["return", "raise", "invoke", "ended", "answer", "x"]),
        "nonce": st.integers(-5, 2**70) | st.none(),
        "value": st.recursive(
            st.none() | st.integers() | st.text(max_size=3),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["$t", "$d", "$f", "$x", "$b", "$o", "$h", "a"]), inner, max_size=2),
            max_leaves=8,
        ),
        "tensors": st.lists(
            st.tuples(st.sampled_from(["float32", "int8", "object", ""]), st.lists(st.integers(-2, 2**40), max_size=9), st.integers(-2, 2**60)), max_size=4
        ),
    }
)


@given(HEADERS, st.integers(0, 64))
def test_no_well_formed_json_breaks_it_either(header: dict[str, object], payload_bytes: int) -> None:
    import msgspec

    try:
        message = wire.header(msgspec.json.encode(header), payload_bytes, wire.judge_decoder)
        wire.unpack(getattr(message, "value", None), message, bytearray(payload_bytes), lambda tag, body: None)
    except (wire.Violation, OverflowError) as error:
        # JSON integers beyond 64 bits are refused by the encoder of this test itself.
        assert isinstance(error, wire.Violation) or "too large" in str(error)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_lengths_beyond_the_caps_are_refused_before_anything_is_read(header_bytes: int, payload_bytes: int) -> None:
    frame = struct.pack("<IQ", header_bytes, payload_bytes)
    if not 0 < header_bytes <= wire.MAX_HEADER or payload_bytes > 1 << 20:
        with pytest.raises(wire.Violation):
            wire.head(frame, 1 << 20)
    else:
        assert wire.head(frame, 1 << 20) == (header_bytes, payload_bytes)


def test_nothing_here_unpickles() -> None:
    from pathlib import Path

    for path in Path(wire.__file__).parents[1].glob("**/*.py"):
        text = path.read_text()
        assert "pickle" not in text.replace("unpickled", "").replace("never pickle", ""), path
        assert "torch.load" not in text, path
