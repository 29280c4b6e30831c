"""The core and the form of the journal, built once with the planted faults of ganglion/plant.h in it."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from cffi import FFI

from ganglion.sim.native import Native
from support.tree import ROOT

HEADERS = ("codes.h", "wire.h", "core.h", "journal.h", "plant.h")
SOURCES = ("wire/*.c", "core/*.c", "journal/*.c")
CDEF = re.compile(r"^// <cdef>\n(.*?)^// </cdef>$", re.MULTILINE | re.DOTALL)
NAME = "ganglion_planted"


def build(folder: Path) -> Native:
    """Compile into ``folder`` and load."""
    csrc = ROOT / "csrc"
    texts = [(csrc / "include" / "ganglion" / name).read_text() for name in HEADERS]
    ffi = FFI()
    ffi.cdef("\n".join(block for text in texts for block in CDEF.findall(text)))
    includes = "".join(f'#include "ganglion/{name}"\n' for name in HEADERS)
    ffi.set_source(
        NAME,
        f"{includes}int gn_planted;\n",
        sources=sorted(str(path) for glob in SOURCES for path in (csrc / "src").glob(glob)),
        include_dirs=[str(csrc / "include"), str(csrc / "src")],
        extra_compile_args=["-std=c11", "-O1", "-D_GNU_SOURCE", "-DGN_PLANTS"],
    )
    path = ffi.compile(tmpdir=str(folder))
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return Native(module.ffi, module.lib)
