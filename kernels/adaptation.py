"""Adaptation: associations made at once, learning by traces, low-rank adapters, what keeps them from forgetting, the
record of what was done and the nearest pattern in it.

float32 arrays, dense and row-major. Formulas and sources: csrc/include/ganglion/kernels/adaptation.h.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np

from ganglion.kernels._arrays import (
    F32,
    Array,
    array,
    mask_array,
    out_array,
    pointer,
    scratch,
    shaped,
)
from ganglion.kernels._call import Bound, Pool, call, check
from ganglion.kernels._kernels import ffi, lib
from ganglion.kernels._records import PatternBank, TrajectoryRing

__all__ = [
    "Adapters",
    "EProp",
    "Ewc",
    "MicroLora",
    "PatternBank",
    "TrajectoryRing",
    "bind_lora",
    "btsp_plateau",
    "btsp_recall",
    "btsp_step",
    "lora",
    "lora_gradient",
]

_NULL = ffi.NULL
RANK_MAX = 256


def btsp_step(trace: Any, x: Any, *, decay: float) -> Array:
    """trace = decay * trace + x, in place: float32[n]. decay = exp(-dt / tau), in 0..1; tau is of seconds.

    Raises ValueError: dtypes, shapes, decay, a trace that cannot be written or overlaps x.
    """
    faded = _written(trace, "trace", 1)
    x = shaped(array(x, "x", F32), "x", faded.shape)
    check(lib.gn_btsp_step(pointer(faded), pointer(x), len(faded), decay), "decay")
    return faded


def btsp_plateau(
    weights: Any,
    trace: Any,
    targets: Any,
    *,
    rate: float = 1.0,
    plateau: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """A plateau: weights float32[m, n] move, in place, so that what trace[n] recalls moves by `rate` to targets[m].

    weights[j] += rate * (targets[j] - weights[j] . trace) / |trace|^2 * trace where plateau[j] (a mask; None: all).
    At rate 1 btsp_recall(weights, trace) is targets afterwards, whatever they are: weights have no bounds.
    Raises ValueError: dtypes, shapes, rate outside 0..1, weights that cannot be written or overlap another.
    """
    moved = _written(weights, "weights", 2)
    m, n = moved.shape
    trace = shaped(array(trace, "trace", F32), "trace", (n,))
    targets = shaped(array(targets, "targets", F32), "targets", (m,))
    chosen = _NULL if plateau is None else pointer(mask_array(plateau, "plateau", (m,)))
    call(
        "rate",
        threads,
        lib.gn_btsp_plateau,
        pointer(moved),
        m,
        n,
        pointer(trace),
        pointer(targets),
        chosen,
        rate,
    )
    return moved


def btsp_recall(weights: Any, x: Any, *, out: Any = None, threads: int | Pool = 1) -> Array:
    """weights float32[m, n] times x[n]: float32[m]. Raises ValueError: dtypes, shapes, an `out` that overlaps."""
    weights = array(weights, "weights", F32, 2)
    m, n = weights.shape
    x = shaped(array(x, "x", F32), "x", (n,))
    found = out_array(out, "out", (m,), F32, (weights, x))
    call(
        "btsp_recall",
        threads,
        lib.gn_btsp_recall,
        pointer(weights),
        m,
        n,
        pointer(x),
        pointer(found),
    )
    return found


class EProp:
    """Spiking units that learn by e-prop: 12 bytes a synapse (weight, eligibility, gradient).

    `weights`, `eligibility` and `gradient` are float32[units, inputs], `v` and `spikes` [units], `input_trace`
    [inputs]; they may be read and changed, not replaced. Source: Bellec et al., Nature Communications 11 (2020).
    Not for two threads at once.
    """

    BYTES_PER_SYNAPSE = 12

    def __init__(
        self,
        weights: Any,
        *,
        membrane: float = 0.95,
        filter: float = 0.95,
        rest: float = 0.0,
        threshold: float = 1.0,
        dampening: float = 0.3,
        threads: int | Pool = 1,
    ) -> None:
        """`weights` float32[units, inputs] are used where they lie. membrane = exp(-dt / tau_m); filter: the readout's.

        Raises ValueError: weights, a decay outside 0..1, a threshold not above rest, dampening below 0.
        """
        self.weights = _written(weights, "weights", 2)
        units, inputs = self.weights.shape
        for name, value in (("membrane", membrane), ("filter", filter)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: {value} is not in 0..1")
        if not np.float32(threshold) > np.float32(rest):
            raise ValueError(f"threshold: {threshold} is not above rest, {rest}")
        if not 0 <= dampening < np.inf:
            raise ValueError(f"dampening: {dampening} is not a number from 0 up")
        self.eligibility = np.zeros_like(self.weights)
        self.gradient = np.zeros_like(self.weights)
        self.input_trace = np.zeros(inputs, F32)
        self.v = np.full(units, rest, F32)
        self.spikes = np.zeros(units, F32)
        self._rule = ffi.new("gn_eprop_rule *", (membrane, filter, rest, threshold, dampening))
        self._rest, self._threads = rest, threads
        self._synapses = pointer(self.weights), pointer(self.eligibility), pointer(self.gradient)
        self._state = pointer(self.v), pointer(self.spikes)
        self._trace = pointer(self.input_trace)

    def step(self, x: Any, signal: Any = None) -> Array:
        """One step with inputs x float32[inputs]; gives `spikes` (0 or 1), which the next step changes.

        `signal` float32[units] is the learning signal of the step before, known only after its spikes; None: none.
        Raises ValueError: dtypes, shapes.
        """
        m, n = self.weights.shape
        x = shaped(array(x, "x", F32), "x", (n,))
        told = (
            _NULL
            if signal is None
            else pointer(shaped(array(signal, "signal", F32), "signal", (m,)))
        )
        call(
            "step",
            self._threads,
            lib.gn_eprop_step,
            self._rule,
            m,
            n,
            *self._synapses,
            pointer(x),
            self._trace,
            told,
            *self._state,
        )
        return self.spikes

    def flush(self, signal: Any) -> None:
        """Take the learning signal float32[units] of the last step. Raises ValueError: dtype, shape."""
        m, n = self.weights.shape
        told = pointer(shaped(array(signal, "signal", F32), "signal", (m,)))
        call("flush", self._threads, lib.gn_eprop_flush, m, n, *self._synapses[1:], told)

    def apply(self, rate: float) -> None:
        """weights -= rate * gradient; the gradient begins again at 0."""
        weights, _, gradient = self._synapses
        check(lib.gn_eprop_apply(weights, gradient, self.weights.size, rate), "apply")

    def reset(self) -> None:
        """The membranes at rest, no spikes, no traces; weights and gradient stay."""
        self.v.fill(self._rest)
        for state in (self.spikes, self.input_trace, self.eligibility):
            state.fill(0)


def lora(
    x: Any,
    down: Any,
    up: Any,
    *,
    scale: float = 1.0,
    base: Any = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """base + scale * (x down^T) up: float32[n, d_out], or [d_out] for one x. Without base it is x + ..., d_in = d_out.

    x float32[n, d_in] or [d_in], down [rank, d_in] (A), up [rank, d_out] (B transposed), rank 1..256; any sizes. `out`
    may be base, or x when base is None. Source: Hu et al., LoRA (2021), 4.1.
    Raises ValueError: dtypes, shapes, an `out` that overlaps otherwise.
    """
    if (
        out is None
        and base is None
        and threads == 1
        and type(x) is type(down) is type(up) is _NDARRAY
    ):
        # One vector and the plain case, in as few steps as Python allows; what is odd goes the long way and is told so.
        shape = down.shape
        if x.dtype is down.dtype is up.dtype is F32 and up.shape == shape and x.shape == shape[1:]:
            try:
                rank, size = shape
                found: Array = _empty(size, F32)
                a, b, y = _from(_F, down), _from(_F, up), _from(_F, found)
                if not _forward(_from(_F, x), 1, size, size, rank, a, b, scale, _NULL, y, _NULL):
                    return found
            except (ValueError, BufferError):  # gaps between elements, or not two dimensions
                pass
    arguments, found = _lora_arguments(x, down, up, scale, base, out)
    call("lora", threads, _forward, *arguments)
    return found


_NDARRAY, _empty = np.ndarray, np.empty
_F = ffi.typeof("float[]")
_from = ffi.from_buffer
_forward = lib.gn_lora_forward


def bind_lora(
    x: Any,
    down: Any,
    up: Any,
    *,
    scale: float = 1.0,
    base: Any = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`lora` with its arrays checked once."""
    arguments, found = _lora_arguments(x, down, up, scale, base, out)
    if (
        base is None and threads == 1
    ):  # fewer arguments, each of which takes its time on the way to C
        start, n, d_in, d_out, rank, a, b = arguments[:7]
        adapter = ffi.new("gn_lora *", (d_in, d_out, rank, a, b, scale))
        few = adapter, start, n, arguments[-1]
        return Bound("lora", None, lib.gn_lora_apply, few, found, keep=(a, b))
    return Bound("lora", threads, lib.gn_lora_forward, arguments, found)


