"""The numeric kernels: attention, selection, predictive coding, association, graphs, distances.

A thin face on csrc/kernels/ (C11, SIMD chosen once at load). It may import numpy and the extension, nothing else of
Ganglion. Every function takes whatever has the buffer protocol (numpy arrays, memoryviews, shared memory) or a torch
CPU tensor, without copying; wants dense row-major arrays of the dtype it names; releases the GIL; and says which
argument is wrong in a ValueError. `out=` takes the result, `threads=` is 1, a number (a pool for that call) or a
`Pool`. A `bind_...` function checks once and returns a `Bound` to call many times.
"""

from __future__ import annotations

from ganglion.kernels._call import Bound, Pool
from ganglion.kernels._kernels import ffi, lib

__all__ = ["Bound", "Pool", "force_isa", "isa", "isas"]


def isa() -> str:
    """The level in use: serial, haswell, skylake, genoa, sapphire or neon. GANGLION_ISA chooses it at load."""
    return str(ffi.string(lib.gn_isa_name(lib.gn_isa_active())).decode())


def isas() -> list[str]:
    """The levels this machine has, the plainest first."""
    levels = range(lib.GN_ISA_COUNT)
    return [ffi.string(lib.gn_isa_name(i)).decode() for i in levels if lib.gn_isa_has(i)]


def force_isa(name: str) -> None:
    """Use another level from now on, in the whole process. For tests and benches: no kernel may be running.

    Raises ValueError when this machine does not have it.
    """
    if lib.gn_isa_force(lib.gn_isa_find(name.encode())) != lib.GN_K_OK:
        raise ValueError(f"isa: {name!r} is not a level of this machine: {', '.join(isas())}")


if lib.gn_isa_fault() != ffi.NULL:
    raise ValueError(f"{ffi.string(lib.gn_isa_fault()).decode()} (here: {', '.join(isas())})")
