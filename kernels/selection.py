"""Selection and competition: K winners take all, soft and lateral competition, a workspace, oscillators.

The order of competition is the same everywhere: larger first; of equals (-0 equals +0) the lower index; NaN after every
number. Formulas and sources: csrc/kernels/selection/README.md.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from math import pi
from typing import Any, NamedTuple

import numpy as np

from ganglion.kernels._arrays import (
    F32,
    I32,
    Array,
    aligned,
    array,
    kept_room,
    mask_array,
    out_array,
    pointer,
    scratch,
    shaped,
)
from ganglion.kernels._call import INTEGERS, Bound, Pool, call, check, count
from ganglion.kernels._kernels import ffi, lib

__all__ = [
    "Oscillators",
    "Workspace",
    "bind_kwta",
    "bind_top",
    "inhibit",
    "inhibit_near",
    "kwta",
    "kwta_dense",
    "soft_wta",
    "top",
]

_NULL = ffi.NULL
_N_MAX = 2**31 - 1


def kwta(
    x: Any,
    k: int,
    *,
    mask: Any = None,
    sorted: bool = True,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """The indices of the k winners of x[n], or of each row of x[rows, n], float32: int32 [k] or [rows, k]. Exact.

    `sorted`: the winner first; else numbers in order of index, then any NaN. `mask` (boolean or uint8, [n] or x's
    shape): only elements that are true compete; where fewer than k do, the rest is -1.

    Raises ValueError: x is not a dense float32 array of 1 or 2 dimensions, k is not in 0..n, mask or out does not fit,
    out overlaps x, threads is out of range.
    """
    if mask is None and out is None and threads == 1:
        plan = _planned(x, k, sorted)
        if plan is not None:
            winners: Array = plan.indices.copy()
            return winners
    rows, n, shape, head = _row(x, k, mask)
    found = out_array(out, "out", shape, I32, (head[-1],))
    held = _room(n, k, 1 if threads == 1 else count(threads))
    arguments = (*head[:3], rows, n, k, 1 if sorted else 0, pointer(found), _NULL, scratch(held))
    call("kwta", threads, lib.gn_kwta, *arguments)
    return found


def top(
    x: Any,
    k: int,
    *,
    mask: Any = None,
    sorted: bool = True,
    out: tuple[Any, Any] | None = None,
    threads: int | Pool = 1,
) -> tuple[Array, Array]:
    """`kwta` with the winners' values: (values, indices). A place without a winner has value NaN, index -1."""
    if mask is None and out is None and threads == 1:
        plan = _planned(x, k, sorted)
        if plan is not None:
            return plan.values.copy(), plan.indices.copy()
    arguments, result, held = _topping(x, k, mask, sorted, out, threads)
    call("top", threads, lib.gn_kwta, *arguments, scratch(held))
    return result


