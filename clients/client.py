"""The blocking client: submit tasks, wait for results, steer and look.

>>> from ganglion.clients import Client
>>> with Client() as client:  # an agent serves UPPER
...     client.call("UPPER", "hello", timeout=30).payload
b'HELLO'

Threads may share a client. A coordinator that goes away and comes back is an interruption, no
error: see ``reconnect``.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ganglion.clients.connection import Connection, client_name
from ganglion.clients.steering import Steering
from ganglion.protocol._native import lib
from ganglion.protocol.session import DeadlineError, Form, Outcome, Submission

__all__ = ["Client", "client_name"]


class Client(Steering, Connection):
    """A connection to the coordinator of an instance.

    Args:
        instance: its name; None takes ``GANGLION_INSTANCE``, else ``main``. Or an ``Instance``.
        transport: ``auto`` (a POSIX queue, else the Unix socket), ``mqueue`` or ``unix``.
        timeout: seconds that an answer of the coordinator itself may take, while it is there.
        reconnect: seconds that a coordinator which went away is waited for. It is looked for ten
            times a second; when it is back this client registers again, sends again what was not
            acknowledged, and watches again what was. 0: its going is an error at once.

    A submission or request that is refused because a table is at its bound or the journal cannot be
    written (``busy``, ``journal``) is sent again after pauses of 50 ms to 2 s, within the caller's
    own limit: ``timeout`` of ``call`` and ``wait``, the client's ``timeout`` else. When the limit
    comes first, the refusal is what is raised.

    Raises:
        NoCoordinatorError: none serves the instance.
        DeadlineError: one does, but did not answer in time.
        TransportError: no transport can be had (the text says why).
    """

    # -- tasks ----------------------------------------------------------------------------

    def start(self, action: str, payload: Any = b"", **options: Any) -> Submission:
        """Send a task without waiting even for its acknowledgement. Options as ``submit``."""
        with self._changed:
            submission, line = self.session.submit(action, payload, **options)
        self._send_tasks(line, [submission])
        return submission

    def _send_tasks(
        self, lines: bytes, submissions: Iterable[Submission], deadline: float | None = None
    ) -> None:
        try:
            self._send(lines, deadline)
        except BaseException:
            with self._changed:
                for submission in submissions:
                    self.session.forget(submission)
            raise

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
        self._send_tasks(b"".join(lines), started)
        return started

    def fileno(self) -> int:
        """The descriptor that is readable when something has come in: for poll and select."""
        return int(lib.gn_link_read_fd(self._endpoint.link))

    def pump(self, timeout: float) -> bool:
        """Receive what comes within ``timeout`` seconds. False: nothing did.

        For programs with a loop of their own: pump until False, then poll ``fileno()``, for 200 ms
        at most; pump again after that, whether something came or not. While not ``connected`` there
        is nothing to poll, and pump itself waits.

        Raises:
            NoCoordinatorError: it went away and did not come back.
        """
        if self._turn(int(timeout * 1000)):
            return self._presence.is_here
        if timeout > 0:
            self._check_alive()
        return False

    def submit(self, action: str, payload: Any = b"", **options: Any) -> str:
        """Submit a task; returns its name once the coordinator has accepted it.

        Options: ``task`` (a name: the same name again returns the same result), ``ct``, ``prio`` (0
        to 9 or low, normal, high, urgent), ``delay``, ``ttl``, ``lease``, ``keep`` (ms), ``tries``,
        ``via`` (list of actions), ``after`` (list of tasks), ``trace``; other keywords travel with
        the task. And:

        - ``once`` (True): it is handed out at most once, whatever happens.
        - ``retry`` (list of ms): the pauses between its tries; the last one repeats.
        - ``needs``: what of ``after`` it waits for: ``all`` done (default), ``ended`` however, or
          ``any`` done.
        - ``key`` (text): tasks of one key run one at a time, in order.
        - ``label`` (list of up to 4 names): what ``limit`` can be set on.
        - ``dup``: when the name is taken: ``existing`` (default) gives that task's result,
          ``reject`` refuses, ``replace`` puts this one in place of one that has not started.

        Raises:
            UsageError: an option that could not mean what was meant; nothing was sent.
            PeerError: rejected, with ``code``. DeadlineError: no answer in time.
        """
        submission = self.start(action, payload, **options)
        self.acknowledged(submission)
        submission.is_left = True
        return submission.task

    def acknowledged(self, submission: Submission) -> Submission:
        """Wait until the coordinator has accepted a started task. Raises as ``submit``."""
        try:
            acked = submission.acked
            self._wait(
                lambda: acked.done, time.monotonic() + self.timeout, f"task {submission.task}",
                self.timeout,
            )  # fmt: skip
            acked.result()
        except BaseException as error:
            refusal = self.session.refusal(submission)
            with self._changed:
                self.session.forget(submission)
            if refusal is not None and isinstance(error, DeadlineError):
                raise refusal from None
            raise
        return submission

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
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            submission, line = self.session.submit(action, payload, **options)
            submission.on_stream = on_stream
        self._send_tasks(line, [submission], deadline)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return self.wait(submission, left)

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
