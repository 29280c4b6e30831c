"""Exit codes, and which of them an error means.

The codes are those of sysexits.h where it has one, so that scripts can tell "the task failed"
from "you called me wrongly" and from "try again".
"""

from __future__ import annotations

import errno

OK = 0
FAILED = 1  # the task failed, was cancelled, or there is none of that name
USAGE = 64  # EX_USAGE
NO_COORDINATOR = 69  # EX_UNAVAILABLE
BROKEN = 70  # EX_SOFTWARE: it is not built, or a bug of ours
OUTPUT = 74  # EX_IOERR: the result could not be written
TRY_AGAIN = 75  # EX_TEMPFAIL
INTERRUPTED = 130  # 128 + SIGINT, as the shell has it

_AGAIN = frozenset({"busy", "draining", "journal", "no_memory", "slow_peer"})
_WRONG = frozenset(
    {"bad_action", "bad_task", "bad_param", "bad_percent", "bad_number", "bad_payload"}
)


class CommandError(Exception):
    """Why a command ends: one line for people, and its exit code."""

    def __init__(self, words: str, status: int = FAILED) -> None:
        super().__init__(words)
        self.status = status


class InterruptedCommand(Exception):
    """Ctrl-C, and what became of what was under way."""


class OutputClosed(Exception):
    """Whoever read our standard output has had enough."""


def status_of(error: BaseException) -> int | None:
    """The exit code of an expected error; None for a bug of ours."""
    if isinstance(error, CommandError):
        return error.status
    if isinstance(error, ImportError):  # the extension, most likely: then what follows fails too
        return BROKEN
    # Whoever raised one of these has imported them already: this costs nothing.
    from ganglion.protocol import errors
    from ganglion.protocol.session import DeadlineError
    from ganglion.protocol.transport.endpoint import NoCoordinatorError

    if isinstance(error, NoCoordinatorError):
        return NO_COORDINATOR
    if isinstance(error, DeadlineError):
        return TRY_AGAIN
    if isinstance(error, errors.UsageError):
        return USAGE
    if isinstance(error, errors.TransportError):
        full = error.errno in (errno.EMFILE, errno.ENOSPC, errno.EAGAIN)
        return TRY_AGAIN if full else NO_COORDINATOR
    if isinstance(error, errors.GanglionError):
        return TRY_AGAIN if error.code in _AGAIN else USAGE if error.code in _WRONG else FAILED
    return None


def words_of(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, ImportError):
        return f"Ganglion is not built as it should be ({error}); rebuild: ./run setup"
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}"
    words = " ".join(str(error).split()) or type(error).__name__
    task = getattr(error, "task", "")
    return f"task {task}: {words}" if task and task not in words else words
