"""The same request for several tasks: one that is refused does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ganglion.clients.cli.context import say
from ganglion.clients.cli.exits import FAILED, OK, words_of

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context


def for_each(
    context: Context,
    tasks: Iterable[str],
    request: Callable[[str], None],
    done: str,
    kind: str = "task",
) -> int:
    """Do it; one line on stderr for each refusal. The exit code is 1 when there was one.

    ``kind``: what the names in ``tasks`` are names of, for --json.
    """
    from ganglion.protocol.errors import GanglionError

    status = OK
    for task in tasks:
        try:
            request(task)
        except GanglionError as error:
            if not error.code:  # not the coordinator's answer: nothing that follows would do better
                raise
            say(words_of(error))
            status = FAILED
            if context.args.json:
                context.out.json({kind: task, "error": error.code})
        else:
            if context.args.json:
                context.out.json({kind: task, "status": done})
            elif context.verbose:
                context.note(f"{task} {done}")
    return status
