"""``ganglion send``: the protocol itself, lines in and lines out."""

from __future__ import annotations

import argparse
import os
import re
import select
from collections import deque
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli.exits import FAILED, OK, InterruptedCommand
from ganglion.clients.cli.options import positive

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.cli.rawline import RawLine
    from ganglion.protocol.blobs import Hold
    from ganglion.protocol.errors import ProtocolError
    from ganglion.protocol.message import Message

HELP = """\
Pass protocol lines (TYPE:ACTION:TASK:PAYLOAD) from stdin to the coordinator, and print the lines
that come back as they are. Ends when all that was sent has ended; exit code 1 when a task was
buried, cancelled or rejected. A line that is no message is answered with RESPONSE:REJECTED here
and is not sent; reading goes on with the next. A DATA line without a task name is given one,
which its ACK shows. A payload too long for a message is sent as a blob."""
EXAMPLES = """\
examples:
  printf 'DATA:UPPER:t1:hello\\n' | ganglion send
  printf 'CONTROL:STATUS\\n' | ganglion send
  ganglion send --no-wait < tasks.txt
  echo CONTROL:WATCH | ganglion send --follow
"""
READ_BYTES = 65536
PAYLOAD_BYTES_MAX = 64 << 20
IDLE_MS = 200
FULL_MS = 5  # how soon a queue that was full is tried again
FROM_ROOM = 80  # for ;from=<peer>, which the link puts in


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--no-wait", action="store_true", help="end when everything is acknowledged")
    group.add_argument(
        "--follow",
        action="store_true",
        help="go on printing until Ctrl-C or the end of the coordinator",
    )
    parser.add_argument(
        "--window", type=positive, default=1000, metavar="N",
        help="stop reading while so many tasks are unfinished (1000)",
    )  # fmt: skip


def run(args: argparse.Namespace, context: Context) -> int:
    from ganglion.clients.cli.rawline import RawLine

    config = context.config
    with RawLine(config.instance, config["instance.transport"]) as line:
        return Send(args, context, line).run()


def claim(header: bytes) -> int:
    """The payload's bytes that a header claims.

    >>> claim(b"DATA:X:x;prio=9;len=12")
    12
    """
    found = re.findall(rb";len=([0-9]+)", header)
    return int(found[-1]) if found else 0


