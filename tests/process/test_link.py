"""The C link through cffi: real queues and sockets, without the GIL, and Python's signal handlers still run."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from ganglion.protocol._native import ffi, lib
from support.data_plane import SLOT_BYTES, make_queue, texts


class Pair:
    """A link over two queues, and the coordinator's ends of them."""

    def __init__(self) -> None:
        self.inbox = make_queue(f"/gt{os.getpid()}.me")
        try:
            self.coordinator = make_queue(f"/gt{os.getpid()}")
        except BaseException:
            self.inbox.unlink()
            raise
        self.link = lib.gn_link_mqueue(b"me", self.inbox.mqd, self.coordinator.mqd)

    def close(self) -> None:
        lib.gn_link_free(self.link)
        for queue in (self.inbox, self.coordinator):
            queue.close()
            queue.unlink()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def receive(link: Any, timeout_ms: int, cap: int = 64) -> list[bytes] | int:
    """The messages that came, or what was wrong."""
    out, base = ffi.new("gn_msg[]", cap), ffi.new("uint8_t const **")
    n = lib.gn_link_recv(link, out, cap, timeout_ms, base)
    if n < 0:
        return int(n)
    return texts(out, base[0], n)


def test_lines_go_out_named_and_packed(pair: Pair) -> None:
    lines = b"".join(b"DATA:X:t%d:x\n" % i for i in range(40))
    assert lib.gn_link_send(pair.link, lines, len(lines), 1000) == len(lines)
    datagram, _ = pair.coordinator.receive(timeout=5)
    assert datagram.startswith(b"DATA:X:t0;from=me:x\nDATA:X:t1:x\n")
    assert datagram.endswith(b"DATA:X:t39:x\n")


def test_a_slot_is_the_limit(pair: Pair) -> None:
    assert lib.gn_link_message_bytes_max(pair.link) == SLOT_BYTES
    fits = b"DATA:X:t:" + b"x" * (SLOT_BYTES - len("DATA:X:t;from=me:\n")) + b"\n"
    assert lib.gn_link_send(pair.link, fits, len(fits), 0) == len(fits)
    assert len(pair.coordinator.receive(timeout=5)[0]) == SLOT_BYTES
    long = fits[:-1] + b"x\n"
    assert lib.gn_link_send(pair.link, long, len(long), 0) == -90  # EMSGSIZE


def test_what_came_in_pieces_is_whole(pair: Pair) -> None:
    for piece in (b"ACK:A:1\nDATA:X:t;len=5:a\n", b"b\nc\nACK:B", b":2\n"):
        pair.inbox.send(piece)
    assert receive(pair.link, 5000) == [b"ACK:A:1", b"DATA:X:t;len=5:a\nb\nc", b"ACK:B:2"]
    assert receive(pair.link, 0) == []


def test_waiting_holds_no_gil(pair: Pair) -> None:
    got: list[list[bytes] | int] = []
    thread = threading.Thread(target=lambda: got.append(receive(pair.link, 20_000)))
    thread.start()
    pair.inbox.send(b"ACK:A:1\n")  # this thread runs while the other waits in C
    thread.join(20)
    assert got == [[b"ACK:A:1"]]


@pytest.mark.parametrize("kind", ["queue", "stream"])
def test_signal_handlers_run_while_it_waits(pair: Pair, kind: str) -> None:
    rung: list[int] = []

    def ring(number: int, _frame: FrameType | None) -> None:
        rung.append(number)

    ours, theirs = socket.socketpair()
    stream = lib.gn_link_stream(ours.fileno(), ours.fileno())
    before = signal.signal(signal.SIGUSR1, ring)
    waiter = threading.get_ident()
    done = threading.Event()

    def interrupt() -> None:
        while not done.wait(0.02):
            signal.pthread_kill(waiter, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        while not rung:
            assert receive(pair.link if kind == "queue" else stream, 60_000) == []
    finally:
        done.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
        lib.gn_link_free(stream)
        ours.close()
        theirs.close()


def test_a_closed_stream_says_so() -> None:
    ours, theirs = socket.socketpair()
    link = lib.gn_link_stream(ours.fileno(), ours.fileno())
    theirs.sendall(b"ACK:A:1\nACK:LAST:2")
    theirs.close()
    assert receive(link, 5000) == [b"ACK:A:1"]
    assert receive(link, 5000) == [b"ACK:LAST:2"]
    assert receive(link, 5000) == -32  # EPIPE
    assert lib.gn_link_send(link, b"ACK:A:1\n", 8, 1000) == -32
    lib.gn_link_free(link)
    ours.close()
