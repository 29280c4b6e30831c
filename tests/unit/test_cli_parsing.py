"""The command line: options before and behind the command, exit codes of wrong use."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ganglion.clients.cli import exits, limit, main, schedule, serve, submitting
from ganglion.clients.cli.commands import COMMANDS, GROUPS, load
from ganglion.clients.cli.options import split
from ganglion.protocol.errors import PeerError, TransportError, UsageError, codes
from ganglion.protocol.session import DeadlineError, Outcome, TaskBuriedError, TaskCancelledError
from ganglion.protocol.transport.endpoint import NoCoordinatorError


def status(*argv: str) -> int:
    try:
        return main.run(list(argv))
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize(
    "argv",
    [
        (), ("cal",), ("--nonsense",), ("call",), ("call", "A", "b", "c"), ("-i",),
        ("call", "UPPER", "x", "--prio", "10"), ("call", "UPPER", "x", "--prio", "soon"),
        ("call", "UPPER", "x", "--ttl", "soon"), ("call", "UPPER", "x", "--tries", "0"),
        ("call", "UPPER", "x", "--param", "nosign"), ("call", "UPPER", "x", "--param", "from=me"),
        ("call", "UPPER", "x", "--param", "=1"), ("call", "UPPER", "x", "--each"),
        ("call", "UPPER", "--each", "--stream"), ("tasks", "--state", "lost"),
        ("call", "A", "x", "--dup", "maybe"), ("call", "A", "x", "--needs", "some"),
        ("call", "A", "x", "--needs", "any"), ("call", "A", "x", "--retry", "1s,soon"),
        ("call", "A", "x", "--retry", ""), ("call", "A", "x", "--label", "a,b,c,d,e"),
        ("call", "A", "x", "--label", ","), ("call", "A", "x", "--key", ""),
        ("limit",), ("limit", "show"), ("limit", "set"), ("limit", "set", "label:a"),
        ("limit", "set", "a", "--running", "1"), ("limit", "set", "agent:a", "--running", "1"),
        ("limit", "set", "label:a", "--rate", "0"), ("limit", "set", "label:a", "--rate", "1.2345"),
        ("limit", "set", "label:a", "--burst", "2"), ("limit", "set", "label:a", "--running", "0"),
        ("limit", "set", "label:a", "label:b", "--rate", "1"), ("limit", "list", "label:a"),
        ("limit", "list", "--rate", "1"), ("limit", "remove"), ("limit", "remove", "a"),
        ("limit", "remove", "label:a", "--rate", "1"),
        ("schedule",), ("schedule", "add", "n", "--every", "1s"), ("schedule", "add", "n", "A"),
        ("schedule", "add", "n", "A", "b", "c", "--every", "1s"),
        ("schedule", "add", "n", "A", "--every", "1s", "--cron", "@daily"),
        ("schedule", "add", "n", "A", "--every", "soon"), ("schedule", "list", "n"),
        ("schedule", "add", "n", "A", "--cron", "@daily", "--offset", "24:00"),
        ("schedule", "add", "n", "A", "--cron", "@daily", "--offset", "here"),
        ("schedule", "add", "n", "A", "--every", "1s", "--missed", "some"),
        ("schedule", "add", "n", "A", "--every", "1s", "--task", "t"),
        ("schedule", "add", "n", "A", "--every", "1s", "--needs", "any"),
        ("schedule", "list", "--every", "1s"), ("schedule", "list", "--prio", "9"),
        ("schedule", "remove"), ("schedule", "remove", "n", "--missed", "one"),
        ("tasks", "--limit", "-1"), ("kick",), ("kick", "t1", "--action", "A"),
        ("kick", "t1", "--count", "2"), ("completion",), ("completion", "csh"), ("help", "cal"),
        ("serve", "UPPER"), ("serve", "UPPER", "--"), ("serve",), ("send", "--follow", "--no-wait"),
        ("assign", "t1"), ("cancel",), ("ingest",), ("ask",), ("ask", " "),
        ("-i", "no/name", "status"), ("--transport", "pigeon", "status"),
        ("--config", "/nonexistent/ganglion.toml", "status"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("instance")
def test_wrong_use_is_64_and_one_line(
    argv: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert status(*argv) == exits.USAGE
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(("ganglion", "usage")), err
    assert err.count("\n") == 1 or argv == ()
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "argv",
    [("call", "UPPER", "x"), ("send",), ("status",), ("tasks",), ("agents",), ("watch",),
     ("peek", "t"), ("result", "t"), ("cancel", "t"), ("kick", "t"), ("pause", "A"),
     ("resume", "A"), ("drain",), ("limit", "list"), ("limit", "remove", "label:a"),
     ("limit", "set", "label:a", "--rate", "1"), ("schedule", "list"), ("schedule", "remove", "n"),
     ("schedule", "add", "n", "A", "--every", "1s"), ("assign", "t", "a"), ("top", "-n", "1"), ("ask", "why"),
     ("ingest", __file__)],
)  # fmt: skip
@pytest.mark.usefixtures("instance")
def test_no_coordinator_is_69_and_says_what_to_do(
    argv: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert status(*argv) == exits.NO_COORDINATOR
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("ganglion: ")
    assert "gangliond coordinator" in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("instance")
def test_a_completion_without_a_coordinator_is_empty(capfd: pytest.CaptureFixture[str]) -> None:
    assert status("completion", "--list", "action") == exits.OK
    assert capfd.readouterr() == ("", "")


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGLION_DEBUG", "1")
    with pytest.raises(exits.CommandError):
        main.run(["cal"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert status(name, "--help") == exits.OK
    out, err = capfd.readouterr()
    assert out.startswith(f"usage: ganglion {name}")
    assert "--instance" in out
    assert err == ""
    assert status("help", name) == exits.OK
    assert capfd.readouterr().out == out
    assert callable(getattr(load(name), "run", None) or load(name).run_raw)


def test_the_listing_names_every_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert status("--help") == exits.OK
    out = capfd.readouterr().out
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert {command.group for command in COMMANDS.values()} == set(GROUPS)
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("argv", "head"),
    [
        ([], 0), (["status"], 0), (["-v", "status", "-v"], 1), (["-i", "x", "call"], 2),
        (["--instance=x", "call"], 1), (["-ix", "-q", "call", "-i", "y"], 2), (["-i"], 1),
    ],
)  # fmt: skip
def test_split_finds_the_command(argv: list[str], head: int) -> None:
    assert split(argv) == (argv[:head], argv[head:])


def parsed(*argv: str) -> argparse.Namespace:
    head, tail = split(list(argv))
    common = main.top_parser().parse_args(head)
    parsed: argparse.Namespace = main.parse(tail[0], load(tail[0]), tail[1:], main._copy(common))
    return parsed


def test_common_options_stand_before_and_behind() -> None:
    assert parsed("-i", "a", "status").instance == "a"
    assert parsed("status", "-i", "a").instance == "a"
    assert parsed("-i", "a", "status", "-i", "b").instance == "b"
    assert not hasattr(parsed("status"), "instance")
    assert parsed("-v", "status").verbose == 1


def test_the_options_of_a_task() -> None:
    args = parsed(
        "call", "A", "x", "--prio", "urgent", "--ttl", "1m", "--delay", "500ms", "--lease", "2",
        "--keep", "1h", "--tries", "5", "--via", "B,C", "--after", "x,y", "--ct", "json",
        "--param", "width=200", "--param", "note=a=b", "--trace",
    )  # fmt: skip
    assert submitting.options(args) == {
        "prio": 9, "ttl": 60_000, "delay": 500, "lease": 2000, "keep": 3_600_000, "tries": 5,
        "via": ["B", "C"], "after": ["x", "y"], "ct": "json", "width": "200", "note": "a=b",
        "trace": 1,
    }  # fmt: skip
    assert submitting.options(parsed("call", "A")) == {}


def test_the_options_that_say_more() -> None:
    from ganglion.protocol import options

    args = parsed(
        "call", "A", "x", "--once", "--dup", "replace", "--retry", "100ms,1s,2", "--after", "x",
        "--needs", "ended", "--key", "user 7", "--label", "openai,gpu",
    )  # fmt: skip
    assert submitting.options(args) == {
        "once": True, "dup": "replace", "retry": [100, 1000, 2000], "after": ["x"],
        "needs": "ended", "key": "user 7", "label": ["openai", "gpu"],
    }  # fmt: skip
    assert (submitting.DUP, submitting.NEEDS) == (options.DUP, options.NEEDS)


def test_the_words_of_limits_and_schedules_are_those_of_the_library() -> None:
    from ganglion.clients import requests

    assert limit.BOUNDS == requests.LIMIT_BOUNDS
    assert (schedule.MISSED, schedule.OVERLAP) == (requests.MISSED, requests.OVERLAP)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("0", 0), ("60", 60), ("-300", -300), ("+5:30", 330), ("-05:00", -300), ("23:59", 1439)],
)
def test_time_zones(text: str, minutes: int) -> None:
    args = parsed("schedule", "add", "n", "A", "--cron", "@daily", f"--offset={text}")
    assert args.offset == minutes


def test_options_stand_anywhere_behind_what_is_to_be_done() -> None:
    for argv in (
        ["limit", "set", "label:a", "--rate", "2"], ["limit", "set", "--rate", "2", "label:a"],
        ["limit", "--rate", "2", "set", "label:a"],
    ):  # fmt: skip
        args = parsed("-i", "x", *argv)
        assert (args.what, args.limits, args.rate, args.instance) == ("set", ["label:a"], "2", "x")
    args = parsed("schedule", "add", "n", "--every", "1s", "A", "-i", "y", "--", "--payload")
    assert (args.words, args.every, args.instance) == (["n", "A", "--payload"], 1000, "y")
    assert parsed("limit", "list").limits == []
    assert parsed("bury", "kick", "--edit", "new", "t1").tasks == ["t1"]


def test_reserved_parameters_exist() -> None:
    from ganglion.protocol._native import ffi, lib

    known = {ffi.string(lib.gn_param_key(i)).decode() for i in range(lib.gn_param_count())}
    assert known >= submitting.RESERVED


def outcome(state: str) -> Outcome:
    return Outcome(b"t", state, b"reason=tries", b"words")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TaskBuriedError(outcome("buried")), 1), (TaskCancelledError(outcome("cancelled")), 1),
        (PeerError("unknown_task", ""), 1), (PeerError("exists", ""), 1),
        (PeerError("busy", ""), 75), (PeerError("draining", ""), 75),
        (PeerError("bad_number", ""), 64), (UsageError("no"), 64), (DeadlineError("late"), 75),
        (NoCoordinatorError(0, "none"), 69), (TransportError(24, "EMFILE"), 75),
        (TransportError(32, "EPIPE"), 69), (exits.CommandError("x", 74), 74),
        (ValueError("a bug"), None),
    ],
)  # fmt: skip
def test_exit_codes_of_errors(error: Exception, code: int | None) -> None:
    assert exits.status_of(error) == code


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_code_of_the_registry_has_an_exit_code(code: str) -> None:
    assert exits.status_of(PeerError(code, "")) in (1, 64, 75)


def test_a_bug_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GANGLION_DEBUG", raising=False)

    def broken(argv: list[str]) -> int:
        raise ZeroDivisionError("of\nmany lines")

    monkeypatch.setattr(main, "_run", broken)
    assert main.run(["status"]) == 70
    err = capfd.readouterr().err
    assert err.startswith("ganglion: ZeroDivisionError: of many lines")
    assert err.count("\n") == 1


def test_serve_hands_everything_to_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda path, argv: ran.append((path, argv)))
    monkeypatch.setattr(serve, "find_daemon", lambda: ["/bin/gangliond"])
    command = ["tr", "-d", "--", "x"]
    assert status("-i", "x", "serve", "UPPER,LOWER", "-j", "4", "--", *command) == 0
    expected = ["/bin/gangliond", "serve", "-i", "x", "--jobs", "4", "UPPER,LOWER", "--", *command]
    assert ran == [("/bin/gangliond", expected)]


def test_the_daemon_beside_this_program_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "gangliond"
    beside.write_text("#!/bin/sh\n")
    beside.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "ganglion")])
    assert serve.find_daemon() == [str(beside)]


def test_without_a_program_the_module_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "ganglion")])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert serve.find_daemon() == [str(tmp_path / "python"), "-m", "ganglion.daemons.main"]
