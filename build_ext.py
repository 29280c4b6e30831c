"""Compile csrc/ into two extensions (cffi, API mode, stable ABI): csrc/src/ is ganglion.protocol._native,
csrc/kernels/ is ganglion.kernels._kernels.

The public headers are the only list of what Python may call: the text between a
``// <cdef>`` and a ``// </cdef>`` line of each header, in the order below, is what
cffi reads. Nothing is declared twice.
"""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from cffi import FFI
from setuptools import Extension
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
INCLUDE = ROOT / "csrc" / "include"
HEADERS = ("codes.h", "wire.h", "journal.h", "cron.h", "core.h", "loop.h", "link.h", "runtime.h")
PACKAGES = ("protocol", "kernels", "daemons", "clients", "sim")
NATIVE_FLAGS = ["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-D_GNU_SOURCE"]
# As in csrc/Makefile. Levels above the baseline are chosen per file, by pragma, so there is no -march.
KERNEL_FLAGS = [*NATIVE_FLAGS[:1], "-O3", *NATIVE_FLAGS[2:], "-fno-math-errno", "-ffp-contract=off"]
CDEF = re.compile(r"^// <cdef>\n(.*?)^// </cdef>$", re.MULTILINE | re.DOTALL)


def native_headers() -> list[str]:
    """The headers that exist, in dependency order."""
    return [name for name in HEADERS if (INCLUDE / "ganglion" / name).exists()]


def kernel_headers() -> list[str]:
    """The families of the kernels: base.h first, the others independent of each other."""
    families = sorted(path.name for path in (INCLUDE / "ganglion" / "kernels").glob("*.h"))
    return [f"kernels/{name}" for name in sorted(families, key=lambda name: name != "base.h")]


def cdef(headers: list[str]) -> str:
    """What the headers show to Python."""
    texts = ((INCLUDE / "ganglion" / name).read_text() for name in headers)
    return "\n".join(block for text in texts for block in CDEF.findall(text))


def c_files(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "csrc").glob(pattern))


def on_all_cores(
    compile: Callable[..., list[str]], sources: list[str], **options: Any
) -> list[str]:
    """The compiler's own way, a file at a time, as many files at once as there are cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        made = list(pool.map(lambda source: compile([source], **options), sources))
    return [path for paths in made for path in paths]


class BuildExt(build_ext):
    def finalize_options(self) -> None:
        super().finalize_options()
        native, kernels = self.extensions
        native.sources = c_files("src/**/*.c")
        native.include_dirs = ["csrc/include", "csrc/src"]
        native.extra_compile_args = NATIVE_FLAGS
        native.libraries = ["rt", "pthread"]
        kernels.sources = c_files("kernels/**/*.c")
        kernels.include_dirs = ["csrc/include", "csrc/kernels"]
        kernels.extra_compile_args = KERNEL_FLAGS
        kernels.libraries = ["m", "pthread"]
        for extension in self.extensions:
            extension.depends = [*c_files("**/*.h"), "build_ext.py"]  # depends reach the sdist
            # Free-threaded builds have no stable ABI.
            extension.py_limited_api = not sysconfig.get_config_var("Py_GIL_DISABLED")

    def build_extension(self, ext: Extension) -> None:
        headers = native_headers() if ext.name.endswith("._native") else kernel_headers()
        ffi, glue = FFI(), Path(self.build_temp) / f"{ext.name.rpartition('.')[2]}.c"
        ffi.cdef(cdef(headers))
        ffi.set_source(ext.name, "\n".join(f'#include "ganglion/{h}"' for h in headers))
        glue.parent.mkdir(parents=True, exist_ok=True)
        ffi.emit_c_code(str(glue))
        ext.sources = [str(glue), *ext.sources]
        whole, self.compiler.compile = (
            self.compiler.compile,
            partial(on_all_cores, self.compiler.compile),
        )
        try:
            super().build_extension(ext)
        finally:
            self.compiler.compile = whole

    def run(self) -> None:
        super().run()
        if self.editable_mode or self.inplace:
            link_view()


def link_view() -> None:
    """build/typed/ganglion/*: the tree as mypy and pyright see it in an editable install."""
    view = ROOT / "build" / "typed" / "ganglion"
    shutil.rmtree(view, ignore_errors=True)
    view.mkdir(parents=True)
    for name in PACKAGES:
        (view / name).symlink_to(ROOT / name, target_is_directory=True)
