"""The pages people copy from: every Python block of README and docs runs, every shell tour answers."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from ganglion.clients import Client
from ganglion.protocol.config import fill_table
from support.instance import Sandbox
from support.process import Process, Spawn
from support.tree import ROOT
from support.until import until

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ("README.md", "docs/writing-an-agent.md", "docs/submitting.md")


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run_one_after_the_other(
    page: str, coordinator: Process, spawn: Spawn, tmp_path: Path
) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks) + "\nimport os\nprint('done', flush=True)\nos._exit(0)\n")
    done = spawn.run(sys.executable, str(program))
    assert done.stdout.strip().endswith(b"done"), done.stderr.decode()


def test_the_role_file_of_the_page_serves(
    coordinator: Process, spawn: Spawn, tmp_path: Path
) -> None:
    text = (ROOT / "docs/writing-an-agent.md").read_text()
    (source,) = [block for block in BLOCK.findall(text) if "# count.py" in block]
    role = tmp_path / "count.py"
    role.write_text(source)
    spawn.agent(str(role))
    done = spawn.run("ganglion", "call", "COUNT", stdin=b"one two three\n")
    assert b'"words":3' in done.stdout


def test_the_ten_seconds_of_the_readme(
    coordinator: Process, spawn: Spawn, instance: Sandbox
) -> None:
    tour = (ROOT / "README.md").read_text()
    assert "ganglion serve UPPER -- tr a-z A-Z" in tour
    spawn("ganglion", "serve", "UPPER", "--", "tr", "a-z", "A-Z")
    until(lambda: len(spawn.agents()) == 1, what="the agent")
    assert spawn.run("ganglion", "call", "UPPER", stdin=b"hello\n").stdout == b"HELLO\n"
    lines = spawn.run("ganglion", "send", stdin=b"DATA:UPPER:t1:hello\n").stdout
    assert lines == b"ACK:RECEIVED:t1;journal=group\nRESPONSE:TASK_COMPLETED:t1:HELLO\n"
    assert b"UPPER" in spawn.run("ganglion", "status").stdout


def test_the_tour_of_the_protocol_is_what_happens(coordinator: Process, spawn: Spawn) -> None:
    spawn("ganglion", "serve", "UPPER,REVERSE", "--", "tr", "a-z", "A-Z")
    until(lambda: len(spawn.agents()) == 1, what="the agent")
    with Client() as client:
        first = client.call("UPPER", "hello", task="t1", timeout=30)
        again = client.call("UPPER", "hello", task="t1", timeout=30)
        assert first.payload == again.payload == b"HELLO"
        assert client.call("UPPER", "hello", via=["REVERSE"], timeout=30).payload == b"HELLO"
    sent = b"DATA:UPPER:t1:other\nCONTROL:PING:r5\n"
    answers = spawn.run("ganglion", "send", stdin=sent).stdout
    assert answers.startswith(b"RESPONSE:REJECTED:t1:exists ")
    assert b"ACK:PONG:r5" in answers


def test_the_limits_and_schedules_of_the_tour(coordinator: Process, spawn: Spawn) -> None:
    tour = (ROOT / "docs" / "protocol-tour.md").read_text()
    lines = re.findall(r"^    (CONTROL:(?:LIMIT|SCHEDULE):.*?)  ", tour, re.MULTILINE)
    assert len(lines) == 3
    sent = "".join(f"{line}\n" for line in [*lines, "CONTROL:UNSCHEDULE:nightly"])
    answers = spawn.run("ganglion", "send", stdin=sent.encode()).stdout.split()
    assert answers[:2] == [b"ACK:DONE:r6", b"ACK:DONE:r7"]
    assert answers[2].startswith(b"ACK:DONE:nightly;next=")
    assert answers[3:] == [b"ACK:DONE:nightly"]


def test_the_limits_and_schedules_of_the_shell(coordinator: Process, spawn: Spawn) -> None:
    page = (ROOT / "docs" / "submitting.md").read_text()
    lines = re.findall(r"^    (ganglion .*)$", page, re.MULTILINE)
    assert len(lines) == 8
    for line in lines:
        done = spawn.run(*shlex.split(line))
        assert done.returncode == 0, (line, done.stderr)


def test_the_table_of_settings_is_current() -> None:
    page = ROOT / "docs" / "configuration.md"
    text = page.read_text()
    assert text == fill_table(text), f"run: python -m ganglion.protocol.config {page.name}"


@pytest.mark.parametrize("name", ["ganglion", "gangliond"])
def test_help_names_every_command(name: str, spawn: Spawn) -> None:
    done = spawn.run(name, "--help")
    assert done.returncode == 0
    text = (done.stdout + done.stderr).decode()
    wanted = {
        "ganglion": "call send serve ask ingest watch status tasks agents result cancel kick peek "
        "pause resume drain",
        "gangliond": "coordinator agent serve up roles",
    }[name]
    assert all(word in text for word in wanted.split())
    assert os.linesep in text
