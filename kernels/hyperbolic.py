"""Hyperbolic space of curvature -c: distances, exp and log maps, means, attention; Poincare ball and Lorentz model.

Sources: Ganea, Becigneul, Hofmann, "Hyperbolic Neural Networks", 2018 (conformal factor 2 / (1 - c|p|^2), Moebius sum);
Nickel and Kiela, "Learning Continuous Hierarchies in the Lorentz Model", 2018; Gulcehre et al., "Hyperbolic Attention
Networks", 2019. Arrays are float32, points in rows. A Lorentz row has its time first, so it is one longer. `curvature`
is c, finite and above 0. A Poincare point on the sphere is infinitely far; one outside has distance NaN.
"""

from __future__ import annotations

from typing import Any, Literal

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
from ganglion.kernels._call import Bound, Pool, call, check, count
from ganglion.kernels._kernels import lib

__all__ = [
    "attention",
    "bind_attention",
    "bind_distances",
    "distances",
    "exp",
    "log",
    "mean",
    "moebius_add",
    "project",
    "to_lorentz",
    "to_poincare",
]

Model = Literal["poincare", "lorentz"]
Mean = Literal["einstein", "frechet"]
_MODELS = {"poincare": lib.GN_POINCARE, "lorentz": lib.GN_LORENTZ}
_MEANS = {"einstein": lib.GN_MEAN_EINSTEIN, "frechet": lib.GN_MEAN_FRECHET}


