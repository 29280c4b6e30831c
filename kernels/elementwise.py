"""Functions of one number over arrays, and the 16-bit formats: csrc/kernels/elementwise/.

    elementwise.exp(x)             float32 in, float32 out, any shape; out=x works in place
    elementwise.to_bf16(x)         float32 to bfloat16 bits (uint16); to_f16 to numpy.float16
    elementwise.from_half(h)       back, exactly

Bounds of the errors stand in csrc/include/ganglion/kernels/elementwise.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ganglion.kernels._arrays import F32, U16, Array, array, halves, out_array, pointer, shaped
from ganglion.kernels._call import check
from ganglion.kernels._kernels import lib

__all__ = [
    "cos",
    "exp",
    "from_half",
    "log",
    "sigmoid",
    "sin",
    "softplus",
    "tanh",
    "to_bf16",
    "to_f16",
]


def _map(function: int, name: str, x: Any, out: Any) -> Array:
    source = array(x, "x", F32)
    if out is x:
        target = source
        if not source.flags.writeable:
            raise ValueError("out: read-only")
    else:
        target = out_array(out, "out", source.shape, F32, (source,))
    check(lib.gn_map(function, pointer(source), source.size, pointer(target)), name)
    return target


def exp(x: Any, *, out: Any = None) -> Array:
    """e^x; 0 below -104, infinity above 88.73."""
    return _map(lib.GN_MAP_EXP, "exp", x, out)


def log(x: Any, *, out: Any = None) -> Array:
    """The natural logarithm; -infinity at 0, NaN below."""
    return _map(lib.GN_MAP_LOG, "log", x, out)


def tanh(x: Any, *, out: Any = None) -> Array:
    """The hyperbolic tangent."""
    return _map(lib.GN_MAP_TANH, "tanh", x, out)


def sigmoid(x: Any, *, out: Any = None) -> Array:
    """1 / (1 + e^-x)."""
    return _map(lib.GN_MAP_SIGMOID, "sigmoid", x, out)


def softplus(x: Any, *, out: Any = None) -> Array:
    """ln(1 + e^x), without overflow."""
    return _map(lib.GN_MAP_SOFTPLUS, "softplus", x, out)


def sin(x: Any, *, out: Any = None) -> Array:
    """The sine of radians; accurate for |x| <= 8192."""
    return _map(lib.GN_MAP_SIN, "sin", x, out)


def cos(x: Any, *, out: Any = None) -> Array:
    """The cosine of radians; accurate for |x| <= 8192."""
    return _map(lib.GN_MAP_COS, "cos", x, out)


def _halve(half: int, name: str, x: Any, out: Any) -> Array:
    source = array(x, "x", F32)
    target = out_array(out, "out", source.shape, U16, (source,))
    check(lib.gn_halve(half, pointer(source), source.size, pointer(target)), name)
    return target


def to_f16(x: Any, *, out: Any = None) -> Array:
    """The nearest float16 numbers, ties to even; `out` is float16."""
    if out is not None:
        out = shaped(array(out, "out", np.dtype(np.float16)), "out", np.shape(x)).view(U16)
    return _halve(lib.GN_F16, "to_f16", x, out).view(np.float16)


def to_bf16(x: Any, *, out: Any = None) -> Array:
    """The bits of the nearest bfloat16 numbers as uint16, ties to even."""
    return _halve(lib.GN_BF16, "to_bf16", x, out)


def from_half(h: Any, *, out: Any = None) -> Array:
    """float32 of float16 (numpy or torch) or of bfloat16 (torch, ml_dtypes; uint16 is taken for bfloat16 bits)."""
    if getattr(h, "dtype", None) == U16:
        source, kind = array(h, "h", U16), "bf16"
    else:
        source, kind = halves(h, "h")
    target = out_array(out, "out", source.shape, F32, (source,))
    half = lib.GN_F16 if kind == "f16" else lib.GN_BF16
    check(lib.gn_unhalve(half, pointer(source), source.size, pointer(target)), "from_half")
    return target
