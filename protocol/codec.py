"""Payloads as Python objects, by the ``ct`` parameter.

``text`` is UTF-8, ``json`` and ``msgpack`` are what they are called, ``f16 f32 f64 u8 i32 i64`` are
little-endian arrays whose ``shape`` is comma-separated (none: one dimension). Arrays are not
copied: encoding gives a view of a contiguous array, decoding a read-only array over the payload's
bytes. A ``ct`` that is none of these, or none at all, leaves bytes as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ganglion.protocol.errors import PeerError, UsageError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ARRAY_TYPES", "decode", "encode"]

# ct to numpy's name of the same bytes. numpy and msgpack are imported when first needed: the CLI
# starts without them.
ARRAY_TYPES: Final[Mapping[str, str]] = {
    "f16": "<f2", "f32": "<f4", "f64": "<f8", "u8": "|u1", "i32": "<i4", "i64": "<i8",
}  # fmt: skip
_DIMENSIONS_MAX: Final = 32  # what every numpy can hold


def encode(obj: Any, ct: str | None = None) -> tuple[bytes | memoryview, dict[str, str]]:
    """An object's payload and the parameters that tell how to read it.

    Without ``ct``: bytes stay bytes, ``str`` is text, an array is an array, all else is json.
    Raises :class:`UsageError` for what cannot be written so.

    >>> encode({"k": 3})
    (b'{"k":3}', {'ct': 'json'})
    """
    if ct is None:
        ct = _natural(obj)
    if ct in ARRAY_TYPES:
        return _encode_array(obj, ct)
    if isinstance(obj, (bytes, bytearray, memoryview)):
        return (obj if isinstance(obj, bytes) else bytes(obj)), ({"ct": ct} if ct else {})
    writer = _WRITERS.get(ct)
    if writer is None:
        words = f"cannot write {type(obj).__name__} as ct={ct}: give bytes"
        raise UsageError(words, code="bad_payload")
    try:
        return writer(obj), {"ct": ct}
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"cannot write as ct={ct}: {error}", code="bad_payload") from error


def decode(payload: bytes | memoryview, params: Mapping[str, str]) -> Any:
    """The object in a payload.

    Raises :class:`PeerError` ``bad_payload`` when the bytes are not what ``ct`` and ``shape`` say.

    >>> decode(b'{"k":3}', {"ct": "json"})
    {'k': 3}
    """
    ct = params.get("ct", "")
    if ct in ARRAY_TYPES:
        return _decode_array(payload, ct, params.get("shape"))
    reader = _READERS.get(ct)
    if reader is None:
        return payload
    try:
        return reader(bytes(payload))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _bad(f"not {ct}: {error}") from error


def _bad(words: str) -> PeerError:
    return PeerError("bad_payload", words)


def _natural(obj: Any) -> str:
    if isinstance(obj, (bytes, bytearray, memoryview)):
        return ""
    if isinstance(obj, str):
        return "text"
    if type(obj).__module__ == "numpy" and hasattr(obj, "dtype"):
        return _array_type(obj)
    return "json"


def _array_type(array: Any) -> str:
    little = array.dtype.newbyteorder("<").str
    for ct, name in ARRAY_TYPES.items():
        if little == name:
            return ct
    known = " ".join(ARRAY_TYPES)
    words = f"arrays of {array.dtype} have no ct: convert to one of {known}"
    raise UsageError(words, code="bad_payload")


def _encode_array(obj: Any, ct: str) -> tuple[bytes | memoryview, dict[str, str]]:
    import numpy as np

    try:
        # Copies only what is not contiguous or not of this type yet.
        array: np.ndarray[Any, Any] = np.asarray(obj, dtype=ARRAY_TYPES[ct], order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"cannot write as ct={ct}: {error}", code="bad_payload") from error
    params = {"ct": ct, "shape": ",".join(map(str, array.shape))}
    if array.size == 0:
        return b"", params
    return array.reshape(-1).view(np.uint8).data, params


def _decode_array(payload: bytes | memoryview, ct: str, shape: str | None) -> np.ndarray[Any, Any]:
    import numpy as np

    dtype = np.dtype(ARRAY_TYPES[ct])
    size = memoryview(payload).nbytes
    if shape is None:
        if size % dtype.itemsize:
            raise _bad(f"{size} bytes are no whole number of {ct}")
        dims: tuple[int, ...] = (size // dtype.itemsize,)
    else:
        dims = _dimensions(shape)
    if math.prod(dims) * dtype.itemsize != size:
        raise _bad(f"shape={shape} of {ct} is not {size} bytes")
    try:
        # frombuffer refuses an empty buffer.
        flat = np.frombuffer(payload, dtype) if size else np.empty(0, dtype)
        array = flat.reshape(dims)
    except (ValueError, OverflowError) as error:
        raise _bad(f"shape={shape}: {error}") from error
    array.flags.writeable = False
    return array


def _dimensions(shape: str) -> tuple[int, ...]:
    if not shape:
        return ()
    words = shape.split(",")
    if len(words) > _DIMENSIONS_MAX or not all(map(_is_size, words)):
        raise _bad(f"shape={shape:.80} is not a list of sizes")
    return tuple(map(int, words))


def _is_size(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 18


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _write_json(obj: Any) -> bytes:
    text = json.dumps(obj, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _read_json(payload: bytes) -> Any:
    return json.loads(payload, parse_constant=_refuse_constant)


def _write_msgpack(obj: Any) -> bytes:
    import msgpack

    packed: bytes = msgpack.packb(obj)
    return packed


def _read_msgpack(payload: bytes) -> Any:
    import msgpack

    try:
        return msgpack.unpackb(payload, strict_map_key=False)
    except msgpack.exceptions.UnpackException as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _write_text(obj: Any) -> bytes:
    return (obj if isinstance(obj, str) else str(obj)).encode()


_WRITERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "text": _write_text,
    "json": _write_json,
    "msgpack": _write_msgpack,
}
_READERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "text": bytes.decode,
    "json": _read_json,
    "msgpack": _read_msgpack,
}
