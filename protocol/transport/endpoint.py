"""How a peer reaches its coordinator: the first transport of the list that works.

Transports are a list, tried in order: ``mqueue`` (a queue of the peer's own and the coordinator's
queue) and ``unix`` (a stream socket). When a queue cannot be made the next one is taken, and that
is said once on the ``ganglion`` logger.

Owns: the descriptors of one peer. May import: queues, sockets, the ledger. Knows no messages.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganglion.protocol._native import ffi, lib
from ganglion.protocol.errors import TransportError, UsageError
from ganglion.protocol.instance import Instance
from ganglion.protocol.transport import ledger, mqueue, unix

log = logging.getLogger("ganglion")

TRANSPORTS = ("mqueue", "unix")


class NoCoordinatorError(TransportError):
    """Nothing serves this instance."""


def choose(transport: str) -> tuple[str, ...]:
    """The list of transports that a setting names: ``auto``, or one or more of them with commas.

    Raises:
        UsageError: a word that is no transport.
    """
    if transport == "auto":
        return TRANSPORTS
    names = tuple(word.strip() for word in transport.split(",") if word.strip())
    for name in names:
        if name not in TRANSPORTS:
            raise UsageError(f"transport {name!r}: use auto, {' or '.join(TRANSPORTS)}")
    return names or TRANSPORTS


@dataclass(slots=True)
class Route:
    """What a peer needs to reach its coordinator over one transport."""

    kind: str
    queue: str = ""
    inbox: mqueue.OwnedQueue | None = None
    socket_path: str = ""

    def close(self) -> None:
        """Remove the peer's queue."""
        if self.inbox is not None:
            self.inbox.close()
            self.inbox = None


def prepare(
    instance: Instance,
    name: str,
    transports: Sequence[str] = TRANSPORTS,
    slots: int = mqueue.PEER_SLOTS,
    slot_bytes: int = mqueue.PEER_SLOT_BYTES,
) -> Route:
    """Make the peer's side of the first transport of the list that can be had.

    The coordinator need not be there yet.

    Raises:
        NameTakenError: a living process has this peer name.
        TransportError: no transport of the list can be had.
    """
    reasons: list[str] = []
    for kind in transports:
        if kind == "unix":
            if reasons:
                log.warning("using the Unix socket instead of a queue: %s", reasons[0])
            return Route("unix", socket_path=str(instance.socket_path))
        if "unix" in transports and _serves_socket_only(instance):
            reasons.append("the coordinator has none")
            continue
        instance.make_dirs()
        try:
            inbox = mqueue.OwnedQueue(
                instance.ledger_dir, instance.peer_queue(name), slots, slot_bytes
            )
        except TransportError as error:
            reasons.append(error.strerror or str(error))
            continue
        return Route("mqueue", queue=instance.queue, inbox=inbox)
    raise TransportError(0, "; ".join(reasons) or "no transport given")


def _serves_socket_only(instance: Instance) -> bool:
    """Whether a coordinator is there that found no room for its own queue."""
    if mqueue.exists(instance.queue):
        return False
    probe = unix.connect(instance.socket_path)
    if probe is None:
        return False
    probe.close()
    # It listens, so it had made its queue before, if it has one.
    return not mqueue.exists(instance.queue)


