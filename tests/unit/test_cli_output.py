"""Standard output, results, tables and progress."""

from __future__ import annotations

import argparse
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganglion.clients.cli import agents, ask, peek, progress, results, status, table, tasks, watch
from ganglion.clients.cli.context import Context
from ganglion.clients.cli.exits import OUTPUT, CommandError, OutputClosed
from ganglion.clients.cli.lines import Lines
from ganglion.clients.cli.output import BUFFER_BYTES, Output
from ganglion.protocol.session import Outcome


@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans())
def test_what_is_written_comes_out_as_it_is(parts: list[bytes], large: bool) -> None:
    parts = [*parts, b"x" * BUFFER_BYTES] if large else parts
    with os.fdopen(os.memfd_create("out"), "rb") as file:
        output = Output(file.fileno())
        for part in parts:
            output.write(memoryview(part))
        output.flush()
        file.seek(0)
        assert file.read() == b"".join(parts)


def test_a_closed_pipe_and_a_full_disk_are_told_apart() -> None:
    read, write = os.pipe()
    os.close(read)
    output = Output(write)
    output.line("x")
    with pytest.raises(OutputClosed):
        output.flush()
    os.close(write)
    full = os.open("/dev/full", os.O_WRONLY)
    output = Output(full)
    output.line("x")
    with pytest.raises(CommandError, match="No space left") as caught:
        output.flush()
    assert caught.value.status == OUTPUT
    os.close(full)


@given(
    st.lists(st.binary(max_size=5), max_size=8).map(b"\n".join),
    st.sampled_from([b"\n", b"\0"]),
    st.integers(1, 7),
)
def test_lines_however_they_are_cut(data: bytes, ending: bytes, step: int) -> None:
    read, write = os.pipe()
    lines = Lines(read, ending)
    found: list[bytes] = []
    for at in range(0, len(data), step):
        os.write(write, data[at : at + step])
        lines.read()
        found += lines.take(3)
    os.close(write)
    lines.read()
    found += lines.take(1000)
    os.close(read)
    expected = data.split(ending)
    assert found == (expected[:-1] if expected[-1] == b"" else expected)
    assert lines.ended


@pytest.mark.parametrize(
    ("payload", "ct", "wanted", "expected"),
    [
        (b"HELLO", "", True, b"\n"), (b"HELLO\n", "", True, b""), (b"", "", True, b""),
        (b"HELLO", "", False, b""), (b"\xff\xfe", "", True, b""), (b"a\0b", "", True, b""),
        (b"{}", "json", True, b"\n"), (b"\xff", "text", True, b"\n"), (b"abcd", "f32", True, b""),
    ],
)  # fmt: skip
def test_which_results_get_a_newline(
    payload: bytes, ct: str, wanted: bool, expected: bytes
) -> None:
    assert results.ending(payload, ct, wanted) == expected
    assert results.ending(memoryview(payload), ct, wanted) == expected


@pytest.mark.parametrize(
    ("params", "payload", "expected"),
    [
        (b"", b"hello", {"result": "hello"}),
        (b"", b"\xff\0", {"result_base64": "/wA="}),
        (b"ct=json", b'{"a":[1]}', {"ct": "json", "result": {"a": [1]}}),
        (b"ct=json", b"{", {"ct": "json", "result": "{"}),
        (b"ct=text", b"x", {"ct": "text", "result": "x"}),
        (b"ct=other", b"x", {"ct": "other", "result": "x"}),
    ],
)
def test_outcomes_as_json(params: bytes, payload: bytes, expected: dict[str, Any]) -> None:
    outcome = Outcome(b"t", "completed", params, payload)
    wanted = {"line": 3, "task": "t", "status": "completed", **expected}
    assert results.record(outcome, line=3) == wanted


def test_a_burial_as_json() -> None:
    outcome = Outcome(b"t", "buried", b"reason=tries;try=3;hops=A.a.1.2", b"no\xff")
    assert results.record(outcome) == {
        "task": "t", "status": "buried", "reason": "tries", "words": "no\ufffd",
        "hops": [{"action": "A", "agent": "a", "wait_us": 1, "run_us": 2}],
    }  # fmt: skip


def test_hops_that_are_none_are_left_out() -> None:
    assert results.hops("") == results.hops("A") == results.hops("A.b.c.d") == []
    assert [h.agent for h in results.hops("A.x.y.1.2,B..3.4")] == ["x.y", ""]
    lines = results.hop_lines("A.x.1500.20,B.y.3.4", 0.01)
    assert lines[1].split() == ["A", "x", "1.5", "ms", "20", "us"]
    assert lines[-1].split()[-2:] == ["8.5", "ms"]


