"""The corpus every machine has: the running Python's standard library."""

from __future__ import annotations

import sysconfig
from pathlib import Path

# Tests say how a module is broken, not what it is for; site-packages is not the library.
DEMO_SKIP = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages"})


def demo_corpus() -> Path:
    """Where the standard library of the running Python lies (a folder of ``.py`` files)."""
    return Path(sysconfig.get_paths()["stdlib"])