def bind_kwta(
    x: Any,
    k: int,
    *,
    mask: Any = None,
    sorted: bool = True,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`kwta` of this x, to call many times."""
    rows, n, shape, head = _row(x, k, mask)
    found = out_array(out, "out", shape, I32, (head[-1],))
    return _bound("kwta", (*head[:3], rows, n, k, sorted), (pointer(found), _NULL), found, threads)


def bind_top(
    x: Any,
    k: int,
    *,
    mask: Any = None,
    sorted: bool = True,
    out: tuple[Any, Any] | None = None,
    threads: int | Pool = 1,
) -> Bound[tuple[Array, Array]]:
    """`top` of this x, to call many times."""
    arguments, result, _ = _topping(x, k, mask, sorted, out, threads)
    return _bound("top", arguments[:7], arguments[7:], result, threads)


def _bound(name: str, given: Any, results: Any, out: Any, threads: int | Pool) -> Bound[Any]:
    x, mask, stride, rows, n, k, sorted = given
    room = kept_room(_room(n, k, count(threads)))
    if count(threads) > 1:
        return Bound(name, threads, lib.gn_kwta, (*given[:6], int(sorted), *results, room), out)
    plan, keep = _plan(mask, stride, rows, n, k, sorted, (*results, room))
    return Bound(name, None, lib.gn_kwta_planned, (x, plan), out, keep)


def kwta_dense(
    x: Any, k: int, *, mask: Any = None, out: Any = None, threads: int | Pool = 1
) -> Array:
    """K winners take all as an activation: x where it is among its row's k winners, 0 elsewhere.

    Raises ValueError as `kwta` does.
    """
    rows, n, _, head = _row(x, k, mask)
    result = out_array(out, "out", head[-1].shape, F32, (head[-1],))
    room = scratch(_room(n, k, count(threads)))
    call("kwta_dense", threads, lib.gn_kwta_dense, *head[:3], rows, n, k, pointer(result), room)
    return result


def soft_wta(
    x: Any, temperature: float = 1.0, *, out: Any = None, threads: int | Pool = 1
) -> Array:
    """Soft competition: softmax(x / temperature) of x[n] or of each row of x[rows, n], float32.

    NaN and -infinity get 0; +infinities share 1; a row of nothing else is zeros. `out` may be x itself.

    Raises ValueError: x as for `kwta`, temperature is not a positive finite number, out does not fit.
    """
    given, rows, n = _rows(x)
    result = _in_place(out, given)
    arguments = (pointer(given), rows, n, _finite(temperature, "temperature"), pointer(result))
    if not temperature > 0:
        raise ValueError(f"temperature: {temperature!r} is not above 0")
    call("soft_wta", threads, lib.gn_soft_wta, *arguments)
    return result


def inhibit(
    x: Any, strength: float, *, rounds: int = 100, out: Any = None, threads: int | Pool = 1
) -> Array:
    """Lateral inhibition of all by all: y <- max(0, y - strength * (sum of the row - y)) from max(0, x), up to `rounds`
    times or until nothing changes. With strength below 1/(n-1) a single largest input is what is left.

    x[n] or x[rows, n], float32; NaN counts as 0, infinity as the largest float. `out` may be x itself.
    Raises ValueError: x as for `kwta`, strength is not in 0..1, rounds is negative, out does not fit.
    """
    given, rows, n = _rows(x)
    result = _in_place(out, given)
    arguments = (pointer(given), rows, n, _share(strength), _whole(rounds, "rounds"))
    call("inhibit", threads, lib.gn_inhibit, *arguments, pointer(result))
    return result


def inhibit_near(
    x: Any,
    radius: int,
    strength: float,
    *,
    rounds: int = 1,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """Lateral inhibition of neighbours: y_i <- max(0, x_i - strength * mean of the 2 radius neighbours' y).

    Begins with max(0, x), `rounds` times; beyond the ends of a row there is 0. x[n] or x[rows, n], float32; NaN counts
    as 0. Raises ValueError: x as for `kwta`, radius is not in 1..4096, strength not in 0..1, rounds negative, out does
    not fit or overlaps x.
    """
    given, rows, n = _rows(x)
    result = out_array(out, "out", given.shape, F32, (given,))
    if not 1 <= _whole(radius, "radius") <= 4096:
        raise ValueError(f"radius: {radius} is not in 1..4096")
    held = lib.gn_inhibit_near_scratch(n, radius, count(threads))
    arguments = (pointer(given), rows, n, radius, _share(strength), _whole(rounds, "rounds"))
    call("inhibit_near", threads, lib.gn_inhibit_near, *arguments, pointer(result), scratch(held))
    return result


def _rows(x: Any) -> tuple[Array, int, int]:
    given = array(x, "x", F32)
    if given.ndim == 1:
        return given, 1, given.shape[0]
    if given.ndim == 2:
        return given, given.shape[0], given.shape[1]
    raise ValueError(f"x: {given.ndim} dimensions, not 1 or 2")


def _row(x: Any, k: int, mask: Any) -> tuple[int, int, tuple[int, ...], tuple[Any, ...]]:
    """rows, n, the result's shape, and (x, mask, its stride) for C with x itself at the end."""
    given = array(x, "x", F32)
    shape = given.shape
    if len(shape) == 1:
        rows, n, found = 1, shape[0], (k,)
    elif len(shape) == 2:
        rows, n = shape
        found = (rows, k)  # type: ignore[assignment]
    else:
        raise ValueError(f"x: {len(shape)} dimensions, not 1 or 2")
    if n > _N_MAX:
        raise ValueError(f"x: {n} elements a row, at most {_N_MAX}")
    if not isinstance(k, INTEGERS) or not 0 <= k <= n:
        raise ValueError(f"k: {k!r} is not in 0..{n}")
    if mask is None:
        return rows, n, found, (pointer(given), _NULL, 0, given)
    each = len(np.shape(mask)) == 2
    let = mask_array(mask, "mask", shape if each else (n,))
    return rows, n, found, (pointer(given), pointer(let), n if each else 0, given)


class _Plan:
    """What a plain call for one vector needs besides the vector: results to copy from, and arguments made once.

    A call costs a microsecond of C and less; arrays and pointers made anew for each would cost three times that.
    """

    __slots__ = ("held", "indices", "pointer", "struct", "values")

    indices: Array
    values: Array

    def __init__(self, n: int, k: int, sorted: bool) -> None:
        self.indices, self.values = np.empty(k, I32), np.empty(k, F32)
        self.held = 0 if n <= _PLAN_OWNS_MAX else _room(n, k, 1)  # 0: it owns its scratch
        room = kept_room(_room(n, k, 1)) if not self.held else _NULL
        arrays = (pointer(self.indices), pointer(self.values), room)
        self.pointer, self.struct = _plan(_NULL, 0, 1, n, k, sorted, arrays)


def _plan(
    mask: Any, stride: int, rows: int, n: int, k: int, sorted: bool, arrays: tuple[Any, ...]
) -> tuple[Any, Any]:
    """The C plan, and what must live as long as it."""
    plan = ffi.new("struct gn_kwta_plan *")
    plan.mask, plan.mask_stride, plan.rows, plan.n, plan.k = mask, stride, rows, n, k
    plan.sorted = 1 if sorted else 0
    plan.indices, plan.values, plan.scratch = arrays
    return plan, (mask, arrays)


class _Plans(threading.local):
    def __init__(self) -> None:
        self.of: dict[tuple[int, int, bool], _Plan] = {}


_PLANS_MAX = 64
_PLAN_K_MAX = 4096
_PLAN_OWNS_MAX = 4096
_plans = _Plans()
_planned_kwta = lib.gn_kwta_planned
_FLOATS = ffi.typeof("float[]")
_from_buffer = ffi.from_buffer


def _planned(x: Any, k: int, sorted: bool) -> _Plan | None:
    """The plan after its call; None: not the common case, take the long way (which also finds what is wrong)."""
    if type(x) is not np.ndarray or x.dtype is not F32 or type(k) is not int or x.ndim != 1:
        return None
    n = len(x)
    plan = _plans.of.get((n, k, sorted))
    if plan is None:
        if not 0 < k <= min(n, _PLAN_K_MAX) or n > _N_MAX:
            return None
        if len(_plans.of) == _PLANS_MAX:
            _plans.of.clear()
        plan = _plans.of[n, k, sorted] = _Plan(n, k, sorted)
    if plan.held:
        plan.pointer.scratch = scratch(plan.held)
    try:
        status = _planned_kwta(_from_buffer(_FLOATS, x), plan.pointer)
    except (BufferError, ValueError):  # not dense
        return None
    if status:
        check(status, "kwta")
    return plan


@lru_cache(maxsize=1024)
def _room(n: int, k: int, threads: int) -> int:
    return int(lib.gn_kwta_scratch(n, k, threads))


def _topping(
    x: Any, k: int, mask: Any, sorted: bool, out: tuple[Any, Any] | None, threads: int | Pool
) -> tuple[tuple[Any, ...], tuple[Array, Array], int]:
    rows, n, shape, head = _row(x, k, mask)
    if out is None:
        values, indices = np.empty(shape, F32), np.empty(shape, I32)
    else:
        if not isinstance(out, tuple) or len(out) != 2:
            raise ValueError("out: not a pair of arrays, values and indices")
        values = out_array(out[0], "out[0]", shape, F32, (head[-1],))
        indices = out_array(out[1], "out[1]", shape, I32, (head[-1], values))
    where = (pointer(indices), pointer(values))
    held = _room(n, k, 1 if threads == 1 else count(threads))
    return (*head[:3], rows, n, k, 1 if sorted else 0, *where), (values, indices), held


def _in_place(out: Any, given: Array) -> Array:
    """As out_array, but x itself is allowed."""
    if out is None:
        return np.empty_like(given)
    found = shaped(array(out, "out", F32), "out", given.shape)
    same = found.ctypes.data == given.ctypes.data
    return (
        found
        if same and found.flags.writeable
        else out_array(out, "out", given.shape, F32, (given,))
    )


def _finite(value: float, name: str) -> float:
    number = float(value)
    if not abs(number) <= 3.4028234e38:
        raise ValueError(f"{name}: {value!r} is not a finite float32")
    return number


def _share(strength: float) -> float:
    if not 0 <= strength <= 1:
        raise ValueError(f"strength: {strength!r} is not in 0..1")
    return float(strength)


def _whole(value: int, name: str) -> int:
    if not isinstance(value, INTEGERS) or not 0 <= value < 2**31:
        raise ValueError(f"{name}: {value!r} is not in 0..{2**31 - 1}")
    return value


class Oscillators:
    """Oscillatory routing: n phases (radians, in [-pi, pi]) that pull each other together, O(n) a step.

    They begin spread over the circle, not in step. `step` moves them by
    d phase_i / dt = frequency_i + coupling * r * sin(psi - phase_i), where r e^(i psi) is the mean of e^(i phase):
    r = 1 in step, near 0 spread. `gains` says how open each channel is.
    """

    def __init__(self, frequencies: Any, *, phases: Any = None, start: float = 0.0) -> None:
        """`frequencies` (float32 [n], radians a time unit) is used in place; `phases` is copied, or spread.

        Raises ValueError: not dense float32 vectors of one length, start is not finite.
        """
        self.frequencies = array(frequencies, "frequencies", F32, 1)
        self.phases = np.empty(self.frequencies.shape, F32)
        if phases is not None:
            given = array(phases, "phases", F32, 1)
            self.phases[:] = shaped(given, "phases", self.frequencies.shape)
        else:
            begin = _finite(start, "start")
            check(lib.gn_kuramoto_spread(pointer(self.phases), len(self.phases), begin), "start")
        n = len(self.phases)
        self._pointers = (pointer(self.phases), pointer(self.frequencies), n)
        self._room = pointer(aligned(2 * n, F32))

    def step(self, coupling: float, dt: float, steps: int = 1) -> None:
        """Move on by `steps` steps of dt (Euler: the error of a path is of the order of dt).

        Raises ValueError: coupling or dt is not a finite float32, steps is negative.
        """
        arguments = (_finite(coupling, "coupling"), _finite(dt, "dt"), _whole(steps, "steps"))
        check(lib.gn_kuramoto(*self._pointers, *arguments, _NULL, self._room), "step")

    def trace(self, coupling: float, dt: float, steps: int) -> Array:
        """`step`, and what it went through: (r, psi) before each step and after the last, float32 [steps + 1, 2]."""
        arguments = (_finite(coupling, "coupling"), _finite(dt, "dt"), _whole(steps, "steps"))
        order = np.empty((steps + 1, 2), F32)
        check(lib.gn_kuramoto(*self._pointers, *arguments, pointer(order), self._room), "trace")
        return order

    def order(self) -> tuple[float, float]:
        """(r, psi) now."""
        found = ffi.new("float[2]")
        check(lib.gn_kuramoto(*self._pointers, 0.0, 0.0, 0, found, self._room), "order")
        return float(found[0]), float(found[1])

    def gains(self, phase: float | None = None, *, out: Any = None) -> Array:
        """(1 + cos(phases - phase)) / 2: 1 for a channel in phase with the receiver, 0 for one against it.

        `phase`: the receiver's; the mean phase when None. Raises ValueError: phase is not finite, out does not fit.
        """
        at = self.order()[1] if phase is None else _finite(phase, "phase")
        result = out_array(out, "out", self.phases.shape, F32, (self.phases,))
        given = (self._pointers[0], len(self.phases), at % (2 * pi), pointer(result))
        check(lib.gn_kuramoto_gains(*given), "gains")
        return result


class Item(NamedTuple):
    """What the workspace holds: an id, how salient it is, and what it is about."""

    id: int
    salience: float
    content: Array


class Workspace:
    """The global workspace: up to `capacity` items compete by salience to be heard by everyone.

    The weakest is replaced by what is more salient; salience decays; history keeps the leaders of the last `history`
    broadcasts and no more.
    """

    def __init__(
        self, capacity: int = 7, *, width: int = 0, history: int = 64, floor: float = 1e-6
    ) -> None:
        """`width`: floats of content an item; `floor`: an item below it leaves.

        Raises ValueError: capacity is not in 1..64, width in 0..2^20, history in 0..65536, floor positive and finite.
        """
        given = [_whole(capacity, "capacity"), _whole(width, "width"), _whole(history, "history")]
        size = lib.gn_workspace_size(*given)
        if not size:
            raise ValueError(
                f"capacity, width, history: {capacity}, {width}, {history} are not in 1..64, 0..2^20, 0..65536"
            )
        self.capacity, self.width = capacity, width
        self._state = kept_room(size)
        check(lib.gn_workspace_init(self._state, *given, _finite(floor, "floor")), "floor")

    def offer(self, id: int, salience: float, content: Any = None) -> tuple[str, int | None]:
        """What became of the offer: "refused", "entered", "renewed" or "replaced", and whom it replaced.

        `id` in 0..2^64-1; `content`: float32 [width], copied. Raises ValueError: one of them is not that.
        """
        if not isinstance(id, INTEGERS) or not 0 <= id < 2**64:
            raise ValueError(f"id: {id!r} is not in 0..2^64-1")
        about = _NULL
        if self.width or content is not None:
            given = array(content, "content", F32, 1)
            about = pointer(shaped(given, "content", (self.width,)))
        outcome, gone = ffi.new("int *"), ffi.new("uint64_t *")
        loud = _finite(salience, "salience")
        check(lib.gn_workspace_offer(self._state, id, loud, about, outcome, gone), "offer")
        words = ("refused", "entered", "renewed", "replaced")[outcome[0]]
        return words, int(gone[0]) if words == "replaced" else None

    def decay(self, factor: float) -> int:
        """Multiply all saliences by factor, in 0..1 (exp(-dt / tau) for a time dt); how many items are left.

        Raises ValueError: factor is not in 0..1.
        """
        left = ffi.new("size_t *")
        check(lib.gn_workspace_decay(self._state, float(factor), left), "factor")
        return int(left[0])

    def broadcast(self) -> list[Item]:
        """All items, the most salient first; the first goes into the history."""
        held = ffi.new("size_t *")
        ids, saliences = np.empty(self.capacity, np.uint64), np.empty(self.capacity, F32)
        contents = np.empty((self.capacity, self.width), F32)
        arrays = (pointer(ids), pointer(saliences), pointer(contents))
        check(lib.gn_workspace_broadcast(self._state, held, *arrays), "broadcast")
        return [Item(int(ids[i]), float(saliences[i]), contents[i]) for i in range(held[0])]

    def history(self) -> list[int]:
        """The leaders of the last broadcasts, the newest first."""
        room = lib.GN_WORKSPACE_HISTORY_MAX
        ids, held = np.empty(room, np.uint64), ffi.new("size_t *")
        check(lib.gn_workspace_history(self._state, room, pointer(ids), held), "history")
        return [int(one) for one in ids[: held[0]]]
