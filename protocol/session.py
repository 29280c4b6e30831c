"""What a peer remembers between its request and the answer: bookkeeping without IO.

Owns: names of tasks and requests, who waits for which answer, blobs held until they were
acknowledged. Knows no descriptors, threads or event loops: bytes to send are returned, messages
that came in are given to ``dispatch``. Client, AsyncClient and the agent kit are this plus a way to
wait.

A request is answered on the word in the third field of its message: a task's name, or a word of
this session's own. Requests with the same word are answered in the order in which they were sent.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ganglion.protocol import again, codec
from ganglion.protocol._native import lib
from ganglion.protocol.batch import VERB, Incoming, param
from ganglion.protocol.blobs import Hold, Spool
from ganglion.protocol.errors import GanglionError, PeerError, UsageError, error_for
from ganglion.protocol.fields import escape, format_line, format_params, parse_params, unescape
from ganglion.protocol.instance import Instance
from ganglion.protocol.options import PRIORITIES, checked
from ganglion.protocol.transport.endpoint import Endpoint
from ganglion.protocol.waiting import (
    Content,
    DeadlineError,
    LateWaiter,
    Outcome,
    Submission,
    TaskBuriedError,
    TaskCancelledError,
    UnansweredError,
    Waiter,
    is_late,
)

__all__ = [
    "PRIORITIES",
    "Content",
    "DeadlineError",
    "Form",
    "Outcome",
    "Session",
    "Submission",
    "TaskBuriedError",
    "TaskCancelledError",
    "UnansweredError",
    "Waiter",
    "escape",
    "format_line",
    "format_params",
    "parse_params",
    "registration",
    "rejection",
    "tasks_filter",
    "unescape",
]

ACTION_PATTERN = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
TASK_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Room for type, action, task, parameters and from= beside a payload in one message.
HEADER_ROOM = lib.GN_HEADER_BYTES_MAX + 128
# Submissions whose options differ are written anew; a program uses a handful of kinds.
FORMS_MAX = 256

_ENDINGS = {
    VERB["TASK_COMPLETED"]: "completed",
    VERB["TASK_BURIED"]: "buried",
    VERB["TASK_CANCELLED"]: "cancelled",
    VERB["TASK_FAILED"]: "failed",  # only ever late
}


def rejection(message: Incoming) -> GanglionError:
    """The error that a RESPONSE:REJECTED says: its payload is ``<code> <words>``."""
    code, _, words = message.payload.decode("utf-8", "replace").partition(" ")
    return error_for(code, words, task=message.task.decode("ascii", "replace"))


class Form:
    """The common part of many submissions: head and parameters, checked and written once."""

    __slots__ = ("_ct", "_head", "_params", "_raw_params", "_session")

    def __init__(
        self, session: Session, head: bytes, ct: str | None, params: dict[str, Any]
    ) -> None:
        self._session = session
        self._head = head
        self._ct = ct
        self._params = params
        self._raw_params = format_params(params)

    def __call__(self, payload: Any, task: str | None = None) -> tuple[Submission, bytes]:
        """One task: what will be known of it, and the line to send."""
        session = self._session
        if task is None:
            key = b"%b%d" % (session.root, next(session.numbers))
        elif TASK_PATTERN.fullmatch(task):
            key = task.encode()
        else:
            words = "1 to 64 of letters, digits, '-', '_' and '.'"
            raise UsageError(f"task name {task!r}: {words}")
        if type(payload) is bytes and self._ct is None and len(payload) <= session.inline_bytes_max:
            raw: Any = payload
            hold, params = None, self._raw_params
        else:
            described = dict(self._params)
            raw, hold = session.encode(payload, self._ct, described)
            params = format_params(described)
        submission = session.expected(key, hold)
        submission.line = line = format_line(self._head, key, params, raw)
        return submission, line


class Session:
    """The bookkeeping of one peer called ``name``.

    Args:
        name: the peer's name, the root of the names it gives to tasks.
        spool: where long payloads go.
        inline_bytes_max: the longest payload that travels in a message.
        patient: what was refused for a reason that passes is said again (``outbox``, ``due``).
    """

    def __init__(
        self, name: str, spool: Spool, inline_bytes_max: int, *, patient: bool = False
    ) -> None:
        self.name = name
        self.spool = spool
        self.inline_bytes_max = inline_bytes_max
        self.submissions: dict[bytes, Submission] = {}
        self.on_event: Callable[[dict[str, str], bytes, bytes], None] | None = None
        self.on_unclaimed: Callable[[Incoming], None] | None = None
        self._forms: dict[tuple[Any, ...], Form] = {}
        self._requests: dict[bytes, deque[Waiter]] = {}
        # Lines that nobody's call sends: whoever owns the line does, as soon as it can.
        self.outbox: list[bytes] = []
        self.on_hello: Callable[[Incoming], None] | None = None
        self._refusals = again.Refusals() if patient else None
        self._replacing: dict[bytes, bytes] = {}
        self._watches_all = False
        self.numbers = itertools.count(1)
        # A second session of the same name must not meet the tasks of the first.
        self.root = f"{name}-{os.urandom(3).hex()}-".encode()

    @classmethod
    def over(cls, endpoint: Endpoint, instance: Instance) -> Session:
        """The session of a client over its open line."""
        longest = lib.gn_link_message_bytes_max(endpoint.link) - HEADER_ROOM
        inline = min(longest, lib.GN_INLINE_BYTES_MAX)
        return cls(endpoint.name, Spool(instance), inline, patient=True)

    def next_word(self) -> str:
        """A name that nobody used before: for a task or a request."""
        return f"{self.root.decode()}{next(self.numbers)}"

    # -- out ------------------------------------------------------------------------------

    def encode(
        self, payload: Any, ct: str | None, params: dict[str, Any]
    ) -> tuple[Any, Hold | None]:
        """``payload`` as bytes for a message; content parameters are added to ``params``.

        A payload over the inline limit is published as a blob and b"" returned with the hold on it.
        """
        raw, described = codec.encode(payload, ct)
        params.update(described)
        if len(raw) <= self.inline_bytes_max:
            return raw, None
        hold = self.spool.publish(raw)
        params["blob"] = hold.ref
        return b"", hold

    def submit(
        self, action: str, payload: Any = b"", *, task: str | None = None, **options: Any
    ) -> tuple[Submission, bytes]:
        """A task to submit: what will be known of it, and the line to send.

        Raises:
            UsageError: a name or parameter that the grammar does not know.
        """
        return self.form(action, **options)(payload, task)

    def form(
        self, action: str, *, ct: str | None = None, prio: int | str | None = None, **params: Any
    ) -> Form:
        """What many tasks have in common; filled with a payload it is one of them.

        Raises:
            UsageError: as ``submit``.
        """
        key = (action, ct, prio, *params.items())
        try:
            return self._forms[key]
        except (KeyError, TypeError):  # a new one, or with a list in it
            pass
        if not ACTION_PATTERN.fullmatch(action):
            raise UsageError(f"action {action!r}: A-Z, then up to 31 of A-Z 0-9 _")
        form = Form(self, b"DATA:" + action.encode(), ct, checked({"prio": prio, **params}))
        with contextlib.suppress(TypeError):
            if len(self._forms) >= FORMS_MAX:
                self._forms.clear()
            self._forms[key] = form
        return form

    def expected(self, key: bytes, hold: Hold | None) -> Submission:
        """The submission of this name, new or already under way."""
        submission = self.submissions.get(key)
        if submission is None:
            submission = self.submissions[key] = Submission(key, hold)
        elif hold is not None:
            hold.release()
        return submission

    def request(
        self, verb: str, subject: str | None = None, payload: bytes = b"", **params: Any
    ) -> tuple[Waiter, bytes]:
        """A CONTROL request about ``subject`` (None: a word of our own): its answer, and its
        line.
        """
        word = (self.next_word() if subject is None else subject).encode()
        head = b"CONTROL:" + verb.encode()
        line = format_line(head, word, format_params(params), payload)
        late = verb == "RESULT" and params.get("late") is not None
        waiter = LateWaiter(line=line) if late else Waiter(verb == "RESULT", line)
        self._expect(word, waiter)
        assert waiter.line is not None
        return waiter, waiter.line

    def watch_all(self) -> tuple[Waiter, bytes]:
        """As ``request``: every change of every task, told to ``on_event``."""
        waiter = Waiter(line=b"CONTROL:WATCH\n")
        self._expect(b"", waiter)
        self._watches_all = True
        return waiter, b"CONTROL:WATCH\n"

    def _expect(self, word: bytes, waiter: Waiter) -> None:
        self._requests.setdefault(word, deque()).append(waiter)

    def withdraw(self, word: bytes, waiter: Waiter) -> None:
        """No answer to this request will come; nobody waits for it."""
        waiter.line = None
        waiters = self._requests.get(word)
        if waiters and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._requests[word]

    def follow(self, task: str) -> Submission:
        """Wait for a task that somebody else submitted (after CONTROL:WATCH)."""
        return self.expected(task.encode(), None)

    def forget(self, submission: Submission) -> None:
        """Stop waiting for a task; later messages of it are nobody's."""
        submission.settle_hold()
        submission.line = None
        if self.submissions.get(submission.key) is submission:
            del self.submissions[submission.key]

    # -- again --------------------------------------------------------------------------------

    @property
    def refused(self) -> bool:
        """Whether something waits to be said again (``due``)."""
        return bool(self._refusals)

    def refusal(self, waiter: Waiter) -> GanglionError | None:
        """Why the coordinator has not taken it so far, if it refused it."""
        return self._refusals.why(waiter) if self._refusals is not None else None

    def due(self, now_s: float) -> float:
        """Put into ``outbox`` what is to be said again by now; seconds until there is more."""
        if self._refusals is None:
            return float("inf")
        for waiter, word in self._refusals.due(now_s):
            if waiter.line is not None and not waiter.done:
                if not isinstance(waiter, Submission):
                    self._expect(word, waiter)
                self.outbox.append(waiter.line)
        return self._refusals.wait_s(now_s)

    def resume(self) -> None:
        """The coordinator is another one, or knows us no more: fill ``outbox`` with what it has not
        answered.

        Submissions that were not acknowledged go first, then requests that may be repeated, then a
        WATCH of every acknowledged task whose outcome is out. Requests whose second answer could
        differ from the first end with UnansweredError.
        """
        requests, self._requests = self._requests, {}
        self.outbox.clear()
        refused = self._refusals.clear() if self._refusals is not None else []
        acknowledged = []
        for submission in list(self.submissions.values()):
            if submission.line is not None:
                self._submit_again(submission)
            elif submission.is_left:
                del self.submissions[submission.key]
            if submission.line is None or submission.on_stream is not None:
                acknowledged.append(submission)
        pairs = [(word, waiter) for word, waiters in requests.items() for waiter in waiters]
        for word, waiter in pairs + [(w, r) for r, w in refused if not isinstance(r, Submission)]:
            if again.repeatable(waiter.line):
                self._expect(word, waiter)
                self.outbox.append(waiter.line or b"")
            else:
                waiter.set(error=again.unanswered(waiter.line))
        if self._watches_all:
            self.outbox.append(self.watch_all()[1])
        for submission in acknowledged:
            if self.submissions.get(submission.key) is submission:
                self._watch_again(submission)

    def _submit_again(self, submission: Submission) -> None:
        assert submission.line is not None
        try:
            if submission.hold is not None:
                submission.hold = self.spool.restored(submission.hold)
        except GanglionError as error:
            self.forget(submission)
            submission.end(None, error)
            return
        line = again.without_replace(submission.line)
        if line != submission.line:
            # If it was taken, the name is its own by now, and it must not be replaced by itself.
            self._replacing[submission.key] = submission.line
        self.outbox.append(line)

    def _watch_again(self, submission: Submission) -> None:
        seq = submission.next_seq if submission.on_stream is not None else None
        waiter, line = self.request("WATCH", submission.task, seq=seq)

        def answered() -> None:
            if waiter.error is not None and submission.line is None:
                self.forget(submission)
                submission.end(None, waiter.error)

        waiter.notify = answered
        self.outbox.append(line)

    # -- in -------------------------------------------------------------------------------

    def dispatch(self, messages: Iterable[Incoming]) -> None:
        """Give every message to whom it concerns."""
        for message in messages:
            handler = _HANDLERS.get(message.verb)
            if handler is not None:
                handler(self, message)
            elif self.on_unclaimed is not None:
                self.on_unclaimed(message)

    def fail(self, error: Exception) -> None:
        """Nothing will be answered any more: everybody who waits is told so."""
        for submission in list(self.submissions.values()):
            submission.end(None, error)
        for waiters in self._requests.values():
            for waiter in waiters:
                waiter.set(error=error)
        for waiter, _ in self._refusals.clear() if self._refusals is not None else ():
            waiter.set(error=error)
        self.submissions.clear()
        self._requests.clear()
        self._replacing.clear()
        self.outbox.clear()

    def _answer(self, message: Incoming, error: Exception | None = None) -> bool:
        """Answer the oldest request on this word. False when there is none."""
        waiters = self._requests.get(message.task)
        if not waiters:
            return False
        self._shift(message.task, waiters).set(message, error)
        return True

    def _shift(self, word: bytes, waiters: deque[Waiter]) -> Waiter:
        waiter = waiters.popleft()
        if not waiters:
            del self._requests[word]
        return waiter

    def _said_later(self, word: bytes, waiter: Waiter, error: GanglionError) -> bool:
        """Whether a refusal is not the last word."""
        if isinstance(waiter, Submission):
            original = self._replacing.pop(waiter.key, None)
            if original is not None and error.code == "exists":
                self.outbox.append(original)
                return True
        if self._refusals is None or error.code not in again.PASSING:
            return False
        self._refusals.add(waiter, word, error)
        return True

    def _on_answer(self, message: Incoming) -> None:
        if not self._answer(message) and self.on_unclaimed is not None:
            self.on_unclaimed(message)

    def _on_received(self, message: Incoming) -> None:
        submission = self.submissions.get(message.task)
        if submission is not None:
            if self._refusals is not None:
                self._refusals.forget(submission)
            submission.acknowledge(message.params)

    def _on_rejected(self, message: Incoming) -> None:
        error = rejection(message)
        waiters = self._requests.get(message.task)
        submission = self.submissions.get(message.task)
        refused = waiters[0] if waiters else submission
        if (
            refused is not None
            and refused.line is not None
            and self._said_later(message.task, refused, error)
        ):
            if waiters:
                self._shift(message.task, waiters)
        elif self._answer(message, error):
            pass
        elif submission is not None:
            del self.submissions[message.task]
            submission.end(None, error)
        elif self.on_unclaimed is not None:
            self.on_unclaimed(message)

    def _on_late(self, message: Incoming) -> None:
        waiters = self._requests.get(message.task, ())
        asked = next((waiter for waiter in waiters if isinstance(waiter, LateWaiter)), None)
        if asked is not None:
            self.withdraw(message.task, asked)
            asked.set(self.outcome(message))

    def _on_ending(self, message: Incoming) -> None:
        if is_late(message.params):
            self._on_late(message)
            return
        outcome: Outcome | None = None
        error: Exception | None = None
        try:
            outcome = self.outcome(message)
        except PeerError as caught:  # its blob is gone or broken
            error = caught
        submission = self.submissions.pop(message.task, None)
        if submission is not None:
            submission.end(outcome, error)
        if message.task not in self._requests:
            return
        waiters = self._requests[message.task]
        asked = next((waiter for waiter in waiters if waiter.takes_outcome), None)
        if asked is not None:
            waiters.remove(asked)
            asked.set(outcome, error)

    def _on_stream(self, message: Incoming) -> None:
        submission = self.submissions.get(message.task)
        if submission is not None and submission.on_stream is not None:
            kind = "progress" if message.verb == VERB["PROGRESS"] else "partial"
            params = parse_params(message.params)
            if kind == "partial" and params.get("seq", "").isdigit():
                submission.next_seq = int(params["seq"]) + 1
            submission.on_stream(kind, params, message.payload)

    def _on_event(self, message: Incoming) -> None:
        if self.on_event is not None:
            self.on_event(parse_params(message.params), message.task, message.payload)

    def _on_hello(self, message: Incoming) -> None:
        if self.on_hello is not None:
            self.on_hello(message)

    def outcome(self, message: Incoming) -> Outcome:
        """The outcome that an ending message tells; its blob is mapped.

        Raises:
            PeerError: ``no_blob``.
        """
        payload: Any = message.payload
        if b"blob=" in message.params and (ref := param(message.params, b"blob")):
            payload = self.spool.fetch(ref)
        return Outcome(message.task, _ENDINGS[message.verb], message.params, payload)


