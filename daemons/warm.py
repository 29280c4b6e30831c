"""Warm child processes for handlers that must not share the agent's (they crash, leak or never
yield).

A nursery process is forked before the agent has threads, so that its own children start from a
clean state with everything imported already. Each worker thread of the agent owns one child: one
task at a time over a socket pair, killed when its task is cancelled, replaced when it died or has
run ``TASKS_MAX`` tasks.

Frames between agent and child: 4 bytes of length, then a pickle (both ends are this program).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from ganglion.daemons.task import Task
from ganglion.protocol.errors import GanglionError, UsageError

TASKS_MAX = 10_000
_LENGTH = struct.Struct("!I")


class WorkerDiedError(GanglionError):
    """The child process died while it ran the task."""


class HandlerFailedError(GanglionError):
    """The handler raised in its process; the text is what it raised, ``trace`` its traceback."""


def _send(sock: socket.socket, frame: Any) -> None:
    body = pickle.dumps(frame, protocol=pickle.HIGHEST_PROTOCOL)
    sock.sendall(_LENGTH.pack(len(body)) + body)


def _read(sock: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        piece = sock.recv(min(count - len(parts), 1 << 20))
        if not piece:
            raise EOFError
        parts += piece
    return bytes(parts)


def _receive(sock: socket.socket) -> Any:
    (length,) = _LENGTH.unpack(_read(sock, _LENGTH.size))
    return pickle.loads(_read(sock, length))


class _ChildHost:
    """The ``Host`` of a task inside a child: lines go to the agent, requests cannot be made."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def emit(self, line: bytes) -> None:
        _send(self._sock, ("emit", line))

    def _no(self, *_: Any, **__: Any) -> Any:
        raise UsageError(
            "a handler with isolation='process' cannot call other agents: use Continue"
        )

    call = submit = result = call_async = submit_async = result_async = _no


def _child(sock: socket.socket, functions: Mapping[str, Callable[..., Any]]) -> None:
    """The life of a child: a task in, its result out, until the agent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to handle: it drains
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    host = _ChildHost(sock)
    _send(sock, os.getpid())
    while True:
        action, name, token, params, payload = _receive(sock)
        task = Task(host, action, name, token, params, payload)
        try:
            answer: tuple[str, Any] = ("result", functions[action](task))
            pickle.dumps(answer[1])
        except Exception as error:
            words = traceback.format_exception_only(type(error), error)[-1].strip()
            answer = ("error", (words, traceback.format_exc()))
        _send(sock, answer)


def _nursery(sock: socket.socket, functions: Mapping[str, Callable[..., Any]]) -> None:
    """Fork a child for every socket that comes in; end with the agent."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        message, fds, _, _ = socket.recv_fds(sock, 1, 1)
        if not message:
            return
        with socket.socket(fileno=fds[0]) as end:
            if os.fork() == 0:
                sock.close()
                with contextlib.suppress(EOFError, OSError):
                    _child(end, functions)
                os._exit(0)


class WarmPool:
    """The nursery of one agent. Make it before the agent has threads."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._sock, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._sock.close()
            with contextlib.suppress(OSError):
                _nursery(theirs, functions)
            os._exit(0)
        theirs.close()

    def worker(self) -> Worker:
        """A child of one's own."""
        return Worker(self._sock)

    def close(self) -> None:
        """End the nursery; children end when their workers are closed."""
        self._sock.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


class Worker:
    """One child process, replaced when it dies."""

    def __init__(self, nursery: socket.socket) -> None:
        self._nursery = nursery
        self._sock: socket.socket | None = None
        self._ran = 0
        self.pid = 0

    def _connect(self) -> socket.socket:
        if self._sock is None or self._ran >= TASKS_MAX:
            self.close()
            mine, theirs = socket.socketpair()
            with theirs:
                socket.send_fds(self._nursery, [b"+"], [theirs.fileno()])
            self._sock, self._ran = mine, 0
            self.pid = _receive(mine)
        return self._sock

    def run(self, task: Task) -> Any:
        """Run a task in the child; returns what its handler returned.

        Raises:
            HandlerFailedError: the handler raised. WorkerDiedError: the child died or was killed.
        """
        try:
            sock = self._connect()
            self._ran += 1
            _send(
                sock,
                (task.action, task.name.encode(), task.token, task.raw_params, bytes(task.payload)),
            )
            while True:
                kind, value = _receive(sock)
                if kind == "emit":
                    task._host.emit(value)
                elif kind == "result":
                    return value
                else:
                    words, trace = value
                    raise HandlerFailedError(words) from HandlerFailedError(trace)
        except (EOFError, OSError) as error:
            self.close()
            raise WorkerDiedError("the worker process died") from error

    def kill(self) -> None:
        """Kill the child; ``run`` then raises. Any thread."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let the child end (it does at the end of its socket)."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        self.pid = 0
