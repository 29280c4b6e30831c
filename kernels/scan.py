"""The selective state-space scan, the causal convolution before it, and the Mamba block of both.

Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023. Arrays are float32, time
before channels: [length, channels] or [batch, length, channels].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ganglion.kernels._arrays import (
    F32,
    Array,
    array,
    kept_room,
    out_array,
    pointer,
    scratch,
    shaped,
)
from ganglion.kernels._call import Bound, Pool, call, count
from ganglion.kernels._kernels import ffi, lib

__all__ = ["Mamba", "bind_selective_scan", "causal_conv", "selective_scan"]


def selective_scan(
    x: Any,
    delta: Any,
    a_log: Any,
    b: Any,
    c: Any,
    *,
    skip: Any = None,
    gate: Any = None,
    delta_bias: Any = None,
    softplus: bool = True,
    state: Any = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """y_t = (C_t h_t + skip x_t) silu(gate_t) with h_t = exp(dt A) h_(t-1) + dt B_t x_t and A = -exp(a_log).

    The result is [..., length, channels].

    x, delta, gate [..., length, channels]; a_log [channels, states]; b, c [..., length, states]; skip and delta_bias
    [channels]; dt = softplus(delta + delta_bias), or the sum itself. `state` [states, channels] ([batch, states,
    channels]) is what came before and is updated: a step of decoding is length 1. None: begins at 0.

    Raises ValueError: an argument is no dense float32 array of a fitting shape, out or state does not fit, cannot be
    written or overlaps another array, threads is out of range.
    """
    arguments, result, size = _scan(
        x, delta, a_log, b, c, skip, gate, delta_bias, softplus, state, out
    )
    call("selective_scan", threads, lib.gn_selective_scan, *arguments, scratch(size))
    return result


def bind_selective_scan(
    x: Any,
    delta: Any,
    a_log: Any,
    b: Any,
    c: Any,
    *,
    skip: Any = None,
    gate: Any = None,
    delta_bias: Any = None,
    softplus: bool = True,
    state: Any = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`selective_scan` of these arrays, to call many times: each call goes on from `state`."""
    arguments, result, size = _scan(
        x, delta, a_log, b, c, skip, gate, delta_bias, softplus, state, out
    )
    room = kept_room(size)
    return Bound("selective_scan", threads, lib.gn_selective_scan, (*arguments, room), result)


def _optional(value: Any, name: str, shape: tuple[int, ...]) -> Array | None:
    return None if value is None else shaped(array(value, name, F32), name, shape)


def _at(value: Array | None) -> Any:
    return ffi.NULL if value is None else pointer(value)


def _scan(
    x: Any,
    delta: Any,
    a_log: Any,
    b: Any,
    c: Any,
    skip: Any,
    gate: Any,
    delta_bias: Any,
    softplus: bool,
    state: Any,
    out: Any,
) -> tuple[tuple[Any, ...], Array, int]:
    found = _sequence(x, "x")
    length, channels = found.shape[-2:]
    batch = found.shape[0] if found.ndim == 3 else 1
    logs = array(a_log, "a_log", F32, 2)
    states = logs.shape[1]
    if logs.shape[0] != channels:
        raise ValueError(f"a_log: {logs.shape[0]} rows, x has {channels} channels")
    steps = shaped(array(delta, "delta", F32), "delta", found.shape)
    narrow = (*found.shape[:-1], states)
    into, outof = shaped(array(b, "b", F32), "b", narrow), shaped(array(c, "c", F32), "c", narrow)
    skips, bias = (
        _optional(skip, "skip", (channels,)),
        _optional(delta_bias, "delta_bias", (channels,)),
    )
    gates = _optional(gate, "gate", found.shape)
    inputs = [a for a in (found, steps, logs, into, outof, skips, gates, bias) if a is not None]
    kept = None
    if state is not None:
        kept = out_array(state, "state", (*found.shape[:-2], states, channels), F32, inputs)
        inputs.append(kept)
    result = out_array(out, "out", found.shape, F32, inputs)
    arguments = (
        pointer(found), pointer(steps), pointer(logs), pointer(into), pointer(outof), _at(skips), _at(gates), _at(bias),
        1 if softplus else 0, batch, length, channels, states, _at(kept), pointer(result),
    )  # fmt: skip
    return arguments, result, lib.gn_scan_scratch(channels, states)


def _sequence(x: Any, name: str) -> Array:
    found = array(x, name, F32)
    if found.ndim not in (2, 3):
        raise ValueError(f"{name}: {found.ndim} dimensions, not 2 or 3")
    return found


