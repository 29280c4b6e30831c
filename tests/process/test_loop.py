"""The loop and the core on a thread, over real queues and sockets, without the coordinator's Python."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import posix_ipc
import pytest

from ganglion.protocol._native import lib
from support.data_plane import SLOT_BYTES, Plane, make_queue
from support.until import until


@pytest.fixture
def plane() -> Iterator[Plane]:
    with Plane() as plane:
        yield plane


def test_submit_work_answer(plane: Plane) -> None:
    plane.loop(epoch=7)
    client, agent = plane.peer("c"), plane.worker("a", "UPPER").connected(7)
    for i in range(100):
        client.send(f"DATA:UPPER:t{i}:hello {i}\n")
        (task,) = agent.take()
        head, _, payload = task.rpartition(b":")
        assert head.startswith(b"DATA:UPPER:t%d;" % i)
        agent.send(b"RESPONSE:TASK_COMPLETED:t%d:" % i + payload.upper() + b"\n")
        client.expect(b"ACK:RECEIVED:t%d" % i, b"RESPONSE:TASK_COMPLETED:t%d" % i)


def test_a_full_queue_stalls_nobody_else(plane: Plane) -> None:
    loop = plane.loop()
    slow, quick = plane.peer("slow", slots=1), plane.peer("quick")
    for i in range(100):
        slow.send(f"CONTROL:PING:r{i}:{'x' * 400}\n")
    until(lambda: loop.stats().blocked, 20, "a full queue")
    quick.send("CONTROL:PING:q:p\n")
    quick.expect(b"ACK:PONG:q:p")
    answers = slow.expect(*(b"ACK:PONG:r%d:" % i for i in range(100)))
    assert [answer.split(b":")[2] for answer in answers] == [b"r%d" % i for i in range(100)]


def test_a_message_longer_than_a_slot(plane: Plane) -> None:
    loop = plane.loop()
    agent = plane.worker("a", "LONG").connected(1)
    with loop.connect() as client:
        client.sendall(b"DATA:LONG:t1;len=40000:" + b"a\n" * 20_000 + b"\n")
        (task,) = agent.take()
        assert len(task) > 30 * SLOT_BYTES
        assert task.endswith(b"a\n" * 20_000)


def test_half_a_message_then_close(plane: Plane) -> None:
    loop = plane.loop()
    links = loop.stats().links
    for half in (
        b"DATA:X:t1",
        b"DATA:X:t;len=100:ab",
        b"CONTROL:",
        b"\xff\x00",
        b"DATA:X:" + b"t" * 70_000,
    ):
        with loop.connect() as peer:
            peer.sendall(half)
    with loop.connect() as peer:
        peer.sendall(b"DATA:X:t2:x\nDATA:Y")
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(4096).startswith(b"ACK:RECEIVED:t2\n")
    client = plane.peer("c")
    client.send("CONTROL:PING:r:p\n")
    client.expect(b"ACK:PONG:r:p")
    until(lambda: loop.stats().links <= links + 2, 20, "closed links to go")


def test_hostile_datagrams_then_a_good_one(plane: Plane) -> None:
    plane.loop()
    client = plane.peer("c")
    rng = random.Random(2)
    seeds = (b"DATA:X:t:p\n", b"CONTROL:REGISTER:z:{}\n", b"RESPONSE:TASK_COMPLETED:t:\n")
    for i in range(1000):
        junk = rng.randbytes(rng.randrange(200))
        good = bytearray(rng.choice(seeds) * 3)
        for _ in range(rng.randrange(6)):
            good[rng.randrange(len(good))] = rng.randrange(256)
        plane.inbox.send(
            (junk + bytes(good), bytes(good) + junk, junk, bytes(good))[i % 4][:SLOT_BYTES], 20
        )
    client.send("CONTROL:PING:good:p\n")
    client.expect(b"ACK:PONG:good:p")


def test_addresses_that_are_no_peers_are_not_written_to(plane: Plane) -> None:
    loop = plane.loop()
    victim = make_queue(f"{plane.inbox.name}victim", slots=1)
    try:
        client = plane.peer("c")
        bad = (
            "",
            "/",
            victim.name,
            plane.inbox.name,
            plane.inbox.name + ".",
            plane.inbox.name + "./x",
        )
        for i, address in enumerate(bad):
            client.send(f'CONTROL:REGISTER:e{i};from=e{i}:{{"inbox":"{address}","run":"1"}}\n')
        client.send("CONTROL:PING:r;from=c:p\n")
        client.expect(b"ACK:PONG:r:p")
        assert victim.current_messages == 0
        assert loop.stats().links == 2
    finally:
        victim.close()
        victim.unlink()


def test_a_vanished_peer_makes_room(plane: Plane) -> None:
    loop = plane.loop(tries=3)
    client, first = plane.peer("c"), plane.peer("first")
    first.send(
        f'CONTROL:REGISTER:first:{{"inbox":"{first.queue.name}","actions":["X"],"run":"2"}}\n'
    )
    first.expect(b"ACK:WELCOME:first")
    client.send("DATA:X:t1:x\n")
    first.expect(b"DATA:X:t1;")
    posix_ipc.unlink_message_queue(first.queue.name)
    assert lib.gn_loop_peer_gone(loop.loop, first.queue.name.encode()) == 0
    second = plane.worker("second", "X").connected(1)
    (task,) = second.take()
    assert task.startswith(b"DATA:X:t1;")
    assert b"try=2" in task


def test_bye_is_answered_and_the_link_closed(plane: Plane) -> None:
    loop = plane.loop()
    client = plane.peer("c")
    assert loop.stats().links == 2
    client.send("CONTROL:BYE:c\n")
    client.expect(b"ACK:DONE:c")
    until(lambda: loop.stats().links == 1, 20, "the link to go")


def test_stop_while_busy(plane: Plane) -> None:
    loop = plane.loop()
    client = plane.peer("c")
    client.send(b"".join(b"DATA:NOBODY:t%d;ack=0:x\n" % i for i in range(2000)))
    assert loop.stop() == 0


def test_drain_ends_the_loop(plane: Plane) -> None:
    loop = plane.loop()
    client, agent = plane.peer("c"), plane.worker("a", "X").connected(1)
    client.send("DATA:X:t1:x\n")
    agent.take()
    client.send("CONTROL:DRAIN:r\n")
    client.expect(b"ACK:RECEIVED:t1", b"ACK:DONE:r")
    agent.send(b"RESPONSE:TASK_COMPLETED:t1:done\n")
    client.expect(b"RESPONSE:TASK_COMPLETED:t1")
    until(lambda: loop.result is not None, 20, "the end of the loop")
    assert loop.result == 1


def test_a_listener_serves_many(plane: Plane, tmp_path: Path) -> None:
    loop = plane.loop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(64)
        assert lib.gn_loop_add_listener(loop.loop, listener.fileno()) == 0
        peers = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        for peer in peers:
            peer.settimeout(20)
            peer.connect(str(tmp_path / "s"))
        for i, peer in enumerate(peers):
            peer.sendall(b"CONTROL:PING:r%d:p\n" % i)
        for i, peer in enumerate(peers):
            assert peer.recv(4096) == b"ACK:PONG:r%d:p\n" % i
            peer.close()
        until(lambda: loop.stats().links == 1, 20, "all connections closed")
        loop.stop()
