"""Capacity answers: against queueing theory, at ten thousand agents, and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ganglion.sim.capacity import Capacity
from ganglion.sim.distributions import distribution, erlang_c
from ganglion.sim.scenario import read

SERVICE_MS = 20.0
QUEUE = """
seconds = {seconds}
warmup = 10
heartbeat_ms = 0
costs = {{hop_us = 0, round_us = 0, message_us = 0}}
[[agents]]
name = "servers"
count = {count}
slots = {slots}
service.WORK = {{kind = "exponential", ms = 20}}
[[load]]
action = "WORK"
rate = {rate}
"""
SMALL = QUEUE.format(seconds=5, count=1, slots=2, rate=50)


def test_erlang_c_is_what_the_books_have() -> None:
    # One server: the part that waits is the load. Two servers: a^2 / (2 + a), by hand.
    assert erlang_c(1, 0.7) == pytest.approx(0.7)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert erlang_c(10, 8.0) == pytest.approx(0.40918, abs=1e-5)
    with pytest.raises(ValueError, match="below"):
        erlang_c(2, 2.0)


@pytest.mark.timeout_s(300)
@pytest.mark.parametrize(
    ("count", "slots", "load"), [(1, 1, 0.5), (1, 3, 0.6), (4, 1, 0.7), (3, 2, 0.75)]
)
def test_waiting_times_are_those_of_erlang(count: int, slots: int, load: float) -> None:
    servers = count * slots
    rate = load * servers / (SERVICE_MS / 1000)
    question = read(QUEUE.format(seconds=1500, count=count, slots=slots, rate=rate))
    capacity = Capacity(question)
    facts = capacity.run()
    waits = capacity.times["WORK"].waits
    part = erlang_c(servers, load * servers)
    mean_ms = part / (servers / SERVICE_MS * 1000 - rate) * 1000
    assert facts["throughput"] == pytest.approx(rate, rel=0.02)
    assert sum(wait > 0 for wait in waits) / len(waits) == pytest.approx(part, rel=0.05)
    assert sum(waits) / len(waits) == pytest.approx(mean_ms, rel=0.08)


def test_the_same_seed_gives_the_same_answer() -> None:
    def answer() -> dict[str, object]:
        facts = Capacity(read(SMALL)).run()
        return {key: facts[key] for key in facts if key not in ("wall_s", "events_per_s")}

    assert answer() == answer()


def test_ten_thousand_agents() -> None:
    question = QUEUE.format(seconds=1, count=10_000, slots=1, rate=5_000)
    facts = Capacity(
        read(question.replace("ms = 20}", "ms = 1000}").replace("warmup = 10", "warmup = 1"))
    ).run()
    assert facts["agents"] == 10_000
    assert facts["offered"] == pytest.approx(5_000, rel=0.1)


def test_a_chain_and_clients_that_wait() -> None:
    text = """
    seconds = 5
    [[agents]]
    slots = 2
    service.A = {kind = "constant", ms = 10}
    service.B = {kind = "list", values = [5, 15]}
    [[load]]
    action = "A"
    via = ["B"]
    clients = 2
    """
    capacity = Capacity(read(text))
    facts = capacity.run()
    # Two clients, two slots: nobody waits, a pass takes 20 ms on the mean and some hops.
    assert facts["throughput"] == pytest.approx(100, rel=0.1)
    assert set(capacity.times) == {"A", "B"}


def test_distributions_have_their_means() -> None:
    for raw in (
        {"kind": "exponential", "ms": 7},
        {"kind": "lognormal", "ms": 7, "cv": 0.5},
        {"kind": "list", "values": [4, 10]},
        {"kind": "constant", "ms": 7},
    ):
        draw, mean = distribution(raw, "seed")
        assert mean == 7
        assert sum(draw() for _ in range(20_000)) / 20_000 == pytest.approx(7, rel=0.03)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = ", "nvalid value"),
        ("", "agents"),
        (SMALL.replace("rate", "rite"), "rite"),
        (SMALL.replace("rate = 50", ""), "either rate"),
        (SMALL.replace('action = "WORK"', 'action = "PLAY"'), "no agent serves PLAY"),
        (SMALL.replace("slots = 2", "slots = 0"), "slots"),
        (SMALL.replace("exponential", "normal"), "kind"),
        (SMALL.replace("seconds = 5", "seconds = true"), "seconds"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "question.toml").write_text(text)
    done = _sim(tmp_path)
    assert done.returncode == 64
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_in_words_and_as_json(tmp_path: Path) -> None:
    (tmp_path / "question.toml").write_text(SMALL)
    words = _sim(tmp_path)
    assert words.returncode == 0
    assert "throughput" in words.stdout
    assert "WORK waited" in words.stdout
    facts = json.loads(_sim(tmp_path, "--json").stdout)
    assert set(facts["wait_ms"]["WORK"]) >= {"mean", "p50", "p95", "p99"}


def _sim(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "ganglion.clients.cli.main", "sim"]
    return subprocess.run(
        [*argv, "--capacity", str(folder / "question.toml"), *more],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
