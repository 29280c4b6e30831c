"""Short storms over real processes: with a journal nothing may be lost, without one losses must be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from crash.plan import KINDS, troubles
from crash.run import Options, crash


def test_a_plan_is_the_same_for_the_same_seed() -> None:
    first, again = troubles(7), troubles(7)
    assert [next(first) for _ in range(50)] == [next(again) for _ in range(50)]


def test_a_plan_leaves_out_what_it_is_told_to() -> None:
    without = frozenset(kind for kind in KINDS if kind != "kill agent")
    plan = troubles(1, without)
    assert {next(plan).kind for _ in range(50)} == {"kill agent"}


@pytest.mark.timeout_s(240)
def test_without_a_journal_losses_are_found(tmp_path: Path) -> None:
    said: list[str] = []
    options = Options("none", "limit", seed=1, seconds=6.0, rate=900.0)
    report = crash(options, tmp_path / "run", said.append)
    assert report.kills["coordinator"], said
    assert report.verdict.lost, report.summary()
    assert report.is_good, report.words()


@pytest.mark.timeout_s(240)
@pytest.mark.parametrize(("policy", "seed", "seconds"), [("group", 22, 16.0), ("sync", 7, 8.0)])
def test_with_a_journal_nothing_is_lost(
    tmp_path: Path, policy: str, seed: int, seconds: float
) -> None:
    said: list[str] = []
    report = crash(Options(policy, "limit", seed, seconds, 900.0), tmp_path / "run", said.append)
    assert report.kills["coordinator"] > 1, said
    assert report.verdict.acked > 1000, report.summary()
    assert report.is_good, f"{report.words()}\n{report.summary()}"
