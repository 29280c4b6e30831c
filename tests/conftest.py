"""Fixtures and limits that every test has."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from support.instance import Sandbox
from support.limit import limit
from support.process import Process, Spawn
from support.shell import Shell

# A busy machine must not fail a law.
settings.register_profile("ganglion", deadline=None, print_blob=True)
settings.load_profile("ganglion")

TEST_S = 120.0
SETUP_S = 300.0  # fixtures may build C with sanitizers
SPAWN = pytest.StashKey[Spawn]()
TERMINAL = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"timeout_s(seconds): the hard limit of this test, {TEST_S:g} by default"
    )
    config.stash[TERMINAL] = os.dup(2)  # capturing begins later: this is the terminal


def pytest_unconfigure(config: pytest.Config) -> None:
    if (fd := config.stash.get(TERMINAL, -1)) >= 0:
        os.close(fd)


def _seconds(item: pytest.Item, default: float) -> float:
    marker = item.get_closest_marker("timeout_s")
    return float(marker.args[0]) if marker else default


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with limit(max(SETUP_S, _seconds(item, SETUP_S)), item.config.stash[TERMINAL]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with limit(_seconds(item, TEST_S), item.config.stash[TERMINAL]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    with limit(_seconds(item, TEST_S), item.config.stash[TERMINAL]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the daemons said, below a failure."""
    report = yield
    if report.failed and (spawn := item.stash.get(SPAWN, None)):
        report.sections += [(str(process), process.report()) for process in spawn.all]
    return report


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """An instance of its own, named in the environment; an error when it leaves anything behind."""
    sandbox = Sandbox()
    for key, value in sandbox.settings.items():
        monkeypatch.setenv(key, value)
    try:
        yield sandbox
        left = sandbox.leftovers()
    finally:
        sandbox.remove()
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def spawn(instance: Sandbox, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spawn]:
    """Starts real programs in the instance; an error when one of them ends badly."""
    spawned = Spawn(instance, tmp_path)
    request.node.stash[SPAWN] = spawned
    faults: list[str] = []
    try:
        yield spawned
    finally:
        faults = spawned.end()
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


@pytest.fixture
def coordinator(spawn: Spawn) -> Process:
    """A coordinator that answers."""
    return spawn.coordinator()


@pytest.fixture
def shell(coordinator: Process, spawn: Spawn) -> Iterator[Shell]:
    """A shell beside a coordinator without agents."""
    found = Shell(spawn)
    yield found
    if coordinator.returncode is None:  # what is unfinished would hold up its drain
        found.pipe("ganglion tasks --names --state ready | xargs -r ganglion cancel")
