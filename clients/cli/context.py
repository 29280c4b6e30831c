"""What every command is given: settings, the client, standard output, and a voice on stderr."""

from __future__ import annotations

import argparse
import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli.output import Output, is_tty

if TYPE_CHECKING:
    from ganglion.clients.client import Client
    from ganglion.protocol.config import Config

CONNECT_S = 10.0  # what an answer of the coordinator itself may take
CONNECT_S_MIN = 1.0  # a --timeout of a few ms is meant for the task, not for the welcome


class Context:
    """The surroundings of one run of one command."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.verbose: int = getattr(args, "verbose", 0) or 0
        self.quiet: bool = getattr(args, "quiet", False)
        self.out = Output()

    @cached_property
    def config(self) -> Config:
        """Defaults < file < environment < flags."""
        from ganglion.protocol.config import Config

        flags = {
            "instance.name": getattr(self.args, "instance", None),
            "instance.transport": getattr(self.args, "transport", None),
            "client.reconnect_ms": getattr(self.args, "reconnect", None),
        }
        return Config(getattr(self.args, "config", None), flags)

    def client(self, timeout: float | None = None, reconnect: float | None = None) -> Client:
        """A connection to the coordinator.

        Args:
            timeout: seconds that an answer of its own may take; None: what ``--timeout`` leaves.
            reconnect: seconds that it is waited for when it goes away; None: as ``--reconnect`` says.

        Raises:
            NoCoordinatorError: none serves the instance.
            DeadlineError: it does not answer in time.
        """
        from ganglion.clients.client import Client

        if timeout is None:
            given_ms: int | None = getattr(self.args, "timeout", None)
            timeout = CONNECT_S if given_ms is None else given_ms / 1000
            timeout = max(CONNECT_S_MIN, min(CONNECT_S, timeout))
        config = self.config
        self._log()
        if reconnect is None:
            reconnect = config["client.reconnect_ms"] / 1000
        client = Client(
            config.instance, transport=config["instance.transport"], timeout=timeout,
            reconnect=reconnect,
        )  # fmt: skip
        if self.verbose:
            self.note(f"instance {client.instance.name} over {client.transport}")
        return client

    def _log(self) -> None:
        """What the library logs goes to stderr in our manner."""
        import logging

        log = logging.getLogger("ganglion")
        if not log.handlers:
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("ganglion: %(message)s"))
            log.addHandler(handler)
            log.propagate = False
        level = logging.DEBUG if self.verbose > 1 else logging.WARNING
        log.setLevel(logging.ERROR if self.quiet else level)

    @cached_property
    def stderr_tty(self) -> bool:
        return is_tty(2)

    @cached_property
    def colour(self) -> bool:
        """Whether standard output takes colours."""
        dumb = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return self.out.is_tty and not dumb

    @cached_property
    def width(self) -> int | None:
        """Columns of the terminal; None: a pipe or file, write all."""
        if not self.out.is_tty:
            return None
        import shutil

        return shutil.get_terminal_size((80, 24)).columns

    def note(self, words: str) -> None:
        """Something worth knowing; -q silences it."""
        if not self.quiet:
            say(words)

    def progress(self, what: str, total: int | None = None) -> Any:
        """A progress line on stderr (see progress.py)."""
        from ganglion.clients.cli.progress import Progress

        return Progress(what, total, shown=self.stderr_tty and not self.quiet)


def say(words: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"ganglion: {words}\n")
    sys.stderr.flush()
