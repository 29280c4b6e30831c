"""The record of what was done, and the nearest pattern in it: what of `adaptation` keeps its state in C."""

from __future__ import annotations

from typing import Any

import numpy as np

from ganglion.kernels._arrays import F32, U8, U32, U64, Array, array, pointer, scratch, shaped
from ganglion.kernels._call import Pool, call, check
from ganglion.kernels._kernels import ffi, lib


class TrajectoryRing:
    """The last `slots` records of what was done, written by one and read by any number of threads or processes.

    A record is what a numpy dtype (structured, say) describes. A reader never waits and never sees half a record: one
    that is written over while it is read is refused.
    """

    def __init__(self, dtype: Any, slots: int, *, buffer: Any = None, attach: bool = False) -> None:
        """In `buffer` (writable memory of `bytes_needed`, shared memory say), or memory of its own.

        attach=True takes the ring that another made there, to read only if the buffer is read-only. Raises ValueError:
        sizes, a buffer too small, not on 8 bytes or read-only, or one that holds no such ring; a dtype with Python
        objects in it.
        """
        self.dtype = np.dtype(dtype)
        if self.dtype.hasobject:
            raise ValueError(f"dtype: {self.dtype} holds Python objects")
        size = self.bytes_needed(self.dtype, slots)
        if buffer is None:
            buffer = np.zeros(size // 8, U64)
        try:
            self._memory, self._writable = (
                ffi.from_buffer("char[]", buffer, require_writable=True),
                True,
            )
        except (TypeError, ValueError, BufferError) as fault:
            try:
                if not attach:
                    raise
                self._memory, self._writable = ffi.from_buffer("char[]", buffer), False
            except (TypeError, ValueError, BufferError):
                raise ValueError(f"buffer: {fault}") from None
        self._size = len(self._memory)
        if not attach:
            args = self._memory, self._size, slots, self.dtype.itemsize
            check(lib.gn_ring_init(*args), "buffer")
        told = ffi.new("size_t[2]")
        check(lib.gn_ring_check(self._memory, self._size, told, told + 1), "buffer")
        if (told[0], told[1]) != (slots, self.dtype.itemsize):
            raise ValueError(
                f"buffer: a ring of {told[0]} records of {told[1]} bytes, not {slots} of {self.dtype.itemsize}"
            )
        self.slots = slots

    @staticmethod
    def bytes_needed(dtype: Any, slots: int) -> int:
        """How large a buffer must be. Raises ValueError: slots or the dtype's size below 1, or too large together."""
        size = int(lib.gn_ring_bytes(slots, np.dtype(dtype).itemsize)) if slots > 0 else 0
        if not size:
            raise ValueError(
                f"slots: {slots} records of {np.dtype(dtype).itemsize} bytes cannot be"
            )
        return size

    def push(self, record: Any) -> int:
        """Write a record (anything numpy makes one of), and say its number: 0, 1, 2... One thread at a time.

        Raises ValueError: the buffer is read-only, or no ring any more.
        """
        if not self._writable:
            raise ValueError("buffer: read-only")
        made = np.zeros((), self.dtype)
        made[()] = record
        number = ffi.new("uint64_t *")
        source = ffi.from_buffer(made.reshape(1).view(U8))
        status = lib.gn_ring_push(self._memory, self._size, source, self.dtype.itemsize, number)
        check(status, "push")
        return int(number[0])

    def __len__(self) -> int:
        """How many records were ever pushed."""
        count = ffi.new("uint64_t *")
        check(lib.gn_ring_count(self._memory, self._size, count), "ring")
        return int(count[0])

    def read(self, number: int) -> Any:
        """A copy of record `number`, or None: it is not there yet, or was written over, maybe just now."""
        if number < 0:
            raise ValueError(f"number: {number} is below 0")
        made = np.empty(1, self.dtype)
        target = ffi.from_buffer(made.view(U8))
        status = lib.gn_ring_read(self._memory, self._size, number, target, self.dtype.itemsize)
        if status == lib.GN_K_VALUE:
            return None
        check(status, "ring")
        return made[0]

    def last(self, k: int) -> Array:
        """Up to k of the youngest records, oldest first: those that stood still while they were read."""
        end = len(self)
        found = [self.read(i) for i in range(max(0, end - min(k, self.slots)), end)]
        return np.array([record for record in found if record is not None], self.dtype)


class PatternBank:
    """Up to `capacity` unit vectors with a quality, and the nearest of them by cosine.

    When it is full, the pattern of least worth goes: quality * (1 + ln(1 + uses)), of equals the oldest; `use` counts
    uses. Not for two threads at once while it changes.
    """

    def __init__(self, capacity: int, dim: int) -> None:
        """Raises ValueError: a size below 1, more than 2^32 - 1 patterns."""
        if not 1 <= capacity < 1 << 32 or dim < 1:
            raise ValueError(
                f"capacity, dim: {capacity}, {dim} are not both above 0 (and below 2^32)"
            )
        self.vectors = np.zeros((capacity, dim), F32)
        self.quality = np.zeros(capacity, F32)
        self.uses = np.zeros(capacity, U32)
        self._born = np.zeros(capacity, U64)
        kept = [pointer(a) for a in (self.vectors, self.quality, self.uses, self._born)]
        self._bank = ffi.new("gn_patterns *", (capacity, dim, 0, 0, *kept))
        self._keep = kept
        self._place = ffi.new("size_t *")

    def __len__(self) -> int:
        return int(self._bank.count)

    def add(self, vector: Any, quality: float = 1.0) -> int:
        """Keep a pattern float32[dim]; gives its place. Raises ValueError: dtype, shape, a vector that is not finite or
        has no length, a quality that is below 0 or not finite."""
        given = self._vector(vector, "vector")
        check(lib.gn_patterns_add(self._bank, given, quality, self._place), "vector or quality")
        return int(self._place[0])

    def use(self, place: int, *, reward: float, rate: float = 0.1) -> None:
        """The pattern helped: one use more, its quality moves by `rate` towards `reward`.

        Raises ValueError: no such place, a reward below 0 or not finite, rate outside 0..1.
        """
        if not 0 <= place < len(self):
            raise ValueError(f"place: {place} is not in 0..{len(self) - 1}")
        check(lib.gn_patterns_use(self._bank, place, reward, rate), "reward or rate")

    def nearest(self, query: Any, k: int = 1, *, threads: int | Pool = 1) -> tuple[Array, Array]:
        """Cosines and places of the k patterns nearest to query float32[dim], best first: (float32[k], uint32[k]).

        Fewer when the bank holds fewer; ties go to the lowest place. Raises ValueError: dtype, shape, k below 0, a
        query that is not finite or has no length.
        """
        given = self._vector(query, "query")
        if k < 0:
            raise ValueError(f"k: {k} is below 0")
        k = min(k, len(self))
        place, cosine = np.empty(k, U32), np.empty(k, F32)
        size = lib.gn_patterns_scratch(len(self), self.vectors.shape[1])
        call(
            "query",
            threads,
            lib.gn_patterns_search,
            self._bank,
            given,
            k,
            pointer(place),
            pointer(cosine),
            scratch(size),
        )
        return cosine, place

    def _vector(self, value: Any, name: str) -> Any:
        return pointer(shaped(array(value, name, F32), name, self.vectors.shape[1:]))
