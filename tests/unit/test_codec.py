"""Payloads as objects: what goes in comes out, arrays without a copy, and nonsense is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ganglion.protocol import Message, PeerError, UsageError, decode, encode
from ganglion.protocol.codec import ARRAY_TYPES

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=4
        )
    ),
    max_leaves=12,
)


def through_a_message(obj: Any, ct: str | None = None) -> Any:
    payload, params = encode(obj, ct)
    message = Message.parse(Message("DATA", "X", "t", params, payload).format())
    return decode(message.payload, message.params)


@given(json_values, st.sampled_from(["json", "msgpack"]))
def test_objects_come_back(value: Any, ct: str) -> None:
    assert through_a_message(value, ct) == value


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_comes_back(value: str) -> None:
    assert encode(value)[1] == {"ct": "text"}
    assert through_a_message(value) == value


@given(st.binary())
def test_bytes_stay_bytes(value: bytes) -> None:
    assert encode(value) == (value, {})
    assert encode(value, "pdf") == (value, {"ct": "pdf"})
    assert through_a_message(value) == through_a_message(value, "pdf") == value


@given(
    st.sampled_from(sorted(ARRAY_TYPES)).flatmap(
        lambda ct: hnp.arrays(np.dtype(ARRAY_TYPES[ct]), hnp.array_shapes(min_dims=0, min_side=0))
    )
)
def test_arrays_come_back(array: np.ndarray[Any, Any]) -> None:
    back = through_a_message(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert not back.flags.writeable


def test_arrays_are_not_copied() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    payload, params = encode(array)
    assert params == {"ct": "f32", "shape": "3,4"}
    assert isinstance(payload, memoryview)
    assert payload.nbytes == 48
    assert np.shares_memory(np.asarray(payload), array)
    received = bytes(payload)
    assert np.shares_memory(decode(received, params), np.frombuffer(received, np.uint8))


@pytest.mark.parametrize("view", ["transposed", "strided", "big-endian"])
def test_other_layouts_are_copied_right(view: str) -> None:
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    other = {"transposed": array.T, "strided": array[::2, ::3], "big-endian": array.astype(">i4")}
    assert np.array_equal(through_a_message(other[view]), other[view])


def test_lists_as_arrays_and_arrays_of_one_dimension() -> None:
    assert through_a_message([1, 2.5], "f64").tolist() == [1.0, 2.5]
    assert decode(bytes(8), {"ct": "f32"}).shape == (2,)


@pytest.mark.parametrize(
    ("payload", "params"),
    [
        (b"\xff", {"ct": "text"}),
        (b"{", {"ct": "json"}),
        (b"", {"ct": "json"}),
        (b"NaN", {"ct": "json"}),
        (b"\xff\xfe", {"ct": "json"}),
        (b"[" * 100_000, {"ct": "json"}),
        (b"9" * 5000, {"ct": "json"}),
        (b"", {"ct": "msgpack"}),
        (b"\xc1", {"ct": "msgpack"}),
        (b"\x01\x01", {"ct": "msgpack"}),
        (b"\x91" * 100_000, {"ct": "msgpack"}),
        (b"\xdd\xff\xff\xff\xff", {"ct": "msgpack"}),
        (b"\x81\x90\x01", {"ct": "msgpack"}),
        (bytes(5), {"ct": "f32"}),
        (bytes(8), {"ct": "f32", "shape": "3"}),
        (bytes(8), {"ct": "f32", "shape": ""}),
        (bytes(8), {"ct": "f32", "shape": "-2"}),
        (bytes(8), {"ct": "f32", "shape": "2,"}),
        (bytes(8), {"ct": "f32", "shape": "2x"}),
        (bytes(8), {"ct": "f32", "shape": "²"}),
        (bytes(4), {"ct": "f32", "shape": ",".join(["1"] * 33)}),
        (b"", {"ct": "f32", "shape": "0," + "9" * 18 + "," + "9" * 18}),
        (b"", {"ct": "f32", "shape": "9" * 5000}),
    ],
)
def test_a_payload_that_is_not_what_ct_says(payload: bytes, params: dict[str, str]) -> None:
    with pytest.raises(PeerError) as caught:
        decode(payload, params)
    assert caught.value.code == "bad_payload"


@given(
    st.binary(max_size=64),
    st.sampled_from([*ARRAY_TYPES, "text", "json", "msgpack", "?"]),
    st.none() | st.text(max_size=9),
)
def test_decode_raises_nothing_else(payload: bytes, ct: str, shape: str | None) -> None:
    with suppress(PeerError):
        decode(payload, {"ct": ct} if shape is None else {"ct": ct, "shape": shape})


@pytest.mark.parametrize(
    ("obj", "ct"),
    [
        (object(), None),
        (float("nan"), None),
        ({1, 2}, "json"),
        (object(), "msgpack"),
        (1 << 70, "msgpack"),
        ({"a": 1}, "pdf"),
        (["a"], "f32"),
        (np.zeros(2, np.complex64), None),
        (np.zeros(2, bool), None),
    ],
)
def test_what_cannot_be_written(obj: Any, ct: str | None) -> None:
    with pytest.raises(UsageError):
        encode(obj, ct)
