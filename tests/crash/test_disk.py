"""What is done to a journal's files is what is said: cut within what was not synced, one batch flipped."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from crash.disk import HEAD_BYTES, Disk, build_notes, make_notes, read_notes
from ganglion.protocol.instance import Instance

LINES = b"DATA:ECHO:a;ts=1:one\nRESPONSE:TASK_COMPLETED:b;ts=2:two\n"


def batch(number: int, lines: bytes) -> bytes:
    return lines + b"CONTROL:COMMIT:%d;bytes=%d;crc=00000000;sum=00000000\n" % (number, len(lines))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A journal of one segment with two batches, the first of them synced, as the notes say."""
    names = Instance("cut", tmp_path, tmp_path)
    folder = names.state_dir / "journal"
    folder.mkdir(parents=True)
    segment = folder / "00000001.journal"
    first = bytes(HEAD_BYTES) + batch(1, LINES)
    segment.write_bytes(first + batch(2, b"CONTROL:CANCEL:c;ts=3:\n" * 100))
    inode = segment.stat().st_ino
    notes = tmp_path / "notes"
    text = f"D {folder} {segment.name}\nF {len(first)} {inode} {segment}\nF 9\0\0\0"
    notes.write_bytes(len(text).to_bytes(8, sys.byteorder) + text.encode())
    return Disk(names, notes, small=False)


def test_a_power_cut_leaves_what_was_synced(disk: Disk) -> None:
    (segment,) = disk.segments()
    before = segment.read_bytes()
    synced = HEAD_BYTES + len(batch(1, LINES))
    found = set()
    for seed in range(20):
        segment.write_bytes(before)
        disk.cut_power(random.Random(seed))
        after = segment.read_bytes()
        assert after[:synced] == before[:synced]
        found.add(("shorter" if len(after) < len(before) else "as long", after == before))
    assert {("shorter", False), ("as long", False)} <= found


def test_a_file_whose_name_was_not_synced_is_gone(disk: Disk) -> None:
    (segment,) = disk.segments()
    second = segment.with_name("00000002.journal")
    second.write_bytes(b"x")
    disk.cut_power(random.Random(1))
    assert disk.segments() == [segment]


def test_a_flip_hits_one_batch_and_names_its_tasks(disk: Disk) -> None:
    (segment,) = disk.segments()
    before = segment.read_bytes()
    words = disk.flip(random.Random(1))
    after = segment.read_bytes()
    (at,) = [i for i, (x, y) in enumerate(zip(before, after, strict=True)) if x != y]
    first = at < HEAD_BYTES + len(batch(1, LINES))
    assert ("batch 1 " in words) == first
    assert disk.damaged == ({"a", "b"} if first else {"c"})


def test_syncs_are_noted(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    make_notes(notes)
    program = (
        "import os, sys\n"
        "fd = os.open(sys.argv[1] + '/file', os.O_RDWR | os.O_CREAT)\n"
        "os.write(fd, b'12345'); os.fdatasync(fd); os.write(fd, b'678')\n"
        "os.fsync(os.open(sys.argv[1], os.O_RDONLY))\n"
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    env = {**os.environ, "LD_PRELOAD": str(build_notes(tmp_path)), "CRASH_SYNCS": str(notes)}
    subprocess.run([sys.executable, "-c", program, str(folder)], env=env, check=True)
    inode = (folder / "file").stat().st_ino
    assert read_notes(notes) == [f"F 5 {inode} {folder}/file", f"D {folder} file"]


def test_what_was_hit_has_to_be_reported(disk: Disk) -> None:
    disk.flipped = [3, 8, 9]
    said = "segment 1 is damaged from byte 9 to 99: batches 2 to 4 lost\nsegment 1: batch 8 missing at byte 7"
    assert disk.unreported(said) == [9]
