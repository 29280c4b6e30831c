"""A short storm over real processes: without a journal it must find losses."""

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