def distances(
    points: Any,
    others: Any,
    *,
    model: Model = "poincare",
    curvature: float = 1.0,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """Distances of points [rows, dim] (or one, [dim]) to others [count, dim]: [rows, count] (or [count]).

    Raises ValueError: an argument is no dense float32 array of a fitting shape, model is unknown, curvature is not
    finite and above 0, out does not fit or overlaps an input, threads is out of range.
    """
    arguments, result = _distances(points, others, model, curvature, out)
    call("distances", threads, lib.gn_hyperbolic_distances, *arguments)
    return result


def bind_distances(
    points: Any,
    others: Any,
    *,
    model: Model = "poincare",
    curvature: float = 1.0,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`distances` of these arrays, to call many times."""
    arguments, result = _distances(points, others, model, curvature, out)
    return Bound("distances", threads, lib.gn_hyperbolic_distances, arguments, result)


def attention(
    queries: Any,
    keys: Any,
    values: Any,
    *,
    model: Model = "poincare",
    mean: Mean = "einstein",
    curvature: float = 1.0,
    temperature: float = 1.0,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """The mean of values under softmax(-distance(query, key) / temperature): [rows, value_dim], or [value_dim].

    queries [rows, dim] or [dim], keys [count, dim], values [count, value_dim], points of the same model. `mean` is the
    Einstein midpoint (closed form) or the Frechet mean (the point of least weighted squared distance, by Riemannian
    descent to a step of 1e-7). An infinitely far key has no weight; no key with weight: the origin.

    Raises ValueError as `distances` does; mean is unknown, temperature is not finite and above 0.
    """
    arguments, result, size = _attention(
        queries, keys, values, model, mean, curvature, temperature, out, threads
    )
    call("attention", threads, lib.gn_hyperbolic_attention, *arguments, scratch(size))
    return result


def bind_attention(
    queries: Any,
    keys: Any,
    values: Any,
    *,
    model: Model = "poincare",
    mean: Mean = "einstein",
    curvature: float = 1.0,
    temperature: float = 1.0,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`attention` of these arrays, to call many times."""
    arguments, result, size = _attention(
        queries, keys, values, model, mean, curvature, temperature, out, threads
    )
    room = kept_room(size)
    return Bound("attention", threads, lib.gn_hyperbolic_attention, (*arguments, room), result)


def exp(
    base: Any, tangent: Any, *, model: Model = "poincare", curvature: float = 1.0, out: Any = None
) -> Array:
    """Where the geodesic from base with velocity `tangent` is after one unit of time.

    tangent [rows, dim] or [dim]; base of the same shape, or one point [dim] for all rows. Lorentz times are not read
    but follow from the rest: a point's from the hyperboloid, a tangent's from the right angle to base. Poincare results
    stay inside: sqrt(c) |p| <= 1 - 2^-18. out may be tangent itself. Raises ValueError as `distances` does.
    """
    return _map("exp", lib.gn_hyperbolic_exp, base, tangent, "tangent", model, curvature, out)


def log(
    base: Any, point: Any, *, model: Model = "poincare", curvature: float = 1.0, out: Any = None
) -> Array:
    """The velocity at base that reaches `point` in one unit of time: the inverse of `exp`, of the same shapes."""
    return _map("log", lib.gn_hyperbolic_log, base, point, "point", model, curvature, out)


def moebius_add(x: Any, y: Any, *, curvature: float = 1.0, out: Any = None) -> Array:
    """The Moebius sum of Poincare points, row by row: x and y [rows, dim] or [dim]. out may be x or y.

    Raises ValueError as `distances` does.
    """
    a = array(x, "x", F32)
    b = shaped(array(y, "y", F32), "y", a.shape)
    rows, dim = _rows(a, "x")
    result = out_array(out, "out", a.shape, F32, () if out is x or out is y else (a, b))
    status = lib.gn_moebius_add(
        pointer(a), pointer(b), rows, dim, _positive(curvature), pointer(result)
    )
    check(status, "moebius_add")
    return result


def project(points: Any, *, curvature: float = 1.0, margin: float = 1e-5, out: Any = None) -> Array:
    """Poincare points brought inside the ball: sqrt(c) |p| <= 1 - margin. out may be points itself.

    Raises ValueError as `distances` does; margin is not in (0, 1].
    """
    p = array(points, "points", F32)
    rows, dim = _rows(p, "points")
    if not 0 < margin <= 1:
        raise ValueError(f"margin: {margin} is not in (0, 1]")
    result = out_array(out, "out", p.shape, F32, () if out is points else (p,))
    status = lib.gn_poincare_project(
        pointer(p), rows, dim, _positive(curvature), margin, pointer(result)
    )
    check(status, "project")
    return result


def to_lorentz(points: Any, *, curvature: float = 1.0, out: Any = None) -> Array:
    """Poincare points [..., dim] as Lorentz points [..., dim + 1]. Raises ValueError as `distances` does."""
    p = array(points, "points", F32)
    rows, dim = _rows(p, "points")
    result = out_array(out, "out", (*p.shape[:-1], dim + 1), F32, (p,))
    status = lib.gn_poincare_to_lorentz(
        pointer(p), rows, dim, _positive(curvature), pointer(result)
    )
    check(status, "to_lorentz")
    return result


def to_poincare(points: Any, *, curvature: float = 1.0, out: Any = None) -> Array:
    """Lorentz points [..., dim + 1] as Poincare points [..., dim]. Raises ValueError as `distances` does."""
    p = array(points, "points", F32)
    rows, dim = _rows(p, "points")
    if not dim:
        raise ValueError("points: a Lorentz point has a time")
    result = out_array(out, "out", (*p.shape[:-1], dim - 1), F32, (p,))
    status = lib.gn_lorentz_to_poincare(
        pointer(p), rows, dim - 1, _positive(curvature), pointer(result)
    )
    check(status, "to_poincare")
    return result


def mean(
    points: Any,
    weights: Any,
    *,
    model: Model = "poincare",
    mean: Mean = "einstein",
    curvature: float = 1.0,
    out: Any = None,
) -> Array:
    """The weighted mean [dim] of points [count, dim] under weights [count] >= 0, which need not sum to 1.

    `mean` as in `attention`. Weights all 0: the origin. Raises ValueError as `distances` does; a weight is below 0.
    """
    p = array(points, "points", F32, 2)
    number, dim = p.shape
    w = shaped(array(weights, "weights", F32), "weights", (number,))
    chosen, kind = _choice(model, "model", _MODELS), _choice(mean, "mean", _MEANS)
    _timed(chosen, dim, "points")
    if number and not w.min() >= 0 and (w < 0).any():
        raise ValueError("weights: one is below 0")
    result = out_array(out, "out", (dim,), F32, (p, w))
    room = scratch(lib.gn_hyperbolic_mean_scratch(number, dim))
    status = lib.gn_hyperbolic_mean(
        chosen,
        kind,
        pointer(p),
        number,
        dim,
        pointer(w),
        _positive(curvature),
        pointer(result),
        room,
    )
    check(status, "mean")
    return result


def _choice(value: str, name: str, table: dict[str, int]) -> int:
    try:
        return table[value]
    except (KeyError, TypeError):
        raise ValueError(f"{name}: {value!r} is none of {', '.join(table)}") from None


def _positive(value: float, name: str = "curvature") -> float:
    if not 0 < value < 3.4e38:
        raise ValueError(f"{name}: {value} is not finite and above 0")
    return value


def _rows(value: Array, name: str) -> tuple[int, int]:
    if value.ndim == 1:
        return 1, value.shape[0]
    if value.ndim != 2:
        raise ValueError(f"{name}: {value.ndim} dimensions, not 1 or 2")
    return value.shape[0], value.shape[1]


def _timed(model: int, dim: int, name: str) -> None:
    if model == _MODELS["lorentz"] and not dim:
        raise ValueError(f"{name}: a Lorentz point has a time")


def _distances(
    points: Any, others: Any, model: Model, curvature: float, out: Any
) -> tuple[tuple[Any, ...], Array]:
    p, o = array(points, "points", F32), array(others, "others", F32, 2)
    rows, dim = _rows(p, "points")
    chosen = _choice(model, "model", _MODELS)
    if o.shape[1] != dim:
        raise ValueError(f"others: dim {o.shape[1]}, points have {dim}")
    _timed(chosen, dim, "points")
    result = out_array(out, "out", (*p.shape[:-1], o.shape[0]), F32, (p, o))
    arguments = (
        chosen, pointer(p), rows, pointer(o), o.shape[0], dim, _positive(curvature), pointer(result),
    )  # fmt: skip
    return arguments, result


def _attention(
    queries: Any,
    keys: Any,
    values: Any,
    model: Model,
    mean: Mean,
    curvature: float,
    temperature: float,
    out: Any,
    threads: int | Pool,
) -> tuple[tuple[Any, ...], Array, int]:
    q, k, v = (
        array(queries, "queries", F32),
        array(keys, "keys", F32, 2),
        array(values, "values", F32, 2),
    )
    rows, dim = _rows(q, "queries")
    chosen, kind = _choice(model, "model", _MODELS), _choice(mean, "mean", _MEANS)
    if k.shape[1] != dim:
        raise ValueError(f"keys: dim {k.shape[1]}, queries have {dim}")
    if v.shape[0] != k.shape[0]:
        raise ValueError(f"values: {v.shape[0]} rows, keys have {k.shape[0]}")
    _timed(chosen, dim, "queries")
    _timed(chosen, v.shape[1], "values")
    number, width = v.shape
    result = out_array(out, "out", (*q.shape[:-1], width), F32, (q, k, v))
    size = lib.gn_hyperbolic_attention_scratch(
        number, dim, width, 1 if threads == 1 else count(threads)
    )
    arguments = (
        chosen, kind, pointer(q), rows, pointer(k), number, dim, pointer(v), width, _positive(curvature),
        _positive(temperature, "temperature"), pointer(result),
    )  # fmt: skip
    return arguments, result, size


def _map(
    name: str,
    function: Any,
    base: Any,
    rows_of: Any,
    row_name: str,
    model: Model,
    curvature: float,
    out: Any,
) -> Array:
    b, r = array(base, "base", F32), array(rows_of, row_name, F32)
    rows, dim = _rows(r, row_name)
    chosen = _choice(model, "model", _MODELS)
    _timed(chosen, dim, row_name)
    if b.shape not in (r.shape, (dim,)):
        raise ValueError(f"base: shape {b.shape}, not {r.shape} or ({dim},)")
    result = out_array(out, "out", r.shape, F32, (b,) if out is rows_of else (b, r))
    bases = rows if b.ndim == 2 else 1
    check(
        function(
            chosen, pointer(b), bases, pointer(r), rows, dim, _positive(curvature), pointer(result)
        ),
        name,
    )
    return result