def _lora_arguments(
    x: Any, down: Any, up: Any, scale: float, base: Any, out: Any
) -> tuple[tuple[Any, ...], Array]:
    x, down, up = array(x, "x", F32), array(down, "down", F32, 2), array(up, "up", F32, 2)
    n, d_in, d_out, rank = _lora_sizes(x, down, up)
    shape = (*x.shape[:-1], d_out)
    if base is not None:
        base = shaped(array(base, "base", F32), "base", shape)
    elif d_in != d_out:
        raise ValueError(f"base: needed to go from {d_in} to {d_out}")
    found = out_array(out, "out", shape, F32)
    start = _NULL if base is None else pointer(base)
    return (
        pointer(x),
        n,
        d_in,
        d_out,
        rank,
        pointer(down),
        pointer(up),
        scale,
        start,
        pointer(found),
    ), found


def _lora_sizes(x: Array, down: Array, up: Array) -> tuple[int, int, int, int]:
    rank, d_in = down.shape
    if not 1 <= rank <= RANK_MAX:
        raise ValueError(f"down: rank {rank} is not in 1..{RANK_MAX}")
    if up.shape[0] != rank:
        raise ValueError(f"up: {up.shape[0]} rows, not the rank, {rank}")
    if x.ndim not in (1, 2) or x.shape[-1] != d_in:
        raise ValueError(f"x: shape {x.shape}, not (n, {d_in}) or ({d_in},)")
    return x.shape[0] if x.ndim == 2 else 1, d_in, up.shape[1], rank


