"""The C core as the tests hold it: links, lines, effects; and a check of every invariant after each call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ganglion.protocol._native import ffi, lib

STREAM, SHARED, JOURNAL = 0, 1, 2
OPEN, CLOSE, BLOB_DROP, DRAINED, BLOB_KEEP = 1, 2, 3, 4, 5
ALL = 1 << 30


class Core:
    """A core with its own configuration. Times in microseconds."""

    def __init__(self, **config: int) -> None:
        settings = ffi.new("gn_core_config *")
        lib.gn_core_defaults(settings)
        for key, value in config.items():
            setattr(settings, key, value)
        self.core: Any = ffi.gc(lib.gn_core_new(settings), lib.gn_core_free)
        assert self.core != ffi.NULL
        self.now = 0
        self.commits = True  # as a coordinator without a journal does: every batch is safe at once
        self._journal = b""

    def commit(self) -> None:
        """Close the open batch and call it safe."""
        self._journal += self.batch()
        lib.gn_core_journal_committed(self.core, lib.gn_core_journal_seal(self.core))

    def check(self) -> None:
        if self.commits:
            self.commit()
        line = lib.gn_core_check(self.core)
        assert line == 0, f"gn_core_check: csrc/src/core/check.c line {line}"

    def open(self, kind: int = STREAM) -> int:
        link = int(lib.gn_core_link_open(self.core, self.now, kind))
        assert link >= 0, link
        return link

    def closed(self, link: int) -> None:
        lib.gn_core_link_closed(self.core, self.now, link)
        self.check()

    def feed(self, link: int, data: bytes, final: bool = False) -> int:
        used = int(lib.gn_core_feed(self.core, self.now, link, data, len(data), final))
        self.check()
        return used

    def tick(self, now: int) -> None:
        self.now = max(self.now, now)
        lib.gn_core_tick(self.core, now)
        self.check()

    def next_us(self) -> int:
        return int(lib.gn_core_next_us(self.core))

    def output(self, link: int, cap: int = ALL) -> tuple[bytes, bool]:
        """What may be sent now, and whether it is whole messages."""
        length, whole = ffi.new("size_t *"), ffi.new("int *")
        data = lib.gn_core_output(self.core, link, cap, length, whole)
        return (bytes(ffi.buffer(data, length[0])) if length[0] else b""), bool(whole[0])

    def sent(self, link: int, count: int) -> None:
        lib.gn_core_sent(self.core, self.now, link, count)
        self.check()

    def take(self, link: int, cap: int = ALL) -> bytes:
        """Output, taken until nothing is left (or one piece of at most `cap` bytes)."""
        taken = b""
        while True:
            data, _ = self.output(link, cap)
            self.sent(link, len(data))
            taken += data
            if not data or cap != ALL:
                return taken

    def effects(self) -> Iterator[tuple[int, int, str]]:
        effect = ffi.new("gn_effect *")
        while lib.gn_core_effect(self.core, effect):
            yield effect.kind, effect.link, ffi.string(effect.text).decode()

    def dirty(self) -> Iterator[int]:
        while (link := lib.gn_core_dirty(self.core)) >= 0:
            yield link

    def batch(self) -> bytes:
        """The open batch."""
        length = ffi.new("size_t *")
        data = lib.gn_core_journal(self.core, length)
        return bytes(ffi.buffer(data, length[0])) if length[0] else b""

    def journal(self) -> bytes:
        """All that was committed since the last call."""
        self.commit()
        text, self._journal = self._journal, b""
        return text

    def checkpoint(self) -> None:
        lib.gn_core_checkpoint(self.core)
        self.check()

    def checkpoint_step(self, size: int) -> bool:
        """True: there is more."""
        more = bool(lib.gn_core_checkpoint_step(self.core, size))
        self.check()
        return more

    def resume(self, now: int) -> None:
        self.now = max(self.now, now)
        lib.gn_core_resume(self.core, now)
        self.check()

    def gauges(self) -> dict[str, int]:
        return {
            ffi.string(lib.gn_core_gauge_name(g)).decode(): int(lib.gn_core_gauge(self.core, g))
            for g in range(lib.gn_core_gauge_count())
        }

    def blob_refs(self, name: str) -> int:
        return int(lib.gn_core_blob_refs(self.core, name.encode()))

    def task(self, name: str) -> dict[str, Any] | None:
        """The view of one task, or None."""
        view = ffi.new("gn_task_view *")
        if not lib.gn_core_task(self.core, name.encode(), len(name), view):
            return None
        text = {
            key: ffi.string(getattr(view, key)).decode() for key in ("action", "agent", "reason")
        }
        keys = (
            "prio",
            "tries_used",
            "tries_max",
            "token",
            "due_us",
            "waits_for",
            "watchers",
            "stand",
        )
        state = ffi.string(lib.gn_state_word(view.state)).decode()
        return {"state": state, **{key: int(getattr(view, key)) for key in keys}, **text}
