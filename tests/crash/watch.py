"""What can be seen from outside while it goes on: how long the work stood still, and alarms.

``Restart`` times one restart, from the death of a coordinator to the first task its successor hands out. ``Alarms``
looks at STATUS: an agent that idles beside a task it could have is a fault of the coordinator, when it lasts.

Owns: a thread and sockets for each. Uses nothing of the project's.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path

from support.line import ask, payload

LOOK_S = 0.5
LASTS = 4  # looks in a row: then it is no matter of a moment
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


class Alarms:
    """STATUS, looked at twice a second. ``seen`` counts looks with an alarm, ``faults`` has what lasted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._over = threading.Event()
        self.seen: Counter[str] = Counter()
        self.faults: list[str] = []
        self._lasting = 0
        self._thread = threading.Thread(target=self._watch, name="alarms", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            try:
                answer = payload(ask(self._path, b"CONTROL:STATUS:alarms", timeout=1.0))
            except OSError:  # dead, starting or stopped
                self._lasting = 0
                continue
            self._judge(json.loads(answer).get("alarms", []))

    def _judge(self, alarms: list[dict[str, object]]) -> None:
        self.seen.update({str(one["alarm"]) for one in alarms})
        idle = [one for one in alarms if one["alarm"] == "idle_agent"]
        self._lasting = self._lasting + 1 if idle else 0
        if self._lasting == LASTS:
            self.faults.append(f"an agent idles beside tasks for it: {json.dumps(idle)}")
