"""The agent's thread against real loops: busy handlers, cancelled tasks, coordinators that come and go."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ganglion.protocol._native import ffi, lib
from support.data_plane import PATIENCE_MS, Plane
from support.until import until


@pytest.fixture
def plane() -> Iterator[Plane]:
    with Plane() as plane:
        yield plane


def test_a_wedged_agent_still_sends_heartbeats(plane: Plane) -> None:
    """Nobody takes: the handler is stuck, and may hold the GIL for all the thread knows."""
    plane.loop(agent_timeout_ms=1000)
    client, agent = plane.peer("c"), plane.worker("a", "X").connected(1)
    client.send("DATA:X:t1;lease=600:x\n")
    assert agent.take()[0].startswith(b"DATA:X:t1;")
    beats = agent.stats().pongs
    until(lambda: agent.stats().pongs >= beats + 10, 30, "ten answered heartbeats")
    agent.send(b"RESPONSE:TASK_COMPLETED:t1;ack=1:done\n")  # its lease was extended all the while
    client.expect(b"RESPONSE:TASK_COMPLETED:t1")
    assert agent.take() == [b"ACK:DONE:t1"]
    assert agent.stats().reconnects == 0


def test_cancel_reaches_a_busy_agent(plane: Plane) -> None:
    plane.loop()
    client, agent = plane.peer("c"), plane.worker("a", "X").connected(1)
    client.send("DATA:X:t1:x\n")
    agent.take()
    client.send("CONTROL:CANCEL:t1\n")
    client.expect(b"ACK:DONE:t1")
    received = agent.stats().received
    until(lambda: agent.inbox.current_messages == 0 and agent.stats().received >= received, 20)
    (cancel,) = agent.take()
    assert cancel.startswith(b"CONTROL:CANCEL:t1;token=")


def test_a_new_coordinator_on_the_same_queue(plane: Plane) -> None:
    old = plane.loop(epoch=1)
    client, agent = plane.peer("c"), plane.worker("a", "X").connected(1)
    old.stop()
    plane.loop(epoch=2)
    agent.connected(2)  # by itself: its heartbeat was refused as unknown
    again = plane.peer("d")
    again.send("DATA:X:t1:x\n")
    assert agent.take()[0].startswith(b"DATA:X:t1;")
    assert client.receive(timeout_ms=0) == []


def test_many_takers_share_the_work(plane: Plane) -> None:
    plane.loop()
    client, agent = plane.peer("c"), plane.worker("a", "X", agent_slots=8).connected(1)
    done: list[bytes] = []

    def work() -> None:
        out, buffer = ffi.new("gn_msg *"), ffi.new("uint8_t[]", 4096)
        while lib.gn_runtime_take(agent.runtime, out, 1, buffer, 4096, -1, 0) == 1:
            name = bytes(ffi.buffer(buffer + out.task.off, out.task.len))
            done.append(name)
            agent.send(b"RESPONSE:TASK_COMPLETED:" + name + b":\n")

    takers = [threading.Thread(target=work) for _ in range(4)]
    for taker in takers:
        taker.start()
    names = [b"t%d" % i for i in range(300)]
    client.send(b"".join(b"DATA:X:" + name + b";ack=0:x\n" for name in names))
    client.expect(*(b"RESPONSE:TASK_COMPLETED:" + name for name in names))
    assert sorted(done) == sorted(names)
    lib.gn_runtime_close(agent.runtime)
    for taker in takers:
        taker.join(PATIENCE_MS / 1000)
        assert not taker.is_alive()


def test_a_batch_waits_for_its_window(plane: Plane) -> None:
    plane.loop()
    client, agent = plane.peer("c"), plane.worker("a", "X", agent_slots=16).connected(1)
    client.send(b"".join(b"DATA:X:t%d;ack=0:x\n" % i for i in range(10)))
    out, buffer = ffi.new("gn_msg[16]"), ffi.new("uint8_t[]", 4096)
    got = lib.gn_runtime_take(agent.runtime, out, 10, buffer, 4096, PATIENCE_MS, PATIENCE_MS * 1000)
    assert got == 10
