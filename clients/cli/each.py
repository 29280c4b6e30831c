"""``ganglion call --each``: a task for every line, results in order, a bounded window.

One loop over two descriptors, stdin and what comes from the coordinator, so that neither a slow
producer holds up results nor a slow task the reading of others.
"""

from __future__ import annotations

import argparse
import select
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli import results
from ganglion.clients.cli.exits import FAILED, OK, InterruptedCommand, words_of
from ganglion.clients.cli.lines import Lines
from ganglion.clients.cli.waiting import goes_on

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.client import Client
    from ganglion.protocol.session import Submission, Waiter

IDLE_MS = 200


class _Item:
    """One line and what became of it."""

    __slots__ = ("deadline", "number", "submission")

    def __init__(self, number: int, submission: Submission, deadline: float) -> None:
        self.number = number
        self.submission = submission
        self.deadline = deadline


class Each:
    """The loop."""

    def __init__(
        self, args: argparse.Namespace, context: Context, client: Client, options: dict[str, Any]
    ) -> None:
        self._args = args
        self._context = context
        self._client = client
        self._options = options if args.no_wait else {"ack": 0, **options}
        self._ending = b"\0" if args.null else b"\n"
        self._lines = Lines(0, self._ending)
        self._waiting: deque[_Item] = deque()
        self._number = 0
        self._done = 0
        self._failed = 0

    def run(self) -> int:
        try:
            with self._context.progress(self._args.action) as progress:
                while self._step():
                    progress.update(self._done, f"{len(self._waiting)} under way")
        except KeyboardInterrupt:
            self._context.out.flush()
            raise InterruptedCommand(self._left()) from None
        self._context.out.flush()
        if self._failed:
            self._context.note(f"{self._failed} of {self._number} tasks failed")
        return FAILED if self._failed else OK

    def _left(self) -> str:
        if len(self._waiting) == 1:
            return goes_on(self._waiting[0].submission.task)
        parts = []
        if self._done:
            parts.append(f"{self._done} result{'s' * (self._done != 1)} printed")
        if self._waiting:
            parts.append(f"{len(self._waiting)} {'more ' * bool(self._done)}tasks go on")
        return "; ".join(parts)

    # -- one turn -------------------------------------------------------------------------

    def _step(self) -> bool:
        """Submit, receive, print; then sleep until something can be done. False: all is done."""
        self._submit()
        while self._client.pump(0):
            pass
        self._print()
        if self._lines.ended and not self._lines.ready and not self._waiting:
            return False
        self._sleep()
        return True

    def _submit(self) -> None:
        args, lines = self._args, self._lines
        room = args.window - len(self._waiting)
        # Few large datagrams rather than many small ones: wait for a quarter of the window.
        if not lines.ready or room < min(len(lines.ready), max(1, args.window // 4)):
            return
        payloads = lines.take(room)
        names = None
        if args.task:
            names = [f"{args.task}-{self._number + i}" for i in range(1, len(payloads) + 1)]
        started = self._client.start_many(args.action, payloads, names, **self._options)
        deadline = float("inf")
        if args.timeout is not None:
            deadline = time.monotonic() + args.timeout / 1000
        for submission in started:
            self._number += 1
            self._waiting.append(_Item(self._number, submission, deadline))

    def _sleep(self) -> None:
        if not self._client.connected:  # there is nothing to poll
            self._client.pump(IDLE_MS / 1000)
            return
        poll = select.poll()
        poll.register(self._client.fileno(), select.POLLIN)
        lines = self._lines
        reading = not lines.ended and not lines.ready and len(self._waiting) < self._args.window
        if reading:
            try:
                poll.register(lines.fd, select.POLLIN)
                found = poll.poll(0 if self._head_is_done() else IDLE_MS)
            except (OSError, ValueError):
                found = [(lines.fd, select.POLLNVAL)]
        elif self._head_is_done() or (lines.ready and len(self._waiting) < self._args.window // 2):
            return
        else:
            found = poll.poll(IDLE_MS)
        if any(fd == lines.fd for fd, _ in found):
            lines.read()
        if not found:
            self._client.pump(0.001)  # looks whether the coordinator is still there, and says again

    # -- results --------------------------------------------------------------------------

    def _end(self, item: _Item) -> Waiter:
        submission = item.submission
        return submission.acked if self._args.no_wait else submission.outcome

    def _head_is_done(self) -> bool:
        return bool(self._waiting) and self._end(self._waiting[0]).done

    def _print(self) -> None:
        from ganglion.protocol.session import DeadlineError

        printed = False
        while self._waiting:
            item = self._waiting[0]
            waiter = self._end(item)
            if not waiter.done:
                if time.monotonic() < item.deadline:
                    break
                task = item.submission.task
                refusal = self._client.session.refusal(item.submission)
                waiter.set(error=refusal or DeadlineError(f"task {task}: no result in time"))
                self._client.session.forget(item.submission)
            self._waiting.popleft()
            try:
                self._write(item, waiter)
            except Exception as error:
                self._fail(item, error)
            self._done += 1
            printed = True
            if self._args.no_wait:
                self._client.session.forget(item.submission)
        if printed:
            self._context.out.flush()

    def _write(self, item: _Item, waiter: Waiter) -> None:
        args, out = self._args, self._context.out
        value = waiter.result()
        if args.no_wait:
            value = {"line": item.number, "task": value} if args.json else value.encode()
        elif args.json:
            value = results.record(value.check(), line=item.number)
        else:
            value = value.check().payload
        if args.json:
            out.json(value)
            return
        # One line a result: its own last newline is the line's.
        cut = len(value) - (bytes(value[-1:]) == b"\n" and self._ending == b"\n")
        out.write(bytes(value[:cut]) + self._ending)

    def _fail(self, item: _Item, error: Exception) -> None:
        """--keep-going: one line on stderr (and an object with --json). Else the error itself."""
        from ganglion.clients.cli.context import say
        from ganglion.protocol.errors import GanglionError

        if not self._args.keep_going or not isinstance(error, GanglionError):
            self._context.out.flush()
            if len(self._waiting):
                self._context.note(f"{len(self._waiting)} tasks behind the failed one go on")
            raise error
        self._failed += 1
        say(f"line {item.number}: {words_of(error)}")
        if self._args.json:
            outcome = getattr(error, "outcome", None)
            if outcome is not None:
                self._context.out.json(results.record(outcome, line=item.number))
            else:
                self._context.out.json(
                    {"line": item.number, "task": item.submission.task, "status": "rejected",
                     "reason": getattr(error, "code", ""), "words": words_of(error)}
                )  # fmt: skip
