"""A hard limit on the time of a test: the stacks of all threads, then a failure.

Two stages. SIGALRM fails the test and lets the run go on; it needs the main thread to come back to Python. When that
does not happen (a C call that never returns), faulthandler prints the stacks and ends the run.
"""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import tempfile
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

GRACE_S = 30.0  # between the two stages
AGAIN_S = 5.0  # a test may have swallowed the first failure


def stacks() -> str:
    """Where every thread of this process is."""
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file=file, all_threads=True)
        file.seek(0)
        return file.read()


@contextlib.contextmanager
def limit(seconds: float, fd: int) -> Iterator[None]:
    """Fail what runs inside after ``seconds``; ``fd`` is the terminal's, behind pytest's capture."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"over the limit of {seconds:g} s for a test\n{stacks()}", pytrace=True)

    before: Any = signal.signal(signal.SIGALRM, ring)
    faulthandler.dump_traceback_later(seconds + GRACE_S, exit=True, file=fd)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
