"""The last question of a run: after one more death of the coordinator, are the results still what was told?

Owns: one socket. Writes what it hears into a ledger as a client does.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from crash.ledger import Ledger, Told

TASKS_MAX = 20_000  # the youngest: far within results_max and keep_ms
BATCH = 500
TIMEOUT_S = 30.0
ENDINGS = {"TASK_COMPLETED": "done", "TASK_BURIED": "buried", "TASK_CANCELLED": "cancelled"}


def youngest(told: Told) -> list[str]:
    """The last tasks that ended, as the clients know it: of each client as many, since ledgers hold no times."""
    by_client: dict[str, list[str]] = {}
    for task in told.endings:
        by_client.setdefault(task.partition("-")[0], []).append(task)
    share = TASKS_MAX // max(1, len(by_client))
    return [task for tasks in by_client.values() for task in tasks[-share:]]


def reask(path: Path, tasks: list[str], ledger: Ledger) -> int:
    """Ask for each result and write down what is told. Returns how many were asked for.

    Raises:
        OSError: the coordinator does not answer.
    """
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(TIMEOUT_S)
        peer.connect(str(path))
        lines = _lines(peer)
        for begin in range(0, len(tasks), BATCH):
            batch = tasks[begin : begin + BATCH]
            peer.sendall(b"".join(f"CONTROL:RESULT:{task}:\n".encode() for task in batch))
            ledger.write(_told(next(lines) for _ in batch))
    return len(tasks)


def _lines(peer: socket.socket) -> Iterator[bytes]:
    with peer.makefile("rb") as stream:
        while line := stream.readline():
            yield line.rstrip(b"\n")
    raise ConnectionError("the coordinator closed the line")


def _told(answers: Iterable[bytes]) -> Iterator[str]:
    for answer in answers:
        _, verb, subject, *rest = answer.decode("ascii", "replace").split(":", 3)
        task, *params = subject.split(";")
        words = rest[0] if rest else ""
        if verb == "TASK_COMPLETED":
            yield f"R {task} done {words}"
        elif verb in ENDINGS:
            reason = next((one[7:] for one in params if one.startswith("reason=")), "-")
            yield f"R {task} {ENDINGS[verb]} {reason}"
        elif words.startswith("unknown_task"):
            yield f"L {task}"
        else:
            yield f"F {task} had ended, and now: {verb} {words[:200]}"
