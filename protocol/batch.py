"""What a receive in C hands to Python: one copy of the bytes, one tuple a message.

The cheapest way from an array of ``gn_msg`` to Python is to unpack the array itself: a field access
through cffi costs as much as the whole tuple does here (bench/wire.py).
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from ganglion.protocol._native import ffi, lib

# gn_msg: type, flags, code, verb, two bytes of padding, then five spans (whole, action, task,
# params, payload).
_GN_MSG = struct.Struct("=BBHHxx10I")
BATCH_MESSAGES = 256

if _GN_MSG.size != ffi.sizeof("gn_msg"):
    raise ImportError("gn_msg has another layout than protocol/batch.py; rebuild: ./run setup")

VERB = {ffi.string(lib.gn_verb_name(v)).decode(): v for v in range(1, lib.gn_verb_count())}


class Incoming(NamedTuple):
    """One message as it came in; fields are bytes, ``params`` raw (``key=value;key=value``)."""

    type: int
    code: int
    verb: int
    action: bytes
    task: bytes
    params: bytes
    payload: bytes


def unpack(messages: Any, count: int, base: Any) -> list[Incoming]:
    """``count`` messages of the ``gn_msg`` array whose spans count from ``base``, in order."""
    rows = list(_GN_MSG.iter_unpack(ffi.buffer(messages, count * _GN_MSG.size)))
    if not rows:
        return []
    data = ffi.buffer(base, rows[-1][4] + rows[-1][5])[:]
    new = tuple.__new__  # what Incoming(...) does, in half the time
    return [
        new(
            Incoming,
            (
                kind,
                code,
                verb,
                data[a : a + an],
                data[t : t + tn],
                data[p : p + pn],
                data[b : b + bn],
            ),
        )
        for kind, _f, code, verb, _w, _wn, a, an, t, tn, p, pn, b, bn in rows
    ]


def param(params: bytes, key: bytes) -> bytes | None:
    """The raw value of one parameter, or None; of a key given twice the last counts."""
    found = None
    for field in params.split(b";"):
        name, _, value = field.partition(b"=")
        if name == key:
            found = value
    return found


def wholes(messages: Any, count: int, base: Any) -> list[bytes]:
    """The same messages as they came in, byte for byte, each without its LF."""
    rows = list(_GN_MSG.iter_unpack(ffi.buffer(messages, count * _GN_MSG.size)))
    data = ffi.buffer(base, max((r[4] + r[5] for r in rows), default=0))
    return [data[row[4] : row[4] + row[5]] for row in rows]
