"""What will be known of a task or a request, and how a task ended. No IO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganglion.protocol import codec
from ganglion.protocol.blobs import Hold
from ganglion.protocol.errors import GanglionError
from ganglion.protocol.fields import parse_params


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


class UnansweredError(DeadlineError):
    """The coordinator went away before it answered: whether it did what was asked is not known."""


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


def is_late(raw_params: bytes) -> bool:
    """Whether an outcome was kept and not applied: it has the token of a lease that was over.

    An outcome that counts has none, whatever its submitter called his own parameters.
    """
    return b"late=1" in raw_params and {"late", "token"} <= parse_params(raw_params).keys()


class Outcome(Content):
    """How a task ended. ``status`` is ``completed``, ``buried`` or ``cancelled``.

    Of one that came late it is what was said: also ``failed``; ``params`` say by whom (``from``)
    and under which lease (``token``), and how long it was when it was cut (``size``, bytes).
    """

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

    __slots__ = ("done", "error", "line", "notify", "takes_outcome", "value")

    def __init__(self, takes_outcome: bool = False, line: bytes | None = None) -> None:
        self.done = False
        self.takes_outcome = takes_outcome  # a task's ending is an answer to it too
        self.line = line  # what to say again while there is no answer; None: nothing
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


class LateWaiter(Waiter):
    """Of an outcome that came when its lease was over; a task's ending is no answer to it."""

    __slots__ = ()


class Submission(Waiter):
    """A task on its way: acknowledged, then (with partial results before it) ended.

    It is itself the waiter of its outcome; ``acked`` is the one of its acknowledgement. ``line`` is
    kept until it was acknowledged (with ``ack=0``: until it ended). ``is_left``: nobody waits for
    its outcome.
    """

    __slots__ = ("_ack_params", "_acked", "hold", "is_left", "key", "next_seq", "on_stream")

    def __init__(self, key: bytes, hold: Hold | None = None) -> None:
        self.done = False
        self.takes_outcome = self.is_left = False
        self.value = self.error = self.notify = self.line = None
        self.key = key
        self.hold = hold
        self.next_seq = 0
        self._ack_params = b""
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

    @property
    def journal(self) -> str:
        """The journal policy its acknowledgement stands for: sync, group, memory or none.

        Empty before the acknowledgement, and with ``ack=0``.
        """
        return parse_params(self._ack_params).get("journal", "")

    @property
    def was_known(self) -> bool:
        """Whether the acknowledgement said that the same task had been accepted before."""
        return "again" in parse_params(self._ack_params)

    def acknowledge(self, params: bytes) -> None:
        """The coordinator has it, as safely as ``params`` say."""
        self.settle_hold()
        self.line = None
        self._ack_params = params
        self.acked.set(self.task)

    def end(self, outcome: Outcome | None, error: Exception | None = None) -> None:
        """What will ever be known of the task."""
        self.settle_hold()
        self.line = None
        if self._acked is not None:
            self._acked.set(self.task, None if outcome is not None else error)
        self.set(outcome, error)

    def settle_hold(self) -> None:
        """Its blob need not be held any longer: the coordinator refers to it, or nobody does."""
        if self.hold is not None:
            self.hold.release()
            self.hold = None
