"""The ground the other tests stand on can fail: leftovers, bad ends, time-outs are errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import Process, Sandbox, Spawn, until
from support.tree import ROOT, plant

IMPORTS = "import os, signal, subprocess, sys, threading\nimport posix_ipc, pytest\nfrom support import until\n\n"


def inner(folder: Path, body: str) -> tuple[str, str]:
    """Run a test of its own with the project's conftest; (the last line, all it said)."""
    plant(
        folder,
        {
            "test_inner.py": IMPORTS + body,
            "conftest.py": (ROOT / "tests" / "conftest.py").read_text(),
            "pytest.ini": f"[pytest]\npythonpath = {ROOT / 'tests'}\n",
        },
    )
    words = ["-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = done.stdout + done.stderr
    return (done.stdout.strip().split("\n") or [""])[-1], said


LEFT_BEHIND = {
    "queue": """
        posix_ipc.MessageQueue(instance.names.queue, posix_ipc.O_CREX, max_messages=1, max_message_size=64).close()
    """,
    "entry in the ledger": """
        instance.names.ledger_dir.mkdir(parents=True)
        (instance.names.ledger_dir / f"ganglion.{instance.name}.a").touch()
    """,
    "shared memory segment": """
        posix_ipc.SharedMemory(instance.names.blob_prefix + "x", posix_ipc.O_CREX, size=64).close_fd()
    """,
    "process": """
        subprocess.Popen(["sleep", "100"], stdin=subprocess.DEVNULL)
    """,
    "process ": """
        subprocess.Popen(["setsid", "--fork", "sleep", "100"]).wait()
        until(instance.processes)
    """,
}


@pytest.mark.parametrize("kind", LEFT_BEHIND)
def test_leftovers_are_errors_and_removed(tmp_path: Path, kind: str) -> None:
    note = tmp_path / "instance"
    body = (
        f"def test_a(instance):\n        open({str(note)!r}, 'w').write(instance.name)"
        + LEFT_BEHIND[kind]
    )
    last, said = inner(tmp_path, body)
    assert "1 passed, 1 error" in last, said
    assert f"the test left behind:\n  {kind.strip()}" in said.replace("\nE   ", "\n")
    gone = Sandbox()
    gone.name = note.read_text()
    try:
        assert gone.processes() == []
        assert gone.segments() == []
    finally:
        gone.remove()


def test_a_clean_test_passes(tmp_path: Path) -> None:
    last, said = inner(
        tmp_path,
        """
def test_a(spawn, instance):
    assert os.environ["GANGLION_INSTANCE"] == instance.name
    process = spawn("sh", "-c", 'echo "$GANGLION_RUNTIME_DIR"; cat; echo end >&2', stdin=b"fed")
    assert process.wait() == 0
    assert process.stdout == f"{instance.names.runtime_base}\\nfed"
    process.wait_for("end") if process.returncode is None else None
    assert process.stderr == "end\\n"
""",
    )
    assert "1 passed" in last, said


def test_a_bad_end_is_an_error_and_shown(tmp_path: Path) -> None:
    last, said = inner(
        tmp_path,
        """
def test_a(spawn):
    process = spawn("sh", "-c", "echo words of the dying >&2; exit 3")
    until(lambda: process.returncode is not None)
    assert False
""",
    )
    assert "1 failed, 1 error" in last, said
    assert "words of the dying" in said
    assert "ended by itself with 3" in said


def test_waiting_for_the_word_of_a_dead_program_fails_at_once(tmp_path: Path) -> None:
    last, said = inner(
        tmp_path,
        """
def test_a(spawn):
    process = spawn("sh", "-c", "echo what went wrong >&2; exit 7")
    process.wait_for("ready")
""",
    )
    assert "1 failed, 1 error" in last, said
    assert "ended with 7" in said


def test_the_limit_shows_every_stack(tmp_path: Path) -> None:
    last, said = inner(
        tmp_path,
        """
def stuck():
    threading.Event().wait()

@pytest.mark.timeout_s(0.3)
def test_a():
    threading.Thread(target=stuck, daemon=True).start()
    try:
        threading.Event().wait()
    except Exception:
        pass

def test_b():
    pass
""",
    )
    assert "1 failed, 1 passed" in last, said
    assert "over the limit of 0.3 s" in said
    assert "in stuck" in said


def test_a_call_that_never_returns_ends_the_run(tmp_path: Path) -> None:
    last, said = inner(
        tmp_path,
        """
import support.limit
support.limit.GRACE_S = 0.2

@pytest.mark.timeout_s(0.2)
def test_a():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    threading.Event().wait()
""",
    )
    assert "passed" not in last
    assert "Timeout" in said
    assert "in test_a" in said


def test_until_says_what_it_saw() -> None:
    answers = iter([0, None, "", "here"])
    assert until(lambda: next(answers)) == "here"
    with pytest.raises(AssertionError, match=r"the moon: not within 0.05 s; last answer: \[\]"):
        until(list, 0.05, "the moon")


def test_a_program_that_will_not_end_is_killed_and_told(
    instance: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("support.process.STOP_S", 0.2)
    spawn = Spawn(instance, tmp_path)
    process = spawn("sh", "-c", "trap '' TERM; echo up >&2; while :; do read -r x; done")
    process.wait_for("up")
    (fault,) = spawn.end()
    assert "did not end after two SIGTERM" in fault
    assert process.returncode == -9


def test_the_socket_path_is_short_enough(instance: Sandbox) -> None:
    assert len(str(instance.socket)) < 107


def test_what_a_killed_coordinator_leaves_the_next_one_removes(
    coordinator: Process, instance: Sandbox
) -> None:
    coordinator.kill()
    assert instance.queues() == [instance.names.queue]


def test_a_coordinator_answers_and_ends(coordinator: Process, instance: Sandbox) -> None:
    assert coordinator.returncode is None
    assert instance.queues() == [instance.names.queue]
    assert coordinator.pid in instance.processes()
