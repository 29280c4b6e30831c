"""Messages as Python sees them: parsed and formatted in C, sliced when asked.

One C call reads a batch; a :class:`Message` then keeps the batch's bytes and its row of offsets,
and cuts a field out when it is first read. A program that looks at the action of 100 messages and
at the payload of one pays for that.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ganglion.protocol._native import ffi, lib
from ganglion.protocol.errors import ProtocolError, UsageError, code_word

__all__ = [
    "INLINE_BYTES_MAX",
    "MESSAGE_BYTES_MAX",
    "Message",
    "StreamParser",
    "escape",
    "format_batch",
    "parse_batch",
    "parse_each",
    "unescape",
]

INLINE_BYTES_MAX: Final[int] = lib.GN_INLINE_BYTES_MAX
MESSAGE_BYTES_MAX: Final[int] = lib.GN_MESSAGE_BYTES_MAX
_HEADER_BYTES_MAX: Final[int] = lib.GN_HEADER_BYTES_MAX

_TYPES: Final = tuple(ffi.string(lib.gn_type_name(number)).decode() for number in range(4))
_TYPE_NUMBERS: Final = {name: number for number, name in enumerate(_TYPES)}

_Row = tuple[int, ...]
# gn_msg: type flags code verb, then five spans of (off, len)
_ROW: Final = struct.Struct("@BBHH10I")
_WHOLE, _ACTION, _TASK, _PARAMS, _PAYLOAD = 4, 6, 8, 10, 12
if _ROW.size != ffi.sizeof("gn_msg"):
    raise ImportError("gn_msg in wire.h and its row here differ: change both")

_BATCH: Final = 128  # messages a C call may return
_NO_PARAMS: Final[Mapping[str, str]] = MappingProxyType({})
_is_plain: Final = re.compile(r"[!-$&-9<-~]*").fullmatch  # printable but space : ; %


def escape(value: str | bytes) -> str:
    """Percent-encode what may not stand in a parameter's value.

    >>> escape("50% of a:b")
    '50%25%20of%20a%3Ab'
    """
    if isinstance(value, str) and _is_plain(value):
        return value
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    room = 3 * len(raw)
    encoded = ffi.new("uint8_t[]", room)
    size = lib.gn_escape(raw, len(raw), encoded, room)
    return bytes(ffi.buffer(encoded, size)).decode()


def unescape(value: bytes) -> str:
    """Percent-decode a parameter's value. Bytes that are not UTF-8 become surrogate escapes."""
    if b"%" not in value:
        return value.decode("utf-8", "surrogateescape")
    decoded = ffi.new("uint8_t[]", len(value))
    size = lib.gn_unescape(value, len(value), decoded, len(value))
    if size < 0:
        raise ProtocolError("bad_percent", raw=value)
    return bytes(ffi.buffer(decoded, size)).decode("utf-8", "surrogateescape")


def _read_params(raw: bytes) -> Mapping[str, str]:
    params: dict[str, str] = dict([pair.split("=", 1) for pair in raw.decode("ascii").split(";")])
    # len belongs to the framing: format() writes it again where the payload needs it.
    params.pop("len", None)
    if b"%" in raw:
        params = {key: unescape(value.encode()) for key, value in params.items()}
    return MappingProxyType(params)


def _write_params(params: Mapping[str, str]) -> bytes:
    for key in params:
        if "=" in key:  # the one byte in a key that would not be refused but make another parameter
            raise UsageError(f"{key!r} is no parameter key", code="bad_param")
    return ";".join(f"{key}={escape(value)}" for key, value in params.items()).encode()