def lora_gradient(
    x: Any, grad: Any, down: Any, up: Any, *, scale: float = 1.0
) -> tuple[Array, Array]:
    """The gradients (d_down[rank, d_in], d_up[rank, d_out]) of a loss whose gradient by `lora`'s result is grad.

    x float32[n, d_in] or [d_in], grad [n, d_out] or [d_out]; summed over the n rows. Raises ValueError: dtypes, shapes.
    """
    x, down, up = array(x, "x", F32), array(down, "down", F32, 2), array(up, "up", F32, 2)
    n, d_in, d_out, rank = _lora_sizes(x, down, up)
    grad = shaped(array(grad, "grad", F32), "grad", (*x.shape[:-1], d_out))
    d_down, d_up = np.zeros_like(down), np.zeros_like(up)
    status = lib.gn_lora_gradient(
        pointer(x),
        pointer(grad),
        n,
        d_in,
        d_out,
        rank,
        pointer(down),
        pointer(up),
        scale,
        pointer(d_down),
        pointer(d_up),
        0,
        _NULL,
        scratch(lib.gn_lora_scratch(n, rank)),
    )
    check(status, "lora_gradient")
    return d_down, d_up


class MicroLora:
    """One adapter, its factors in one array `parameters` float32[rank * (d_in + d_out)]: `down`, then `up`.

    The arrays may be changed, not replaced. It begins as the identity: down is drawn from a normal distribution of
    variance 1 / d_in, up is 0. Not for two threads at once while it learns.
    """

    def __init__(
        self,
        d_in: int,
        rank: int = 2,
        *,
        d_out: int | None = None,
        scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Raises ValueError: a size below 1, rank outside 1..256."""
        d_out = d_in if d_out is None else d_out
        if d_in < 1 or d_out < 1:
            raise ValueError(f"d_in, d_out: {d_in}, {d_out} are not both above 0")
        if not 1 <= rank <= RANK_MAX:
            raise ValueError(f"rank: {rank} is not in 1..{RANK_MAX}")
        self.parameters = np.zeros(rank * (d_in + d_out), F32)
        self.down = self.parameters[: rank * d_in].reshape(rank, d_in)
        self.up = self.parameters[rank * d_in :].reshape(rank, d_out)
        self._plain = (d_in,) if d_in == d_out else None
        self._kept = pointer(self.down), pointer(self.up)
        self._adapter = ffi.new("gn_lora *", (d_in, d_out, rank, *self._kept, scale))
        self.down[:] = np.random.default_rng(seed).standard_normal((rank, d_in)) / np.sqrt(d_in)

    @property
    def scale(self) -> float:
        """What the product is multiplied with; may be set."""
        return float(self._adapter.scale)

    @scale.setter
    def scale(self, value: float) -> None:
        self._adapter.scale = value

    def __call__(self, x: Any, *, base: Any = None, out: Any = None) -> Array:
        """`lora` with this adapter's factors."""
        if (
            out is None
            and base is None
            and type(x) is _NDARRAY
            and x.dtype is F32
            and x.shape == self._plain
        ):
            found: Array = _empty(x.shape, F32)
            try:
                if not lib.gn_lora_apply(self._adapter, _from(_F, x), 1, _from(_F, found)):
                    return found
            except (ValueError, BufferError):  # gaps between elements: told below
                pass
        return lora(x, self.down, self.up, scale=self.scale, base=base, out=out)

    def gradient(self, x: Any, grad: Any) -> Array:
        """`lora_gradient` as one array in the order of `parameters`."""
        d_down, d_up = lora_gradient(x, grad, self.down, self.up, scale=self.scale)
        return np.concatenate([d_down.ravel(), d_up.ravel()])

    def learn(self, x: Any, grad: Any, *, rate: float, ewc: Ewc | None = None) -> None:
        """One step down the gradient of a loss whose gradient by the result is grad, plus `ewc`'s pull to its anchor.

        Raises ValueError: dtypes, shapes, an `ewc` of another size.
        """
        if ewc is not None:
            ewc.step(self.parameters, self.gradient(x, grad), rate=rate)
            return
        x = array(x, "x", F32)
        n, d_in, d_out, rank = _lora_sizes(x, self.down, self.up)
        grad = shaped(array(grad, "grad", F32), "grad", (*x.shape[:-1], d_out))
        status = lib.gn_lora_learn(
            pointer(x),
            pointer(grad),
            n,
            d_in,
            d_out,
            rank,
            pointer(self.down),
            pointer(self.up),
            self.scale,
            rate,
            scratch(lib.gn_lora_scratch(n, rank)),
        )
        check(status, "learn")


class Adapters:
    """A `MicroLora` for each scope (a user, a task, a session), made when it is first asked for, as the identity."""

    def __init__(
        self, d_in: int, rank: int = 2, *, d_out: int | None = None, scale: float = 1.0
    ) -> None:
        self._sizes: dict[str, Any] = {"d_in": d_in, "rank": rank, "d_out": d_out, "scale": scale}
        MicroLora(**self._sizes)  # raises what the sizes deserve
        self._scopes: dict[Hashable, MicroLora] = {}

    def scope(self, name: Hashable) -> MicroLora:
        """The scope's own adapter: the same object each time."""
        found = self._scopes.get(name)
        if found is None:
            found = self._scopes[name] = MicroLora(**self._sizes)
        return found

    def forget(self, name: Hashable) -> None:
        """The scope begins again as the identity. Nothing happens if there is none."""
        self._scopes.pop(name, None)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._scopes

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._scopes)

    def __len__(self) -> int:
        return len(self._scopes)


