"""A client as a user writes it, with ganglion.clients.Client, that keeps a ledger as client.py does.

    python -m crash.library NAME START

It relies on the library for what client.py does by hand: to come back to a coordinator that died, to send again what
was not acknowledged and to watch again what was. Owns: its ledger and one batch of tasks.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from crash import kinds
from crash.client import Open, unfinished
from crash.ledger import Ledger, Order, read_told
from ganglion.clients import Client
from ganglion.protocol.errors import GanglionError
from ganglion.protocol.session import Outcome, Submission

BATCH = 100
RECONNECT_S = 60.0
FINISH_S = 50.0
LOOK_S = 0.05
PAUSE_S = 0.3
ORDER = Order("plain", "-")


class Library:
    """One client process."""

    def __init__(self, name: str, start: str) -> None:
        folder = Path(os.environ["CRASH_LEDGERS"])
        self.before = unfinished(read_told(sorted(folder.glob(f"told.{name}.*"))))
        self.ledger = Ledger(folder / f"told.{name}.{start}")
        self.root = f"{name}-{start}"
        self.stop_at: float | None = None

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._on_sigterm)
        with self._connect() as client:
            self._ask_for(client, {task: one for task, one in self.before.items() if one.acked})
            self._put_through(client, [task for task, one in self.before.items() if not one.acked])
            number = 0
            while self.stop_at is None:
                batch = [f"{self.root}-{number + i}" for i in range(BATCH)]
                number += BATCH
                self.ledger.write(f"S {task} {ORDER.kind} {ORDER.argument}" for task in batch)
                self._put_through(client, batch)
                time.sleep(PAUSE_S)  # sleep: it submits at a rate of its own, some 300 a second
        return 0

    def _connect(self) -> Client:
        """A client; for its first connection it is the program that has to be patient."""
        while True:
            try:
                return Client(reconnect=RECONNECT_S, timeout=RECONNECT_S)
            except GanglionError:
                if self._is_over():
                    raise
                time.sleep(LOOK_S)  # sleep: nobody to talk to

    def _on_sigterm(self, *_: object) -> None:
        self.stop_at = time.monotonic() + FINISH_S

    def _is_over(self) -> bool:
        return self.stop_at is not None and time.monotonic() > self.stop_at

    def _put_through(self, client: Client, batch: list[str]) -> None:
        """Submit these and wait for all of their results."""
        payloads = [kinds.payload(task, ORDER) for task in batch]
        left = client.start_many("ECHO", payloads, batch, tries=kinds.TRIES)
        acked: set[str] = set()
        for submission in left:
            _ = submission.acked  # asked for from the beginning, so that it is known when it came
        while left and not self._is_over():
            client.pump(LOOK_S)
            told: list[str] = []
            for one in left:
                if one.acked.done and one.acked.error is None and one.task not in acked:
                    acked.add(one.task)
                    told.append(f"A {one.task}")
                if one.done:
                    told.append(ending(one))
            left = [one for one in left if not one.done]
            self.ledger.write(told)
        self.ledger.write(f"U {one.task} in the library's hands" for one in left)

    def _ask_for(self, client: Client, tasks: dict[str, Open]) -> None:
        """What an earlier start was told that it is accepted: its results, and never a new submission."""
        for task in tasks:
            while not self._is_over():
                try:
                    found = client.result(task)
                except GanglionError as error:
                    code = getattr(error, "code", "") or type(error).__name__
                    self.ledger.write(
                        [f"L {task}" if code == "unknown_task" else f"F {task} {code}"]
                    )
                    break
                if isinstance(found, Outcome):
                    self.ledger.write([line_of(task, found)])
                    break
                client.pump(LOOK_S)


def line_of(task: str, outcome: Outcome) -> str:
    """The line of a ledger for a delivery."""
    if outcome.status == "completed":
        return f"R {task} done {bytes(outcome.payload).decode('ascii', 'replace')}"
    return f"R {task} {outcome.status} {outcome.reason or '-'}"


def ending(submission: Submission) -> str:
    """The line of a ledger for a submission that ended, in one way or another."""
    if submission.error is None:
        return line_of(submission.task, submission.value)
    code = getattr(submission.error, "code", "") or type(submission.error).__name__
    return f"L {submission.task}" if code == "unknown_task" else f"F {submission.task} {code}"


if __name__ == "__main__":
    sys.exit(Library(sys.argv[1], sys.argv[2]).run())
