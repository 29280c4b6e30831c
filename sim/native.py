"""The C core as the simulator holds it. Times in microseconds of the host's clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

STREAM, SHARED, JOURNAL = 0, 1, 2
OPEN, CLOSE, BLOB_DROP, DRAINED = 1, 2, 3, 4


class Native(NamedTuple):
    """A build of csrc/: the one that is installed, or one with planted faults."""

    ffi: Any
    lib: Any


def installed() -> Native:
    """The extension of ganglion.protocol."""
    from ganglion.protocol._native import ffi, lib

    return Native(ffi, lib)


class View(NamedTuple):
    """A task in the core's table."""

    state: str
    action: str
    agent: str
    reason: str
    token: int
    tries_used: int


class Core:
    """One life of a dispatch core."""

    def __init__(self, native: Native, config: Mapping[str, int]) -> None:
        self.ffi, self.lib = native
        settings = self.ffi.new("gn_core_config *")
        self.lib.gn_core_defaults(settings)
        for key, value in config.items():
            setattr(settings, key, value)
        self.core = self.ffi.gc(self.lib.gn_core_new(settings), self.lib.gn_core_free)
        if self.core == self.ffi.NULL:
            raise ValueError("the core does not take these settings")
        self._size, self._whole = self.ffi.new("size_t *"), self.ffi.new("int *")
        self._effect = self.ffi.new("gn_effect *")
        self._view = self.ffi.new("gn_task_view *")
        count = int(self.lib.gn_core_gauge_count())
        names = [self._text(self.lib.gn_core_gauge_name(g)) for g in range(count)]
        bounds = [int(self.lib.gn_core_gauge_bound(self.core, g)) for g in range(count)]
        self.bounded = [(g, names[g], bounds[g]) for g in range(count) if bounds[g] > 0]
        self.gauges = {name: g for g, name in enumerate(names)}
        states = range(int(self.lib.gn_state_count()))
        self._states = [self._text(self.lib.gn_state_word(state)) for state in states]

    def _text(self, chars: Any) -> str:
        return str(self.ffi.string(chars).decode())

    def check(self) -> int:
        """0, or the line of csrc/src/core/check.c whose condition fails."""
        return int(self.lib.gn_core_check(self.core))

    def open(self, now: int, kind: int) -> int:
        return int(self.lib.gn_core_link_open(self.core, now, kind))

    def closed(self, now: int, link: int) -> None:
        self.lib.gn_core_link_closed(self.core, now, link)

    def feed(self, now: int, link: int, data: bytes, final: bool) -> int:
        return int(self.lib.gn_core_feed(self.core, now, link, data, len(data), final))

    def tick(self, now: int) -> None:
        self.lib.gn_core_tick(self.core, now)

    def next_us(self) -> int:
        return int(self.lib.gn_core_next_us(self.core))

    def output(self, link: int, cap: int) -> bytes:
        """What may be sent now, at most ``cap`` bytes."""
        data = self.lib.gn_core_output(self.core, link, cap, self._size, self._whole)
        return bytes(self.ffi.buffer(data, self._size[0])) if self._size[0] else b""

    def sent(self, now: int, link: int, count: int) -> None:
        self.lib.gn_core_sent(self.core, now, link, count)

    def effects(self) -> Iterator[tuple[int, int, str]]:
        while self.lib.gn_core_effect(self.core, self._effect):
            yield self._effect.kind, self._effect.link, self._text(self._effect.text)

    def dirty(self) -> list[int]:
        links = []
        while (link := int(self.lib.gn_core_dirty(self.core))) >= 0:
            links.append(link)
        return links

    # ---- the journal's seam ------------------------------------------------------------------------

    def seal(self) -> tuple[int, bytes]:
        """Close the open batch: its number (0: it was empty) and its lines."""
        data = self.lib.gn_core_journal(self.core, self._size)
        text = bytes(self.ffi.buffer(data, self._size[0])) if self._size[0] else b""
        return int(self.lib.gn_core_journal_seal(self.core)), text

    def committed(self, batch: int) -> None:
        self.lib.gn_core_journal_committed(self.core, batch)

    def failing(self, yes: bool) -> None:
        self.lib.gn_core_journal_failing(self.core, int(yes))

    def checkpoint(self) -> None:
        self.lib.gn_core_checkpoint(self.core)

    def checkpoint_step(self, size: int) -> bool:
        """Write about so many bytes of it; True: there is more."""
        return bool(self.lib.gn_core_checkpoint_step(self.core, size))

    def resume(self, now: int) -> None:
        self.lib.gn_core_resume(self.core, now)

    def gauge(self, name: str) -> int:
        return int(self.lib.gn_core_gauge(self.core, self.gauges[name]))

    def unfinished(self) -> int:
        """Tasks that have not ended."""
        return self.gauge("unfinished")

    def over_bound(self) -> dict[str, tuple[int, int]]:
        """Every gauge that is over its bound, with both."""
        values = ((n, int(self.lib.gn_core_gauge(self.core, g)), b) for g, n, b in self.bounded)
        over = {name: (value, bound) for name, value, bound in values if value > bound}
        # Results somebody waits for are kept over their bound; bytes of results may take theirs to twice as much.
        if "results" in over and self.gauge("spent") == 0:
            del over["results"]
        if "bytes" in over and over["bytes"][0] <= 2 * over["bytes"][1]:
            del over["bytes"]
        return over

    def task(self, name: str) -> View | None:
        """A task by its name, or None."""
        view, raw = self._view, name.encode()
        if not self.lib.gn_core_task(self.core, raw, len(raw), view):
            return None
        return View(
            self._states[view.state], self._text(view.action), self._text(view.agent),
            self._text(view.reason), int(view.token), int(view.tries_used),
        )  # fmt: skip
