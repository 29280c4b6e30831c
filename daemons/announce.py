"""What a daemon says on standard error for whoever started it; nobody may be listening."""

from __future__ import annotations

import contextlib
import sys


def announce(text: str) -> None:
    """Print a line at once; a closed standard error is no reason to end."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
