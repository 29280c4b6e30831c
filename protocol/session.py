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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ganglion.protocol import codec
from ganglion.protocol._native import lib
from ganglion.protocol.batch import VERB, Incoming, param
from ganglion.protocol.blobs import Hold, Spool
from ganglion.protocol.errors import GanglionError, PeerError, UsageError, error_for
from ganglion.protocol.instance import Instance
from ganglion.protocol.transport.endpoint import Endpoint

ACTION_PATTERN = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
TASK_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
KEY_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,15}")
PRIORITIES = {"low": 1, "normal": 4, "high": 7, "urgent": 9}
# Room for type, action, task, parameters and from= beside a payload in one message.
HEADER_ROOM = lib.GN_HEADER_BYTES_MAX + 128
# Submissions whose options differ are written anew; a program uses a handful of kinds.
FORMS_MAX = 256

_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b":;%")
_ENDINGS = {
    VERB["TASK_COMPLETED"]: "completed",
    VERB["TASK_BURIED"]: "buried",
    VERB["TASK_CANCELLED"]: "cancelled",
}


class TaskBuriedError(GanglionError):
    """The task was given up; ``outcome`` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"task {outcome.task} was buried ({outcome.reason}): {outcome.words}")
        self.outcome = outcome


class TaskCancelledError(GanglionError):
    """The task was cancelled before it ended."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"task {outcome.task} was cancelled")
        self.outcome = outcome


class DeadlineError(GanglionError, TimeoutError):
    """The answer did not come in time; the task itself goes on."""


def escape(value: str) -> str:
    """Percent-encode what may not stand in a parameter's value."""
    return "".join(chr(b) if b in _PLAIN else f"%{b:02X}" for b in value.encode())


def unescape(value: bytes) -> str:
    """The text of a percent-encoded value; broken codes are left as they are."""
    if b"%" not in value:
        return value.decode("ascii", "replace")
    text = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), value)
    return text.decode("utf-8", "replace")


def parse_params(raw: bytes) -> dict[str, str]:
    """``key=value;key=value`` as a dictionary, values decoded."""
    pairs = (field.partition(b"=") for field in raw.split(b";") if field)
    return {key.decode("ascii", "replace"): unescape(value) for key, _, value in pairs}


def format_params(params: Mapping[str, Any]) -> bytes:
    """A dictionary as ``key=value;key=value``; None values are left out, lists joined with commas.

    Raises:
        UsageError: a key that the grammar does not know.
    """
    fields = []
    for key, value in params.items():
        if value is None:
            continue
        if not KEY_PATTERN.fullmatch(key):
            raise UsageError(f"parameter {key!r}: a-z, then up to 15 of a-z 0-9 _")
        if isinstance(value, bool):
            value = int(value)
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        fields.append(f"{key}={escape(str(value))}")
    return ";".join(fields).encode()


def format_line(head: bytes, task: bytes, params: bytes, payload: bytes | memoryview) -> bytes:
    """One message; ``head`` is ``TYPE:ACTION``. ``len=`` is added where the payload needs it."""
    payload = bytes(payload)  # no copy when it is bytes already
    if b"\n" in payload or payload.endswith(b"\0"):
        params = b"%blen=%d" % (params + b";" if params else b"", len(payload))
    if params:
        return b"%b:%b;%b:%b\n" % (head, task, params, payload)
    return b"%b:%b:%b\n" % (head, task, payload)


class Content:
    """A payload with the header parameters that describe it."""

    __slots__ = ("_params", "payload", "raw_params")

    def __init__(self, raw_params: bytes, payload: bytes | memoryview) -> None:
        self.raw_params = raw_params
        self.payload = payload
        self._params: dict[str, str] | None = None

    @property
    def params(self) -> dict[str, str]:
        """The header parameters, decoded."""
        if self._params is None:
            self._params = parse_params(self.raw_params)
        return self._params

    @property
    def data(self) -> Any:
        """The payload as its content type says: text, object, array, or bytes."""
        return codec.decode(self.payload, self.params)


class Outcome(Content):
    """How a task ended. ``status`` is ``completed``, ``buried`` or ``cancelled``."""

    __slots__ = ("_key", "status")

    def __init__(self, key: bytes, status: str, raw_params: bytes, payload: Any) -> None:
        self._key = key
        self.status = status
        self.raw_params = raw_params
        self.payload = payload
        self._params = None

    @property
    def task(self) -> str:
        """The task's name."""
        return self._key.decode()

    @property
    def reason(self) -> str:
        """Of a burial: ``tries``, ``agent``, ``ttl``, ``after``..."""
        return self.params.get("reason", "")

    @property
    def words(self) -> str:
        """Of a burial: the last failure, one line."""
        return bytes(self.payload).decode("utf-8", "replace")

    def check(self) -> Outcome:
        """Itself when completed.

        Raises:
            TaskBuriedError, TaskCancelledError: it did not complete.
        """
        if self.status == "buried":
            raise TaskBuriedError(self)
        if self.status == "cancelled":
            raise TaskCancelledError(self)
        return self

    def __repr__(self) -> str:
        return f"<Outcome {self.task} {self.status} {len(self.payload)} bytes>"