class Message:
    """One message: immutable, hashable, compared by its five fields.

    >>> m = Message.parse(b"DATA:QUERY:t1;prio=9:hello")
    >>> m.type, m.action, m.task, dict(m.params), m.payload
    ('DATA', 'QUERY', 't1', {'prio': '9'}, b'hello')
    >>> m.format()
    b'DATA:QUERY:t1;prio=9:hello\\n'
    """

    __slots__ = ("_buf", "_row", "action", "params", "payload", "task", "type")

    type: str  # CONTROL, DATA, RESPONSE or ACK
    action: str  # A-Z, then up to 31 of A-Z 0-9 _
    task: str  # empty: none
    params: Mapping[str, str]  # percent-decoded, in order; len is not among them
    payload: bytes  # empty: none
    _buf: bytes  # of a parsed message: what it was read from, and its gn_msg
    _row: _Row

    def __init__(
        self,
        type: str,
        action: str,
        task: str = "",
        params: Mapping[str, Any] | None = None,
        payload: bytes | bytearray | memoryview | str = b"",
    ) -> None:
        """Fields are checked against the grammar by :meth:`format`, not here.

        A ``str`` payload is encoded as UTF-8; values of ``params`` are turned into text.
        """
        if isinstance(payload, str):
            payload = payload.encode()
        _set(self, "type", type)
        _set(self, "action", action)
        _set(self, "task", task)
        _set(self, "params", _as_params(params) if params else _NO_PARAMS)
        _set(self, "payload", bytes(payload))

    if not TYPE_CHECKING:  # a type checker knows the fields, and shall find a misspelt one

        def __getattr__(self, name: str) -> Any:
            """A field of a parsed message that is read for the first time."""
            if name not in _FIELDS:
                raise AttributeError(f"a message has no {name!r}")
            if name == "params":
                params = _span(self._buf, self._row, _PARAMS)
                value = _read_params(params) if params else _NO_PARAMS
            elif name == "payload":
                value = _span(self._buf, self._row, _PAYLOAD)
            else:
                return _cut_header(self, name)
            _set(self, name, value)
            return value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a message does not change: make another")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a message does not change: make another")

    def __reduce__(self) -> tuple[Any, ...]:
        return Message, (self.type, self.action, self.task, dict(self.params), self.payload)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Message) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.type, self.action, self.task, self.payload))

    def __repr__(self) -> str:
        fields = self.type, self.action, self.task, dict(self.params), self.payload
        return f"Message({', '.join(map(repr, fields))})"

    def _key(self) -> tuple[Any, ...]:
        return self.type, self.action, self.task, self.params, self.payload

    @classmethod
    def parse(cls, line: bytes | str) -> Message:
        """The one message in ``line`` (its LF may be missing). Raises :class:`ProtocolError`."""
        found = parse_batch(line.encode() if isinstance(line, str) else line)
        if len(found) != 1:
            raise ProtocolError("bad_payload", f"one message expected, {len(found)} found")
        return found[0]

    def format(self) -> bytes:
        """The message on the wire, with its LF. Raises :class:`UsageError` with a code."""
        return _format(self)

    def param(self, name: str, default: str | None = None) -> str | None:
        """The value of a header parameter, percent-decoded."""
        return self.params.get(name, default)

    def number(self, name: str, default: int = 0) -> int:
        """The value of a numeric header parameter. Raises :class:`ProtocolError` ``bad_number``."""
        value = self.params.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 20):
            words = f"{name}={value} is no decimal number"
            raise ProtocolError("bad_number", words, task=self.task)
        return int(value)

    @property
    def code(self) -> str:
        """The reason of a ``RESPONSE:REJECTED``, a word of the registry; else empty."""
        if self.action != "REJECTED" or self.type != "RESPONSE":
            return ""
        return self.payload.partition(b" ")[0].decode("utf-8", "replace")


_set: Final = object.__setattr__
_new: Final = object.__new__


def _as_params(params: Mapping[str, Any]) -> Mapping[str, str]:
    if any(value is None for value in params.values()):
        raise UsageError("a parameter's value is text or a number, not None", code="bad_param")
    return MappingProxyType({key: str(value) for key, value in params.items()})


def _span(buf: bytes, row: _Row, at: int) -> bytes:
    off = row[at]
    return buf[off : off + row[at + 1]]


_FIELDS: Final = frozenset(("type", "action", "task", "params", "payload"))
_SHORT: Final = 512  # bytes of payload that cost less to cut at once than to come back for


def _cut_header(message: Message, name: str) -> str:
    """Cut type, action, task and a short payload: who reads one of them reads the others too."""
    buf, row = message._buf, message._row
    type_, _, _, _, _, _, action, action_len, task, task_len, _, _, payload, payload_len = row
    _set(message, "type", _TYPES[type_])
    _set(message, "action", buf[action : action + action_len].decode("ascii"))
    _set(message, "task", buf[task : task + task_len].decode("ascii"))
    if payload_len <= _SHORT:
        _set(message, "payload", buf[payload : payload + payload_len])
    value: str = getattr(message, name)
    return value


class _Scratch:
    """What one C call writes into. In a pool: cffi releases the GIL, so each call needs its own."""

    __slots__ = ("consumed", "out", "rows")

    def __init__(self) -> None:
        self.out = ffi.new("gn_msg[]", _BATCH)
        self.consumed = ffi.new("size_t *")
        self.rows = memoryview(ffi.buffer(self.out))

    def read(self, parser: Any, view: Any, size: int, final: bool) -> tuple[list[_Row], int]:
        """One C call: rows of offsets, and the bytes they took."""
        count = lib.gn_parse(parser, view, size, final, self.out, _BATCH, self.consumed)
        if not count:
            return [], self.consumed[0]
        return list(_ROW.iter_unpack(self.rows[: count * _ROW.size])), self.consumed[0]


_pool: list[_Scratch] = []  # append and pop of a list are atomic


def _borrow() -> _Scratch:
    try:
        return _pool.pop()
    except IndexError:
        return _Scratch()


def _items(rows: list[_Row], buf: bytes) -> list[Message | ProtocolError]:
    items: list[Message | ProtocolError] = []
    for row in rows:
        if row[2]:
            raw, task = _span(buf, row, _WHOLE), _span(buf, row, _TASK).decode()
            items.append(ProtocolError(code_word(row[2]), task=task, raw=raw))
            continue
        message = _new(Message)
        _set(message, "_buf", buf)
        _set(message, "_row", row)
        items.append(message)
    return items