def causal_conv(
    x: Any,
    weight: Any,
    *,
    bias: Any = None,
    silu: bool = False,
    state: Any = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """Causal depthwise convolution of x [..., length, channels] with weight [width, channels], then silu if wanted.

    weight[width - 1] meets the present token. `state` [width - 1, channels] ([batch, ...]) holds the tokens before,
    oldest first, and is updated. None: zeros before the first token. bias [channels].

    Raises ValueError as `selective_scan` does; weight has no row.
    """
    found = _sequence(x, "x")
    weights = array(weight, "weight", F32, 2)
    length, channels = found.shape[-2:]
    width = weights.shape[0]
    if weights.shape[1] != channels or not width:
        raise ValueError(
            f"weight: shape {weights.shape}, not (width, {channels}) with a row at least"
        )
    biases = _optional(bias, "bias", (channels,))
    inputs = [a for a in (found, weights, biases) if a is not None]
    kept = None
    if state is not None:
        kept = out_array(state, "state", (*found.shape[:-2], width - 1, channels), F32, inputs)
        inputs.append(kept)
    result = out_array(out, "out", found.shape, F32, inputs)
    batch = found.shape[0] if found.ndim == 3 else 1
    call(
        "causal_conv", threads, lib.gn_causal_conv, pointer(found), pointer(weights), _at(biases), 1 if silu else 0,
        batch, length, channels, width, _at(kept), pointer(result),
    )  # fmt: skip
    return result


class Mamba:
    """A Mamba block with weights of the caller's: projections, causal convolution, selective scan, gate.

    `weights` names float32 arrays, kept and not copied; with inner, states, rank and width taken from their shapes:

        in_proj     [2 * inner, dim]              x, then the gate
        conv        [width, inner]
        conv_bias   [inner], or missing
        x_proj      [rank + 2 * states, inner]    delta's low-rank part, then B, then C
        dt_proj     [inner, rank]
        dt_bias     [inner], or missing
        a_log       [inner, states]
        skip        [inner], or missing
        out_proj    [dim, inner]

    `forward` over a sequence and `step` token by token agree: both keep the convolution's tokens and the scan's state.
    Raises ValueError: a weight is missing, unknown, or of a shape that does not fit the others.
    """

    def __init__(self, weights: Mapping[str, Any]) -> None:
        names = ("in_proj", "conv", "x_proj", "dt_proj", "a_log", "out_proj")
        optional = ("conv_bias", "dt_bias", "skip")
        for name in (n for n in names if n not in weights):
            raise ValueError(f"weights: {name} is missing")
        for name in (n for n in weights if n not in names + optional):
            raise ValueError(f"weights: {name} is unknown")
        w: dict[str, Array] = {n: array(weights[n], n, F32, 2) for n in names}
        self.inner, self.states = w["a_log"].shape
        self.dim, self.width, self.rank = (
            w["in_proj"].shape[1],
            w["conv"].shape[0],
            w["dt_proj"].shape[1],
        )
        inner = self.inner
        if not min(self.dim, inner, self.states, self.width, self.rank):
            raise ValueError("weights: a size is 0")
        shaped(w["in_proj"], "in_proj", (2 * inner, self.dim))
        shaped(w["conv"], "conv", (self.width, inner))
        shaped(w["x_proj"], "x_proj", (self.rank + 2 * self.states, inner))
        shaped(w["dt_proj"], "dt_proj", (inner, self.rank))
        shaped(w["out_proj"], "out_proj", (self.dim, inner))
        for name in optional:
            if weights.get(name) is not None:
                w[name] = shaped(array(weights[name], name, F32), name, (inner,))
        self._kept = {name: pointer(value) for name, value in w.items()}
        self._block = ffi.new("struct gn_mamba *")
        self._fill()

    def _fill(self) -> None:
        block, at = self._block, self._kept
        block.dim, block.inner, block.states = self.dim, self.inner, self.states
        block.rank, block.width = self.rank, self.width
        setattr(block, "in", at["in_proj"])
        block.conv, block.select, block.delta = at["conv"], at["x_proj"], at["dt_proj"]
        block.a_log, block.out = at["a_log"], at["out_proj"]
        block.conv_bias = at.get("conv_bias", ffi.NULL)
        block.delta_bias = at.get("dt_bias", ffi.NULL)
        block.skip = at.get("skip", ffi.NULL)

    def state(self, batch: int | None = None) -> Array:
        """The state before the first token: zeros [width - 1 + states, inner], or with a leading batch."""
        shape = (self.width - 1 + self.states, self.inner)
        return np.zeros(shape if batch is None else (batch, *shape), F32)

    def forward(
        self, x: Any, *, state: Any = None, out: Any = None, threads: int | Pool = 1
    ) -> Array:
        """x [length, dim] or [batch, length, dim] to the same shape; `state` (`self.state()`) is updated; None: zeros.

        Raises ValueError: x, state or out does not fit or overlap, threads is out of range.
        """
        found = _sequence(x, "x")
        if found.shape[-1] != self.dim:
            raise ValueError(f"x: dim {found.shape[-1]}, the block's is {self.dim}")
        batch, length = (1, *found.shape[:1]) if found.ndim == 2 else found.shape[:2]
        return self._run(found, batch, length, found.shape[:-2], state, out, threads)

    def step(self, x: Any, state: Any, *, out: Any = None, threads: int | Pool = 1) -> Array:
        """One token: x [dim] or [batch, dim] to the same shape; `state` is updated."""
        found = array(x, "x", F32)
        if found.ndim not in (1, 2) or found.shape[-1] != self.dim:
            raise ValueError(f"x: shape {found.shape}, not ({self.dim},) or (batch, {self.dim})")
        return self._run(found, found.size // self.dim, 1, found.shape[:-1], state, out, threads)

    def _run(
        self,
        x: Array,
        batch: int,
        length: int,
        leading: tuple[int, ...],
        state: Any,
        out: Any,
        threads: int | Pool,
    ) -> Array:
        inputs = [x]
        kept = None
        if state is not None:
            shape = (*leading, self.width - 1 + self.states, self.inner)
            kept = out_array(state, "state", shape, F32, inputs)
            inputs.append(kept)
        result = out_array(out, "out", x.shape, F32, inputs)
        size = lib.gn_mamba_scratch(self._block, batch, length, count(threads))
        call(
            "mamba", threads, lib.gn_mamba_forward, self._block, pointer(x), batch, length, _at(kept), pointer(result),
            scratch(size),
        )  # fmt: skip
        return result
