"""Faults put into the core on purpose: the simulator finds each of them, and nothing where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from simulation.planted import build

from ganglion.sim.native import Native
from ganglion.sim.search import plan_of, smallest
from ganglion.sim.world import Result, run

# The fault, the seeds within which it must be found, and the promises that may be seen broken.
PLANTED = {
    "ACK_EARLY": (20, {"early"}),
    "UNFENCED": (60, {"fence"}),
    "TAIL": (60, {"scan", "replay", "batches"}),
    "CHECKSUM": (60, {"scan"}),
    "KEY": (60, {"key", "check"}),
    "RETRY": (60, {"end", "answer"}),
    "ONCE": (60, {"once"}),
    "CANCEL": (60, {"cancelled", "same", "changed"}),
    "DEPS": (60, {"end", "same", "check"}),
    "LIMIT": (60, {"limit", "check"}),
    "ORPHAN": (60, {"end", "answer"}),
}
CLEAN_SEEDS = 60


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Native:
    return build(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def plant(planted: Native, request: pytest.FixtureRequest) -> Iterator[Native]:
    plan_of(0, planted)  # what the build can do is asked while nothing is planted
    planted.lib.gn_planted = getattr(planted.lib, f"GN_PLANT_{request.param}")
    yield planted
    planted.lib.gn_planted = 0


def first_failure(native: Native, seeds: int) -> Result | None:
    results = (run(plan_of(seed, native), native) for seed in range(seeds))
    return next((result for result in results if result.invariant), None)


@pytest.mark.timeout_s(300)
def test_every_fault_has_its_line(planted: Native) -> None:
    names = [name for name in dir(planted.lib) if name.startswith("GN_PLANT_")]
    assert {name.removeprefix("GN_PLANT_") for name in names} - {"NONE", "COUNT"} == set(PLANTED)


@pytest.mark.parametrize(("plant", "name"), [(n, n) for n in PLANTED], indirect=["plant"])
def test_a_planted_fault_is_found(plant: Native, name: str) -> None:
    seeds, promises = PLANTED[name]
    found = first_failure(plant, seeds)
    assert found is not None, f"{name} is not found in {seeds} seeds"
    assert found.invariant in promises, found.words


def test_nothing_is_found_where_nothing_is_planted(planted: Native) -> None:
    found = first_failure(planted, CLEAN_SEEDS)
    assert found is None, f"seed {found.seed}: {found.invariant}: {found.words}"


@pytest.mark.parametrize("plant", ["UNFENCED"], indirect=True)
def test_a_found_fault_is_made_small(plant: Native) -> None:
    found = first_failure(plant, 60)
    assert found is not None
    plan = plan_of(found.seed, plant)
    small, result = smallest(plan, found.invariant, plant)
    assert result.invariant == found.invariant
    assert len(small.items) < len(plan.items) / 2
    assert small.tasks < plan.tasks