class Send:
    """One loop over stdin and the line; memory is bounded by the window."""

    def __init__(self, args: argparse.Namespace, context: Context, line: RawLine) -> None:
        from ganglion.clients.cli.tracking import Tracker
        from ganglion.protocol.blobs import Spool
        from ganglion.protocol.message import StreamParser

        self._args = args
        self._out = context.out
        self._line = line
        self._parser = StreamParser(inline_bytes_max=PAYLOAD_BYTES_MAX)
        self._tracker = Tracker(line.name)
        self._spool = Spool(line.instance)
        self._holds: dict[bytes, Hold] = {}
        self._parsed: deque[Message] = deque()
        self._outgoing = b""
        self._ended = False
        self._fence = f"{line.name}-end".encode()
        self._fence_sent = self._fence_back = False
        self._names = 0
        self._too_big = b""  # the last header of a payload over the limit

    def run(self) -> int:
        from ganglion.protocol.transport.endpoint import NoCoordinatorError

        try:
            while self._step():
                pass
        except NoCoordinatorError:
            if not self._args.follow or not self._ended:
                raise
        except KeyboardInterrupt:
            if not self._args.follow:
                self._out.flush()
                raise InterruptedCommand(self._left()) from None
        self._out.flush()
        return FAILED if self._tracker.bad else OK

    def _left(self) -> str:
        running = self._tracker.running
        return f"{running} task{'s go' if running > 1 else ' goes'} on (ganglion tasks)" * (
            running > 0
        )

    def _step(self) -> bool:
        """Send, receive, print, sleep. False: all is done."""
        self._prepare()
        full = self._push()
        while batch := self._line.receive(0):
            for message, raw in batch:
                self._came(message, raw)
        self._out.flush()
        if self._done():
            return False
        self._sleep(full)
        return True

    def _done(self) -> bool:
        tracker = self._tracker
        if not self._fence_back:
            return False
        return self._args.no_wait or (not tracker.running and not self._args.follow)

    # -- out ------------------------------------------------------------------------------

    def _room(self) -> int:
        tracker = self._tracker
        held = tracker.unacknowledged + (0 if self._args.no_wait else tracker.running)
        return int(self._args.window) - held

    def _prepare(self) -> None:
        """Format what was read, as much as the window lets."""
        if self._outgoing:
            return
        parts = []
        while self._parsed and self._room() > 0:
            message = self._parsed.popleft()
            raw = self._format(message)
            if raw is not None:
                parts.append(raw)
        if self._ended and not self._parsed and not self._fence_sent:
            # The coordinator answers in order: behind this answer nothing is missing but outcomes.
            parts.append(b"CONTROL:PING:%b\n" % self._fence)
            self._fence_sent = True
        self._outgoing = b"".join(parts)

    def _format(self, message: Message) -> bytes | None:
        """The bytes to send; None when it cannot be sent and that has been said."""
        from ganglion.protocol.errors import GanglionError
        from ganglion.protocol.message import INLINE_BYTES_MAX, Message

        if message.type == "DATA" and not message.task:
            self._names += 1
            name = f"{self._line.name}-{self._names}"
            message = Message("DATA", message.action, name, message.params, message.payload)
        try:
            raw = b"" if len(message.payload) > INLINE_BYTES_MAX else message.format()
            if not raw or len(raw) + FROM_ROOM > self._line.message_bytes_max:
                raw = self._as_blob(message)
        except GanglionError as error:
            words = str(error).partition(": ")[2] or str(error)
            self._refuse(message.task, error.code or "too_big", words)
            return None
        self._tracker.sent(message)
        return raw

    def _as_blob(self, message: Message) -> bytes:
        from ganglion.protocol.errors import PeerError
        from ganglion.protocol.message import Message

        if message.type not in ("DATA", "RESPONSE") or "blob" in message.params:
            raise PeerError("too_big", f"at most {self._line.message_bytes_max} bytes over a queue")
        hold = self._spool.publish(message.payload)
        # Kept until the coordinator says that it has the task, else until we end.
        self._holds[message.task.encode()] = hold
        params = {**message.params, "blob": hold.ref}
        return Message(message.type, message.action, message.task, params).format()

    def _push(self) -> bool:
        """Send; True when the coordinator takes no more for now."""
        if self._outgoing:
            done = self._line.send(self._outgoing)
            self._outgoing = self._outgoing[done:]
        return bool(self._outgoing)

    def _sleep(self, full: bool) -> None:
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        reading = not self._ended and not self._parsed and not full and self._room() > 0
        idle = FULL_MS if full else IDLE_MS
        if (self._parsed and self._room() > 0 and not full) or (
            self._ended and not self._fence_sent and not self._parsed
        ):
            return
        found: list[tuple[int, int]] = []
        try:
            if reading:
                poll.register(0, select.POLLIN)
            found = poll.poll(idle)
        except OSError:
            self._end_of_input()
        if any(fd == 0 for fd, _ in found):
            self._read()
        if not found and not full:
            self._line.check_alive()

    # -- in -------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            data = os.read(0, READ_BYTES)
        except OSError:  # closed: <&-
            data = b""
        if data:
            self._take(self._parser.feed(data))
        else:
            self._end_of_input()

    def _end_of_input(self) -> None:
        pending, skipping = self._parser.pending, self._parser.skipping
        items = self._parser.close()
        self._take(items)
        self._ended = True
        last = items[-1] if items else None
        if skipping:
            self._say_swallowed(self._too_big, claim(self._too_big) - skipping)
        elif isinstance(last, Exception) and last.code == "truncated":
            self._say_swallowed(last.raw, pending - len(last.raw) - 1)

    def _say_swallowed(self, header: bytes, taken: int) -> None:
        """Lines behind a ``len=`` that is wrong are not read as lines: say so."""
        from ganglion.clients.cli.context import say

        shown = header.decode("ascii", "replace")
        say(
            f"stdin ended inside a payload: the {taken} bytes behind {shown!r} were taken as its "
            f"payload, of which len= claims {claim(header)}"
        )

    def _take(self, items: list[Message | ProtocolError]) -> None:
        for item in items:
            if isinstance(item, Exception):
                from ganglion.protocol.errors import code_text

                self._refuse(item.task, item.code, item.words or code_text(item.code))
                if item.code == "too_big":
                    self._too_big = item.raw
            else:
                self._parsed.append(item)

    def _refuse(self, task: str, code: str, words: str) -> None:
        """What the coordinator would have said."""
        self._out.write(f"RESPONSE:REJECTED:{task}:{code} {words}\n".encode())
        self._tracker.bad += 1

    def _came(self, message: Any, raw: bytes) -> None:
        from ganglion.protocol.batch import VERB

        if message.verb == VERB["PONG"] and message.task == self._fence:
            self._fence_back = True
            self._tracker.settle()
            return
        if message.verb in (VERB["RECEIVED"], VERB["REJECTED"]) and self._holds:
            hold = self._holds.pop(message.task, None)
            if hold is not None:
                hold.release()
        self._tracker.came(message)
        self._out.write(raw)