def parse_each(
    buffer: bytes | bytearray | memoryview, final: bool = True
) -> list[Message | ProtocolError]:
    """All messages of a datagram, and an error (returned, not raised) for all that is none.

    ``final=False``: what is unfinished at the end is left out (:class:`StreamParser` keeps it).
    """
    buf = bytes(buffer)
    items: list[Message | ProtocolError] = []
    scratch = _borrow()
    parser = ffi.new("gn_parser *")
    at, size = 0, len(buf)
    with ffi.from_buffer("uint8_t[]", buf) as start:
        while at < size:
            rows, used = scratch.read(parser, start + at, size - at, final)
            items += _items(rows, buf[at : at + used])
            at += used
            if len(rows) < _BATCH:
                break
    _pool.append(scratch)
    return items


def parse_batch(buffer: bytes | bytearray | memoryview, final: bool = True) -> list[Message]:
    """All messages of a datagram, one C call for each 128.

    Raises the first :class:`ProtocolError`: see :func:`parse_each` to go on behind it.
    """
    messages: list[Message] = []
    for item in parse_each(buffer, final):
        if isinstance(item, ProtocolError):
            raise item
        messages.append(item)
    return messages


class StreamParser:
    """Messages out of a stream, however it is cut.

    Holds at most ``MESSAGE_BYTES_MAX`` bytes between two feeds (with the default limit), whatever a
    peer claims. Work is linear in the bytes fed. Not for two threads at once.

    >>> p = StreamParser()
    >>> p.feed(b"DATA:UPPER:t1:hel"), p.feed(b"lo\\nACK:")
    ([], [Message('DATA', 'UPPER', 't1', {}, b'hello')])
    """

    __slots__ = ("_parser", "_pending")

    def __init__(self, inline_bytes_max: int = INLINE_BYTES_MAX) -> None:
        """``inline_bytes_max``: a longer payload is an error ``too_big``; its bytes are skipped."""
        if not 1 <= inline_bytes_max <= 1 << 30:
            raise UsageError("inline_bytes_max is 1 byte to 1 GiB")
        self._parser = ffi.new("gn_parser *", {"inline_bytes_max": inline_bytes_max})
        self._pending = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of the unfinished message held now."""
        return len(self._pending)

    @property
    def skipping(self) -> int:
        """Bytes still to come of a payload over the limit: what its ``len=`` claims, less what came."""
        return int(self._parser.skip)

    def feed(self, data: bytes | bytearray | memoryview) -> list[Message | ProtocolError]:
        """The messages that ``data`` completes, and an error for all that is none."""
        self._pending += data
        return self._read(final=False)

    def close(self) -> list[Message | ProtocolError]:
        """The stream has ended: what its last bytes were. The parser is as new afterwards."""
        return self._read(final=True)

    def _read(self, final: bool) -> list[Message | ProtocolError]:
        items: list[Message | ProtocolError] = []
        pending, scratch = self._pending, _borrow()
        while True:
            with ffi.from_buffer("uint8_t[]", pending) as start:
                rows, used = scratch.read(self._parser, start, len(pending), final)
            # Messages keep these bytes; pending itself goes on to change.
            if rows:
                with memoryview(pending) as view:
                    items += _items(rows, bytes(view[:used]))
            del pending[:used]
            if len(rows) < _BATCH:
                break
        _pool.append(scratch)
        return items


def _room(message: Message) -> int:
    return _HEADER_BYTES_MAX + 2 + len(message.payload)


def _write(message: Message, to: Any, room: int) -> int:
    """Format into ``to``; the bytes written."""
    try:
        action, task = message.action.encode("ascii"), message.task.encode("ascii")
        params = _write_params(message.params) if message.params else b""
    except UnicodeEncodeError as error:
        raise UsageError(f"not ASCII: {error.object!r}", code="bad_param") from None
    payload = message.payload or ffi.NULL
    # An empty task field is written before a payload, so that no reader has to guess what it is.
    name = task if task or params or message.payload else ffi.NULL
    size: int = lib.gn_format(
        to, room, _TYPE_NUMBERS.get(message.type, -1), action, len(action), name, len(task),
        params, len(params), payload, len(message.payload),
    )  # fmt: skip
    if size < 0:
        raise UsageError(f"cannot be sent: {message!r:.200}", code=code_word(-size - 100))
    return size


def _format(message: Message) -> bytes:
    room = _room(message)
    to = bytearray(room)
    with ffi.from_buffer("uint8_t[]", to, require_writable=True) as start:
        size = _write(message, start, room)
    return bytes(memoryview(to)[:size])


def format_batch(messages: Iterable[Message]) -> bytes:
    """Messages back to back, as they stand in a datagram or stream."""
    batch = list(messages)
    room = sum(map(_room, batch))
    to = bytearray(room)
    at = 0
    with ffi.from_buffer("uint8_t[]", to, require_writable=True) as start:
        for message in batch:
            at += _write(message, start + at, room - at)
    return bytes(memoryview(to)[:at])
