"""A client that survives everything, keeps a ledger, and never asks for a task in a way that hides a loss.

    python -m crash.client NAME START [--rate 500] [--window 3000] [--transport auto|mqueue|unix]

Who is told nothing learns nothing: after the coordinator came back, a task that had not been acknowledged is submitted
again (same name, same content), and one that had is *watched* for, so that a coordinator which forgot it says
``unknown_task``. SIGTERM: submit no more, wait for what is unfinished (at most --finish seconds), end.

It speaks the protocol by itself over the C link: it is a witness, and may not share the faults of the client
library. Owns: its ledger and what is unfinished.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from crash import kinds
from crash.ledger import Ledger, Order, Told, read_told
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.batch import BATCH_MESSAGES, VERB, Incoming, param, unpack
from ganglion.protocol.blobs import Hold, Spool
from ganglion.protocol.errors import GanglionError
from ganglion.protocol.instance import Instance
from ganglion.protocol.transport.endpoint import Endpoint, choose

BEAT_S = 0.25
SILENCE_S = 1.5  # without an answer to a beat: the line is given up and made anew
AGAIN_S = 0.3  # after a refusal that may pass
REST_S = 0.02  # without a coordinator
BATCH_TASKS = 200
PASSING = (b"busy", b"journal", b"draining", b"no_memory")
ENDINGS = {
    VERB["TASK_COMPLETED"]: "done",
    VERB["TASK_BURIED"]: "buried",
    VERB["TASK_CANCELLED"]: "cancelled",
}


@dataclass(slots=True)
class Open:
    """A task without a result."""

    order: Order
    acked: bool = False
    hold: Hold | None = None

    def let_go(self) -> None:
        if self.hold is not None:
            self.hold.release()
            self.hold = None


class Line:
    """A link to the coordinator of now; broken for good by the first trouble.

    Raises:
        GanglionError: nobody serves, or nobody answered.
    """

    def __init__(self, instance: Instance, name: str, transport: str) -> None:
        self.name = name
        self._endpoint = Endpoint(instance, name, choose(transport))
        self._messages = ffi.new("gn_msg[]", BATCH_MESSAGES)
        self._base = ffi.new("uint8_t **")
        self._unsent = b""
        self.broken = False
        self.epoch: bytes | None = None
        self.heard = time.monotonic()
        self._beaten = 0.0
        inbox = self._endpoint.inbox_name
        body = json.dumps({"run": os.urandom(4).hex(), **({"inbox": inbox} if inbox else {})})
        self.send(f"CONTROL:REGISTER:{name}:{body}\n".encode())

    @property
    def full(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._unsent)

    def send(self, data: bytes) -> None:
        """Send these messages, now or when there is room."""
        self._unsent += data
        self.flush(0)

    def flush(self, timeout_ms: int) -> None:
        while self._unsent and not self.broken:
            done = lib.gn_link_send(
                self._endpoint.link, self._unsent, len(self._unsent), timeout_ms
            )
            if done > 0:
                self._unsent = self._unsent[done:]
            elif -done in (0, 11, 110, 4):  # EAGAIN, ETIMEDOUT, EINTR
                return
            else:
                self.broken = True

    def receive(self, timeout_ms: int) -> list[Incoming]:
        """What came, but answers to beats."""
        count = lib.gn_link_recv(
            self._endpoint.link, self._messages, BATCH_MESSAGES, timeout_ms, self._base
        )
        if count < 0:
            self.broken = True
        return [
            m for m in unpack(self._messages, max(count, 0), self._base[0]) if self._is_for_us(m)
        ]

    def _is_for_us(self, message: Incoming) -> bool:
        if message.task != self.name.encode():
            return True
        self.heard = time.monotonic()
        if message.verb == VERB["WELCOME"]:
            self.epoch = param(message.params, b"epoch")
        elif message.verb == VERB["REJECTED"] or param(message.params, b"epoch") != self.epoch:
            self.broken = True  # another coordinator, that does not know us
        return False

    def beat(self) -> None:
        """A heartbeat when one is due; the answer tells which coordinator is there."""
        now = time.monotonic()
        if now - self._beaten >= BEAT_S and self.epoch is not None and not self._unsent:
            self._beaten = now
            inbox = self._endpoint.inbox_name
            to = f";inbox={inbox}" if inbox else ""
            self.send(f"CONTROL:HEARTBEAT:{self.name}{to}:\n".encode())
        if now - self.heard > SILENCE_S:
            self.broken = True

    def close(self) -> None:
        self._endpoint.close()


class Client:
    """One client process."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.root = f"{args.name}-{args.start}"
        folder = Path(os.environ["CRASH_LEDGERS"])
        before = read_told(sorted(folder.glob(f"told.{args.name}.*")))
        self.ledger = Ledger(folder / f"told.{args.name}.{args.start}")
        self.instance = Instance.from_environment()
        self.spool = Spool(self.instance)
        self.open = unfinished(before)
        self.again: deque[str] = deque()  # to be submitted once more
        self.again_at = 0.0
        self.dice = random.Random(f"{os.environ['CRASH_SEED']} {self.root}")
        self.numbers = itertools.count(1)
        self.lines = itertools.count(1)
        self.recent = ""
        self.line: Line | None = None
        self.due = float(BATCH_TASKS)  # tasks that may be submitted now
        self.due_at = time.monotonic()
        self.stop_at: float | None = None
        self.without = frozenset(args.without.split(",")) if args.without else frozenset()

    # -- the line -------------------------------------------------------------------------

    def step(self) -> None:
        """Connect, receive, submit: a little of each."""
        if self.line is None and not self._connect():
            time.sleep(REST_S)  # sleep: nobody to talk to
            return
        assert self.line is not None
        self.line.flush(5)
        self._take(self.line.receive(5))
        self.line.beat()
        if self.line.epoch is not None and not self.line.full:
            self._submit_again()
            if self.stop_at is None:
                self._submit_new()
        if self.line.broken:
            self.line.close()
            self.line = None

    def _connect(self) -> bool:
        name = f"{self.root}-{next(self.lines)}"
        try:
            self.line = Line(self.instance, name, self.args.transport)
        except (GanglionError, OSError):
            return False
        for one in self.open.values():
            one.let_go()  # shared memory may be gone as well: published anew with the next submission
        watched = [task for task, one in self.open.items() if one.acked]
        self.again = deque(task for task, one in self.open.items() if not one.acked)
        self.again_at = 0.0
        self.line.send(b"".join(f"CONTROL:WATCH:{task}:\n".encode() for task in watched))
        return True

    # -- submitting -------------------------------------------------------------------------

    def _submit_again(self) -> None:
        if not self.again or time.monotonic() < self.again_at:
            return
        batch = [self.again.popleft() for _ in range(min(BATCH_TASKS, len(self.again)))]
        assert self.line is not None
        self.line.send(b"".join(self._message(task) for task in batch if task in self.open))

    def _submit_new(self) -> None:
        now = time.monotonic()
        self.due = min(self.due + (now - self.due_at) * self.args.rate, float(self.args.window))
        self.due_at = now
        count = min(int(self.due), self.args.window - len(self.open), BATCH_TASKS)
        if count < min(20, self.args.window):
            return
        self.due -= count
        batch: list[str] = []
        for _ in range(count):
            task = f"{self.root}-{next(self.numbers)}"
            self.open[task] = Open(kinds.choose(self.dice, self.recent, self.without))
            self.recent = task
            batch.append(task)
        orders = [(task, self.open[task].order) for task in batch]
        self.ledger.write(f"S {task} {order.kind} {order.argument}" for task, order in orders)
        assert self.line is not None
        self.line.send(b"".join(self._message(task) for task in batch))

    def _message(self, task: str) -> bytes:
        one = self.open[task]
        blob = ""
        if one.order.kind == "blob":
            if one.hold is None:
                one.hold = self.spool.publish(kinds.payload(task, one.order))
            blob = one.hold.ref
        return kinds.line(task, one.order, blob)

    # -- answers ----------------------------------------------------------------------------

    def _take(self, messages: list[Incoming]) -> None:
        told: list[str] = []
        for message in messages:
            task = message.task.decode()
            if message.verb == VERB["RECEIVED"]:
                self._on_received(task, told)
            elif message.verb in ENDINGS:
                one = self.open.pop(task, None)
                if one is not None:
                    one.let_go()
                told.append(f"R {task} {ENDINGS[message.verb]} {value(message)}")
            elif message.verb == VERB["REJECTED"]:
                self._on_rejected(task, message.payload.partition(b" ")[0], told)
        self.ledger.write(told)

    def _on_received(self, task: str, told: list[str]) -> None:
        one = self.open.get(task)
        if one is not None and not one.acked:
            one.acked = True
            one.let_go()
            told.append(f"A {task}")

    def _on_rejected(self, task: str, code: bytes, told: list[str]) -> None:
        one = self.open.get(task)
        if one is None:
            told.append(f"F {task or '-'} rejected with {code.decode()}: nothing was asked")
        elif one.acked:
            if code == b"busy":  # of a watch: ask again with the next line
                if self.line is not None:
                    self.line.broken = True
                return
            del self.open[task]
            told.append(f"L {task}" if code == b"unknown_task" else f"F {task} {code.decode()}")
        elif code in PASSING:
            told.append(f"J {task} {code.decode()}")
            self.again.append(task)
            self.again_at = time.monotonic() + AGAIN_S
        else:
            one.let_go()
            del self.open[task]
            told.append(f"J {task} {code.decode()}")
            if code not in (b"unknown_task",):  # what it waits for was lost: told elsewhere
                told.append(f"F {task} rejected with {code.decode()}")

    # -- the end ----------------------------------------------------------------------------

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._on_sigterm)
        while self.stop_at is None or (self.open and time.monotonic() < self.stop_at):
            self.step()
        states = (
            (t, "acknowledged" if one.acked else "not acknowledged") for t, one in self.open.items()
        )
        self.ledger.write(f"U {task} {state}" for task, state in states)
        if self.line is not None:
            self.line.close()
        return 0

    def _on_sigterm(self, *_: object) -> None:
        self.stop_at = time.monotonic() + float(self.args.finish)


