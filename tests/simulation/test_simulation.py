"""The simulator itself: many seeds clean, one seed always the same, every place of a crash, the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ganglion.sim.coordinator import PHASES
from ganglion.sim.plan import Plan
from ganglion.sim.search import plan_of
from ganglion.sim.world import World, run
from support.until import until

SEEDS = 1500  # about two minutes on two processors that are busy with other things as well
SIM = (sys.executable, "-m", "ganglion.clients.cli.main", "sim")


def sim(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SIM, *words], capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.timeout_s(900)
def test_many_seeds_break_no_promise() -> None:
    done = sim("--seeds", str(SEEDS), "--json", timeout=880)
    facts = json.loads(done.stdout)
    assert done.returncode == 0, f"seed {facts['seed']}: {facts['invariant']}: {facts['words']}"
    assert facts["seeds"] == SEEDS
    assert facts["crashes"] > SEEDS
    assert facts["counts"]["checkpoints"] > 0


@pytest.mark.parametrize("seed", [1, 77])
def test_a_seed_is_always_the_same_run(seed: int) -> None:
    def once() -> list[str]:
        world = World(plan_of(seed), verbose=True)
        result = world.run()
        return [f"{result.steps} {result.counts}", *world.told()]

    assert once() == once()


def steady_plan(policy: str) -> Plan:
    """Some of everything, and no fault."""
    plan = plan_of(3)
    settings = dict(
        plan.settings, policy=policy, compact_bytes=4096, segment_bytes=2048, until_ms=900
    )
    items = [
        {
            "do": "task", "at": 10 + 30 * n, "client": 0, "name": f"t{n}", "action": "ALPHA",
            "params": {} if n % 3 else {"after": f"t{n - 1}"} if n else {}, "payload": f"p{n}",
        }
        for n in range(12)
    ]  # fmt: skip
    items.append({"do": "cancel", "at": 200, "name": "t5"})
    return Plan(5, settings, sorted(items, key=lambda item: int(str(item["at"]))))


@pytest.mark.timeout_s(300)
@pytest.mark.parametrize("policy", ["sync", "group", "memory"])
@pytest.mark.parametrize("mode", ["kill", "power"])
def test_a_crash_at_every_place_of_the_journal(policy: str, mode: str) -> None:
    plan = steady_plan(policy)
    clean = World(plan)
    assert clean.run().invariant == ""
    batches = clean.coordinator.journal.next - 1
    assert batches > 20
    for batch in range(1, batches + 1):
        for phase in PHASES:
            crash = {
                "do": "crash",
                "at": 0,
                "batch": batch,
                "mode": mode,
                "phase": phase,
                "down": 40,
            }
            if phase == "torn":
                crash["part"] = (batch * 37 % 100) / 100
            result = run(plan.with_items([crash, *plan.items]))
            assert not result.invariant, f"{crash}: {result.invariant}: {result.words}"


def test_a_torn_write_at_every_byte() -> None:
    plan = steady_plan("group")
    for part in range(100):
        crash = {
            "do": "crash", "at": 0, "batch": 9, "mode": "kill", "phase": "torn", "part": part / 100, "down": 5,
        }  # fmt: skip
        result = run(plan.with_items([crash, *plan.items]))
        assert not result.invariant, f"{crash}: {result.invariant}: {result.words}"


def test_one_seed_on_the_command_line() -> None:
    done = sim("--seed", "7", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["seed"] == 7


def test_a_replay_is_read_back(tmp_path: Path) -> None:
    plan = plan_of(11)
    assert Plan.from_json(plan.to_json()) == plan
    (tmp_path / "plan.json").write_text(plan.to_json())
    done = sim("--replay", str(tmp_path / "plan.json"), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["steps"] == run(plan).steps


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 99, "seed": 1}'])
def test_what_is_no_replay_is_wrong_use(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    done = sim("--replay", str(tmp_path / "plan.json"))
    assert done.returncode == 64
    assert "Traceback" not in done.stderr


def test_an_interrupt_leaves_nothing() -> None:
    process = subprocess.Popen(
        [*SIM, "--seeds", "1000000", "--jobs", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip

    def children() -> list[str]:
        return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()

    until(lambda: len(children()) >= 2, 30, "the workers are there")
    workers = children()
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in words
    until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers),
        10,
        "the workers are gone",
    )
