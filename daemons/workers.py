"""The threads of an agent: they take tasks, run handlers and tell the outcomes.

Worker threads run sync and batch handlers; one thread with an event loop runs async handlers; the
control thread hears a CANCEL or DRAIN while every worker is busy. Owns: what runs now, the blobs of
outcomes that are not acknowledged. Knows nothing of signals and of how the agent began.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ganglion.daemons import outcome as outcomes
from ganglion.daemons.handlers import Handler
from ganglion.daemons.line import TAKE_MESSAGES, Closed, Line
from ganglion.daemons.requests import Requests
from ganglion.daemons.task import Task
from ganglion.daemons.warm import WarmPool, WorkerDiedError
from ganglion.protocol.batch import VERB, Incoming, param
from ganglion.protocol.blobs import Hold
from ganglion.protocol.errors import GanglionError, UsageError

log = logging.getLogger("ganglion")

TOKEN = re.compile(rb"(?:^|;)token=([0-9]+)")
# Blobs of outcomes held until they are acknowledged; each is a descriptor.
HOLDS_MAX = 1024
# Outcomes of quick handlers leave together, but none waits for longer than this.
FLUSH_NS = 500_000
JOIN_SECONDS = 0.5
STOP_SECONDS = 2.0


class Workers:
    """The threads of one agent.

    Args:
        handlers: by action; complete when ``start`` is called. threads: how many workers.
        on_drain: called when the coordinator tells the agent to drain.
    """

    def __init__(
        self, handlers: Mapping[bytes, Handler], threads: int, on_drain: Callable[[], None]
    ) -> None:
        self._handlers = handlers
        self._count = threads
        self._on_drain = on_drain
        self._slots = 1
        self._pool: WarmPool | None = None
        self.running: dict[str, Task] = {}
        self.refusing = False  # give back what comes
        self._leaving = False
        self._holds: dict[bytes, Hold] = {}
        self._cancelled_early: dict[str, bytes | None] = {}
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._out: list[bytes] = []

    def start(self, line: Line, slots: int, pool: WarmPool | None) -> None:
        """Begin to take tasks from ``line``, which holds ``slots`` at a time.

        ``pool``: child processes for the handlers that want one.
        """
        self._line = line
        self._slots = slots
        self._pool = pool
        self._host = Requests(line, self.send)
        line.session.on_unclaimed = self._on_unclaimed
        if any(handler.kind == "async" for handler in self._handlers.values()):
            self._loop = asyncio.new_event_loop()
            self._begin(self._loop.run_forever, "loop")
        for number in range(self._count):
            self._begin(self._work, f"worker-{number}")
        self._begin(self._listen, "control")

    def _begin(self, target: Callable[[], Any], name: str) -> None:
        thread = threading.Thread(target=target, name=f"{self._line.name}-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def give_back(self) -> None:
        """Release what runs, and stop it where it can be: another agent will run it, and no command
        or child may go on beside that. What still comes of it is stale.
        """
        self._leaving = True
        left = list(self.running.values())
        self.send(b"".join(outcomes.released(task) for task in left))
        stops = []
        for task in left:
            task.cancelled = True
            if task.on_cancel is not None:
                stops.append(threading.Thread(target=task.on_cancel, daemon=True))
                stops[-1].start()
        for stop in stops:  # a command has a second to end, and all have the same one
            stop.join(STOP_SECONDS)

    def join(self) -> bool:
        """After the line was closed: whether every thread has ended."""
        self._leaving = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        for hold in self._holds.values():
            hold.release()
        return not any(thread.is_alive() for thread in self._threads)

    # -- working --------------------------------------------------------------------------

    def _work(self) -> None:
        """A worker thread: take, run, tell."""
        # A lone worker may take many at once; several share what is there, one by one.
        alone = self._count == 1 and all(h.kind != "batch" for h in self._handlers.values())
        child = self._pool.worker() if self._pool is not None else None
        try:
            while not self._leaving:
                incoming = self._line.take(TAKE_MESSAGES if alone else 1, 1000)
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
            while not self._leaving:
                self._line.take_overdue(60_000)
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
            self._host,
            message.action.decode(),
            message.task,
            token,
            message.params,
            message.payload,
        )
        if self.refusing or self._cancelled_early.pop(task.name, b"") in (token, None):
            out.append(outcomes.released(task))
            return None
        try:
            if message.action not in self._handlers:
                raise UsageError(f"{self._line.name} does not serve {task.action}")
            if b"blob=" in message.params and (ref := param(message.params, b"blob")):
                task.payload = self._line.spool.fetch(ref)
        except GanglionError as error:
            out.append(outcomes.failed(task, error))
            return None
        self.running[task.name] = task
        return task

    def _run_one(self, handler: Handler, task: Task, child: Any) -> bytes:
        try:
            if child is not None and handler.isolation == "process":
                task.on_cancel = child.kill
                return self._ended(task, child.run(task))
            return self._ended(task, handler.function(task))
        except WorkerDiedError as error:
            self.running.pop(task.name, None)
            return outcomes.released(task) if task.cancelled else outcomes.failed(task, error)
        except Exception as error:
            self.running.pop(task.name, None)
            return outcomes.failed(task, error)

    def _run_batch(self, handler: Handler, incoming: list[Incoming]) -> None:
        """Fill the batch with what comes within the window, and run it in one call."""
        if handler.batch > 1:
            window_us = int(handler.window_ms * 1000)
            action = handler.action.encode()
            incoming += self._line.take_more(action, handler.batch - 1, window_us)
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
        self.running.pop(task.name, None)
        if isinstance(result, Exception):
            return outcomes.failed(task, result)
        try:
            line, hold = outcomes.completed(
                task, result, self._line.spool, self._line.inline_bytes_max
            )
        except Exception as error:
            return outcomes.failed(task, error)
        if hold is not None:
            self._holds[task.name.encode()] = hold
            while len(self._holds) > HOLDS_MAX:  # acknowledgements that a dead coordinator owes
                self._holds.pop(next(iter(self._holds))).release()
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
            self.running.pop(task.name, None)
            line = outcomes.released(task)
        except Exception as error:
            self.running.pop(task.name, None)
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
            self.send(data)

    def send(self, data: bytes) -> None:
        """Send whole messages, for as long as it takes while the agent stays."""
        try:
            self._line.send(data, lambda: self._leaving)
        except GanglionError as error:
            # Who leaves has given it back, or the coordinator does when the lease ends.
            level = logging.INFO if self._leaving else logging.ERROR
            log.log(level, "%s: outcomes could not be sent: %s", self._line.name, error)

    def on_control(self, message: Incoming) -> None:
        """A CONTROL message from the coordinator."""
        if message.verb == VERB["DRAIN"]:
            self._on_drain()
        elif message.verb == VERB["CANCEL"]:
            self._cancel(message.task.decode(), param(message.params, b"token"))

    def _cancel(self, name: str, token: bytes | None) -> None:
        task = self.running.get(name)
        if task is None:
            # It is told before the task itself is taken: remembered until then.
            self._cancelled_early[name] = token
            while len(self._cancelled_early) > self._slots:
                self._cancelled_early.pop(next(iter(self._cancelled_early)))
        elif token in (task.token, None) and not task.cancelled:
            # Else it is about an earlier lease of the same task, or told once more.
            task.cancelled = True
            if task.on_cancel is not None:
                task.on_cancel()

    def _on_unclaimed(self, message: Incoming) -> None:
        """ACK:DONE of an outcome with a blob, or an outcome that came too late."""
        hold = self._holds.pop(message.task, None)
        if hold is not None:
            hold.release()
        if message.verb == VERB["REJECTED"]:
            words = message.payload.decode("utf-8", "replace")
            log.warning("task %s: outcome not applied: %s", message.task.decode(), words)
