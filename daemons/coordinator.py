"""The coordinator daemon: the control plane around the C loop.

Owns: the instance's names (one coordinator each), the inbox queue, the listening socket, signals,
the log, and sweeping up after peers that died. The data plane (csrc/src/loop) runs on a thread
without the GIL; this module is on the path of no message. It talks to the loop as any client does,
over a socket pair.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from typing import Any

from ganglion.daemons import journal
from ganglion.daemons.announce import announce
from ganglion.daemons.hello import greet
from ganglion.daemons.limits import Declared
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.config import Config
from ganglion.protocol.errors import TransportError, UsageError
from ganglion.protocol.instance import Instance
from ganglion.protocol.transport import ledger, mqueue, unix
from ganglion.protocol.transport.endpoint import choose

log = logging.getLogger("ganglion")

SWEEP_SECONDS = 1.0
# Settings of [coordinator] that are fields of gn_core_config under the same name.
CORE_FIELDS = (
    "tasks_max", "results_max", "bytes_max", "peers_max", "actions_max", "limits_max", "schedules_max",
    "partial_bytes_max", "tries", "lease_ms", "backoff_ms", "backoff_ms_max", "keep_ms", "keep_buried_ms",
    "heartbeat_ms", "agent_timeout_ms", "suspect_ms", "cancel_grace_ms",
)  # fmt: skip
MAY_BE_NONE = ("partial_bytes_max",)  # bounds of 0 that mean something


def core_config(settings: dict[str, Any]) -> Any:
    """A ``gn_core_config`` of the settings of ``[coordinator]``.

    Raises:
        UsageError: a value that does not fit its field, or a bound of 0.
    """
    config = ffi.new("gn_core_config *")
    lib.gn_core_defaults(config)
    for name in CORE_FIELDS:
        try:
            setattr(config, name, settings[name])
        except OverflowError:
            raise UsageError(f"coordinator.{name} = {settings[name]} is too large") from None
        if settings[name] == 0 and name.endswith("_max") and name not in MAY_BE_NONE:
            raise UsageError(f"coordinator.{name} must be at least 1")
    config.seed = int.from_bytes(os.urandom(8), "little")
    # Seconds make epochs sort; the low bits tell two starts within a second apart.
    config.epoch = (int(time.time()) << 16) | int.from_bytes(os.urandom(2), "little")
    return config


class Coordinator:
    """One coordinator of one instance.

    Args:
        stdio: also speak the protocol on standard input and output, as one peer.

    Raises:
        NameTakenError: a living coordinator serves the instance already.
        TransportError: neither a queue nor a socket can be had.
        UsageError: a setting is out of range.
    """

    def __init__(self, config: Config, *, stdio: bool = False) -> None:
        self.instance: Instance = config.instance
        self._stdio = stdio
        self._limits = config.limits
        self._kinds = choose(config["instance.transport"])
        core = core_config(config.section("coordinator"))  # complains before anything is made
        self._epoch = int(core.epoch)
        self._journal = journal.settings(config)
        self.instance.make_dirs()
        # The claim makes this the one coordinator of the instance, with or without a queue.
        self._claim: ledger.Claim | None = None
        self._inbox: mqueue.OwnedQueue | None = None
        self._listener: socket.socket | None = None
        self._signals = 0
        self._drain_line: tuple[socket.socket, socket.socket] | None = None
        try:
            self._open_inbox()
        except ledger.NameTakenError as error:
            raise ledger.NameTakenError(
                f"a coordinator of instance {self.instance.name!r} already runs (pid {error.pid}); "
                "choose another with --instance",
                error.pid,
            ) from None
        try:
            self._listener = unix.listen(self.instance.socket_path)
            swept = ledger.sweep(self.instance.ledger_dir, keep=self.instance.queue)
            if swept:
                log.info("removed %d queues that dead processes left", len(swept))
            self._log_read, self._log_write = os.pipe()
            os.set_blocking(self._log_write, False)
            self._loop = self._make_loop(core)
        except BaseException:
            self._close_doors()
            raise

    def _open_inbox(self) -> None:
        name = self.instance.queue
        if "mqueue" in self._kinds:
            try:
                self._inbox = mqueue.OwnedQueue(
                    self.instance.ledger_dir, name, mqueue.COORDINATOR_SLOTS,
                    mqueue.COORDINATOR_SLOT_BYTES, reuse=True,
                )  # fmt: skip
                return
            except TransportError as error:
                log.warning("serving the Unix socket only: %s", error.strerror)
        self._claim = ledger.Claim(self.instance.ledger_dir, name)
        # One that died left it: peers would write to it, and nobody would read.
        mqueue.remove_stale(name)

    def _make_loop(self, core: Any) -> Any:
        loop_config = ffi.new("gn_loop_config *", self._journal)
        loop_config.blob_prefix = self.instance.blob_prefix.encode()
        loop_config.sweep_ms = 5000
        loop_config.spin_us = self.instance.spin_us
        loop_config.log_fd = self._log_write
        loop = lib.gn_loop_new(core, loop_config)
        if loop == ffi.NULL:
            raise TransportError(ffi.errno, "cannot make the coordinator's loop")
        try:
            journal.open_journal(loop)
        except UsageError:
            lib.gn_loop_free(loop)
            raise
        if self._inbox is not None:
            lib.gn_loop_add_inbox(loop, self._inbox.mqd)
        assert self._listener is not None
        lib.gn_loop_add_listener(loop, self._listener.fileno())
        if self._stdio:
            lib.gn_loop_add_stream(loop, 0, 1)
        return loop

    # -- life -----------------------------------------------------------------------------

    def run(self) -> int:
        """Recover, then serve until drained or stopped.

        SIGTERM and Ctrl-C stop: with a journal at once, since all that was accepted is in it; without
        one they drain, and a second one leaves at once.
        """
        result: list[int] = []
        thread = threading.Thread(
            target=lambda: result.append(lib.gn_loop_run(self._loop)), name="loop", daemon=True
        )
        reader = threading.Thread(target=self._copy_log, name="log", daemon=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        reader.start()
        try:
            whole = journal.recover(self._loop)
        except BaseException:
            self.close()
            raise
        if not whole:
            self.close()
            return 0
        declared = Declared(
            self._loop, self._limits
        )  # its end of the line is open as long as this runs
        thread.start()
        declared.confirm()
        greet(self.instance, self._epoch)
        where = f"{self.instance.queue} and " if self._inbox is not None else ""
        announce(f"ready {where}{self.instance.socket_path}")
        try:
            while thread.is_alive():
                thread.join(SWEEP_SECONDS)
                self._sweep()
        finally:
            lib.gn_loop_stop(self._loop)
            thread.join()
            self.close()
        if result and result[0] < 0:
            log.error("the loop ended: %s", os.strerror(-result[0]))
            return 1
        return 0

    def _on_signal(self, *_: object) -> None:
        self._signals += 1
        if self._signals > 1 or self._journal["journal"] != lib.GN_POLICY_NONE:
            lib.gn_loop_stop(self._loop)
            return
        # The operator's own words, over a line of our own: answered and logged like anybody's.
        mine, theirs = socket.socketpair()
        lib.gn_loop_add_stream(self._loop, theirs.fileno(), theirs.fileno())
        self._drain_line = (mine, theirs)
        mine.sendall(b"CONTROL:DRAIN:operator\n")
        announce("draining: unfinished tasks are waited for; once more to leave now")

    def _sweep(self) -> None:
        for queue in ledger.sweep(self.instance.ledger_dir, keep=self.instance.queue):
            log.info("%s: its process died", queue)
            lib.gn_loop_peer_gone(self._loop, queue.encode())

    def _copy_log(self) -> None:
        with os.fdopen(self._log_read, errors="replace") as lines:
            for line in lines:
                # What happens to the journal is for everybody to see.
                level = logging.WARNING if line.startswith("journal: ") else logging.INFO
                log.log(level, "%s", line.rstrip())

    def close(self) -> None:
        """Remove the queue and the socket, give the instance up.

        Blobs go with the loop, but with a journal those of its tasks stay.
        """
        lib.gn_loop_free(self._loop)
        os.close(self._log_write)
        self._close_doors()

    def _close_doors(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self.instance.socket_path.unlink(missing_ok=True)
        if self._inbox is not None:
            self._inbox.close()
        if self._claim is not None:
            self._claim.release()
