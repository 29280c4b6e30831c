"""Calls into C: status codes become exceptions here and nowhere else; threads; calls that are repeated.

Every C function that works in parallel takes its pool as the last argument.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np

from ganglion.kernels._kernels import ffi, lib

_NULL = ffi.NULL
THREADS_MAX = 256
INTEGERS = (int, np.integer)  # what a size may be
T = TypeVar("T")


def check(status: int, name: str) -> None:
    """Raise what a status other than GN_K_OK stands for."""
    if status == lib.GN_K_OK:
        return
    words = f"{name}: {ffi.string(lib.gn_k_error(status)).decode()}"
    if status == lib.GN_K_MEMORY:
        raise MemoryError(words)
    if status == lib.GN_K_UNSUPPORTED:
        raise NotImplementedError(words)
    raise ValueError(words)


class Pool:
    """Threads for kernels, `threads` of them with the caller's own. Close it, or use it with `with`.

    One call at a time uses it; a call that finds it at work, or that comes from a forked child, runs on its own thread.
    Raises ValueError (threads not in 1..256), MemoryError.
    """

    def __init__(self, threads: int) -> None:
        if not isinstance(threads, INTEGERS) or not 1 <= threads <= THREADS_MAX:
            raise ValueError(f"threads: {threads!r} is not in 1..{THREADS_MAX}")
        self._pool = lib.gn_pool_open(threads)
        if self._pool == _NULL:
            raise MemoryError("threads: the system gave no more")
        self.threads = threads

    @property
    def pointer(self) -> Any:
        """The C pool. Raises ValueError once it is closed."""
        if self._pool == _NULL:
            raise ValueError("threads: the pool is closed")
        return self._pool

    def close(self) -> None:
        """End the threads. No call may be using them."""
        pool, self._pool = self._pool, _NULL
        lib.gn_pool_close(pool)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pool", _NULL) != _NULL:
            self.close()


def call(name: str, threads: int | Pool, function: Callable[..., int], *arguments: Any) -> None:
    """Call a C function whose last parameter is its pool."""
    if threads == 1:
        status = function(*arguments, _NULL)
    elif isinstance(threads, Pool):
        status = function(*arguments, threads.pointer)
    else:
        with Pool(threads) as pool:
            status = function(*arguments, pool.pointer)
    if status:
        check(status, name)


def whole(value: Any, name: str) -> int:
    """An integer, numpy's too. Raises ValueError naming it."""
    try:
        return index(value)
    except TypeError:
        raise ValueError(f"{name}: {value!r} is not an integer") from None


def count(threads: int | Pool) -> int:
    """How many threads that is: for the size of a scratch."""
    if isinstance(threads, Pool):
        return threads.threads
    if not isinstance(threads, INTEGERS) or not 1 <= threads <= THREADS_MAX:
        raise ValueError(f"threads: {threads!r} is not in 1..{THREADS_MAX} and no Pool")
    return threads


class Bound(Generic[T]):
    """A call with its arguments checked and its pointers kept: `bound()` computes again and returns the same `out`.

    The arrays may change between calls, not their shapes or addresses. Not for two threads at once: they would share
    out and scratch.
    """

    __slots__ = ("_arguments", "_function", "_keep", "_name", "_owned", "out")

    def __init__(
        self,
        name: str,
        threads: int | Pool | None,
        function: Callable[..., int],
        arguments: tuple[Any, ...],
        out: T,
        keep: object = None,
    ) -> None:
        """`threads` None: the C function takes no pool. `keep` is what must outlive the pointers."""
        self._name, self._function, self.out = name, function, out
        self._owned: Pool | None = None
        if threads is None:
            self._arguments = arguments
        elif isinstance(threads, Pool):
            self._arguments = (*arguments, threads.pointer)
        elif count(threads) == 1:
            self._arguments = (*arguments, _NULL)
        else:
            self._owned = Pool(threads)
            self._arguments = (*arguments, self._owned.pointer)
        self._keep = (keep, threads)

    def __call__(self) -> T:
        status = self._function(*self._arguments)
        if status:
            check(status, self._name)
        return self.out
