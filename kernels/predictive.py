"""Predictive coding: send what a prediction did not foresee, and nothing else.

`gate` is the bare operation. `VectorEncoder` and `VectorDecoder`, `TelemetryEncoder` and `TelemetryDecoder` are the two
ends of a stream: both predict from what was sent and only from that, so they cannot drift apart, and what the decoder
shows is within the bound at every tick, whether something was sent or not. Frames are bytes; a lost one is noticed,
`VectorEncoder.key()` or the next keyframe brings the decoder back. Formulas and layouts:
csrc/kernels/predictive/README.md.
"""

from __future__ import annotations

import time as clock
from typing import Any, Literal

import numpy as np

from ganglion.kernels._arrays import (
    F32,
    F64,
    U8,
    Array,
    array,
    kept_room,
    out_array,
    pointer,
    shaped,
)
from ganglion.kernels._call import INTEGERS, Bound, check
from ganglion.kernels._kernels import ffi, lib

__all__ = [
    "TelemetryDecoder",
    "TelemetryEncoder",
    "VectorDecoder",
    "VectorEncoder",
    "bind_gate",
    "gate",
]

Outcome = Literal["applied", "old", "lost"]
_OUTCOMES: tuple[Outcome, Outcome, Outcome] = ("applied", "old", "lost")
_NULL = ffi.NULL
_N_MAX = 1 << 24
_FIELDS_MAX = 1 << 16
_FLOATS = ffi.typeof("float[]")
_from_buffer = ffi.from_buffer
_gate = lib.gn_gate
_new = ffi.new


def gate(
    x: Any, prediction: Any, threshold: float, rate: float = 1.0, *, residual: Any = None
) -> bool:
    """Is x a surprise: is the root mean square of x - prediction above the threshold?

    If so, prediction[n] moves by rate * (x - prediction), in place, and `residual` (float32 [n]), when given, gets
    x - prediction. If not, both stay as they are, so that whoever is told of surprises only can follow. A residual
    that is not finite is always a surprise; an element of prediction that would not be finite takes x's.

    Raises ValueError: x, prediction or residual is not a dense float32 vector of one length, prediction or residual is
    read-only or overlaps another, threshold is negative or NaN, rate is not in 0..1.
    """
    sent = _new("int *")
    n, arrays = _gated(x, prediction, residual)
    status = _gate(arrays[0], arrays[1], n, threshold, rate, arrays[2], sent, _NULL)
    if status:
        _refuse(status, threshold, rate)
    return bool(sent[0])


class Gate:
    """What a bound gate tells: `surprised` and `rms` of the last call."""

    __slots__ = ("_rms", "_sent", "residual")

    def __init__(self, residual: Array | None) -> None:
        self._sent, self._rms = _new("int *"), _new("float *")
        self.residual = residual

    @property
    def surprised(self) -> bool:
        return bool(self._sent[0])

    @property
    def rms(self) -> float:
        return float(self._rms[0])


def bind_gate(
    x: Any, prediction: Any, threshold: float, rate: float = 1.0, *, residual: Any = None
) -> Bound[Gate]:
    """`gate` of these arrays, to call many times; the result says what the last call found."""
    told = Gate(residual)
    n, arrays = _gated(x, prediction, residual)
    probe = np.zeros(0, F32)
    given = (n, float(threshold), float(rate))
    status = _gate(pointer(probe), pointer(probe.copy()), 0, *given[1:], _NULL, told._sent, _NULL)
    if status:
        _refuse(status, threshold, rate)
    arguments = (arrays[0], arrays[1], *given, arrays[2], told._sent, told._rms)
    return Bound("gate", None, _gate, arguments, told)


def _gated(x: Any, prediction: Any, residual: Any) -> tuple[int, tuple[Any, Any, Any]]:
    given, told = array(x, "x", F32, 1), array(prediction, "prediction", F32, 1)
    n = len(given)
    if len(told) != n:
        raise ValueError(f"prediction: {len(told)} elements, x has {n}")
    if not told.flags.writeable:
        raise ValueError("prediction: read-only")
    if np.may_share_memory(given, told):
        raise ValueError("prediction: overlaps x")
    if residual is None:
        return n, (_from_buffer(_FLOATS, given), _from_buffer(_FLOATS, told), _NULL)
    kept = out_array(residual, "residual", (n,), F32, (given, told))
    return n, (pointer(given), pointer(told), pointer(kept))


