"""A line to the coordinator for those who speak the protocol themselves: lines out, lines in."""

from __future__ import annotations

import errno
import json
import os
import time
from typing import Any

from ganglion.clients.client import client_name
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.batch import BATCH_MESSAGES, VERB, Incoming, unpack, wholes
from ganglion.protocol.instance import Instance
from ganglion.protocol.session import DeadlineError, registration, rejection
from ganglion.protocol.transport.endpoint import (
    Endpoint,
    NoCoordinatorError,
    choose,
    no_coordinator,
    no_welcome,
)
from ganglion.protocol.transport.ledger import is_owned

WELCOME_S = 10.0
BYE_MS = 100
_LATER = frozenset({0, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR})


class RawLine:
    """A registered peer without bookkeeping.

    Raises:
        NoCoordinatorError: none serves the instance. TransportError: no transport can be had.
    """

    def __init__(self, instance: Instance, transport: str) -> None:
        self.instance = instance
        self.name = client_name()
        self._endpoint = Endpoint(instance, self.name, choose(transport))
        self._link: Any = self._endpoint.link
        self._messages = ffi.new("gn_msg[]", BATCH_MESSAGES)
        self._base = ffi.new("uint8_t **")
        self.message_bytes_max = int(lib.gn_link_message_bytes_max(self._link))
        try:
            self._register()
        except BaseException:
            self.close()
            raise

    def _register(self) -> None:
        body = json.dumps(registration(self._endpoint.inbox_name))
        line = f"CONTROL:REGISTER:{self.name}:{body}\n".encode()
        limit = time.monotonic() + WELCOME_S
        while line and time.monotonic() < limit:
            line = line[self.send(line) :]
        while time.monotonic() < limit:
            for message, _ in self.receive(200):
                if message.verb == VERB["WELCOME"]:
                    return
                if message.verb == VERB["REJECTED"]:
                    raise rejection(message)
            self.check_alive()
        raise DeadlineError(no_welcome(self.instance))

    def fileno(self) -> int:
        return int(lib.gn_link_read_fd(self._link))

    def send(self, data: bytes | memoryview) -> int:
        """Send what can be sent at once; returns the bytes taken, whole messages.

        Raises:
            NoCoordinatorError: it went away.
        """
        buffer = ffi.from_buffer("uint8_t[]", data)
        done = int(lib.gn_link_send(self._link, buffer, len(data), 0))
        if done < 0 and -done not in _LATER:
            raise NoCoordinatorError(-done, f"the coordinator went away ({os.strerror(-done)})")
        return max(0, done)

    def receive(self, timeout_ms: int) -> list[tuple[Incoming, bytes]]:
        """What has come: each message, and its bytes as they came, LF included."""
        count = lib.gn_link_recv(self._link, self._messages, BATCH_MESSAGES, timeout_ms, self._base)
        if count < 0:
            raise NoCoordinatorError(-count, f"the coordinator went away ({os.strerror(-count)})")
        if count == 0:
            return []
        base = self._base[0]
        raw = [line + b"\n" for line in wholes(self._messages, count, base)]
        return list(zip(unpack(self._messages, count, base), raw, strict=True))

    def check_alive(self) -> None:
        """Raise when a queue's reader is gone (a socket tells by itself)."""
        instance = self.instance
        if self._endpoint.route.kind == "mqueue" and not is_owned(
            instance.ledger_dir, instance.queue
        ):
            raise NoCoordinatorError(0, no_coordinator(instance))

    def close(self) -> None:
        bye = f"CONTROL:BYE:{self.name}\n".encode()
        lib.gn_link_send(self._link, bye, len(bye), BYE_MS)
        self._endpoint.close()

    def __enter__(self) -> RawLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
