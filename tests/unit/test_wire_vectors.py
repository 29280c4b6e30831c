"""Every vector: whole, cut everywhere, byte by byte, padded, and with more behind it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ganglion.protocol import Message, ProtocolError, StreamParser
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.errors import code_word, codes

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
HAS_TASK, HAS_PAYLOAD = lib.GN_MSG_TASK, lib.GN_MSG_PAYLOAD


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("vectors_load", VECTORS / "load.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ALL = list(_load().vectors())
every_vector = pytest.mark.parametrize("vector", ALL, ids=[v["name"] for v in ALL])


def item_of(buf: bytes, row: Any) -> dict[str, Any]:
    """A gn_msg in the words of the vectors."""

    def cut(span: Any) -> bytes:
        return buf[span.off : span.off + span.len]

    task = cut(row.task) if row.flags & HAS_TASK else None
    if row.code:
        return {"code": code_word(row.code), "task": task}
    item = {
        "type": ffi.string(lib.gn_type_name(row.type)).decode(),
        "action": cut(row.action),
        "task": task,
        "params": cut(row.params),
        "payload": cut(row.payload) if row.flags & HAS_PAYLOAD else None,
    }
    params = ffi.new("gn_params *")
    code = lib.gn_params_read(buf, ffi.addressof(row), params)
    if code:
        item["params_code"] = code_word(code)
    return item


def replay(pieces: Iterable[bytes], inline: int, final: bool, cap: int = 8) -> list[dict[str, Any]]:
    """Feed the pieces as C callers do; the last one as the end when ``final``."""
    parser = ffi.new("gn_parser *", {"inline_bytes_max": inline})
    out, consumed = ffi.new("gn_msg[]", cap), ffi.new("size_t *")
    pending, items = b"", []
    pieces = list(pieces)
    for number, piece in enumerate(pieces, 1):
        pending += piece
        while True:
            end = final and number == len(pieces)
            count = lib.gn_parse(parser, pending, len(pending), end, out, cap, consumed)
            assert count <= cap
            assert consumed[0] <= len(pending)
            items += [item_of(pending, out[i]) for i in range(count)]
            pending = pending[consumed[0] :]
            if count < cap:
                break
        assert len(pending) < lib.GN_MESSAGE_BYTES_MAX
    assert not (final and pending)
    return items


def expected(vector: dict[str, Any]) -> list[dict[str, Any]]:
    return [{k: v for k, v in item.items() if k != "values"} for item in vector["expect"]]


def offsets(size: int) -> Iterator[int]:
    """Every offset of a short vector; of a long one those around which something is decided."""
    if size <= 1500:
        yield from range(1, size)
        return
    near = {
        1,
        20,
        1023,
        1024,
        1025,
        1026,
        1027,
        65535,
        65546,
        65547,
        65548,
        65549,
        size - 2,
        size - 1,
    }
    yield from sorted(at for at in near if at < size)


@every_vector
def test_as_a_datagram(vector: dict[str, Any]) -> None:
    if vector.get("kind") == "stream":
        return
    inline, data = vector.get("inline", 0), vector["bytes"]
    assert replay([data], inline, final=True) == expected(vector)
    assert replay([data], inline, final=True, cap=1) == expected(vector)
    if expected(vector)[-1:] != [{"code": "truncated", "task": b"t"}]:
        assert replay([data + bytes(999)], inline, final=True) == expected(vector)


@every_vector
def test_as_a_stream(vector: dict[str, Any]) -> None:
    if vector.get("kind") == "datagram":
        return
    inline, data = vector.get("inline", 0), vector["bytes"]
    for at in (len(data), *offsets(len(data))):
        assert replay([data[:at], data[at:], b""], inline, final=True) == expected(vector), at
    step = 1 if len(data) < 10_000 else 4099  # byte by byte, long ones too: csrc/tests/test_wire.c
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert replay([*pieces, b""], inline, final=True, cap=1) == expected(vector)


@every_vector
def test_with_the_next_message_behind_it(vector: dict[str, Any]) -> None:
    data, want = vector["bytes"], expected(vector)
    if not data.endswith(b"\n") or want[-1].get("code") in ("truncated", "too_big"):
        return  # what follows would be read as part of it, as it must
    more = {"type": "ACK", "action": b"PONG", "task": b"next", "params": b"", "payload": None}
    got = replay([data + b"ACK:PONG:next\nDATA:X:"], vector.get("inline", 0), final=False)
    assert got == [*want, more]


@every_vector
def test_the_python_face_agrees(vector: dict[str, Any]) -> None:
    if vector.get("kind") == "datagram":
        return
    parser = StreamParser(vector.get("inline", lib.GN_INLINE_BYTES_MAX))
    got = [*parser.feed(vector["bytes"]), *parser.close()]
    assert len(got) == len(vector["expect"])
    for item, want in zip(got, vector["expect"], strict=True):
        if isinstance(item, ProtocolError):
            assert (item.code, item.task) == (want["code"], (want["task"] or b"").decode())
            continue
        assert (item.type, item.action.encode()) == (want["type"], want["action"])
        assert item.task.encode() == (want["task"] or b"")
        assert item.payload == (want["payload"] or b"")
        if "values" in want:
            assert dict(item.params) == want["values"]
        assert Message.parse(item.format()) == item


def test_every_code_of_the_grammar_has_a_vector() -> None:
    seen = {item["code"] for v in ALL for item in v["expect"] if "code" in item}
    seen |= {item["params_code"] for v in ALL for item in v["expect"] if "params_code" in item}
    grammar = ["type", "action", "task", "param", "percent", "number", "len"]
    assert seen == {*(f"bad_{word}" for word in grammar), "too_big", "header_too_big", "truncated"}
    assert seen < codes().keys()


def test_names_of_vectors_are_unique() -> None:
    names = [vector["name"] for vector in ALL]
    assert len(set(names)) == len(names)
