"""What happens to the journal's disk: it is full for a while, loses what was not synced, or flips a bit.

A power cut takes of each file what was not synced (syncpoint.c notes what was): the file is cut at a point drawn from
that tail, or keeps its length with blocks of the tail zeroed, as when blocks reached the disk in another
order; a file whose name was never synced is gone, and so is all shared memory. A bit flip hits a whole batch; its
tasks, by the harness's own reading, are all that may be missed afterwards.

Owns: the folder of the journal while the coordinator is dead, and the room on its disk while it lives.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import re
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ganglion.protocol.instance import Instance
from support.process import Process

HERE = Path(__file__).resolve().parent
NOTES_BYTES = 256 << 20  # sparse; some 60 a sync
TMPFS_BYTES = 256 << 20
HEAD_BYTES = 512  # of a segment; a flip there is a matter of csrc/tests: it is written twice
SHM = Path("/dev/shm")
FILLER = "filler"
BLOCK = 512
CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 0x40000, 2
COMMIT = re.compile(
    rb"^CONTROL:COMMIT:([0-9]+);bytes=([0-9]+);crc=[0-9a-f]{8}[^\n]*\n", re.MULTILINE
)
FROM = re.compile(rb"^CONTROL:JOURNAL:[0-9]+;[^\n]*?from=([0-9]+)", re.MULTILINE)
LOST = re.compile(r"batch(?:es)? ([0-9]+)(?: to ([0-9]+))? (?:lost|missing)")
NAMED = re.compile(
    rb"^(?:CONTROL|DATA|RESPONSE):(?!COMMIT)[A-Z0-9_]+:([A-Za-z0-9_.-]+)", re.MULTILINE
)


def build_notes(folder: Path) -> Path:
    """Compile syncpoint.c."""
    made = folder / "syncpoint.so"
    words = ["cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-shared", "-fPIC"]
    subprocess.run([*words, str(HERE / "syncpoint.c"), "-o", str(made), "-ldl"], check=True)
    return made


def make_notes(path: Path) -> None:
    """An empty file for the notes of syncpoint.c."""
    with path.open("wb") as file:
        file.truncate(NOTES_BYTES)


def read_notes(path: Path) -> list[str]:
    """The notes. One that was cut short by the end of its writer holds NULs: nobody learned of that sync."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), sys.byteorder)
        text = file.read(size).decode()
    return [line for line in text.split("\n") if line and "\0" not in line]