def value(message: Incoming) -> str:
    """What a delivery says, in one word."""
    if message.verb == VERB["TASK_COMPLETED"]:
        return message.payload.decode("ascii", "replace").replace(" ", "_") or "-"
    reason = param(message.params, b"reason")
    return reason.decode() if reason else "-"


def unfinished(told: Told) -> dict[str, Open]:
    """What an earlier start of this client left open."""
    gone = set(told.endings) | told.lost
    gone |= {task for task, code in told.rejected.items() if code.encode() not in PASSING}
    return {
        task: Open(order, task in told.acked)
        for task, order in told.orders.items()
        if task not in gone
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name")
    parser.add_argument("start")
    parser.add_argument("--rate", type=float, default=500.0, help="tasks a second")
    parser.add_argument("--window", type=int, default=3000, help="unfinished tasks at most")
    parser.add_argument("--transport", default="auto", choices=("auto", "mqueue", "unix"))
    parser.add_argument("--finish", type=float, default=60.0, help="seconds to wait after SIGTERM")
    parser.add_argument("--without", default="", help="kinds to leave out, comma-separated")
    with contextlib.suppress(KeyboardInterrupt):
        return Client(parser.parse_args(argv)).run()
    return 130


if __name__ == "__main__":
    sys.exit(main())
