"""The journal's settings, and what a recovery that takes long says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganglion.daemons import journal
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.config import Config
from ganglion.protocol.errors import UsageError

TASKS = 40_000
BATCH = 1000


def config(tmp_path: Path, **flags: object) -> Config:
    base = {"instance.state_dir": str(tmp_path), "instance.name": "words"}
    return Config(flags={**base, **{key.replace("__", "."): value for key, value in flags.items()}})


def segment(tasks: int) -> bytes:
    """A segment with so many waiting tasks, made by the functions that the coordinator uses."""
    head = ffi.new(
        "gn_journal_head *",
        {"segment": 1, "from": 1, "first": 1, "salt": 7, "ts_ms": 1, "instance": b"words"},
    )
    space = ffi.new("uint8_t[]", lib.GN_JOURNAL_START)
    lib.gn_journal_head_write(space, head)
    parts = [bytes(ffi.buffer(space))]
    line = ffi.new("uint8_t[]", lib.GN_JOURNAL_COMMIT_BYTES_MAX)
    for number, begin in enumerate(range(0, tasks, BATCH), 1):
        lines = b"".join(b"DATA:X:t%d;ts=1000:payload\n" % i for i in range(begin, begin + BATCH))
        n = lib.gn_journal_commit_write(line, 7, number, lines, len(lines))
        parts += [lines, bytes(ffi.buffer(line, n))]
    return b"".join(parts)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Any]:
    """A loop on a journal of many tasks, not recovered yet."""
    settings = journal.settings(config(tmp_path))
    folder = tmp_path / "words" / "journal"
    (folder / "00000001.journal").write_bytes(segment(TASKS))
    core = ffi.new("gn_core_config *")
    lib.gn_core_defaults(core)
    made = lib.gn_loop_new(core, ffi.new("gn_loop_config *", {"log_fd": -1, **settings}))
    assert made != ffi.NULL
    yield made
    lib.gn_loop_free(made)


def test_a_long_recovery_says_how_far_it_is(
    loop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journal, "PATIENCE_S", 0.0001)
    journal.open_journal(loop)
    assert journal.recover(loop)
    *progress, last = capsys.readouterr().err.splitlines()
    assert progress
    assert all(line.startswith("recovering: ") and " % (" in line for line in progress)
    assert last.startswith(f"recovered {TASKS} tasks from ")


def test_a_short_one_says_nothing(loop: Any, capsys: pytest.CaptureFixture[str]) -> None:
    journal.open_journal(loop)
    assert journal.recover(loop)
    assert capsys.readouterr().err == ""


def test_one_that_is_told_to_stop_is_not_whole(loop: Any) -> None:
    journal.open_journal(loop)
    lib.gn_loop_stop(loop)
    assert not journal.recover(loop)


def test_the_directory_is_private_and_beside_the_copies_of_blobs(tmp_path: Path) -> None:
    settings = journal.settings(config(tmp_path, journal__policy="sync"))
    folder = tmp_path / "words" / "journal"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert settings["journal"] == lib.GN_POLICY_SYNC
    assert settings["journal_dir"] == str(folder).encode()
    assert settings["copies_dir"] == str(tmp_path / "words" / "blobs").encode()


def test_without_a_journal_nothing_is_made(tmp_path: Path) -> None:
    settings = journal.settings(config(tmp_path, journal__policy="memory", journal__dir="none"))
    assert settings == {"journal": lib.GN_POLICY_NONE}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"journal__policy": "paper"}, "group, memory, sync"),
        ({"journal__dir": "none"}, "set journal.policy to memory"),
        ({"journal__segment_bytes": 10}, "journal.segment_bytes = 10"),
        ({"journal__group_ms": 100_000}, "journal.group_ms = 100000"),
        ({"journal__dir": "/proc/journal"}, "--journal-policy memory --journal-dir none"),
        ({"journal__dir": "/tmp/" + "x" * 1000}, "too long"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    tmp_path: Path, flags: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        journal.settings(config(tmp_path, **flags))
