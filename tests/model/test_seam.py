"""The journal seam of the core: what is held back until its batch is safe, what is refused, what a restart finds."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model.native import BLOB_KEEP, JOURNAL, STREAM, Core

from ganglion.protocol._native import lib

MS = 1000


def seal(core: Core) -> int:
    return int(lib.gn_core_journal_seal(core.core))


def committed(core: Core, batch: int) -> None:
    lib.gn_core_journal_committed(core.core, batch)
    core.check()


def by_hand() -> Core:
    """A core whose batches the test seals and commits."""
    core = Core(epoch=3, seed=1)
    core.commits = False
    return core


def agent(core: Core, name: str = "up", slots: int = 8) -> int:
    link = core.open(STREAM)
    core.feed(link, f'CONTROL:REGISTER:{name}:{{"actions":["A"],"slots":{slots}}}\n'.encode())
    assert core.take(link).startswith(b"ACK:WELCOME")
    return link


def restarted(journal: bytes, now: int, **config: int) -> Core:
    core = Core(**{"epoch": 4, "seed": 1, "resume_hold_ms": 0, **config})
    link = core.open(JOURNAL)
    assert core.feed(link, journal, final=True) == len(journal)
    core.closed(link)
    core.resume(now)
    return core


def token_of(line: bytes) -> str:
    found = re.search(rb";token=(\d+)", line)
    assert found is not None, line
    return found[1].decode()


def test_an_ack_leaves_when_its_batch_is_safe_and_not_before() -> None:
    core = by_hand()
    a, b = core.open(STREAM), core.open(STREAM)
    core.feed(a, b"CONTROL:PING:p:\nDATA:A:t1:x\n")
    core.feed(b, b"CONTROL:PING:p:\n")
    assert core.take(a) == b"ACK:PONG:p:\n"  # asked before, and promises nothing
    assert core.take(b) == b"ACK:PONG:p:\n"
    first = seal(core)
    core.feed(a, b"CONTROL:PING:q:\nDATA:A:t2:x\n")
    assert core.take(a) == b""  # each link in order
    second = seal(core)
    committed(core, first)
    assert core.take(a) == b"ACK:RECEIVED:t1\nACK:PONG:q:\n"
    assert int(lib.gn_core_held(core.core, a)) == len(b"ACK:RECEIVED:t2\n")
    committed(core, second)
    assert core.take(a) == b"ACK:RECEIVED:t2\n"


def test_a_task_goes_out_at_once_and_its_result_comes_back_when_it_is_safe() -> None:
    core = by_hand()
    up, client = agent(core), core.open(STREAM)
    core.feed(client, b"DATA:A:t1;ack=0:x\n")
    assert core.take(up).startswith(b"DATA:A:t1")
    core.feed(up, b"RESPONSE:TASK_COMPLETED:t1:y\n")
    assert core.take(client) == b""
    committed(core, seal(core))
    assert core.take(client) == b"RESPONSE:TASK_COMPLETED:t1:y\n"


def test_what_depends_on_an_outcome_waits_with_it() -> None:
    core = by_hand()
    up, client, other = agent(core), core.open(STREAM), core.open(STREAM)
    core.feed(client, b"DATA:A:t1;tries=1:x\n")
    core.feed(other, b"DATA:A:t2;after=t1:x\n")
    committed(core, seal(core))
    core.take(other)
    core.feed(up, b"RESPONSE:TASK_BURIED:t1:no\n")
    assert core.take(other) == b""
    committed(core, seal(core))
    assert core.take(other) == b"RESPONSE:TASK_BURIED:t2;reason=after;try=0:t1\n"


@given(st.lists(st.sampled_from(["submit", "ping", "seal", "commit", "take"]), max_size=60))
def test_no_promise_leaves_early_and_all_leave_in_the_end(steps: list[str]) -> None:
    core = by_hand()
    link = core.open(STREAM)
    sealed, safe, asked = 0, 0, 0
    batch_of: dict[str, int] = {}
    heard: list[str] = []
    for step in [*steps, "seal", "commit", "take"]:
        if step == "submit":
            core.feed(link, f"DATA:A:t{len(batch_of)}:x\n".encode())
            batch_of[f"t{len(batch_of)}"] = sealed + 1
        elif step == "ping":
            core.feed(link, b"CONTROL:PING:p\n")
            asked += 1
        elif step == "seal":
            sealed = seal(core) or sealed
        elif step == "commit":
            safe = sealed
            committed(core, safe)
        else:
            heard += core.take(link).decode().split("\n")[:-1]
            told = [line.split(":")[2] for line in heard if line.startswith("ACK:RECEIVED")]
            assert all(batch_of[name] <= safe for name in told)
    assert [line.split(":")[2] for line in heard if line.startswith("ACK:RECEIVED")] == list(
        batch_of
    )
    assert heard.count("ACK:PONG:p") == asked


def test_a_journal_that_fails_refuses_what_is_new_and_takes_outcomes() -> None:
    core = by_hand()
    up, client = agent(core), core.open(STREAM)
    core.feed(client, b"DATA:A:t1:x\n")
    committed(core, seal(core))
    core.take(client)
    lib.gn_core_journal_failing(core.core, 1)
    core.feed(client, b"DATA:A:t2:x\nCONTROL:CANCEL:t1\nCONTROL:RESULT:t1\n")
    lines = core.take(client).split(b"\n")
    assert [line.split(b" ")[0] for line in lines[:2]] == [
        b"RESPONSE:REJECTED:t2:journal",
        b"RESPONSE:REJECTED:t1:journal",
    ]
    assert lines[2].startswith(b"RESPONSE:STATE:t1")
    core.feed(up, b"RESPONSE:TASK_COMPLETED:t1;ack=1:y\n")
    committed(core, seal(core))
    assert core.take(client) == b"RESPONSE:TASK_COMPLETED:t1:y\n"
    lib.gn_core_journal_failing(core.core, 2)
    core.feed(up, b"RESPONSE:TASK_COMPLETED:t1;ack=1:y\n")
    assert b"REJECTED" in core.take(up)
    lib.gn_core_journal_failing(core.core, 0)
    core.feed(client, b"DATA:A:t2:x\n")
    committed(core, seal(core))
    assert core.take(client) == b"ACK:RECEIVED:t2\n"


def test_status_tells_what_only_the_outside_knows() -> None:
    from ganglion.protocol._native import ffi

    core = by_hand()
    facts = ffi.new(
        "gn_core_facts *", {"journal": b"group", "journal_ms": 5, "segments": 2, "lag_us": 77}
    )
    lib.gn_core_tell(core.core, facts)
    link = core.open(STREAM)
    core.feed(link, b"CONTROL:STATUS:s\n")
    said = json.loads(core.take(link).split(b"ct=json:", 1)[1])
    assert (said["journal"], said["journal_state"]["segments"], said["lag_us"]) == ("group", 2, 77)
    core.feed(link, b"DATA:A:t1:x\n")
    committed(core, seal(core))
    assert core.take(link) == b"ACK:RECEIVED:t1;journal=group\n"


# ---- once=1 ----


def test_once_is_in_the_journal_before_it_is_out_of_the_door() -> None:
    core = by_hand()
    up, client = agent(core), core.open(STREAM)
    core.feed(client, b"DATA:A:t1;once=1:x\n")
    assert core.take(up) == b""
    assert b"CONTROL:LEASED:t1;token=" in core.batch()
    committed(core, seal(core))
    assert core.take(up).startswith(b"DATA:A:t1;once=1;")


@pytest.mark.parametrize("end", ["fail", "gone", "lease"])
def test_once_is_never_tried_again(end: str) -> None:
    core = Core(epoch=3, seed=1)
    up, other, client = agent(core), agent(core, "other"), core.open(STREAM)
    core.feed(client, b"DATA:A:t1;once=1;tries=9;lease=1000:x\n")
    holder = next(link for link in (up, other) if core.take(link))
    if end == "fail":
        core.feed(holder, b"RESPONSE:TASK_FAILED:t1:no\n")
    elif end == "gone":
        core.closed(holder)
    else:
        core.tick(1100 * MS)
    view = core.task("t1")
    assert view is not None
    assert view["state"] == "buried"


def test_once_may_be_given_back() -> None:
    core = Core(epoch=3, seed=1)
    up, client = agent(core), core.open(STREAM)
    core.feed(client, b"DATA:A:t1;once=1:x\n")
    core.take(up)
    core.feed(up, b"RESPONSE:TASK_RELEASED:t1:\n")
    assert core.take(up).startswith(b"DATA:A:t1")


def test_after_a_restart_once_is_its_agents_or_nobodys() -> None:
    core = Core(epoch=3, seed=1)
    up, client = agent(core), core.open(STREAM)
    core.feed(client, b"DATA:A:t1;once=1:x\nDATA:A:t2;once=1:x\n")
    lines = core.take(up).split(b"\n")
    fresh = restarted(core.journal(), 1000 * MS)
    again = agent(fresh, "up")
    assert fresh.take(again) == b""  # neither is handed out
    fresh.feed(again, f"CONTROL:HEARTBEAT:up:t1={token_of(lines[0])}\n".encode())
    fresh.take(again)
    fresh.feed(again, f"RESPONSE:TASK_COMPLETED:t1;token={token_of(lines[0])};ack=1:y\n".encode())
    assert fresh.take(again) == b"ACK:DONE:t1\n"
    for second in range(2, 13):  # alive, but without t2
        fresh.feed(again, b"CONTROL:HEARTBEAT:up\n")
        fresh.tick(second * 1000 * MS)
    view = fresh.task("t2")
    assert view is not None
    assert (view["state"], view["reason"]) == ("buried", "agent_gone")


# ---- a restart ----


def test_results_outlive_a_restart_and_the_time_away_does_not_count() -> None:
    core = Core(epoch=3, seed=1)
    up, client = agent(core), core.open(STREAM)
    core.feed(client, b"DATA:A:t1;keep=5000;c=1:x\n")
    core.take(up)
    core.feed(up, b"RESPONSE:TASK_COMPLETED:t1;ct=text:y\n")
    fresh = restarted(core.journal(), 3_600_000 * MS)
    fresh.tick(3_604_000 * MS)
    reader = fresh.open(STREAM)
    fresh.feed(reader, b"DATA:A:t1:x\nCONTROL:RESULT:t1\n")
    outcome = b"RESPONSE:TASK_COMPLETED:t1;ct=text;c=1:y\n"
    assert fresh.take(reader) == b"ACK:RECEIVED:t1;again=1\n" + outcome + outcome
    fresh.tick(3_606_000 * MS)
    assert fresh.task("t1") is None


def test_what_waited_goes_on_where_it_was() -> None:
    core = Core(epoch=3, seed=1)
    client = core.open(STREAM)
    core.feed(
        client,
        b"DATA:A:a:1\nDATA:A:b;after=a:2\nDATA:A:c;delay=900000:3\nDATA:A:d;prio=9:4\nCONTROL:PAUSE:p:B\n",
    )
    core.feed(client, b"DATA:B:e:5\nDATA:A:f;ttl=1000:6\n")
    fresh = restarted(core.journal(), 2000 * MS)
    fresh.tick(2000 * MS)
    states = {name: (fresh.task(name) or {}).get("state") for name in "abcdef"}
    assert states == {
        "a": "ready",
        "b": "waiting",
        "c": "delayed",
        "d": "ready",
        "e": "ready",
        "f": "buried",
    }
    up = fresh.open(STREAM)
    fresh.feed(up, b'CONTROL:REGISTER:up:{"actions":["A","B"],"slots":9}\n')
    assert re.findall(rb"DATA:.:(.)", fresh.take(up)) == [b"d", b"a"]


def test_nothing_is_handed_out_before_agents_could_come_back() -> None:
    core = Core(epoch=3, seed=1)
    core.feed(core.open(STREAM), b"DATA:A:t1:x\n")
    fresh = restarted(core.journal(), 1000 * MS, resume_hold_ms=200)
    up = agent(fresh)
    assert fresh.take(up) == b""
    assert fresh.next_us() == 1200 * MS
    fresh.tick(1200 * MS)
    assert fresh.take(up).startswith(b"DATA:A:t1")


def test_a_journal_that_lost_lines_still_gives_the_rest() -> None:
    core = Core(epoch=3, seed=1)
    up, client = agent(core), core.open(STREAM)
    core.feed(client, b"DATA:A:a:1\nDATA:A:b;after=a:2\nDATA:A:c:3\n")
    core.take(up)
    core.feed(up, b"RESPONSE:TASK_COMPLETED:c:y\n")
    lines = core.journal().split(b"\n")
    fresh = restarted(b"\n".join(lines[1:]), 1000 * MS)  # without a
    assert fresh.task("a") is None
    b, c = fresh.task("b"), fresh.task("c")
    assert b is not None
    assert (b["state"], b["reason"]) == ("buried", "after")
    assert c is not None
    assert c["state"] == "done"
    fresh = restarted(
        b"\n".join(lines[:2] + lines[3:]), 1000 * MS
    )  # without c, but with its outcome
    assert fresh.task("c") is None


LATE = b"CONTROL:RESULT:t1;late=1\n"


def with_late_outcome(core: Core, end: bytes) -> int:
    """t1, over by `end`, and then completed again by its agent."""
    up, client = agent(core), core.open(STREAM)
    core.feed(client, b"DATA:A:t1;tries=1:x\n")
    core.take(up)
    core.feed(up, end)
    core.feed(up, b"RESPONSE:TASK_COMPLETED:t1;token=1;len=3:\ny\n\n")
    assert b"RESPONSE:REJECTED:t1:stale" in core.take(up)
    core.take(client)
    return client


@pytest.mark.parametrize("walks", [0, 1, 2])
@pytest.mark.parametrize("end", ["COMPLETED", "FAILED", "RELEASED"])
def test_a_late_outcome_outlives_restarts_and_is_never_applied(end: str, walks: int) -> None:
    core = Core(epoch=0, seed=1)
    client = with_late_outcome(core, f"RESPONSE:TASK_{end}:t1;delay=9000:no\n".encode())
    before = core.task("t1")
    core.feed(client, LATE)
    late = core.take(client)
    assert late == b"RESPONSE:TASK_COMPLETED:t1;late=1;token=1;from=up;len=3:\ny\n\n"
    for _ in range(walks):  # from the newest checkpoint alone
        core.journal()
        core.checkpoint()
        while core.checkpoint_step(100):
            pass
    fresh = restarted(core.journal(), 0)
    after = fresh.task("t1")
    assert before is not None
    assert after is not None
    assert [after[key] for key in ("state", "tries_used", "due_us")] == [
        before[key] for key in ("state", "tries_used", "due_us")
    ]
    reader = fresh.open(STREAM)
    fresh.feed(reader, LATE)
    assert fresh.take(reader) == late
    assert fresh.gauges()["late"] == 1


def test_an_agents_own_late_is_a_remark_like_any_other() -> None:
    core = Core(epoch=0, seed=1)
    up, client = agent(core), core.open(STREAM)
    core.feed(client, b"DATA:A:t1:x\n")
    core.take(up)
    core.feed(up, b"RESPONSE:TASK_COMPLETED:t1;late=1;token=1;from=me:y\n")
    fresh = restarted(core.journal(), 0)
    view = fresh.task("t1")
    assert view is not None
    assert view["state"] == "done"
    assert fresh.gauges()["late"] == 0


def test_a_late_outcome_is_told_when_its_batch_is_safe() -> None:
    core = by_hand()
    client = with_late_outcome(core, b"RESPONSE:TASK_COMPLETED:t1:x\n")
    core.feed(client, LATE)
    assert b"late=1" not in core.take(client)
    committed(core, seal(core))
    assert b";late=1;" in core.take(client)


BLOB = "0123456789abcdef" * 4


def kept(core: Core) -> list[str]:
    """The blobs whose copies are asked for."""
    return [text for kind, _, text in core.effects() if kind == BLOB_KEEP]


def test_again_with_a_blob_waits_for_a_copy_of_it() -> None:
    """Its first sender may have died, and the blob with it, before there was one."""
    core = by_hand()
    a, b = core.open(STREAM), core.open(STREAM)
    line = f"DATA:A:t1;blob={BLOB}.9:\n".encode()
    core.feed(a, line)
    assert kept(core) == [BLOB]
    committed(core, seal(core))
    core.feed(b, line)
    assert kept(core) == [BLOB]
    assert core.take(b) == b""
    committed(core, seal(core))
    assert core.take(b) == b"ACK:RECEIVED:t1;again=1\n"
    up = agent(core)
    core.feed(up, b"RESPONSE:TASK_COMPLETED:t1:done\n")
    committed(core, seal(core))
    core.feed(a, line)
    assert kept(core) == []  # it is done: nobody will read it


def test_after_a_restart_every_blob_in_use_gets_its_copy() -> None:
    core = Core(epoch=3, seed=1)
    link = core.open(STREAM)
    core.feed(link, f"DATA:A:t1;blob={BLOB}.9:\n".encode())
    again = restarted(core.journal(), core.now)
    assert kept(again) == [BLOB]
    link = again.open(STREAM)
    again.feed(link, f"DATA:A:t1;blob={BLOB}.9:\n".encode())
    third = restarted(again.journal(), core.now)
    assert third.task("t1") is not None
