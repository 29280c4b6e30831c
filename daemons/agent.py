"""The agent kit: a handler per action is all that a program needs to be an agent.

>>> from ganglion.daemons import Agent, Task
>>> agent = Agent("lower")
>>> @agent.on("LOWER")
... def lower(task: Task) -> bytes:
...     return bytes(task.payload).lower()
>>> agent.start()  # in background threads; agent.run() serves until SIGTERM
>>> agent.close()

Threads: the C runtime's own (protocol, heartbeats: never a handler, never the GIL), worker threads
that take tasks and run sync and batch handlers, one thread with an event loop for async handlers,
and the caller of ``run``, which only waits for signals. SIGTERM or Ctrl-C drains: nothing new is
started, what was not started is given back, what runs is finished. A second one gives everything
back and leaves.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ganglion.daemons.announce import announce
from ganglion.daemons.handlers import Handler, make_handler
from ganglion.daemons.line import Line
from ganglion.daemons.warm import WarmPool
from ganglion.daemons.workers import Workers
from ganglion.protocol.config import Config
from ganglion.protocol.errors import UsageError
from ganglion.protocol.instance import Instance
from ganglion.protocol.session import DeadlineError, Waiter
from ganglion.protocol.transport.endpoint import choose
from ganglion.protocol.transport.ledger import is_owned

log = logging.getLogger("ganglion")
F = TypeVar("F", bound=Callable[..., Any])


class Agent:
    """A program that serves actions.

    Args:
        name: the role; the peer is called ``<name>-<pid>`` so that many may run.
        slots: tasks it holds at a time, running or waiting in it; 0: as its handlers want (a thread
            each for sync handlers, 64 for async, two batches for batch handlers). More slots than
            threads are read ahead: quicker, but an urgent task then waits behind them.
        threads: worker threads (and child processes, with isolation).
        drain_ms: how long a drain waits for running tasks.
    """

    def __init__(
        self,
        name: str,
        *,
        slots: int = 0,
        threads: int = 1,
        instance: str | Instance | None = None,
        transport: str = "auto",
        drain_ms: int = 20_000,
        exact_name: bool = False,
    ) -> None:
        if not isinstance(instance, Instance):
            instance = Instance.from_environment(instance)
        if threads < 1 or not 0 <= slots <= 65_535:
            raise UsageError("threads must be 1 or more, slots 0 to 65535")
        self.instance = instance
        self.name = name if exact_name else f"{name}-{os.getpid()}"
        instance.peer_queue(self.name)  # checks the name
        self.threads = threads
        self.drain_ms = drain_ms
        self._slots = slots
        self._transports = choose(transport)
        self._handlers: dict[bytes, Handler] = {}
        self._stages = 0  # 0 serving, 1 draining, 2 leaving
        self._drained = threading.Event()
        self._wake = threading.Event()
        self._pool: WarmPool | None = None
        self._workers = Workers(self._handlers, threads, self.stop)
        self.line: Line

    @classmethod
    def of(cls, name: str, config: Config, threads: int = 1) -> Agent:
        """An agent as the configuration wants it (instance, transport, ``agent.slots``...)."""
        return cls(
            name,
            slots=config["agent.slots"],
            threads=threads,
            instance=config.instance,
            transport=config["instance.transport"],
            drain_ms=config["agent.drain_ms"],
        )

    # -- declaring ------------------------------------------------------------------------

    def on(
        self, action: str, *, batch: int = 0, window_ms: float = 2.0, isolation: str = "inline"
    ) -> Callable[[F], F]:
        """Decorate the handler of ``action``.

        A sync or async handler takes a ``Task`` and returns its result. With ``batch=n`` it takes a
        list of up to n tasks, collected for at most ``window_ms``, and returns a list of as many
        results (an exception among them fails its task alone).
        """

        def decorate(function: F) -> F:
            self.add(action, function, batch=batch, window_ms=window_ms, isolation=isolation)
            return function

        return decorate

    def add(self, action: str, function: Callable[..., Any], **how: Any) -> None:
        """As ``on``, without decorating."""
        handler = make_handler(action, function, **how)
        self._handlers[action.encode()] = handler

    @property
    def slots(self) -> int:
        """Tasks held at a time."""
        if self._slots:
            return self._slots
        kinds = [h.kind for h in self._handlers.values()]
        wants = [2 * h.batch for h in self._handlers.values()]
        return max([self.threads, *wants, 64 if "async" in kinds else 0])

    # -- life -----------------------------------------------------------------------------

    def start(self) -> None:
        """Register and serve in background threads.

        Raises:
            UsageError: no handler. TransportError, NameTakenError: no line to a coordinator can be
            had.
        """
        if not self._handlers:
            raise UsageError("an agent without a handler has nothing to serve")
        isolated = {
            h.action: h.function for h in self._handlers.values() if h.isolation == "process"
        }
        if isolated:
            # Before any thread exists: the children are forked from a clean process.
            self._pool = WarmPool(isolated)
        actions = [handler.action for handler in self._handlers.values()]
        self.line = Line(
            self.instance,
            self.name,
            actions,
            self.slots,
            self._transports,
            self._workers.on_control,
        )
        self._workers.start(self.line, self.slots, self._pool)

    def wait_connected(self, timeout: float = 10.0) -> bool:
        """Whether the coordinator has welcomed this agent, waiting for it if need be."""
        deadline = time.monotonic() + timeout
        while not self.line.stats().connected:
            if time.monotonic() >= deadline or self._stages:
                return False
            self._wake.wait(0.005)
        return True

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        self.start()
        if self.wait_connected():
            words = (
                f"ready {self.name} serves {', '.join(h.action for h in self._handlers.values())}"
            )
            announce(f"{words} over {self.line.transport}")
        else:
            log.warning("no coordinator yet; %s keeps trying", self.name)
        self._wake.wait()
        self._finish()
        return 0

    def stop(self) -> None:
        """The first call drains, the second leaves at once. Only sets flags: safe in a signal
        handler.
        """
        self._stages += 1
        self._workers.refusing = True
        self._wake.set()
        if self._stages > 1:
            self._drained.set()

    def close(self) -> None:
        """Drain and leave; for agents started with ``start``."""
        self.stop()
        self._finish()

    def _finish(self) -> None:
        log.info("%s is draining: %d tasks run", self.name, len(self._workers.running))
        if self._stages < 2:
            self._drain()
        self._workers.give_back()
        self.line.close()
        if self._workers.join():
            self.line.free()
        else:
            self.line.abandon()
        if self._pool is not None:
            self._pool.close()

    def _drain(self) -> None:
        """Ask for no more, then wait until nothing runs and nothing more can come."""
        deadline = time.monotonic() + self.drain_ms / 1000

        def is_over() -> bool:
            return self._stages > 1 or time.monotonic() >= deadline

        asked: Waiter | None = None
        with contextlib.suppress(DeadlineError):
            asked = self.line.request(
                "DRAIN", self.name, lambda: is_over() or not self._has_coordinator()
            )
        while not is_over() and not self._drained.wait(0.005):
            told = asked is not None and asked.done
            if not self._workers.running and (told or not self._has_coordinator()):
                return

    def _has_coordinator(self) -> bool:
        return is_owned(self.instance.ledger_dir, self.instance.queue)
