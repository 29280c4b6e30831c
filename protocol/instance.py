"""Where an instance of Ganglion lives on this machine: every name, in one place.

Owns: the names of queues, sockets, segments and folders. Opens none of them.

Three settings decide them all: the instance (``main``), the runtime directory (sockets and the
ledger of queues, gone after a reboot) and the state directory (indexes, journals, kept).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ganglion.protocol.errors import UsageError

PREFIX = "ganglion"
INSTANCE_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,32}")
PEER_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")


# How long a receiver looks for more before it sleeps, while messages come quickly: waking a core that
# went idle takes longer than a short task (bench/roundtrip, with and without GANGLION_SPIN_US=0).
SPIN_US = 50


def _microseconds(text: str) -> int:
    if not text.isdecimal() or int(text) > 1_000_000:
        raise UsageError(f"GANGLION_SPIN_US={text!r}: microseconds, 0 to 1000000")
    return int(text)


def default_runtime_dir() -> Path:
    """``/run/ganglion`` for root, else ``$XDG_RUNTIME_DIR/ganglion``, else
    ``/tmp/ganglion-<uid>``.
    """
    if os.geteuid() == 0:
        return Path("/run") / PREFIX
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(base) / PREFIX if base else Path(f"/tmp/{PREFIX}-{os.geteuid()}")


def default_state_dir() -> Path:
    """``/var/lib/ganglion`` for root, else ``$XDG_STATE_HOME/ganglion`` (``~/.local/state``)."""
    if os.geteuid() == 0:
        return Path("/var/lib") / PREFIX
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / PREFIX


@dataclass(frozen=True, slots=True)
class Instance:
    """One coordinator's world: its name and its two directories.

    Raises:
        UsageError: the name holds something else than letters, digits, ``-`` and ``_``.
    """

    name: str
    runtime_base: Path
    state_base: Path
    spin_us: int = SPIN_US

    def __post_init__(self) -> None:
        if not INSTANCE_PATTERN.fullmatch(self.name):
            raise UsageError(
                f"instance name {self.name!r}: use 1 to 32 of letters, digits, '-' and '_'"
            )

    @classmethod
    def from_environment(cls, name: str | None = None) -> Instance:
        """From ``GANGLION_INSTANCE``, ``..._RUNTIME_DIR``, ``..._STATE_DIR`` and ``..._SPIN_US``."""
        env = os.environ
        return cls(
            name or env.get("GANGLION_INSTANCE") or "main",
            Path(env.get("GANGLION_RUNTIME_DIR") or default_runtime_dir()),
            Path(env.get("GANGLION_STATE_DIR") or default_state_dir()),
            _microseconds(env.get("GANGLION_SPIN_US") or str(SPIN_US)),
        )

    @property
    def runtime_dir(self) -> Path:
        return self.runtime_base / self.name

    @property
    def state_dir(self) -> Path:
        return self.state_base / self.name

    @property
    def socket_path(self) -> Path:
        return self.runtime_dir / "coordinator.sock"

    @property
    def ledger_dir(self) -> Path:
        return self.runtime_dir / "queues"

    @property
    def queue(self) -> str:
        """The coordinator's queue, for example ``/ganglion.main``."""
        return f"/{PREFIX}.{self.name}"

    def peer_queue(self, peer: str) -> str:
        """A peer's queue, for example ``/ganglion.main.upper-1``."""
        if not PEER_PATTERN.fullmatch(peer):
            raise UsageError(
                f"peer name {peer!r}: use 1 to 64 of letters, digits, '-', '_' and '.'"
            )
        return f"{self.queue}.{peer}"

    @property
    def blob_prefix(self) -> str:
        """Of shared memory segments, up to the hash."""
        return f"/{PREFIX}.{self.name}."

    def make_dirs(self) -> None:
        """Create the runtime directory, for the owner alone.

        Raises:
            UsageError: it cannot be created; the text says which setting to change.
        """
        try:
            self.ledger_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot create {self.ledger_dir}: {error.strerror}; "
                "set GANGLION_RUNTIME_DIR to a directory you may write to"
            ) from error
