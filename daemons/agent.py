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

import asyncio
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ganglion.daemons import outcome as outcomes
from ganglion.daemons.handlers import Handler, make_handler
from ganglion.daemons.line import TAKE_MESSAGES, Closed, Line
from ganglion.daemons.task import Task
from ganglion.daemons.warm import WarmPool, WorkerDiedError
from ganglion.protocol.batch import VERB, Incoming, param
from ganglion.protocol.blobs import Hold
from ganglion.protocol.config import Config
from ganglion.protocol.errors import GanglionError, UsageError
from ganglion.protocol.instance import Instance
from ganglion.protocol.session import DeadlineError, Outcome, Waiter
from ganglion.protocol.transport.endpoint import choose
from ganglion.protocol.transport.ledger import is_owned

log = logging.getLogger("ganglion")
F = TypeVar("F", bound=Callable[..., Any])

TOKEN = re.compile(rb"(?:^|;)token=([0-9]+)")
# Outcomes of quick handlers leave together, but none waits for longer than this.
FLUSH_NS = 500_000


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
        self._running: dict[str, Task] = {}
        self._holds: dict[bytes, Hold] = {}
        self._cancelled_early: dict[str, None] = {}
        self._stages = 0  # 0 serving, 1 draining, 2 leaving
        self._drained = threading.Event()
        self._wake = threading.Event()
        self._workers: list[threading.Thread] = []
        self._pool: WarmPool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._out: list[bytes] = []
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
            self.instance, self.name, actions, self.slots, self._transports, self._on_control
        )
        self.line.session.on_unclaimed = self._on_unclaimed
        if any(h.kind == "async" for h in self._handlers.values()):
            self._loop = asyncio.new_event_loop()
            self._workers.append(self._thread(self._loop.run_forever, "loop"))
        self._workers += [self._thread(self._work, f"worker-{n}") for n in range(self.threads)]
        self._workers.append(self._thread(self._listen, "control"))
        for worker in self._workers:
            worker.start()

    def _thread(self, target: Callable[[], Any], name: str) -> threading.Thread:
        return threading.Thread(target=target, name=f"{self.name}-{name}", daemon=True)

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
            print(f"{words} over {self.line.transport}", file=sys.stderr, flush=True)
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
        self._wake.set()
        if self._stages > 1:
            self._drained.set()

    def close(self) -> None:
        """Drain and leave; for agents started with ``start``."""
        self.stop()
        self._finish()

    def _finish(self) -> None:
        log.info("%s is draining: %d tasks run", self.name, len(self._running))
        if self._stages < 2:
            self._drain()
        for task in list(self._running.values()):
            self._send(outcomes.released(task), hurry=True)
        self._stages = 2
        self.line.close()
        for worker in self._workers:
            if worker.name.endswith("-loop") and self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
            worker.join(0.5)
        if self._pool is not None:
            self._pool.close()
        for hold in self._holds.values():
            hold.release()
        if not any(worker.is_alive() for worker in self._workers):
            self.line.free()
        else:
            self.line.abandon()

    def _drain(self) -> None:
        """Ask for no more, then wait until nothing runs and nothing more can come."""
        deadline = time.monotonic() + self.drain_ms / 1000
        try:
            waiter = self.line.request("DRAIN", self.name)
        except (DeadlineError, GanglionError):
            return
        while not self._drained.wait(0.005) and time.monotonic() < deadline:
            if not self._running and (waiter.done or not self._has_coordinator()):
                return

    def _has_coordinator(self) -> bool:
        return is_owned(self.instance.ledger_dir, self.instance.queue)

    # -- working --------------------------------------------------------------------------

    def _work(self) -> None:
        """A worker thread: take, run, tell."""
        # A lone worker may take many at once; several share what is there, one by one.
        alone = self.threads == 1 and all(h.kind != "batch" for h in self._handlers.values())
        child = self._pool.worker() if self._pool is not None else None
        try:
            while self._stages < 2:
                incoming = self.line.take(TAKE_MESSAGES if alone else 1, 1000)
                if not incoming:
                    continue
                handler = self._handlers.get(incoming[0].action)
                if handler is not None and handler.kind == "batch":
                    self._run_batch(handler, incoming)
                else:
                    self._run_each(incoming, child)
        except Closed:
            pass
        finally:
            if child is not None:
                child.close()

    def _listen(self) -> None:
        """The control thread: hears a CANCEL or DRAIN while every worker runs a handler."""
        try:
            while self._stages < 2:
                self.line.take_overdue(60_000)
        except Closed:
            pass

    def _run_each(self, incoming: list[Incoming], child: Any) -> None:
        out: list[bytes] = []
        began = time.perf_counter_ns()
        for message in incoming:
            task = self._admit(message, out)
            if task is None:
                continue
            handler = self._handlers[message.action]
            if handler.kind == "async":
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._spawn, handler, task)
                continue
            out.append(self._run_one(handler, task, child))
            if time.perf_counter_ns() - began > FLUSH_NS:
                self._flush(out)
                began = time.perf_counter_ns()
        self._flush(out)

    def _admit(self, message: Incoming, out: list[bytes]) -> Task | None:
        """A ``Task`` of a message, or None when it is given back or cannot be run."""
        found = TOKEN.search(message.params)
        token = found[1] if found is not None else b"0"
        task = Task(
            self, message.action.decode(), message.task, token, message.params, message.payload
        )
        if self._stages or task.name in self._cancelled_early:
            self._cancelled_early.pop(task.name, None)
            out.append(outcomes.released(task))
            return None
        try:
            if message.action not in self._handlers:
                raise UsageError(f"{self.name} does not serve {task.action}")
            if b"blob=" in message.params and (ref := param(message.params, b"blob")):
                task.payload = self.line.spool.fetch(ref)
        except GanglionError as error:
            out.append(outcomes.failed(task, error))
            return None
        self._running[task.name] = task
        return task

    def _run_one(self, handler: Handler, task: Task, child: Any) -> bytes:
        try:
            if child is not None and handler.isolation == "process":
                task.on_cancel = child.kill
                return self._ended(task, child.run(task))
            return self._ended(task, handler.function(task))
        except WorkerDiedError as error:
            self._running.pop(task.name, None)
            return outcomes.released(task) if task.cancelled else outcomes.failed(task, error)
        except Exception as error:
            self._running.pop(task.name, None)
            return outcomes.failed(task, error)

    def _run_batch(self, handler: Handler, incoming: list[Incoming]) -> None:
        """Fill the batch with what comes within the window, and run it in one call."""
        if handler.batch > 1:
            window_us = int(handler.window_ms * 1000)
            action = handler.action.encode()
            incoming += self.line.take_more(action, handler.batch - 1, window_us)
        out: list[bytes] = []
        tasks = [task for message in incoming if (task := self._admit(message, out)) is not None]
        try:
            results = list(handler.function(tasks)) if tasks else []
            if len(results) != len(tasks):
                words = f"{len(results)} results for a batch of {len(tasks)} tasks"
                raise UsageError(f"{handler.action}: {words}")
        except Exception as error:
            results = [error] * len(tasks)
        out += [self._ended(task, result) for task, result in zip(tasks, results, strict=True)]
        self._flush(out)

    def _ended(self, task: Task, result: Any) -> bytes:
        self._running.pop(task.name, None)
        if isinstance(result, Exception):
            return outcomes.failed(task, result)
        try:
            line, hold = outcomes.completed(
                task, result, self.line.spool, self.line.inline_bytes_max
            )
        except Exception as error:
            return outcomes.failed(task, error)
        if hold is not None:
            self._holds[task.name.encode()] = hold
        return line

    # -- async handlers -----------------------------------------------------------------------

    def _spawn(self, handler: Handler, task: Task) -> None:
        job = asyncio.ensure_future(self._run_async(handler, task))
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            loop.call_soon_threadsafe(job.cancel)

        task.on_cancel = cancel

    async def _run_async(self, handler: Handler, task: Task) -> None:
        try:
            line = self._ended(task, await handler.function(task))
        except asyncio.CancelledError:
            self._running.pop(task.name, None)
            line = outcomes.released(task)
        except Exception as error:
            self._running.pop(task.name, None)
            line = outcomes.failed(task, error)
        # What ends in the same turn of the loop leaves in one datagram.
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush, self._out)
        self._out.append(line)

    # -- telling --------------------------------------------------------------------------

    def _flush(self, lines: list[bytes]) -> None:
        if lines:
            data = b"".join(lines)
            lines.clear()
            self._send(data)

    def _send(self, data: bytes, hurry: bool = False) -> None:
        try:
            self.line.send(data, lambda: hurry or self._stages > 1)
        except GanglionError as error:
            log.error("%s: outcomes could not be sent: %s", self.name, error)

    def _on_control(self, message: Incoming) -> None:
        if message.verb == VERB["CANCEL"]:
            name = message.task.decode()
            task = self._running.get(name)
            if task is None:
                # It is told before the task itself is taken: remembered until then.
                self._cancelled_early[name] = None
                while len(self._cancelled_early) > self.slots:
                    self._cancelled_early.pop(next(iter(self._cancelled_early)))
                return
            task.cancelled = True
            if task.on_cancel is not None:
                task.on_cancel()
        elif message.verb == VERB["DRAIN"]:
            self.stop()

    def _on_unclaimed(self, message: Incoming) -> None:
        """ACK:DONE of an outcome with a blob, or an outcome that came too late."""
        hold = self._holds.pop(message.task, None)
        if hold is not None:
            hold.release()
        if message.verb == VERB["REJECTED"]:
            words = message.payload.decode("utf-8", "replace")
            log.warning("task %s: outcome not applied: %s", message.task.decode(), words)

    # -- what a Task asks of its host -----------------------------------------------------------

    def emit(self, line: bytes) -> None:
        self._send(line)

    async def _await_async(self, waiter: Waiter, timeout: float | None) -> Any:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        def wake() -> None:
            loop.call_soon_threadsafe(settle)

        waiter.notify = wake
        if waiter.done:
            wake()
        try:
            await asyncio.wait_for(done, timeout)
        except asyncio.TimeoutError:
            raise DeadlineError("no answer in time") from None
        return waiter.result()

    def _start(self, action: str, payload: Any, options: dict[str, Any]) -> Any:
        with self.line.answered:
            submission, line = self.line.session.submit(action, payload, **options)
        self._send(line)
        return submission

    def call(
        self, action: str, payload: Any, *, timeout: float | None = None, **options: Any
    ) -> Outcome:
        submission = self._start(action, payload, {"ack": 0, **options})
        outcome: Outcome = self.line.wait_for(submission.outcome, timeout)
        return outcome.check()

    async def call_async(
        self, action: str, payload: Any, *, timeout: float | None = None, **options: Any
    ) -> Outcome:
        submission = self._start(action, payload, {"ack": 0, **options})
        outcome: Outcome = await self._await_async(submission.outcome, timeout)
        return outcome.check()

    def submit(self, action: str, payload: Any, **options: Any) -> str:
        submission = self._start(action, payload, options)
        name: str = self.line.wait_for(submission.acked, 30.0)
        return name

    async def submit_async(self, action: str, payload: Any, **options: Any) -> str:
        submission = self._start(action, payload, options)
        name: str = await self._await_async(submission.acked, 30.0)
        return name

    def result(self, task: str) -> Outcome:
        waiter = self.line.request("RESULT", task)
        return self.line.outcome_of(self.line.wait_for(waiter, 30.0))

    async def result_async(self, task: str) -> Outcome:
        waiter = self.line.request("RESULT", task)
        return self.line.outcome_of(await self._await_async(waiter, 30.0))
