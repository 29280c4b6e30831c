"""What can go wrong, by whose fault it is.

The codes, their words and their owners are those of ``csrc/include/ganglion/codes.h``; this module
holds no list of its own. A word on the wire becomes an exception with :func:`error_for`.
"""

from __future__ import annotations

from functools import cache

from ganglion.protocol._native import ffi, lib

__all__ = [
    "GanglionError",
    "HostError",
    "PeerError",
    "ProtocolError",
    "StateError",
    "TransportError",
    "UsageError",
    "code_number",
    "code_text",
    "code_word",
    "codes",
    "error_for",
]


class GanglionError(Exception):
    """Anything Ganglion says no to.

    ``code`` is a word of the registry, or empty where no registered reason applies.
    """

    code: str = ""


class _CodedError(GanglionError):
    """An error with a registered reason; ``words`` are added to the registry's sentence."""

    def __init__(self, code: str, words: str = "", *, task: str = "") -> None:
        super().__init__(code, words)
        self.code = code
        self.words = words
        self.task = task

    def __str__(self) -> str:
        return f"{self.code}: {self.words or code_text(self.code)}"


class PeerError(_CodedError):
    """The bytes or the request of the other side are wrong (or, sent by us, ours were)."""


class ProtocolError(PeerError):
    """Bytes that are no message.

    ``raw`` is their beginning, at most 1024 bytes; ``task`` the task, where it could be read.
    """

    def __init__(self, code: str, words: str = "", *, task: str = "", raw: bytes = b"") -> None:
        super().__init__(code, words, task=task)
        self.raw = raw


class StateError(_CodedError):
    """The request is fine, the state of things is not."""


class HostError(_CodedError):
    """A machine or a coordinator is at a limit: the same request may succeed later."""


class UsageError(GanglionError, ValueError):
    """The calling program asks for what cannot be: its author has to change it."""

    def __init__(self, words: str, *, code: str = "") -> None:
        super().__init__(words)
        self.code = code


class TransportError(GanglionError, OSError):
    """The system refused to carry bytes. ``errno`` is the system's."""

    def __init__(self, errno: int, words: str, filename: str | None = None) -> None:
        if filename is None:
            super().__init__(errno, words)
        else:
            super().__init__(errno, words, filename)


_BY_OWNER: dict[str, type[PeerError] | type[StateError] | type[HostError]] = {
    "PEER": PeerError,
    "STATE": StateError,
    "HOST": HostError,
}


@cache
def codes() -> dict[str, int]:
    """The registry: word to number, in the order of the numbers."""
    return {code_word(number): number for number in range(lib.gn_code_count())}


@cache
def code_word(number: int) -> str:
    """The word of a code's number; ``unknown`` outside the registry."""
    word: bytes = ffi.string(lib.gn_code_word(number))
    return word.decode()


def code_number(word: str) -> int:
    """The number of a code's word, or -1."""
    return codes().get(word, -1)


def code_text(word: str) -> str:
    """The registry's sentence for a word."""
    text: bytes = ffi.string(lib.gn_code_text(code_number(word)))
    return text.decode()


def error_for(code: str, words: str = "", *, task: str = "") -> PeerError | StateError | HostError:
    """The exception for a code as it stands in a ``RESPONSE:REJECTED``.

    A word that this version's registry lacks (a newer peer's) is a :class:`HostError`.
    """
    owner: bytes = ffi.string(lib.gn_code_owner(code_number(code)))
    return _BY_OWNER[owner.decode()](code, words, task=task)
