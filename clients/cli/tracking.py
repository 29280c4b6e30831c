"""What ``ganglion send`` remembers of the lines it passed on: which have not been answered yet.

No IO. The order of answers to one word is the order of its requests (SPEC.md), so a word is all
that is needed to tell which is answered.
"""

from __future__ import annotations

from collections import deque

from ganglion.protocol.batch import VERB, Incoming
from ganglion.protocol.message import Message
from ganglion.protocol.waiting import is_late

_SUBMIT, _REQUEST, _RESULT, _WATCH = "submit", "request", "result", "watch"
_COMPLETED = VERB["TASK_COMPLETED"]
_ENDINGS = frozenset({_COMPLETED, VERB["TASK_BURIED"], VERB["TASK_CANCELLED"]})
_LATE = frozenset({_COMPLETED, VERB["TASK_FAILED"], VERB["TASK_BURIED"]})
_ANSWERS = frozenset({VERB["DONE"], VERB["PONG"], VERB["STATE"], VERB["WELCOME"]})


class Tracker:
    """Counts of what is open; ``bad`` counts tasks and lines that came to no good end.

    Args:
        name: our peer name; what is sent in another's name is answered to that one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._expected: dict[bytes, deque[str]] = {}
        self._running: set[bytes] = set()
        self._open = 0
        self.bad = 0

    @property
    def unacknowledged(self) -> int:
        """Lines without an answer yet."""
        return self._open

    @property
    def running(self) -> int:
        """Accepted tasks that have not ended."""
        return len(self._running)

    def sent(self, message: Message) -> None:
        """This message is about to go out."""
        if message.params.get("from", self._name) != self._name:
            return
        word = message.task.encode()
        if message.type == "DATA":
            if message.params.get("ack") == "0":
                self._running.add(word)
            else:
                self._expect(word, _SUBMIT)
        elif message.type == "CONTROL":
            kinds = {"RESULT": _RESULT, "WATCH": _WATCH if word else _REQUEST}
            self._expect(word, kinds.get(message.action, _REQUEST))

    def _expect(self, word: bytes, kind: str) -> None:
        self._expected.setdefault(word, deque()).append(kind)
        self._open += 1

    def _answered(self, word: bytes, *kinds: str) -> str:
        """Take the oldest expectation of these kinds; empty when there is none."""
        expected = self._expected.get(word)
        found = next((kind for kind in expected or () if kind in kinds), "")
        if expected and found:
            expected.remove(found)
            self._open -= 1
            if not expected:
                del self._expected[word]
        return found

    def came(self, message: Incoming) -> None:
        """This message came in."""
        word, verb = message.task, message.verb
        if verb == VERB["RECEIVED"]:
            self._answered(word, _SUBMIT)
            self._running.add(word)
        elif verb in _LATE and is_late(message.params):
            self._answered(word, _RESULT)
        elif verb in _ENDINGS:
            self._ended(word, verb)
        elif verb == VERB["REJECTED"]:
            self.bad += 1
            if not self._answered(word, _SUBMIT, _REQUEST, _RESULT, _WATCH):
                self._running.discard(word)
        elif verb in _ANSWERS and self._answered(word, _REQUEST, _RESULT, _WATCH) == _WATCH:
            self._running.add(word)

    def _ended(self, word: bytes, verb: int) -> None:
        if verb != _COMPLETED:
            self.bad += 1
        if word in self._running:
            self._running.discard(word)
        else:
            self._answered(word, _RESULT)

    def settle(self) -> None:
        """All that was sent has been looked at: what is unanswered now never will be."""
        self._expected.clear()
        self._open = 0
