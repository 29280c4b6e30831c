"""Laws of the wire that hold for any bytes and any fields."""

from __future__ import annotations

import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganglion.protocol import (
    Message,
    PeerError,
    ProtocolError,
    StreamParser,
    UsageError,
    format_batch,
    parse_batch,
    parse_each,
)
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.message import escape, unescape

UPPER = string.ascii_uppercase
PIECES = [
    *(b"DATA:", b"CONTROL:", b"RESPONSE:", b"ACK:", b"X", b":", b";", b"=", b"\n", b"\r\n", b"%"),
    *(b"len=", b"len=3", b"len=99:", b"prio=9", b"%41", b"t1", b"\0", b"[1, 2]", b"a" * 64),
    *(b"DATA:X:t;len=3:a\nb\n", b"ACK:PONG\n", b"DATA:X:t:p\n", b"DATA:X:t;from=" + b"v" * 990),
]

anything = st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=30).map(b"".join)
key = st.from_regex(r"[a-z][a-z0-9_]{0,15}", fullmatch=True).filter(lambda k: k != "len")
messages = st.builds(
    Message,
    type=st.sampled_from(["CONTROL", "DATA", "RESPONSE", "ACK"]),
    action=st.from_regex(r"[A-Z][A-Z0-9_]{0,31}", fullmatch=True),
    task=st.text(string.ascii_letters + string.digits + "-_.", max_size=64),
    params=st.dictionaries(key, st.text(max_size=12), max_size=5),
    payload=st.binary(max_size=200),
)


def seen(item: Message | ProtocolError) -> object:
    return (item.code, item.task, item.raw) if isinstance(item, ProtocolError) else item


@given(messages)
def test_what_is_formatted_is_parsed_back(message: Message) -> None:
    line = message.format()
    assert Message.parse(line) == message
    assert Message.parse(line[:-1]) == message
    assert Message.parse(line + bytes(9)) == message


@given(st.lists(messages, max_size=9))
def test_a_batch_is_its_messages_back_to_back(batch: list[Message]) -> None:
    data = format_batch(batch)
    assert data == b"".join(m.format() for m in batch)
    assert parse_batch(data) == batch


@given(
    st.sampled_from(["DATA", "ACK", "NO"]),
    *[st.text(max_size=70)] * 2,
    st.dictionaries(st.text(max_size=17), st.text(max_size=9), max_size=2),
    st.binary(max_size=20),
)
def test_format_writes_it_right_or_refuses(
    type: str, action: str, task: str, params: dict[str, str], payload: bytes
) -> None:
    message = Message(type, action, task, params, payload)
    try:
        line = message.format()
    except UsageError:
        return
    assert Message.parse(line) == message


@given(anything)
def test_parse_raises_nothing_but_peer_errors(data: bytes) -> None:
    for parse in (Message.parse, parse_batch):
        try:
            found = parse(data)
        except PeerError:
            continue
        for message in [found] if isinstance(found, Message) else found:
            assert repr(message)


@given(anything)
def test_what_was_parsed_can_be_sent_on(data: bytes) -> None:
    for item in parse_each(data):
        if isinstance(item, Message):
            with suppress(UsageError):  # percent codes written in full may make a header too long
                assert Message.parse(item.format()) == item


@given(st.data(), anything, st.sampled_from([1, 16, 65536]))
def test_the_cut_does_not_matter(data: st.DataObject, stream: bytes, limit: int) -> None:
    whole, cut = StreamParser(limit), StreamParser(limit)
    want = [*whole.feed(stream), *whole.close()]
    got: list[Message | ProtocolError] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += cut.feed(stream[:size])
        assert cut.pending <= 1024 + 1 + limit + 1
        stream = stream[size:]
    got += cut.close()
    assert cut.pending == 0
    assert list(map(seen, got)) == list(map(seen, want))


@given(anything, st.booleans(), st.integers(1, 5))
def test_offsets_stay_inside_what_was_consumed(data: bytes, final: bool, cap: int) -> None:
    parser, out = ffi.new("gn_parser *"), ffi.new("gn_msg[]", cap)
    consumed = ffi.new("size_t *")
    count = lib.gn_parse(parser, data, len(data), final, out, cap, consumed)
    assert count <= cap
    assert consumed[0] <= len(data)
    end = 0
    for row in out[0:count]:
        assert row.whole.off >= end
        for span in (row.whole, row.action, row.task, row.params, row.payload):
            assert span.off + span.len <= consumed[0]
        end = row.whole.off + row.whole.len
    if final and count < cap:
        assert consumed[0] == len(data)


@given(st.text() | st.binary())
def test_escape_and_unescape(value: str | bytes) -> None:
    try:
        escaped = escape(value)
    except UnicodeEncodeError:
        assert isinstance(value, str)  # a lone surrogate is no text
        return
    assert all(" " < c <= "~" and c not in ":;" for c in escaped)
    back = unescape(escaped.encode())
    assert back == (value if isinstance(value, str) else value.decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("claim", [65537, 1 << 26, 1 << 32, 1 << 63, (1 << 64) - 1])
def test_a_claim_costs_no_memory(claim: int) -> None:
    parser = StreamParser()
    left = min(claim, 1 << 20)
    assert parser.feed(f"DATA:X:t;len={claim}:".encode()) == []
    (error,) = parser.feed(b"ACK:PONG\n" * (left // 9) + b"x" * (left % 9))
    assert isinstance(error, ProtocolError)
    assert (error.code, error.task) == ("too_big", "t")
    assert parser.pending == 0
    if claim == left:
        assert parser.feed(b"\nACK:PONG\n") == [Message("ACK", "PONG")]


def test_a_batch_of_100_lines_is_one_c_call(monkeypatch: pytest.MonkeyPatch) -> None:
    from ganglion.protocol import message

    calls = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(lib, name)

        def gn_parse(self, *args: object) -> object:
            calls.append(args)
            return lib.gn_parse(*args)

    monkeypatch.setattr(message, "lib", Counting())
    data = b"DATA:X:t;prio=1:hello\n" * 100
    assert len(parse_batch(data)) == 100
    assert len(calls) == 1
    assert len(parse_batch(data * 10)) == 1000
    assert len(calls) == 1 + 8