_HANDLERS: dict[int, Callable[[Session, Incoming], None]] = {
    VERB["RECEIVED"]: Session._on_received,
    VERB["DONE"]: Session._on_answer,
    VERB["PONG"]: Session._on_answer,
    VERB["WELCOME"]: Session._on_answer,
    VERB["STATE"]: Session._on_answer,
    VERB["REJECTED"]: Session._on_rejected,
    VERB["TASK_COMPLETED"]: Session._on_ending,
    VERB["TASK_BURIED"]: Session._on_ending,
    VERB["TASK_CANCELLED"]: Session._on_ending,
    VERB["TASK_FAILED"]: Session._on_late,
    VERB["PROGRESS"]: Session._on_stream,
    VERB["PARTIAL"]: Session._on_stream,
    VERB["EVENT"]: Session._on_event,
}
if "HELLO" in VERB:
    _HANDLERS[VERB["HELLO"]] = Session._on_hello


def registration(
    inbox: str, actions: Sequence[str] = (), slots: int = 1, **info: Any
) -> dict[str, Any]:
    """The JSON of CONTROL:REGISTER."""
    body: dict[str, Any] = {"pid": os.getpid(), "run": os.urandom(4).hex(), **info}
    if inbox:
        body["inbox"] = inbox
    if actions:
        body.update(actions=list(actions), slots=slots)
    return body


def tasks_filter(state: str | None, action: str | None, after: str) -> bytes:
    """The JSON of CONTROL:TASKS; ``after`` is the ``next=`` of the page before, or empty."""
    wanted = {"state": state, "action": action, "after": int(after) if after else None}
    return json.dumps({key: value for key, value in wanted.items() if value is not None}).encode()