CELLS = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), st.integers(40, 120))
def test_tables_fit_the_terminal_and_cannot_steer_it(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    columns = [
        table.Column("ONE", flexible=True),
        table.Column("TWO", flexible=True),
        table.Column("THREE", True, True),
    ]
    lines = table.render(columns, rows, width)
    assert len(lines) == len(rows) + 1
    assert all(len(line) <= width and line.isprintable() for line in lines)


def test_colours_only_when_asked_for() -> None:
    columns = [table.Column("STATE")]
    plain = table.render(columns, [["buried"]], colours=table.STATE_COLOURS)
    coloured = table.render(columns, [["buried"]], colour=True, colours=table.STATE_COLOURS)
    assert plain == ["STATE", "buried"]
    assert coloured[1] == "\x1b[31mburied\x1b[0m"


def test_the_context_has_no_colour_and_no_width_in_a_pipe(capfd: Any) -> None:
    context = Context(argparse.Namespace())
    assert not context.colour
    assert context.width is None
    context.note("shown")
    context.quiet = True
    context.note("not shown")
    assert capfd.readouterr().err == "ganglion: shown\n"


@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_turned_off(
    variable: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = os.openpty()
    try:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        context = Context(argparse.Namespace())
        context.out = Output(slave)
        assert context.colour
        monkeypatch.setenv(*variable)
        context = Context(argparse.Namespace())
        context.out = Output(slave)
        assert not context.colour
        assert context.width
    finally:
        os.close(master)
        os.close(slave)


@given(st.integers(0, 10**9), st.none() | st.integers(1, 10**9), st.floats(0, 1e6))
def test_progress_fits_the_line(done: int, total: int | None, seconds: float) -> None:
    assert len(progress.render("ingest", done, total, seconds, "3 skipped", 60)) < 60


def test_progress_is_silent_in_a_pipe_and_in_the_first_second(capfd: Any) -> None:
    for shown in (False, True):
        with progress.Progress("x", 10, shown=shown) as bar:
            bar.update(5)
    assert capfd.readouterr() == ("", "")


def test_progress_is_drawn_and_wiped(capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY_S", 0.0)
    with progress.Progress("x", 10, shown=True) as bar:
        bar.update(5)
    err = capfd.readouterr().err
    assert "5/10" in err
    assert err.endswith("\r\x1b[K")


def test_the_answer_for_people() -> None:
    found = {
        "text": "It waits [1].", "found": True,
        "sources": [
            {"number": 1, "path": "/a.py", "first_line": 3, "last_line": 5, "title": "Lock"},
            {"number": 2, "path": "/b.py", "first_line": 7, "last_line": 7},
        ],
        "verdict": {"verdict": "grounded", "groundedness": 0.951, "coverage": 1},
    }  # fmt: skip
    assert ask.lines(found, None, False) == [
        "It waits [1].", "", "[1] /a.py:3-5  Lock", "[2] /b.py:7", "",
        "verdict: grounded (groundedness 0.95, coverage 1.00)",
    ]  # fmt: skip
    assert ask.lines({"text": "nothing found"}, None, False) == ["nothing found"]


def test_events_and_peeks_for_people() -> None:
    event = {"state": "leased", "action": "UPPER", "task": "t1", "agent": "upper-1"}
    line = watch.line(event, "12:00:00", False)
    assert line == "12:00:00  leased      UPPER         t1  (upper-1)"
    assert "7 events lost" in watch.line({"lost": 7}, "12:00:00", False)
    found = {"state": "ready", "agent": "", "via": ["A", "B"], "payload": "x", "due_ms": 62_000}
    *fields, due, blank, payload = peek.lines(found, False, 60.0)
    assert fields == ["state   ready", "via     A,B"]
    assert due.startswith("due     19")  # in whatever zone this runs
    assert due.endswith("(in 2.0 s)")
    assert (blank, payload) == ("", "x")


def test_tables_are_readable_at_80_columns() -> None:
    rows = [{"name": "upper-12345-abcdef", "actions": ["UPPER", "LOWER"], "used": 3, "slots": 8,
             "done": 1234567, "failed": 12, "age_ms": 312, "draining": True}]  # fmt: skip
    found = {"actions": {"EMBEDDING": {"agents": 3, "ready": 123456, "leased": 100, "done": 99999},
                         "LOST": {"ready": 1}, "REST": {"paused": True}},
             "gauges": {"tasks": {"value": 900, "bound": 1000},
                        "bytes": {"value": 0, "bound": 1 << 29}, "links": {"value": 3}}}  # fmt: skip
    lines = [*agents.table(rows, 80, False), *status.actions(found, 80, False)]
    assert status.alarms(found, False) == []
    found["alarms"] = [{"alarm": "suspect", "words": "agent up is silent", "agent": "up"}]
    assert status.alarms(found, False) == ["ALARM suspect: agent up is silent", ""]
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("no agent") for line in lines)
    assert any(line.endswith("paused") for line in lines)
    shown = status.gauges(found, False, 80, False)
    assert [line.split()[0] for line in shown[1:]] == ["tasks"]
    assert shown[1].endswith("90% full")
    assert len(status.gauges(found, True, 80, False)) == 4
    task = {"task": "x" * 64, "action": "A" * 32, "state": "cancelling", "prio": 4, "try": 1,
            "tries": 3, "agent": "agent-with-a-long-name", "reason": "tries"}  # fmt: skip
    assert max(map(len, tasks.table([task], 80, False))) <= 80
