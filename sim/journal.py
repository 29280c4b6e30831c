"""The coordinator's journal, over the real form of it (ganglion/journal.h) and a disk in memory.

What the coordinator's own store does with files is done here with ``Disk``: numbered segments, one write a
batch, a new segment when one is full or a write failed, old ones removed after a checkpoint, and the
recovery: scan, cut the torn tail, report what is damaged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from ganglion.sim.disk import Disk, Span
from ganglion.sim.native import Native

NAMES_MAX = 4096
SALT = 0x5EED_0F_5A17


@dataclass
class Report:
    """What a recovery found."""

    batches: dict[int, int] = field(default_factory=dict)  # whole, and fed; with the CRC-32 of each
    lost: set[int] = field(default_factory=set)  # numbers of batches reported as lost
    names: set[str] = field(default_factory=set)  # of tasks, read out of damaged bytes
    torn: int = 0  # bytes cut
    damaged: int = 0  # bytes that were no batch

    def words(self) -> str:
        """In one line."""
        text = f"{len(self.batches)} batches read, {self.torn} bytes of a torn end cut"
        if not self.damaged:
            return text
        return f"{text}, {self.damaged} damaged with batches {sorted(self.lost)}, tasks {sorted(self.names)}"


class Journal:
    """One life of a journal's writer."""

    def __init__(self, native: Native, disk: Disk, segment_bytes: int) -> None:
        self.ffi, self.lib = native
        self.disk = disk
        self.segment_bytes = segment_bytes
        self.next = 1  # number of the next batch
        self.oldest = 1  # the oldest segment a replay needs
        self.segment = 0
        self._line = self.ffi.new("uint8_t[]", self.lib.GN_JOURNAL_COMMIT_BYTES_MAX)
        self._waiting: list[tuple[int, bytes]] = []  # batches a full disk did not take
        self.failing = False

    # ---- writing ----------------------------------------------------------------------------

    def begin(self, now_ms: int) -> None:
        """A fresh segment. Its head may not fit: then the next write fails too."""
        self.segment = max(self.disk.files, default=self.segment) + 1
        first = self._waiting[0][0] if self._waiting else self.next
        head = self.ffi.new("gn_journal_head *")
        head.segment, head.first, head.salt, head.ts_ms = self.segment, first, SALT, now_ms
        head.__setattr__("from", min(self.oldest, self.segment))
        head.instance = b"sim"
        room = self.ffi.new("uint8_t[]", self.lib.GN_JOURNAL_START)
        self.lib.gn_journal_head_write(room, head)
        self._put(bytes(self.ffi.buffer(room)))

    def _put(self, data: bytes) -> bool:
        whole = self.disk.write(self.segment, data) == len(data)
        self.failing = self.failing or not whole
        return whole

    def write(self, data: bytes, torn: float | None = None) -> int:
        """A batch: its number. ``torn``: the process dies in this write, after that part of its bytes."""
        number = self.next
        self.next += 1
        if self.failing:
            self._waiting.append((number, data))
        else:
            self._batch(number, data, torn)
        return number

    def _batch(self, number: int, data: bytes, torn: float | None = None) -> None:
        size = self.lib.gn_journal_commit_write(self._line, SALT, number, data, len(data))
        line = bytes(self.ffi.buffer(self._line, size))
        begin = len(self.disk.files[self.segment].data)
        framed = data + line
        self.disk.files[self.segment].spans.append(Span(number, begin, begin + len(framed)))
        if torn is not None:
            framed = framed[: int(len(framed) * torn)]
        if not self._put(framed):
            self._waiting.append((number, data))

    def again(self, now_ms: int) -> bool:
        """Try to write what a full disk did not take, into a new segment; True when all is written."""
        self.failing = False
        self.begin(now_ms)
        waiting, self._waiting = self._waiting, []
        for number, data in waiting:
            if self.failing:
                self._waiting.append((number, data))
            else:
                self._batch(number, data)
        return not self.failing

    @property
    def full(self) -> bool:
        """The segment has reached its size."""
        return len(self.disk.files[self.segment].data) >= self.segment_bytes

    @property
    def written(self) -> int:
        """The last batch that is wholly written."""
        return (self._waiting[0][0] if self._waiting else self.next) - 1

    def forget_before(self, segment: int) -> None:
        """A checkpoint that began in ``segment`` is safe: older ones are not needed."""
        for number in [n for n in self.disk.files if n < segment]:
            self.disk.remove(number)

    # ---- recovery -----------------------------------------------------------------------------

    def recover(self, feed: Callable[[bytes], None]) -> Report:
        """Feed every whole batch in order; cut the torn tail; say what is missing."""
        report = Report()
        numbers = sorted(self.disk.files)
        heads = [self._head(number) for number in numbers]
        some = next((head for state, head in heads if state < self.lib.GN_HEAD_LOST), None)
        expected = 0
        for at, number in enumerate(numbers):
            state, head = heads[at]
            readable = state < self.lib.GN_HEAD_LOST
            if not expected and readable:
                expected = int(head.first)
            behind = [h for s, h in heads[at + 1 :] if s < self.lib.GN_HEAD_LOST]
            until = int(behind[0].first) if behind else 0
            use = head if readable else some
            expected = self._scan(number, use, expected, until, report, feed)
        self.next = max(expected, 1)
        self.segment = max(numbers, default=0)
        self.oldest = min(numbers, default=1)
        self.disk.synced(self.disk.marks())
        return report

    def _head(self, number: int) -> tuple[int, Any]:
        head = self.ffi.new("gn_journal_head *")
        data = bytes(self.disk.files[number].data)
        return int(self.lib.gn_journal_head_read(data, len(data), head)), head

    def _scan(
        self, number: int, head: Any, expected: int, until: int,
        report: Report, feed: Callable[[bytes], None],
    ) -> int:  # fmt: skip
        """One segment; the number of the batch that comes after it."""
        scan, piece = self.ffi.new("gn_journal_scan *"), self.ffi.new("gn_journal_piece *")
        data = bytes(self.disk.files[number].data)
        with self.ffi.from_buffer("uint8_t[]", data) as buf:
            given = self.ffi.NULL if head is None else head
            self.lib.gn_journal_scan_begin(scan, buf, len(data), given, expected, until)
            while (kind := self.lib.gn_journal_scan_next(scan, piece)) != self.lib.GN_PIECE_END:
                text = data[piece.off : piece.off + piece.len]
                if kind == self.lib.GN_PIECE_BATCH:
                    report.batches[int(piece.batch)] = crc32(text)
                    feed(text)
                elif kind == self.lib.GN_PIECE_TORN:
                    report.torn += len(text)
                    self.disk.cut(number, int(piece.off))
                else:
                    report.damaged += len(text)
                    if piece.lost_first:
                        report.lost.update(range(int(piece.lost_first), int(piece.lost_last) + 1))
                    report.names |= self._names(text)
            return int(scan.next)

    def _names(self, text: bytes) -> set[str]:
        spans = self.ffi.new("gn_span[]", NAMES_MAX)
        count = self.lib.gn_journal_names(text, len(text), spans, NAMES_MAX)
        return {text[s.off : s.off + s.len].decode("ascii", "replace") for s in spans[0:count]}
