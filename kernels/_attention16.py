"""What attention does with 16-bit arrays and with three bfloat16 products: types, arrays in, results out.

float16 is numpy's, torch's, or any buffer's; bfloat16 is torch's or ml_dtypes', since numpy has none: the result is
then of the same library. For attention.py alone.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ganglion.kernels._arrays import F32, SIZE_MAX, U16, Array, array, halves, out_array
from ganglion.kernels._kernels import lib

PRECISIONS = ("f32", "f32x3")
F16 = np.dtype(np.float16)


class Way:
    """How one type is computed. `inputs` and `result` know its arrays; `function` is the C function."""

    def __init__(self, kind: int, name: str, function: Any) -> None:
        self.kind, self.name, self.function = kind, name, function

    def input(self, value: Any, name: str) -> Array:
        """q, k or v as C sees it. Raises ValueError: another type than q's, gaps."""
        if self.name == "f32":
            return array(value, name, F32)
        if type(value) is np.ndarray and value.dtype is F16 and value.flags.c_contiguous:
            found, kind = value.view(U16), "f16"
        else:
            found, kind = halves(value, name)
        if kind != self.name:
            raise ValueError(f"{name}: {kind} where q is {self.name}")
        return found

    def result(
        self, out: Any, shape: tuple[int, ...], inputs: tuple[Array, ...], like: Any
    ) -> tuple[Array, Any]:
        """Where C writes, and what the caller gets: `out`, or a new array of q's own kind."""
        if self.name == "f32":
            found = out_array(out, "out", shape, F32, inputs)
            return found, found
        if out is not None:
            found = self.input(out, "out")
            return out_array(found, "out", shape, U16, inputs), out
        found = np.empty(shape, U16)
        if self.name == "f16":
            return found, found.view(F16)
        if type(like).__module__.partition(".")[0] == "torch":
            torch = sys.modules["torch"]
            return found, torch.from_numpy(found.view(np.int16)).view(torch.bfloat16)
        return found, found.view(like.dtype)

    def scratch(self, shape: Any, sizes: dict[Any, int], threads: int) -> int:
        """Bytes, for a struct gn_sdpa; `sizes` keeps them. Raises ValueError when there are too many."""
        size = sizes.get((self.kind, threads))
        if size is None:
            size = sizes[self.kind, threads] = int(
                lib.gn_sdpa_typed_scratch(self.kind, shape, threads)
            )
            if size == SIZE_MAX:
                raise ValueError("q: too large")
        return size


_BF16 = Way(lib.GN_SDPA_BF16, "bf16", lib.gn_sdpa_bf16)
_F16 = Way(lib.GN_SDPA_F16, "f16", lib.gn_sdpa_f16)
_F32X3 = Way(lib.GN_SDPA_F32X3, "f32", lib.gn_sdpa_f32x3)
_known: dict[Any, Way | None] = {F32: None, F16: _F16}  # of "f32"; names of dtypes are slow to make


def way_of(q: Any, precision: str) -> Way | None:
    """The way of q's type and the precision asked for; None: float32 itself.

    Raises ValueError: no such precision, or "f32x3" for 16-bit arrays.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision: {precision!r} is none of {', '.join(PRECISIONS)}")
    kind = getattr(q, "dtype", None)
    if precision == "f32" and kind in _known:
        return _known[kind]
    name = str(kind)
    if name in ("float16", "torch.float16", "bfloat16", "torch.bfloat16"):
        if precision != "f32":
            raise ValueError(f"precision: {precision!r} is for float32, q is {name}")
        _known[kind] = _BF16 if "bfloat16" in name else _F16
        return _known[kind]
    return _F32X3 if precision == "f32x3" else None
