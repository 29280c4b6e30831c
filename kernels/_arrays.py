"""Arrays on their way to C: what they must be, what they are told when they are not, and where they lie.

Nothing is copied. A wrong array is a ValueError that begins with the argument's name.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ganglion.kernels._kernels import ffi

Array = npt.NDArray[Any]

F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)
U8 = np.dtype(np.uint8)
I8 = np.dtype(np.int8)
U16 = np.dtype(np.uint16)
I32 = np.dtype(np.int32)
U32 = np.dtype(np.uint32)
I64 = np.dtype(np.int64)
U64 = np.dtype(np.uint64)

_CTYPES = {
    F32: ffi.typeof("float[]"),
    F64: ffi.typeof("double[]"),
    U8: ffi.typeof("uint8_t[]"),
    I8: ffi.typeof("int8_t[]"),
    U16: ffi.typeof("uint16_t[]"),
    I32: ffi.typeof("int32_t[]"),
    U32: ffi.typeof("uint32_t[]"),
    I64: ffi.typeof("int64_t[]"),
    U64: ffi.typeof("uint64_t[]"),
}
_BOOL = np.dtype(np.bool_)
SIZE_MAX = 2 ** (8 * ffi.sizeof("size_t")) - 1  # a scratch whose sizes overflow
_KEPT_BYTES_MAX = 64 << 20
_ALIGNMENT = 64
_from_buffer = ffi.from_buffer
_kept = threading.local()


def array(value: Any, name: str, dtype: np.dtype[Any], ndim: int | None = None) -> Array:
    """`value` as a dense array of that dtype (and number of dimensions), in place.

    Raises ValueError: no array at all, another dtype, another number of dimensions, gaps between elements.
    """
    if type(value) is not np.ndarray:
        value = _viewed(value, name)
    if value.dtype is not dtype and value.dtype != dtype:
        raise ValueError(f"{name}: dtype {value.dtype}, not {dtype}")
    if ndim is not None and value.ndim != ndim:
        raise ValueError(f"{name}: {value.ndim} dimensions, not {ndim}")
    flags = value.flags
    if not flags.aligned:
        raise ValueError(
            f"{name}: elements not at multiples of their size (a view into packed bytes? copy it)"
        )
    if not flags.c_contiguous:
        raise ValueError(
            f"{name}: not dense and row-major (numpy.ascontiguousarray makes a copy that is)"
        )
    return value  # type: ignore[no-any-return]


def halves(value: Any, name: str, ndim: int | None = None) -> tuple[Array, str]:
    """A 16-bit floating array as uint16, and which: "f16" or "bf16" (ml_dtypes, or a torch tensor).

    Raises ValueError as `array` does.
    """
    kind = str(getattr(value, "dtype", ""))
    if kind == "torch.bfloat16":
        value, kind = value.view(_torch().int16).numpy(), "bf16"
    elif kind in ("torch.float16", "float16"):
        kind = "f16"
    elif kind == "bfloat16":
        kind = "bf16"
    else:
        raise ValueError(f"{name}: dtype {kind or type(value).__name__}, not float16 or bfloat16")
    found = value if type(value) is np.ndarray else _viewed(value, name)
    return array(found.view(U16), name, U16, ndim), kind


def _torch() -> Any:
    import sys

    return sys.modules["torch"]


def _viewed(value: Any, name: str) -> Array:
    try:
        if hasattr(value, "numpy") and hasattr(
            value, "data_ptr"
        ):  # a torch tensor: shares its memory
            return value.numpy()  # type: ignore[no-any-return]
        if hasattr(value, "__array_interface__"):
            return np.asarray(value)
        return np.asarray(memoryview(value))
    except (TypeError, ValueError, RuntimeError) as fault:
        raise ValueError(f"{name}: not an array ({type(value).__name__}): {fault}") from None


def mask_array(value: Any, name: str, shape: tuple[int, ...]) -> Array:
    """A boolean array of that shape as uint8."""
    found = value if type(value) is np.ndarray else _viewed(value, name)
    if found.dtype == _BOOL:
        found = found.view(U8)
    return shaped(array(found, name, U8), name, shape)


def shaped(value: Array, name: str, shape: tuple[int, ...]) -> Array:
    """`value`, which must have that shape."""
    if value.shape != shape:
        raise ValueError(f"{name}: shape {value.shape}, not {shape}")
    return value


def out_array(
    out: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: Sequence[Array] = ()
) -> Array:
    """Where a result goes: a new array, or `out` when it fits, can be written and shares nothing with the inputs."""
    if out is None:
        return np.empty(shape, dtype)
    found = shaped(array(out, name, dtype), name, shape)
    if not found.flags.writeable:
        raise ValueError(f"{name}: read-only")
    for other in inputs:
        if np.may_share_memory(found, other):
            raise ValueError(f"{name}: overlaps an input")
    return found


def broadcast(name: str, shape: tuple[int, ...], full: tuple[int, ...], strides: Any) -> None:
    """Fill the strides of batch, heads and rows that repeat `shape` over `full`, which ends with rows and columns.

    Raises ValueError: it does not broadcast; columns are never repeated.
    """
    fits = 1 <= len(shape) <= len(full) and shape[-1] == full[-1]
    if not fits or any(n not in (1, m) for n, m in zip(shape[::-1], full[::-1], strict=False)):
        raise ValueError(f"{name}: shape {shape} does not broadcast to {full}")
    step = shape[-1]
    for axis in range(2, len(shape) + 1):
        size = shape[-axis]
        strides[4 - axis] = step if size > 1 else 0
        step *= size


def pointer(value: Array) -> Any:
    """The C array of a dense numpy array; it keeps the array alive as long as it lives."""
    return _from_buffer(_CTYPES[value.dtype], value)


def aligned(count: int, dtype: np.dtype[Any]) -> Array:
    """An uninitialised array that begins on a cache line."""
    raw = np.empty(count * dtype.itemsize + _ALIGNMENT, U8)
    skip = -raw.ctypes.data % _ALIGNMENT
    return raw[skip : skip + count * dtype.itemsize].view(dtype)


def kept_room(size: int) -> Any:
    """`size` bytes for whoever holds them, a bound call's scratch or a state: aligned to 64; NULL for none."""
    return ffi.from_buffer(aligned(size, U8)) if size else ffi.NULL


def scratch(size: int) -> Any:
    """`size` bytes for the time of one call, from this thread's pool: a `void *` aligned to 64.

    The next call of this function in the same thread may return the same bytes.
    """
    if not size:
        return ffi.NULL
    if size > _KEPT_BYTES_MAX:
        return kept_room(size)
    kept = getattr(_kept, "bytes", None)
    if kept is None or len(kept) < size:
        kept = _kept.bytes = kept_room(max(size, 1 << 16))
    return kept
