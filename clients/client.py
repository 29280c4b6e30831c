"""The blocking client: submit tasks, wait for results, steer and look.

>>> from ganglion.clients import Client
>>> with Client() as client:  # an agent serves UPPER
...     client.call("UPPER", "hello", timeout=30).payload
b'HELLO'

Threads may share a client: whoever waits receives for all (one thread at a time), so that a
lone caller pays for no extra thread and no extra wake-up.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ganglion.protocol._native import ffi, lib
from ganglion.protocol.batch import BATCH_MESSAGES, Incoming, unpack
from ganglion.protocol.errors import PeerError, TransportError
from ganglion.protocol.instance import Instance
from ganglion.protocol.session import (
    DeadlineError,
    Form,
    Outcome,
    Session,
    Submission,
    Waiter,
    parse_params,
    registration,
    tasks_filter,
)
from ganglion.protocol.transport.endpoint import (
    Endpoint,
    NoCoordinatorError,
    choose,
    no_coordinator,
    no_welcome,
)
from ganglion.protocol.transport.ledger import is_owned

# A wait is cut into pieces so that Ctrl-C and a coordinator that died are noticed.
WAIT_MS = 200


def client_name() -> str:
    """A peer name that no other client has."""
    return f"c{os.getpid()}-{os.urandom(3).hex()}"


class Client:
    """A connection to the coordinator of an instance.

    Args:
        instance: its name; None takes ``GANGLION_INSTANCE``, else ``main``. Or an ``Instance``.
        transport: ``auto`` (a POSIX queue, else the Unix socket), ``mqueue`` or ``unix``.
        timeout: seconds that an answer of the coordinator itself may take.

    Raises:
        NoCoordinatorError: none serves the instance.
        DeadlineError: one does, but did not answer in time.
        TransportError: no transport can be had (the text says why).
    """

    def __init__(
        self,
        instance: str | Instance | None = None,
        *,
        transport: str = "auto",
        timeout: float = 10.0,
    ) -> None:
        if not isinstance(instance, Instance):
            instance = Instance.from_environment(instance)
        self.instance = instance
        self.timeout = timeout
        self._endpoint = Endpoint(instance, client_name(), choose(transport))
        self._link = self._endpoint.link
        self.session = Session.over(self._endpoint, self.instance)
        self._messages = ffi.new("gn_msg[]", BATCH_MESSAGES)
        self._base = ffi.new("uint8_t **")
        self._changed = threading.Condition()
        self._pumping = False
        self._closed = False
        try:
            self._register()
        except BaseException:
            self.close()
            raise

    def _register(self) -> None:
        body = json.dumps(registration(self._endpoint.inbox_name)).encode()
        waiter, line = self.session.request("REGISTER", self._endpoint.name, body)
        # One limit for both: a stopped coordinator's queue may be full as well.
        deadline = time.monotonic() + self.timeout
        try:
            self._send(line, deadline)
            self._wait(lambda: waiter.done, deadline, "CONTROL:REGISTER")
        except DeadlineError:
            raise DeadlineError(no_welcome(self.instance)) from None
        waiter.result()

    @property
    def transport(self) -> str:
        """The transport in use: ``mqueue`` or ``unix``."""
        return self._endpoint.route.kind

    # -- waiting --------------------------------------------------------------------------

    def _send(self, data: bytes, deadline: float | None = None) -> None:
        """Send whole messages; a full queue blocks until the deadline.

        Raises:
            DeadlineError: the queue stayed full. TransportError: the link broke.
        """
        sent = 0
        limit = time.monotonic() + self.timeout if deadline is None else deadline
        while sent < len(data):
            chunk = data if sent == 0 else data[sent:]
            done = lib.gn_link_send(self._link, chunk, len(chunk), WAIT_MS)
            if done > 0:
                sent += done
            elif -done in (11, 110, 4) or done == 0:  # EAGAIN, ETIMEDOUT, EINTR
                if time.monotonic() >= limit:
                    raise DeadlineError(
                        "the coordinator's queue stayed full: it is busy or stopped"
                    )
                self._receive(0)  # its answers may be what blocks it
                self._check_alive()
            else:
                raise TransportError(-done, f"cannot send: {os.strerror(-done)}")

    def _receive(self, timeout_ms: int) -> bool:
        """Receive one batch for everybody. False when nothing came."""
        with self._changed:
            if self._pumping:
                self._changed.wait(timeout_ms / 1000)
                return True
            self._pumping = True
        count = 0
        try:
            count = lib.gn_link_recv(
                self._link, self._messages, BATCH_MESSAGES, timeout_ms, self._base
            )
            batch = unpack(self._messages, count, self._base[0]) if count > 0 else []
        finally:
            with self._changed:
                self._pumping = False
                if count > 0:
                    self.session.dispatch(batch)
                self._changed.notify_all()
        if count < 0:
            self._broken(-count)
        return bool(count > 0)

    def _broken(self, number: int) -> None:
        error = NoCoordinatorError(number, f"the coordinator went away ({os.strerror(number)})")
        self.session.fail(error)
        raise error

    def _check_alive(self) -> None:
        """Raise when a queue's reader is gone (a socket tells by itself)."""
        if self.transport == "mqueue" and not is_owned(
            self.instance.ledger_dir, self.instance.queue
        ):
            error = NoCoordinatorError(0, no_coordinator(self.instance))
            self.session.fail(error)
            raise error

    def _wait(self, done: Callable[[], bool], deadline: float | None, what: str) -> None:
        while not done():
            left = WAIT_MS
            if deadline is not None:
                left = min(left, int((deadline - time.monotonic()) * 1000) + 1)
                if left <= 0:
                    raise DeadlineError(f"{what}: no answer in time")
            if not self._receive(left) and not done():
                self._check_alive()

    def _wait_for(self, waiter: Waiter, timeout: float | None, what: str) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        self._wait(lambda: waiter.done, deadline, what)
        return waiter.result()

    def _request(
        self, verb: str, subject: str | None = None, payload: bytes = b"", **params: Any
    ) -> Any:
        with self._changed:
            waiter, line = self.session.request(verb, subject, payload, **params)
        self._send(line)
        return self._wait_for(waiter, self.timeout, f"CONTROL:{verb}")

    # -- tasks ----------------------------------------------------------------------------

    def start(self, action: str, payload: Any = b"", **options: Any) -> Submission:
        """Send a task without waiting even for its acknowledgement. Options as ``submit``."""
        with self._changed:
            submission, line = self.session.submit(action, payload, **options)
        self._send(line)
        return submission

    def start_many(
        self,
        action: str,
        payloads: Iterable[Any],
        names: Iterable[str] | None = None,
        **options: Any,
    ) -> list[Submission]:
        """Send several tasks in as few datagrams as they fit in; ``names`` gives each its own.

        The caller bounds how many are unfinished, and goes on with ``pump``. Options as ``submit``.
        """
        started, lines = [], []
        given = iter(names) if names is not None else itertools.repeat(None)
        with self._changed:
            for payload, name in zip(payloads, given, strict=False):
                submission, line = self.session.submit(action, payload, task=name, **options)
                started.append(submission)
                lines.append(line)
        self._send(b"".join(lines))
        return started

    def fileno(self) -> int:
        """The descriptor that is readable when something has come in: for poll and select."""
        return int(lib.gn_link_read_fd(self._link))

    def pump(self, timeout: float) -> bool:
        """Receive what comes within ``timeout`` seconds. False: nothing did.

        For programs with a loop of their own (poll on ``fileno()``): pump until False, then wait.

        Raises:
            NoCoordinatorError: it went away.
        """
        if self._receive(int(timeout * 1000)):
            return True
        if timeout > 0:
            self._check_alive()
        return False

    def submit(self, action: str, payload: Any = b"", **options: Any) -> str:
        """Submit a task; returns its name once the coordinator has accepted it.

        Options: ``task`` (a name: the same name again returns the same result), ``ct``, ``prio`` (0
        to 9 or low, normal, high, urgent), ``delay``, ``ttl``, ``lease``, ``keep`` (ms), ``tries``,
        ``via`` (list of actions), ``after`` (list of tasks), ``trace``; other keywords travel with
        the task.

        Raises:
            PeerError: rejected, with ``code``. DeadlineError: no answer in time.
        """
        submission = self.start(action, payload, **options)
        name: str = self._wait_for(submission.acked, self.timeout, f"task {submission.task}")
        return name

    def call(
        self,
        action: str,
        payload: Any = b"",
        *,
        timeout: float | None = None,
        on_stream: Callable[[str, dict[str, str], bytes], None] | None = None,
        **options: Any,
    ) -> Outcome:
        """Submit a task and wait for its result.

        ``on_stream(kind, params, payload)`` is called for every progress and partial result.

        Raises:
            TaskBuriedError, TaskCancelledError: it did not complete. PeerError: rejected.
            DeadlineError: no result within ``timeout`` seconds; the task goes on.
        """
        options.setdefault("ack", 0)
        with self._changed:
            submission, line = self.session.submit(action, payload, **options)
            submission.on_stream = on_stream
        self._send(line)
        return self.wait(submission, timeout)

    def wait(self, submission: Submission, timeout: float | None = None) -> Outcome:
        """The outcome of a started task. Raises as ``call``."""
        try:
            outcome: Outcome = self._wait_for(
                submission.outcome, timeout, f"task {submission.task}"
            )
        except BaseException:
            self.session.forget(submission)
            raise
        return outcome.check()

    def map(
        self,
        action: str,
        payloads: Iterable[Any],
        *,
        window: int = 1000,
        check: bool = True,
        **options: Any,
    ) -> Iterator[Outcome]:
        """Many tasks, at most ``window`` of them unfinished; their outcomes in the order of
        ``payloads``.

        Lazy on both sides: payloads are taken as there is room, outcomes yielded as they are due.

        Raises:
            PeerError, StateError, HostError: a task was rejected. TaskBuriedError,
                TaskCancelledError: one did not complete, unless ``check`` is False.
        """
        options["ack"] = 0
        form = self.session.form(action, **options)
        source = iter(payloads)
        waiting: deque[Submission] = deque()
        more = True
        try:
            while more or waiting:
                if more and len(waiting) <= window // 2:
                    more = self._fill(form, source, waiting, window)
                    if not waiting:
                        break
                first = waiting[0]
                if not first.outcome.done:
                    self._wait(lambda: first.outcome.done, None, action)  # noqa: B023
                while waiting and waiting[0].outcome.done:
                    outcome: Outcome = waiting.popleft().outcome.result()
                    yield outcome.check() if check else outcome
        finally:
            for submission in waiting:
                self.session.forget(submission)

    def _fill(
        self, form: Form, source: Iterator[Any], waiting: deque[Submission], window: int
    ) -> bool:
        """Send tasks until the window is full. False when the source has ended."""
        lines = []
        more = True
        with self._changed:
            for payload in itertools.islice(source, window - len(waiting)):
                submission, line = form(payload)
                waiting.append(submission)
                lines.append(line)
            more = len(waiting) == window
        self._send(b"".join(lines))
        return more

    def result(self, task: str) -> Outcome | dict[str, Any]:
        """The outcome of a task that has ended, or a dictionary with its state."""
        answer = self._request("RESULT", task)
        return answer if isinstance(answer, Outcome) else _json(answer)

    # -- steering -------------------------------------------------------------------------

    def cancel(self, task: str) -> None:
        """Cancel: at once when it is not running, else its agent is told to stop."""
        self._request("CANCEL", task)

    def kick(self, task: str) -> None:
        """Bring a buried task back with fresh tries; make a delayed one ready now."""
        self._request("KICK", task)

    def kick_action(self, action: str, count: int | None = None) -> int:
        """Kick the ``count`` oldest (None: all) buried tasks of an action; returns how many."""
        payload = action if count is None else f"{action} {count}"
        return int(self._request("KICK", None, payload.encode()).payload or 0)

    def pause(self, action: str) -> None:
        """Hand out no task of this action until ``resume``."""
        self._request("PAUSE", None, action.encode())

    def resume(self, action: str) -> None:
        self._request("RESUME", None, action.encode())

    def assign(self, task: str, agent: str) -> None:
        """Hand a ready or delayed task to this agent now."""
        self._request("ASSIGN_TASK", task, agent.encode())

    def drain(self, agent: str | None = None) -> None:
        """An agent takes no more tasks; without one the coordinator finishes all and ends."""
        self._request("DRAIN", agent)

    # -- looking --------------------------------------------------------------------------

    def peek(self, task: str) -> dict[str, Any]:
        """Everything about a task, and the beginning of its payload."""
        found: dict[str, Any] = _json(self._request("PEEK", task))
        return found

    def status(self) -> dict[str, Any]:
        """Gauges with their bounds, and counts for each action."""
        found: dict[str, Any] = _json(self._request("STATUS"))
        return found

    def agents(self) -> Iterator[dict[str, Any]]:
        """A dictionary for every agent."""
        return self._pages("AGENTS", lambda after: after.encode())

    def tasks(
        self, state: str | None = None, action: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """A dictionary for every task, in order of acceptance."""

        return self._pages("TASKS", lambda after: tasks_filter(state, action, after))

    def _pages(self, verb: str, body: Callable[[str], bytes]) -> Iterator[dict[str, Any]]:
        after = ""
        while True:
            answer: Incoming = self._request(verb, None, body(after))
            yield from _json(answer)
            after = parse_params(answer.params).get("next", "")
            if not after:
                return

    def ping(self) -> float:
        """Round trip to the coordinator in seconds."""
        start = time.perf_counter()
        self._request("PING")
        return time.perf_counter() - start

    def watch(self, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """Every change of every task, as dictionaries with ``task`` and what SPEC.md's EVENT
        holds.
        """
        events: deque[dict[str, Any]] = deque()
        self.session.on_event = lambda params, task, payload: events.append(
            {"task": task.decode(), **json.loads(payload)}
        )
        self._watch_all()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                self._wait(lambda: bool(events), deadline, "watch")
            except DeadlineError:
                return
            while events:
                yield events.popleft()

    def _watch_all(self) -> None:
        with self._changed:
            waiter = self.session.expect(b"")
        self._send(b"CONTROL:WATCH\n")
        self._wait_for(waiter, self.timeout, "CONTROL:WATCH")

    def watch_task(
        self,
        task: str,
        on_stream: Callable[[str, dict[str, str], bytes], None] | None = None,
        timeout: float | None = None,
    ) -> Outcome:
        """Wait for a task that somebody else submitted. Raises as ``call``."""
        with self._changed:
            submission = self.session.follow(task)
            submission.on_stream = on_stream
        self._request("WATCH", task)
        return self.wait(submission, timeout)

    # -- life -----------------------------------------------------------------------------

    def close(self) -> None:
        """Say goodbye and remove this client's queue. Tasks go on without it."""
        if self._closed:
            return
        self._closed = True
        if getattr(self, "_link", None) is not None:
            bye = f"CONTROL:BYE:{self._endpoint.name}\n".encode()
            lib.gn_link_send(self._link, bye, len(bye), 100)
        self._endpoint.close()
        self.session.fail(PeerError("unknown_sender", "the client was closed"))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _json(message: Incoming) -> Any:
    return json.loads(message.payload)
