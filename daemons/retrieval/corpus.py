"""The corpus every machine has: the running Python's standard library."""

from __future__ import annotations

import sysconfig
from pathlib import Path

# Tests say how a module is broken, not what it is for; IDLE is an application that comes with the
# library, the bundled wheels are binary, and site-packages is somebody else's.
DEMO_SKIP = frozenset({"test", "tests", "idlelib", "_bundled", "site-packages", "dist-packages"})


def demo_corpus() -> Path:
    """Where the standard library of the running Python lies (a folder of ``.py`` files)."""
    return Path(sysconfig.get_paths()["stdlib"])
