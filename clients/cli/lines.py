"""Lines from a descriptor as they come; never waits for the next while one is there."""

from __future__ import annotations

import os
from collections import deque

from ganglion.clients.cli.exits import USAGE, CommandError

READ_BYTES = 65536
LINE_BYTES_MAX = 256 << 20


class Lines:
    """Complete lines of ``fd``; the last one may lack its ending."""

    def __init__(self, fd: int = 0, ending: bytes = b"\n") -> None:
        self.fd = fd
        self.ended = False
        self.ready: deque[bytes] = deque()
        self._ending = ending
        self._part = bytearray()

    def read(self) -> None:
        """Read once; blocks when nothing is there (poll first)."""
        if self.ended:
            return
        try:
            data = os.read(self.fd, READ_BYTES)
        except OSError:  # closed: <&-
            data = b""
        if not data:
            self.ended = True
            if self._part:
                self.ready.append(bytes(self._part))
                self._part.clear()
            return
        first, *rest = data.split(self._ending)
        self._part += first
        if rest:
            self.ready.append(bytes(self._part))
            self.ready.extend(rest[:-1])
            self._part = bytearray(rest[-1])
        elif len(self._part) > LINE_BYTES_MAX:
            raise CommandError(f"a line is longer than {LINE_BYTES_MAX >> 20} MiB", USAGE)

    def take(self, most: int) -> list[bytes]:
        """At most ``most`` of the lines that are there."""
        ready = self.ready
        return [ready.popleft() for _ in range(min(most, len(ready)))]