def _refuse(status: int, threshold: float, rate: float) -> None:
    if not threshold >= 0:
        raise ValueError(f"threshold: {threshold!r} is not 0 or more")
    if not 0 <= rate <= 1:
        raise ValueError(f"rate: {rate!r} is not in 0..1")
    check(status, "gate")


def _count(value: int, name: str, most: int, least: int = 0) -> int:
    if not isinstance(value, INTEGERS) or not least <= value <= most:
        raise ValueError(f"{name}: {value!r} is not in {least}..{most}")
    return value


def _settings(trend: float, key_every: int, beat: int, epoch: int | None) -> tuple[Any, ...]:
    if not 0 <= trend <= 1:
        raise ValueError(f"trend: {trend!r} is not in 0..1")
    began = int(clock.time()) & 0xFFFFFFFF if epoch is None else epoch
    whole = (_count(key_every, "key_every", 2**32 - 1), _count(beat, "beat", 2**32 - 1))
    return (float(trend), *whole, _count(began, "epoch", 2**32 - 1))


class VectorEncoder:
    """The sending end of a stream of float32 vectors.

    `bound`: the largest error of an element at the decoder. `trend`: 0 predicts that a value stays; up to 1, that it
    goes on as it went. `key_every`: every so many frames one that needs no others (0: the first, and
    after `key()`). `beat`: a frame at the latest after so many silent ticks, so that a loss is noticed (0: never).
    `epoch`: must grow with each new encoder of a stream; the time in seconds when None.

    Raises ValueError naming the argument.
    """

    def __init__(
        self,
        n: int,
        bound: float,
        *,
        trend: float = 0.0,
        key_every: int = 256,
        beat: int = 64,
        epoch: int | None = None,
    ) -> None:
        self.n = _count(n, "n", _N_MAX, 1)
        if not 0 < bound < 1.7e38:
            raise ValueError(f"bound: {bound!r} is not a positive float32")
        settings = (float(bound), *_settings(trend, key_every, beat, epoch))
        memory = kept_room(lib.gn_vector_encoder_size(n))
        self._state = ffi.cast("gn_vector_encoder *", memory)
        self._frame = np.empty(lib.gn_vector_frame_max(n), U8)
        self._length = _new("size_t *")
        self._keep = (memory, pointer(self._frame), len(self._frame))
        status = lib.gn_vector_encoder_init(self._state, n, *settings)
        if status:
            raise ValueError(f"bound: {bound!r} is too small for float32")

    def encode(self, x: Any) -> bytes | None:
        """A tick: the frame to send, or None when there is nothing to say. x: float32 [n]."""
        given = shaped(array(x, "x", F32, 1), "x", (self.n,))
        _, frame, room = self._keep
        status = lib.gn_vector_encode(self._state, pointer(given), frame, room, self._length)
        check(status, "encode")
        length = self._length[0]
        return self._frame[:length].tobytes() if length else None

    def key(self) -> None:
        """The next tick sends a keyframe: a decoder has lost its way."""
        check(lib.gn_vector_encoder_key(self._state), "key")


class VectorDecoder:
    """The receiving end of a stream of float32 vectors [n]. Raises ValueError: n is not in 1..2^24."""

    def __init__(self, n: int) -> None:
        self.n = _count(n, "n", _N_MAX, 1)
        self._memory = kept_room(lib.gn_vector_decoder_size(n))
        self._state = ffi.cast("gn_vector_decoder *", self._memory)
        self._outcome = _new("int *")
        check(lib.gn_vector_decoder_init(self._state, n), "n")

    def decode(self, frame: bytes) -> Outcome:
        """Take a frame: "applied"; "old", a copy or overtaken; "lost", some before it are missing: ask for a keyframe.

        Raises ValueError: these bytes are no frame of such a stream; the state is as before.
        """
        data = _from_buffer("uint8_t[]", frame)
        check(lib.gn_vector_decode(self._state, data, len(data), self._outcome), "frame")
        return _OUTCOMES[self._outcome[0]]

    def view(self, ticks: int = 0, *, out: Any = None) -> Array:
        """The vector as it is thought to be `ticks` after the last frame applied; zeros before the first."""
        result = out_array(out, "out", (self.n,), F32)
        after = _count(ticks, "ticks", 2**63 - 1)
        check(lib.gn_vector_view(self._state, after, pointer(result)), "view")
        return result

    @property
    def in_step(self) -> bool:
        """A keyframe has come, and no frame since is known to be missing."""
        return bool(lib.gn_vector_in_step(self._state))


