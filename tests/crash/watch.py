"""How long the work stood still: from the death of a coordinator to the first task its successor hands out.

Owns: one thread with a socket of its own for each restart. Uses nothing of the project's.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

POLL_S = 0.005
GIVE_UP_S = 30.0


class Restart:
    """One restart under watch. ``seconds`` is None until the first dispatch was seen."""

    def __init__(self, path: Path, died_at: float) -> None:
        self._path = path
        self._died_at = died_at
        self._over = threading.Event()
        self.answered: float | None = None  # seconds to the first connection
        self.seconds: float | None = None
        self._thread = threading.Thread(target=self._watch, name="restart", daemon=True)
        self._thread.start()

    def abandon(self) -> None:
        """The successor died as well: what was not seen will not be."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        deadline = self._died_at + GIVE_UP_S
        while not self._over.is_set() and self.seconds is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self._look()
            self._over.wait(POLL_S)

    def _look(self) -> None:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(0.2)
            peer.connect(str(self._path))
            peer.sendall(b"CONTROL:WATCH::\n")
            received = b""
            while not self._over.is_set():
                with contextlib.suppress(socket.timeout):
                    chunk = peer.recv(65536)
                    if not chunk:
                        return
                    now = time.monotonic() - self._died_at
                    self.answered = self.answered or now
                    received = received[-40:] + chunk
                    if b'"event":"dispatch"' in received:
                        self.seconds = now
                        return
