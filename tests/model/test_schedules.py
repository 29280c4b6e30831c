"""Schedules over a restart: what fired is not fired again, what was missed is made up for as asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from model.native import BLOB_DROP, JOURNAL, STREAM, Core

MS = 1000
SUNDAY = 1795305600000  # 2026-11-22T00:00Z, unix ms
BLOB = "ab" * 32


def begun(*schedules: str, **config: int) -> tuple[Core, bytes]:
    """A core with these schedules at that time, and its journal so far."""
    core = Core(epoch=3, seed=1, **config)
    link = core.open(STREAM)
    core.tick(SUNDAY * MS)
    for line in schedules:
        core.feed(link, f"CONTROL:SCHEDULE:{line}\n".encode())
        assert core.take(link).startswith(b"ACK:DONE"), line
    return core, core.journal()


def restarted(journal: bytes, now_ms: int, **config: int) -> Core:
    core = Core(epoch=4, seed=1, **config)
    link = core.open(JOURNAL)
    assert core.feed(link, journal, final=True) == len(journal)
    core.closed(link)
    core.resume(now_ms * MS)
    core.tick(now_ms * MS)
    return core


def rows(core: Core) -> dict[str, dict[str, Any]]:
    link = core.open(STREAM)
    core.feed(link, b"CONTROL:SCHEDULES:r\n")
    listed = json.loads(core.take(link).partition(b";ct=json:")[2])
    core.closed(link)
    return {row["name"]: row for row in listed}


def tasks(core: Core, name: str, *dues_ms: int) -> list[int]:
    """Which of these due times have their task."""
    return [due for due in dues_ms if core.task(f"{name}.{due // 1000}") is not None]


def checkpointed(core: Core) -> bytes:
    core.checkpoint()
    while core.checkpoint_step(1 << 20):
        pass
    return core.journal()


@pytest.mark.parametrize("from_checkpoint", [False, True])
@pytest.mark.parametrize(
    ("policy", "made", "missed"), [("one", [4], 2), ("all", [2, 3, 4], 0), ("none", [], 3)]
)
def test_missed_over_a_restart(
    from_checkpoint: bool, policy: str, made: list[int], missed: int
) -> None:
    core, journal = begun(f"s;action=A;cron=0 * * * *;missed={policy}:x")
    hours = [SUNDAY + n * 3600 * 1000 for n in range(7)]
    core.tick(hours[1] * MS)
    journal = checkpointed(core) if from_checkpoint else journal + core.journal()
    after = restarted(journal, hours[4] + 60_000)
    assert tasks(after, "s", *hours) == [hours[n] for n in [1, *made]]
    row = rows(after)["s"]
    assert (row["fired"], row["missed"]) == (1 + len(made), missed)
    assert row["next_ms"] == hours[5]
    # And over one more, before anything else happens.
    again = restarted(journal + after.journal(), hours[4] + 120_000)
    assert rows(again)["s"] == row
    assert tasks(again, "s", *hours) == [hours[n] for n in [1, *made]]


def test_at_most_a_thousand_are_made_up_for() -> None:
    _, journal = begun(
        "m;action=A;cron=* * * * *;missed=all:x", "e;action=A;every=100;missed=all:x"
    )
    after = restarted(journal, SUNDAY + 3 * 24 * 3600 * 1000)
    listed = rows(after)
    assert (listed["m"]["fired"], listed["m"]["missed"]) == (1000, 3 * 1440 - 1000)
    assert (listed["e"]["fired"], listed["e"]["missed"]) == (1000, 3 * 24 * 36000 - 1000)
    assert after.gauges()["tasks"] == 2000
    assert after.gauges()["schedules_fired"] == 2000


def test_the_interval_keeps_its_beat_over_restarts_and_replacement() -> None:
    core, journal = begun("s;action=A;every=7000:x")
    link = core.open(STREAM)
    core.tick((SUNDAY + 3000) * MS)
    core.feed(link, b"CONTROL:SCHEDULE:s;action=A;every=7000;prio=9:y\n")
    assert core.take(link) == f"ACK:DONE:s;next={SUNDAY + 7000}\n".encode()
    journal = checkpointed(core)
    after = restarted(journal, SUNDAY + 15_000)
    assert rows(after)["s"]["next_ms"] == SUNDAY + 21_000
    assert rows(after)["s"]["last_ms"] == SUNDAY + 14_000


def test_a_firing_and_its_note_are_in_one_batch() -> None:
    core, _ = begun("s;action=A;every=1000:x")
    core.tick((SUNDAY + 1000) * MS)
    lines = core.journal().splitlines()
    assert [line.split(b":")[1] for line in lines] == [b"A", b"FIRED"]


def test_a_task_that_is_there_is_not_submitted_again() -> None:
    """The note of a firing is lost, its task is not: the name decides."""
    core, journal = begun("s;action=A;every=1000;missed=all:x")
    core.tick((SUNDAY + 1000) * MS)
    task = b"".join(
        line + b"\n" for line in core.journal().splitlines() if line.startswith(b"DATA")
    )
    after = restarted(journal + task, SUNDAY + 2000)
    assert after.gauges()["tasks"] == 2
    assert rows(after)["s"]["fired"] == 2


def test_a_blob_is_held_while_its_schedule_is() -> None:
    core, _ = begun(f"s;action=A;every=1000;blob={BLOB}.5:")
    again = restarted(checkpointed(core), SUNDAY + 1)
    for one in (core, again):
        link = one.open(STREAM)
        assert one.blob_refs(BLOB) == 1
        one.feed(link, b"CONTROL:UNSCHEDULE:s\n")
        assert (BLOB_DROP, BLOB) in [(kind, text) for kind, _, text in one.effects()]


def test_its_bytes_are_counted_and_bounded() -> None:
    core, _ = begun("s;action=A;every=1000:" + "x" * 500, bytes_max=1000)
    held = core.gauges()["bytes"]
    assert held >= 500
    link = core.open(STREAM)
    core.feed(link, b"CONTROL:SCHEDULE:t;action=A;every=1000:" + b"x" * 500 + b"\n")
    assert core.take(link).startswith(b"RESPONSE:REJECTED:t:busy ")
    core.feed(link, b"CONTROL:UNSCHEDULE:s\n")
    assert core.gauges()["bytes"] == 0


def test_the_end_of_the_calendar() -> None:
    core, _ = begun("s;action=A;cron=0 0 1 1 *:x", "e;action=A;every=4294967295:x")
    link = core.open(STREAM)
    core.tick(253402300799 * 1_000_000 + 999_999)
    assert rows(core)["s"]["next_ms"] is None
    assert rows(core)["e"]["next_ms"] is None
    core.tick((1 << 63) - 1)
    core.feed(link, b"CONTROL:SCHEDULE:s;action=A;cron=0 0 1 1 *;x=1:x\n")
    assert core.take(link).startswith(b"RESPONSE:REJECTED:s:bad_param cron: no such date")
    core.feed(link, b"CONTROL:SCHEDULE:f;action=A;every=100:x\n")
    core.feed(link, b"CONTROL:SCHEDULES:r\n")
    core.tick((1 << 63) - 1)