class TelemetryEncoder:
    """The sending end of a stream of samples: float64 fields, each with its own bound, at times that may be irregular.

    A field's bound is its largest error at the decoder; 0 is exact, and cheap for whole numbers (counters). NaN stands
    for "not in this sample". The other arguments are VectorEncoder's, with samples for ticks.

    Raises ValueError naming the argument.
    """

    def __init__(
        self,
        bounds: Any,
        *,
        trend: float = 0.5,
        key_every: int = 256,
        beat: int = 64,
        epoch: int | None = None,
    ) -> None:
        given = np.array(bounds, F64)
        if given.ndim != 1 or not 1 <= len(given) <= _FIELDS_MAX:
            raise ValueError(f"bounds: shape {given.shape}, not 1..{_FIELDS_MAX} numbers")
        if not np.all((given >= 0) & (given < 8e307)):
            raise ValueError("bounds: one is negative or not finite")
        self.fields = len(given)
        settings = _settings(trend, key_every, beat, epoch)
        memory = kept_room(lib.gn_telemetry_encoder_size(self.fields))
        self._state = ffi.cast("gn_telemetry_encoder *", memory)
        self._frame = np.empty(lib.gn_telemetry_frame_max(self.fields), U8)
        self._length = _new("size_t *")
        self._keep = (memory, pointer(self._frame), len(self._frame))
        check(
            lib.gn_telemetry_encoder_init(self._state, self.fields, pointer(given), *settings),
            "bounds",
        )

    def encode(self, time: int, values: Any) -> bytes | None:
        """A sample: the frame to send, or None. time: any unit, not before the last sample's; values: float64 [fields].

        Raises ValueError: values is no such array, time runs backwards or is not in 64 bits.
        """
        given = shaped(array(values, "values", F64, 1), "values", (self.fields,))
        now = _count(time, "time", 2**63 - 1, -(2**63))
        _, frame, room = self._keep
        status = lib.gn_telemetry_encode(
            self._state, now, pointer(given), frame, room, self._length
        )
        if status == lib.GN_K_VALUE:
            raise ValueError(f"time: {time} is before the last sample's")
        check(status, "encode")
        length = self._length[0]
        return self._frame[:length].tobytes() if length else None

    def key(self) -> None:
        """The next sample sends a keyframe."""
        check(lib.gn_telemetry_encoder_key(self._state), "key")


class TelemetryDecoder:
    """The receiving end of a telemetry stream. Raises ValueError: fields is not in 1..65536."""

    def __init__(self, fields: int) -> None:
        self.fields = _count(fields, "fields", _FIELDS_MAX, 1)
        self._memory = kept_room(lib.gn_telemetry_decoder_size(fields))
        self._state = ffi.cast("gn_telemetry_decoder *", self._memory)
        self._outcome = _new("int *")
        self._time = _new("int64_t *")
        check(lib.gn_telemetry_decoder_init(self._state, fields), "fields")

    def decode(self, frame: bytes) -> Outcome:
        """As VectorDecoder.decode."""
        data = _from_buffer("uint8_t[]", frame)
        check(lib.gn_telemetry_decode(self._state, data, len(data), self._outcome), "frame")
        return _OUTCOMES[self._outcome[0]]

    @property
    def time(self) -> int | None:
        """The time of the last frame applied; None before the first."""
        known = lib.gn_telemetry_last(self._state, self._time) == lib.GN_K_OK
        return int(self._time[0]) if known else None

    def view(self, time: int | None = None, *, out: Any = None) -> Array:
        """The fields as they are thought to be at that time (None: the last frame's); zeros before the first frame.

        Raises ValueError: time is before the last frame's, out does not fit.
        """
        result = out_array(out, "out", (self.fields,), F64)
        at = (self.time or 0) if time is None else _count(time, "time", 2**63 - 1, -(2**63))
        status = lib.gn_telemetry_view(self._state, at, pointer(result))
        if status == lib.GN_K_VALUE:
            raise ValueError(f"time: {time} is before the last frame's")
        check(status, "view")
        return result

    @property
    def in_step(self) -> bool:
        """A keyframe has come, and no frame since is known to be missing."""
        return bool(lib.gn_telemetry_in_step(self._state))
