"""The kinds of task that the clients submit: how each is written, and what its result must be.

A task is rebuilt from its name, kind and argument alone, so that a client that was killed submits it again
word for word. A result is ``<digest of the payload>/<run>``; ``run`` differs between any two runs.

Owns: that mapping. Knows no links.
"""

from __future__ import annotations

import random
import zlib

from crash.ledger import Order, digest

TRIES = 1000  # a task whose agents are killed all the time is not given up
# The limit on the label of the limited ones: well above their rate, so that they pile up after each outage only.
LIMIT = b'CONTROL:LIMIT:crash:{"label":"crash","rate":200,"burst":20,"running":8}'
KEYS = 50  # tasks of one key run one after the other
BLOB_BYTES = 90_000  # over the inline limit of a queue, and of a socket


# kind: how many of a thousand tasks, the action, parameters
KINDS: dict[str, tuple[int, str, str]] = {
    "plain": (786, "ECHO", ""),
    "via": (50, "ECHO", "via=SEAL"),
    "after": (30, "ECHO", ""),
    "delay": (30, "ECHO", "delay=200"),
    "urgent": (20, "ECHO", "prio=9"),
    "flaky": (15, "FLAKY", ""),
    "slow": (15, "SLOW", ""),
    "blob": (4, "ECHO", ""),
    "exec": (4, "EXEC", ""),
    "keyed": (20, "ECHO", ""),
    "limited": (20, "ECHO", "label=crash"),
    "once": (6, "ECHO", "once=1"),
}


def choose(dice: random.Random, recent: str, without: frozenset[str]) -> Order:
    """An order by the shares above; ``recent`` is a task that it may wait for."""
    kinds = [kind for kind in KINDS if kind not in without and (kind != "after" or recent)]
    (kind,) = dice.choices(kinds, [KINDS[kind][0] for kind in kinds])
    return Order(kind, recent if kind == "after" else "-")


def payload(task: str, order: Order) -> bytes:
    """The content of a task, from its name."""
    size = BLOB_BYTES if order.kind == "blob" else 20 + zlib.crc32(task.encode()) % 150
    return (f"{task} " * (size // (len(task) + 1) + 1)).encode()[:size]


def line(task: str, order: Order, blob: str = "") -> bytes:
    """The message that submits it; ``blob`` is the reference of a payload that was published."""
    _, action, extra = KINDS[order.kind]
    params = f";tries={TRIES}" + (f";{extra}" if extra else "")
    if order.kind == "keyed":
        params += f";key=k{zlib.crc32(task.encode()) % KEYS}"
    if order.kind == "after":
        params += f";after={order.argument}"
    if blob:
        params += f";blob={blob}"
    return (
        f"DATA:{action}:{task}{params}:".encode() + (b"" if blob else payload(task, order)) + b"\n"
    )


def is_as_ordered(task: str, order: Order, content: str) -> bool:
    """Whether ``content``, of a result, stands for the payload of this task."""
    return content == digest(payload(task, order))
