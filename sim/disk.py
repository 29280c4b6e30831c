"""A disk in memory: what was written, what of it is safe, and what a crash or a bad block leaves.

A write goes to the page cache; ``sync`` makes what was written until then safe. A killed process loses
nothing it wrote; a power loss loses any end of what was not synced, and may leave a block of it as zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ganglion.sim.chance import Chance

BLOCK = 512
HEAD = 512  # two copies of a segment's first line


@dataclass
class Span:
    """Where a batch lies: ``begin`` to ``end`` in its segment, the commit line included."""

    batch: int
    begin: int
    end: int


@dataclass
class File:
    """A segment. ``spans`` is the simulator's own knowledge of what was written where."""

    data: bytearray = field(default_factory=bytearray)
    synced: int = 0
    spans: list[Span] = field(default_factory=list)

    def whole(self) -> list[Span]:
        """The batches whose bytes are all here."""
        return [span for span in self.spans if span.end <= len(self.data)]


class Disk:
    """Segment files by number, as a coordinator's folder holds them."""

    def __init__(self) -> None:
        self.files: dict[int, File] = {}
        self.room: int | None = None  # bytes that still fit; None: plenty
        self.damaged: set[int] = (
            set()
        )  # batches a bit of which was flipped, since the last recovery

    def write(self, number: int, data: bytes) -> int:
        """Append; how many bytes were taken, fewer than given when the disk is full."""
        taken = len(data) if self.room is None else min(len(data), self.room)
        if self.room is not None:
            self.room -= taken
        self.files.setdefault(number, File()).data += data[:taken]
        return taken

    def marks(self) -> dict[int, int]:
        """What a sync that begins now will have made safe when it ends."""
        return {number: len(file.data) for number, file in self.files.items()}

    def synced(self, marks: dict[int, int]) -> None:
        for number, size in marks.items():
            if (file := self.files.get(number)) is not None:
                file.synced = max(file.synced, size)

    def cut(self, number: int, size: int) -> None:
        """Truncate a segment, and make that safe."""
        file = self.files[number]
        del file.data[size:]
        file.spans = file.whole()
        file.synced = len(file.data)

    def remove(self, number: int) -> None:
        self.files.pop(number, None)

    def power_loss(self, chance: Chance, *what: object) -> None:
        """Lose a part of what was not synced."""
        for number, file in self.files.items():
            loose = len(file.data) - file.synced
            if loose <= 0:
                continue
            keep = file.synced + chance.between(0, loose, *what, number, "keep")
            del file.data[keep:]
            if chance.yes(0.25, *what, number, "hole") and keep - file.synced > 1:
                at = max(
                    file.synced + chance.between(0, keep - file.synced - 1, *what, number, "at"),
                    HEAD,
                )
                end = min(keep, at + BLOCK)
                file.data[at:end] = bytes(max(0, end - at))
                self._hurt(file, at, end)

    def flip(self, chance: Chance, *what: object) -> tuple[int, int] | None:
        """Flip one bit of what was synced: where, or None when nothing was."""
        places = [(number, file) for number, file in self.files.items() if file.synced > 0]
        if not places:
            return None
        total = sum(file.synced for _, file in places)
        at = chance.between(0, total - 1, *what, "at")
        for number, file in places:
            if at < file.synced:
                at = (
                    at - HEAD // 2 if HEAD // 2 <= at < HEAD else at
                )  # one copy of the head stays whole
                file.data[at] ^= 1 << chance.between(0, 7, *what, "bit")
                self._hurt(file, at, at + 1)
                return number, at
            at -= file.synced
        return None

    def _hurt(self, file: File, begin: int, end: int) -> None:
        self.damaged.update(
            span.batch for span in file.spans if span.begin < end and begin < span.end
        )