class Ewc:
    """Elastic weight consolidation: parameters that mattered are pulled back to their anchor.

    `anchor` and `fisher` are float32 arrays of the parameters' size. Sources: Kirkpatrick et al., PNAS 114 (2017); the
    running Fisher information: Schwarz et al., ICML (2018).
    """

    def __init__(self, parameters: Any, *, strength: float) -> None:
        """Anchored at a copy of `parameters` float32[n], with no Fisher information yet. Raises ValueError: dtype."""
        self.anchor = array(parameters, "parameters", F32, 1).copy()
        self.fisher = np.zeros_like(self.anchor)
        self.strength = strength

    def observe(self, gradient: Any, *, keep: float = 0.9) -> None:
        """fisher = keep * fisher + (1 - keep) * gradient^2. Raises ValueError: dtype, shape, keep outside 0..1."""
        given = shaped(array(gradient, "gradient", F32), "gradient", self.fisher.shape)
        check(lib.gn_ewc_fisher(pointer(self.fisher), pointer(given), given.size, keep), "keep")

    def consolidate(self, parameters: Any) -> None:
        """From now on these parameters are the anchor. Raises ValueError: dtype, shape."""
        self.anchor[:] = shaped(
            array(parameters, "parameters", F32), "parameters", self.anchor.shape
        )

    def penalty(self, parameters: Any) -> float:
        """strength / 2 * sum of fisher * (parameters - anchor)^2. Raises ValueError: dtype, shape."""
        given = shaped(array(parameters, "parameters", F32), "parameters", self.anchor.shape)
        found = ffi.new("double *")
        anchor, fisher = pointer(self.anchor), pointer(self.fisher)
        status = lib.gn_ewc_penalty(
            pointer(given), anchor, fisher, given.size, self.strength, found
        )
        check(status, "penalty")
        return float(found[0])

    def step(self, parameters: Any, gradient: Any, *, rate: float) -> None:
        """parameters -= rate * (gradient + strength * fisher * (parameters - anchor)), in place.

        `gradient` None: the pull alone. Raises ValueError: dtypes, shapes, parameters that are read-only or overlap.
        """
        moved = shaped(_written(parameters, "parameters", 1), "parameters", self.anchor.shape)
        given = _NULL
        if gradient is not None:
            given = pointer(shaped(array(gradient, "gradient", F32), "gradient", self.anchor.shape))
        status = lib.gn_ewc_step(
            pointer(moved),
            given,
            pointer(self.anchor),
            pointer(self.fisher),
            moved.size,
            rate,
            self.strength,
        )
        check(status, "step")


def _written(value: Any, name: str, ndim: int) -> Array:
    """An array that is changed in place."""
    found = array(value, name, F32, ndim)
    if not found.flags.writeable:
        raise ValueError(f"{name}: read-only")
    return found