class Endpoint:
    """An open link to the coordinator: ``link`` is the C side (csrc/include/ganglion/link.h).

    Raises:
        NoCoordinatorError: none serves this instance.
        TransportError, NameTakenError: as ``prepare``.
    """

    def __init__(self, instance: Instance, name: str, transports: Sequence[str]) -> None:
        self.name = name
        self._instance = instance
        self._socket: socket.socket | None = None
        self._coordinator: Any = None
        self._left: list[Any] = []  # links not used any more; a thread may still be inside
        kinds = list(transports)
        self._sockets_too = "unix" in kinds
        if "mqueue" in kinds:
            # A queue without a living owner is a letter box nobody empties.
            if ledger.is_owned(instance.ledger_dir, instance.queue):
                self._coordinator = mqueue.open_queue(instance.queue)
            if self._coordinator is None:
                kinds.remove("mqueue")
        if not kinds:
            raise NoCoordinatorError(0, no_coordinator(instance))
        self.route = prepare(instance, name, kinds)
        try:
            self.link: Any = self._open(instance)
        except BaseException:
            self.close()
            raise

    def _open(self, instance: Instance) -> Any:
        if self.route.inbox is not None:
            link = lib.gn_link_mqueue(
                self.name.encode(), self.route.inbox.mqd, self._coordinator.mqd
            )
            return self._owned(link)
        self._socket = unix.connect(instance.socket_path)
        if self._socket is None:
            raise NoCoordinatorError(0, no_coordinator(instance))
        return self._stream(self._socket)

    def _stream(self, line: socket.socket) -> Any:
        line.setblocking(False)
        return self._owned(lib.gn_link_stream(line.fileno(), line.fileno()))

    def _owned(self, link: Any) -> Any:
        if link == ffi.NULL:
            raise TransportError(0, "out of memory")
        lib.gn_link_spin(link, self._instance.spin_us)
        return ffi.gc(link, lib.gn_link_free)

    # -- a coordinator that comes and goes ------------------------------------------------

    @property
    def kind(self) -> str:
        """The transport in use: ``mqueue`` or ``unix``."""
        return "unix" if self._socket is not None else "mqueue"

    def owner(self) -> tuple[int, int] | None:
        """A mark of the coordinator that lives now, which no other start of it has; None: none does.

        A queue does not tell that its reader is gone, the ledger does.
        """
        return ledger.owner(self._instance.ledger_dir, self._instance.queue)

    def reopen(self) -> bool:
        """Open the line to a coordinator that came back. False: there is none yet.

        What was half received is thrown away. ``link`` may be another one afterwards: a
        coordinator that comes back without a queue is spoken to over its socket.

        Raises:
            TransportError: there is one, and it cannot be reached.
        """
        if self._socket is None and self._reopen_queue():
            return True
        return self._sockets_too and self._reopen_socket()

    def _reopen_queue(self) -> bool:
        queue = mqueue.open_queue(self._instance.queue) if self.owner() is not None else None
        if queue is None:
            return False
        assert self.route.inbox is not None
        lib.gn_link_reopen(self.link, self.route.inbox.mqd, queue.mqd)
        old, self._coordinator = self._coordinator, queue
        old.close()
        return True

    def _reopen_socket(self) -> bool:
        line = unix.connect(self._instance.socket_path)
        if line is None:
            return False
        old, self._socket = self._socket, line
        if old is None:
            self._left.append(self.link)
            self.link = self._stream(line)
            return True
        line.setblocking(False)
        lib.gn_link_reopen(self.link, line.fileno(), line.fileno())
        old.close()
        return True

    @property
    def inbox_name(self) -> str:
        """The name of this peer's queue; empty on a socket."""
        if self.route.inbox is None or self._socket is not None:
            return ""
        return self.route.inbox.name

    def close(self) -> None:
        """Close everything and remove the peer's queue."""
        if getattr(self, "link", None) is not None:
            for link in (self.link, *self._left):
                ffi.release(link)
            self.link = None
        if self._socket is not None:
            self._socket.close()
        if self._coordinator is not None:
            self._coordinator.close()
        self.route.close()


def no_coordinator(instance: Instance) -> str:
    """What to say when nobody serves the instance."""
    return (
        f"no coordinator serves instance {instance.name!r} ({instance.socket_path}); "
        "start one with: gangliond coordinator"
    )


def no_welcome(instance: Instance) -> str:
    """What to say when a coordinator is there and does not answer a peer that registers."""
    return (
        f"the coordinator of instance {instance.name!r} does not answer (stopped or busy); "
        "try again"
    )
