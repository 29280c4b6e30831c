"""The limits of ganglion.toml, told to the coordinator's core when it starts, over a line of our own.

They are set before anybody else is read. What the journal remembers of other limits stays; CONTROL:LIMIT changes
any of them while it runs, until the next start for those declared here.
"""

from __future__ import annotations

import logging
import socket
from typing import Any

from ganglion.protocol._native import lib
from ganglion.protocol.limits import Limit

log = logging.getLogger("ganglion")

ANSWER_SECONDS = 10.0


class Declared:
    """Limits on their way into a loop that does not run yet.

    Args:
        loop: a ``gn_loop``.
        limits: what to set.
    """

    def __init__(self, loop: Any, limits: tuple[Limit, ...]) -> None:
        self._limits = limits
        self._mine, self._theirs = socket.socketpair()
        lines = "".join(f"CONTROL:LIMIT:{i}:{limit.payload()}\n" for i, limit in enumerate(limits))
        self._mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(lines) + 4096)
        self._mine.settimeout(ANSWER_SECONDS)
        lib.gn_loop_add_stream(loop, self._theirs.fileno(), self._theirs.fileno())
        self._mine.sendall(lines.encode())

    def confirm(self) -> None:
        """Read the answers, now that the loop runs, and log what was refused."""
        with self._mine, self._mine.makefile("r") as answers:
            try:
                for _ in self._limits:
                    answer = answers.readline().rstrip("\n")
                    if answer.startswith("RESPONSE:REJECTED:"):
                        number, _, why = answer.split(":", 2)[2].partition(":")
                        limit = self._limits[int(number)]
                        log.error("the limit of %s %s is not set: %s", limit.kind, limit.name, why)
            except OSError:
                log.error(
                    "the coordinator does not say whether the limits of its configuration are set"
                )