def mount_small(path: Path) -> bool:
    """A small tmpfs at ``path``, in a mount namespace of this process's own: it goes with its last process.

    False when that is not permitted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    size = f"size={TMPFS_BYTES},mode=0700".encode()
    return (
        libc.unshare(CLONE_NEWNS) == 0
        and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
        and libc.mount(b"tmpfs", str(path).encode(), b"tmpfs", 0, size) == 0
    )


def unmount(path: Path) -> None:
    """Undo ``mount_small``, whoever still looks at it."""
    ctypes.CDLL(None).umount2(str(path).encode(), MNT_DETACH)


@dataclass
class Disk:
    """The disk under one journal.

    Args:
        names: of the instance whose coordinator keeps its journal, and copies of blobs, there. notes: what
            syncpoint.c wrote. small: whether that is a small file system of its own that may be filled.
    """

    names: Instance
    notes: Path
    small: bool
    damaged: set[str] = field(default_factory=set)  # tasks in batches that were hit
    flipped: list[int] = field(default_factory=list)  # the numbers of these batches

    @property
    def folder(self) -> Path:
        return self.names.state_dir

    # -- full -------------------------------------------------------------------------------

    def fill(self, process: Process) -> None:
        """No room any more."""
        if not self.small:
            hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, hard))
            return
        room = os.statvfs(self.folder)
        with (self.folder / FILLER).open("wb") as filler, contextlib.suppress(OSError):
            os.posix_fallocate(filler.fileno(), 0, room.f_bavail * room.f_frsize)

    def free(self, process: Process) -> None:
        """Room again."""
        if not self.small:
            with contextlib.suppress(ProcessLookupError):
                hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        (self.folder / FILLER).unlink(missing_ok=True)

    # -- cut and flipped, while nobody writes --------------------------------------------------

    def segments(self) -> list[Path]:
        return sorted(self.folder.rglob("*.journal"))

    def cut_power(self, dice: random.Random) -> str:
        """Take what was not synced. Returns what was done, in words."""
        synced, entries = self._read_notes()
        done = []
        for path in self.files():
            found = path.stat()
            size, safe = found.st_size, synced.get((found.st_ino, _place(str(path))), 0)
            if (str(path.parent), path.name) not in entries:
                path.unlink()
                done.append(f"{path.name} is gone")
            elif size > safe:
                done.append(self._cut(path, safe, size, dice))
        for path in SHM.glob(f"{self.names.blob_prefix[1:]}*"):
            path.unlink(missing_ok=True)
        return "; ".join(done) or "nothing was unsynced"

    def files(self) -> list[Path]:
        """What has to outlive a power cut."""
        return [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.suffix != ".damaged" and path.name != FILLER
        ]

    @staticmethod
    def _cut(path: Path, safe: int, size: int, dice: random.Random) -> str:
        if dice.random() < 0.6:
            keep = dice.randint(safe, size)
            os.truncate(path, keep)
            return f"{path.name} cut to {keep} of {size}, synced to {safe}"
        blocks = range(-(-safe // BLOCK), -(-size // BLOCK))
        lost = [number for number in blocks if dice.random() < 0.5]
        with path.open("r+b") as file:
            for number in lost:
                file.seek(number * BLOCK)
                file.write(bytes(min(BLOCK, size - number * BLOCK)))
        return f"{path.name} of {size}, synced to {safe}: {len(lost)} blocks zeroed"

    def _read_notes(self) -> tuple[dict[tuple[int, str], int], set[tuple[str, str]]]:
        """How much of each file is safe, by inode and place, and which names of which folders."""
        synced: dict[tuple[int, str], int] = {}
        entries: set[tuple[str, str]] = set()
        for line in read_notes(self.notes):
            kind, first, rest = line.split(" ", 2)
            if kind == "D":
                entries.add((first, rest))
                continue
            inode, _, path = rest.partition(" ")
            synced[int(inode), _place(path)] = int(first)
        return synced, entries

    def _oldest(self) -> int:
        """The first segment that a replay reads, by the head of the last one that has a head."""
        for path in reversed(self.segments()):
            if match := FROM.search(path.read_bytes()[:HEAD_BYTES]):
                return int(match[1])
        return 0

    def unreported(self, said: str) -> list[int]:
        """The batches that were hit and that no coordinator has called lost, by what they said at their start."""
        lost = {n for a, b in LOST.findall(said) for n in range(int(a), int(b or a) + 1)}
        return [number for number in self.flipped if number not in lost]

    def flip(self, dice: random.Random) -> str:
        """Flip one bit of a batch. Returns what was done, in words."""
        segments = [path for path in self.segments() if int(path.stem) >= self._oldest()]
        batches = [(path, *batch) for path in segments for batch in _batches(path)]
        if not batches:
            return "nothing to flip"
        # Evenly over bytes: a long batch is hit more often.
        sizes = [end - begin for _, _, begin, end in batches]
        ((path, number, begin, end),) = dice.choices(batches, sizes)
        at, bit = dice.randrange(begin, end), dice.randrange(8)
        data = path.read_bytes()[begin:end]
        names = {name.decode() for name in NAMED.findall(data)}
        self.damaged |= names
        self.flipped.append(number)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([data[at - begin] ^ 1 << bit]))
        return f"bit {bit} of byte {at} of {path.name}, batch {number} with {len(names)} names"


def _place(path: str) -> str:
    """What tells two files of one inode number apart: a segment's path. A copy of a blob is renamed after its sync."""
    return path if path.endswith(".journal") else ""


def _batches(path: Path) -> list[tuple[int, int, int]]:
    """(number, begin, end) of every batch of a segment, its commit line included."""
    found, behind = [], HEAD_BYTES
    for match in COMMIT.finditer(path.read_bytes()):
        begin = match.start() - int(match[2])
        if begin >= behind:  # a payload may look like a commit line; then this is none
            found.append((int(match[1]), begin, match.end()))
            behind = match.end()
    return found