class Waiter:
    """Something that will be known once; ``notify`` is called when it is."""

    __slots__ = ("done", "error", "notify", "takes_outcome", "value")

    def __init__(self, takes_outcome: bool = False) -> None:
        self.done = False
        self.takes_outcome = takes_outcome  # a task's ending is an answer to it too
        self.value: Any = None
        self.error: Exception | None = None
        self.notify: Callable[[], None] | None = None

    def set(self, value: Any = None, error: Exception | None = None) -> None:
        """The answer, or why there is none; only the first counts."""
        if not self.done:
            self.done, self.value, self.error = True, value, error
            if self.notify is not None:
                self.notify()

    def result(self) -> Any:
        """The value; raises the error when there is one."""
        if self.error is not None:
            raise self.error
        return self.value


class Submission(Waiter):
    """A task on its way: acknowledged, then (with partial results before it) ended.

    It is itself the waiter of its outcome; ``acked`` is the one of its acknowledgement.
    """

    __slots__ = ("_acked", "hold", "key", "on_stream")

    def __init__(self, key: bytes, hold: Hold | None = None) -> None:
        self.done = False
        self.takes_outcome = False
        self.value = self.error = self.notify = None
        self.key = key
        self.hold = hold
        self._acked: Waiter | None = None
        self.on_stream: Callable[[str, dict[str, str], bytes], None] | None = None

    @property
    def task(self) -> str:
        """The task's name."""
        return self.key.decode()

    @property
    def outcome(self) -> Waiter:
        return self

    @property
    def acked(self) -> Waiter:
        if self._acked is None:  # most tasks are never asked
            self._acked = Waiter()
            if self.done:
                self._acked.set(self.task, self.error)
        return self._acked

    def end(self, outcome: Outcome | None, error: Exception | None = None) -> None:
        """What will ever be known of the task."""
        self.settle_hold()
        if self._acked is not None:
            self._acked.set(self.task, None if outcome is not None else error)
        self.set(outcome, error)

    def settle_hold(self) -> None:
        """Its blob need not be held any longer: the coordinator refers to it, or nobody does."""
        if self.hold is not None:
            self.hold.release()
            self.hold = None


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
        return session.expected(key, hold), format_line(self._head, key, params, raw)


class Session:
    """The bookkeeping of one peer called ``name``.

    Args:
        name: the peer's name, the root of the names it gives to tasks.
        spool: where long payloads go.
        inline_bytes_max: the longest payload that travels in a message.
    """

    def __init__(self, name: str, spool: Spool, inline_bytes_max: int) -> None:
        self.name = name
        self.spool = spool
        self.inline_bytes_max = inline_bytes_max
        self.submissions: dict[bytes, Submission] = {}
        self.on_event: Callable[[dict[str, str], bytes, bytes], None] | None = None
        self.on_unclaimed: Callable[[Incoming], None] | None = None
        self._forms: dict[tuple[Any, ...], Form] = {}
        self._requests: dict[bytes, deque[Waiter]] = {}
        self.numbers = itertools.count(1)
        # A second session of the same name must not meet the tasks of the first.
        self.root = f"{name}-{os.urandom(3).hex()}-".encode()

    @classmethod
    def over(cls, endpoint: Endpoint, instance: Instance) -> Session:
        """The session of a client over its open line."""
        longest = lib.gn_link_message_bytes_max(endpoint.link) - HEADER_ROOM
        return cls(endpoint.name, Spool(instance), min(longest, lib.GN_INLINE_BYTES_MAX))

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
        if isinstance(prio, str):
            prio = PRIORITIES.get(prio, prio)
        form = Form(self, b"DATA:" + action.encode(), ct, {"prio": prio, **params})
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
        waiter = self.expect(word, verb == "RESULT")
        return waiter, format_line(
            b"CONTROL:" + verb.encode(), word, format_params(params), payload
        )

    def expect(self, word: bytes, takes_outcome: bool = False) -> Waiter:
        """Wait for the answer to a request on ``word`` that the caller sends itself."""
        waiter = Waiter(takes_outcome)
        self._requests.setdefault(word, deque()).append(waiter)
        return waiter

    def follow(self, task: str) -> Submission:
        """Wait for a task that somebody else submitted (after CONTROL:WATCH)."""
        return self.expected(task.encode(), None)

    def forget(self, submission: Submission) -> None:
        """Stop waiting for a task; later messages of it are nobody's."""
        submission.settle_hold()
        self.submissions.pop(submission.key, None)

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
        self.submissions.clear()
        self._requests.clear()

    def _answer(self, message: Incoming, error: Exception | None = None) -> bool:
        """Answer the oldest request on this word. False when there is none."""
        waiters = self._requests.get(message.task)
        if not waiters:
            return False
        waiters.popleft().set(message, error)
        if not waiters:
            del self._requests[message.task]
        return True

    def _on_answer(self, message: Incoming) -> None:
        if not self._answer(message) and self.on_unclaimed is not None:
            self.on_unclaimed(message)

    def _on_received(self, message: Incoming) -> None:
        submission = self.submissions.get(message.task)
        if submission is not None:
            submission.settle_hold()
            submission.acked.set(submission.task)

    def _on_rejected(self, message: Incoming) -> None:
        error = rejection(message)
        if self._answer(message, error):
            return
        submission = self.submissions.pop(message.task, None)
        if submission is not None:
            submission.end(None, error)
        elif self.on_unclaimed is not None:
            self.on_unclaimed(message)

    def _on_ending(self, message: Incoming) -> None:
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
            submission.on_stream(kind, parse_params(message.params), message.payload)

    def _on_event(self, message: Incoming) -> None:
        if self.on_event is not None:
            self.on_event(parse_params(message.params), message.task, message.payload)

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
    VERB["PROGRESS"]: Session._on_stream,
    VERB["PARTIAL"]: Session._on_stream,
    VERB["EVENT"]: Session._on_event,
}


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
