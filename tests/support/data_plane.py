"""The C data plane without its Python control plane: a loop on a thread, peers and agents on its queues.

Owns the queues it makes, /gt<pid>... of a few small slots: all queues of a user share one limit.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from types import TracebackType
from typing import Any

import posix_ipc

from ganglion.protocol._native import ffi, lib
from support.until import until

SLOTS, SLOT_BYTES = 4, 1024
PATIENCE_MS = 20_000
HEARTBEAT_MS = 200
_serial = iter(range(1_000_000))


def make_queue(name: str, slots: int = SLOTS) -> posix_ipc.MessageQueue:
    """A small queue; other tests of this machine may hold the last bytes of the limit for a moment."""
    made: list[posix_ipc.MessageQueue] = []

    def attempt() -> bool:
        try:
            queue = posix_ipc.MessageQueue(
                name, posix_ipc.O_CREX, max_messages=slots, max_message_size=SLOT_BYTES
            )
        except OSError:
            return False
        made.append(queue)
        return True

    until(attempt, 20, f"room for queue {name}")
    return made[0]


def texts(out: Any, base: Any, n: int) -> list[bytes]:
    """The messages of a receive, without their LF."""
    return [bytes(ffi.buffer(base + out[i].whole.off, out[i].whole.len)) for i in range(n)]


class Loop:
    """A gn_loop on a thread, serving the queue ``inbox``."""

    def __init__(self, inbox: posix_ipc.MessageQueue, epoch: int, **core: int) -> None:
        config = ffi.new("gn_core_config *")
        lib.gn_core_defaults(config)
        settings = {"seed": 1, "epoch": epoch, "heartbeat_ms": HEARTBEAT_MS, **core}
        for key, value in settings.items():
            setattr(config, key, value)
        self.loop = lib.gn_loop_new(config, ffi.new("gn_loop_config *", {"log_fd": -1}))
        assert self.loop != ffi.NULL
        self.result: int | None = None
        assert lib.gn_loop_add_inbox(self.loop, inbox.mqd) == 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.result = lib.gn_loop_run(self.loop)

    def stats(self) -> Any:
        out = ffi.new("gn_loop_stats *")
        lib.gn_loop_read_stats(self.loop, out)
        return out

    def connect(self) -> socket.socket:
        """The other end of a stream into the loop. The loop's end is closed with the loop."""
        ours, theirs = socket.socketpair()
        self._ends = [*getattr(self, "_ends", []), theirs]
        assert lib.gn_loop_add_stream(self.loop, theirs.fileno(), theirs.fileno()) == 0
        ours.settimeout(PATIENCE_MS / 1000)
        return ours

    def stop(self) -> int | None:
        """End it; what gn_loop_run returned."""
        if self.loop is not None:
            lib.gn_loop_stop(self.loop)
            self.thread.join(PATIENCE_MS / 1000)
            assert not self.thread.is_alive()
            lib.gn_loop_free(self.loop)
            self.loop = None
        for end in getattr(self, "_ends", []):
            end.close()
        return self.result


class Peer:
    """A client on a queue of its own."""

    def __init__(self, plane: Plane, name: str, slots: int = SLOTS) -> None:
        self.name = name
        self.queue = make_queue(f"{plane.inbox.name}.{name}", slots)
        self.link = lib.gn_link_mqueue(name.encode(), self.queue.mqd, plane.inbox.mqd)
        self.send(f'CONTROL:REGISTER:{name}:{{"inbox":"{self.queue.name}","run":"1"}}\n')
        self.expect(b"ACK:WELCOME:")

    def send(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        assert lib.gn_link_send(self.link, data, len(data), PATIENCE_MS) == len(data)

    def receive(self, timeout_ms: int = PATIENCE_MS) -> list[bytes]:
        out, base = ffi.new("gn_msg[64]"), ffi.new("uint8_t const **")
        n = lib.gn_link_recv(self.link, out, 64, timeout_ms, base)
        assert n >= 0
        return texts(out, base[0], n)

    def expect(self, *begins: bytes) -> list[bytes]:
        """Receive until each of these has come, in any order; everything that came."""
        missing = list(begins)
        all_came: list[bytes] = []
        while missing:
            came = self.receive()
            assert came, f"still missing {missing} after {all_came}"
            for message in came:
                missing = [begin for begin in missing if not message.startswith(begin)]
            all_came += came
        return all_came

    def close(self) -> None:
        lib.gn_link_free(self.link)
        self.queue.close()
        with contextlib.suppress(posix_ipc.ExistentialError):
            self.queue.unlink()


class Worker:
    """An agent: a gn_runtime on a queue of its own."""

    def __init__(self, plane: Plane, name: str, action: str, agent_slots: int = 4) -> None:
        self.name = name
        self.inbox = make_queue(f"{plane.inbox.name}.{name}")
        line = (
            f'CONTROL:REGISTER:{name}:{{"inbox":"{self.inbox.name}","actions":["{action}"],'
            f'"slots":{agent_slots},"run":"{next(_serial)}"}}\n'
        ).encode()
        held = ffi.from_buffer(line)
        config = ffi.new(
            "gn_runtime_config *",
            {
                "name": name.encode(),
                "queue": plane.inbox.name.encode(),
                "inbox": self.inbox.name.encode(),
                "inbox_mqd": self.inbox.mqd,
                "heartbeat_ms": HEARTBEAT_MS,
                "register_line": held,
                "register_len": len(line),
            },
        )
        self.runtime = lib.gn_runtime_new(config)
        assert self.runtime != ffi.NULL

    def stats(self) -> Any:
        out = ffi.new("gn_runtime_stats *")
        lib.gn_runtime_read_stats(self.runtime, out)
        return out

    def connected(self, epoch: int) -> Worker:
        until(lambda: self.stats().connected and self.stats().epoch == epoch, 20, "WELCOME")
        return self

    def take(self, cap: int = 1, timeout_ms: int = PATIENCE_MS) -> list[bytes]:
        out, buffer = ffi.new("gn_msg[]", cap), ffi.new("uint8_t[]", 65536)
        n = lib.gn_runtime_take(self.runtime, out, cap, buffer, 65536, timeout_ms, 0)
        assert n >= 0
        return texts(out, buffer, n)

    def send(self, data: bytes) -> None:
        assert lib.gn_runtime_send(self.runtime, data, len(data), PATIENCE_MS) == len(data)

    def close(self) -> None:
        lib.gn_runtime_free(self.runtime)
        self.inbox.close()
        self.inbox.unlink()


class Plane:
    """An inbox, the loops that serve it one after the other, and everybody on it."""

    def __init__(self) -> None:
        self.inbox = make_queue(f"/gt{os.getpid()}x{next(_serial)}")
        self._all: list[Loop | Peer | Worker] = []

    def loop(self, epoch: int = 1, **core: int) -> Loop:
        loop = Loop(self.inbox, epoch, **core)
        self._all.append(loop)
        return loop

    def peer(self, name: str, slots: int = SLOTS) -> Peer:
        peer = Peer(self, name, slots)
        self._all.append(peer)
        return peer

    def worker(self, name: str, action: str, agent_slots: int = 4) -> Worker:
        worker = Worker(self, name, action, agent_slots)
        self._all.append(worker)
        return worker

    def __enter__(self) -> Plane:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in reversed(self._all):
            one.stop() if isinstance(one, Loop) else one.close()
        self.inbox.close()
        self.inbox.unlink()
