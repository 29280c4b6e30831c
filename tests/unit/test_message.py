"""Message, its errors, and what importing them costs."""

from __future__ import annotations

import copy
import doctest
import pickle
import subprocess
import sys

import pytest

from ganglion import protocol
from ganglion.protocol import (
    GanglionError,
    HostError,
    Message,
    PeerError,
    ProtocolError,
    StateError,
    StreamParser,
    TransportError,
    UsageError,
    codec,
    parse_batch,
    parse_each,
)
from ganglion.protocol import message as message_module
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.errors import code_number, code_text, codes, error_for

LINE = b"DATA:QUERY:t1;prio=9;from=a%20b;len=5:hello"


@pytest.mark.parametrize("module", [message_module, codec], ids=["message", "codec"])
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted
    assert not result.failed


def test_fields() -> None:
    m = Message.parse(LINE)
    assert (m.type, m.action, m.task, m.payload) == ("DATA", "QUERY", "t1", b"hello")
    assert dict(m.params) == {"prio": "9", "from": "a b"}
    assert m.param("from") == "a b"
    assert m.param("ct") is None
    assert m.param("ct", "json") == "json"
    assert m.number("prio") == 9
    assert m.number("try", 1) == 1
    with pytest.raises(ProtocolError) as caught:
        m.number("from")
    assert (caught.value.code, caught.value.task) == ("bad_number", "t1")
    assert Message.parse("ACK:RECEIVED") == Message("ACK", "RECEIVED")


def test_it_does_not_change() -> None:
    for m in (Message.parse(LINE), Message("DATA", "X", params={"a": 1})):
        with pytest.raises(AttributeError):
            m.payload = b"x"
        with pytest.raises(AttributeError):
            del m.payload
        with pytest.raises(AttributeError):
            m.other = 1
        with pytest.raises(AttributeError):
            m.other  # type: ignore[attr-defined]  # noqa: B018
        with pytest.raises(TypeError):
            m.params["a"] = "2"  # type: ignore[index]
        assert not hasattr(m, "__dict__")


def test_a_parsed_message_is_the_same_as_one_made() -> None:
    parsed = Message.parse(LINE)
    made = Message("DATA", "QUERY", "t1", {"prio": 9, "from": "a b"}, "hello")
    assert parsed == made
    assert hash(parsed) == hash(made)
    assert made != Message("DATA", "QUERY", "t1", {"prio": 8, "from": "a b"}, "hello")
    assert parsed != LINE
    assert repr(parsed) == repr(made)
    assert pickle.loads(pickle.dumps(Message.parse(LINE))) == made
    assert copy.copy(Message.parse(LINE)) == made


def test_a_datagram_may_be_changed_after_it_was_parsed() -> None:
    buffer = bytearray(LINE)
    (m,) = parse_batch(buffer)
    buffer[:] = bytes(len(buffer))
    assert m.payload == b"hello"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Message("data", "X"), "bad_type"),
        (Message("DATA", "x"), "bad_action"),
        (Message("DATA", "É"), "bad_param"),
        (Message("DATA", "X", "a b"), "bad_task"),
        (Message("DATA", "X", "t", {"A": "1"}), "bad_param"),
        (Message("DATA", "X", "t", {"a=1;b": "1"}), "bad_param"),
        (Message("DATA", "X", "t", {"a;b": "1"}), "bad_param"),
        (Message("DATA", "X", "t", {"len": "1"}), "bad_param"),
        (Message("DATA", "X", "t", {"a": "v" * 1100}), "header_too_big"),
        (Message("DATA", "X", "t", payload=bytes(65537)), "too_big"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_breaks_the_grammar_is_not_written(message: Message, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        message.format()
    assert caught.value.code == code


def test_none_is_no_value() -> None:
    with pytest.raises(UsageError):
        Message("DATA", "X", params={"a": None})


def test_one_bad_line_does_not_hide_the_others() -> None:
    first, error, last = parse_each(b"ACK:PONG\nnonsense\nACK:DONE\n")
    assert [first, last] == [Message("ACK", "PONG"), Message("ACK", "DONE")]
    assert isinstance(error, ProtocolError)
    assert (error.code, error.raw) == ("bad_type", b"nonsense")
    with pytest.raises(ProtocolError):
        parse_batch(b"ACK:PONG\nnonsense\nACK:DONE\n")
    with pytest.raises(ProtocolError):
        Message.parse(b"ACK:PONG\nACK:DONE\n")
    with pytest.raises(ProtocolError):
        Message.parse(b"")


def test_what_is_unfinished_waits() -> None:
    assert parse_batch(b"ACK:PONG\nACK:DO", final=False) == [Message("ACK", "PONG")]
    with pytest.raises(UsageError):
        StreamParser(0)


def test_the_code_of_a_rejection() -> None:
    assert Message.parse("RESPONSE:REJECTED:t1:busy a table is at its bound").code == "busy"
    assert Message.parse("RESPONSE:REJECTED::bad_type").code == "bad_type"
    assert Message.parse("DATA:REJECTED:t1:busy").code == ""
    assert Message.parse("ACK:RECEIVED").code == ""


def test_errors_come_from_the_registry() -> None:
    owners = {"PEER": PeerError, "STATE": StateError, "HOST": HostError}
    assert len(codes()) == lib.gn_code_count()
    for word, number in codes().items():
        owner = ffi.string(lib.gn_code_owner(number)).decode()
        error = error_for(word, task="t")
        assert type(error) is owners[owner]
        assert (error.code, error.task, code_number(word)) == (word, "t", number)
        assert str(error) == f"{word}: {code_text(word)}"
    assert str(error_for("busy", "the table of tasks")) == "busy: the table of tasks"
    assert isinstance(error_for("a_word_of_the_future"), HostError)
    assert code_number("a_word_of_the_future") == -1


def test_errors_by_owner() -> None:
    assert issubclass(ProtocolError, PeerError)
    for error in (PeerError, StateError, HostError, UsageError, TransportError):
        assert issubclass(error, GanglionError)
    refused = TransportError(24, "no queue", "/ganglion.main")
    assert isinstance(refused, OSError)
    assert (refused.errno, refused.filename) == (24, "/ganglion.main")
    assert pickle.loads(pickle.dumps(ProtocolError("bad_type"))).code == "bad_type"


def test_the_public_names() -> None:
    assert set(protocol.__all__) <= set(dir(protocol))
    for name in protocol.__all__:
        assert getattr(protocol, name)
    with pytest.raises(AttributeError):
        protocol.nonsense  # noqa: B018


def test_importing_messages_imports_nothing_heavy() -> None:
    code = (
        "import sys, ganglion.protocol.message, ganglion.protocol.codec;"
        "print(*sorted({'numpy', 'msgpack', 'asyncio', 'cffi', 'logging'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
