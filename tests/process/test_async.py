"""AsyncClient on real daemons: the same answers as Client, many at once on one loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ganglion.clients import AsyncClient, Client
from ganglion.protocol.errors import StateError
from ganglion.protocol.session import DeadlineError, TaskBuriedError
from support.process import Process, Spawn

KIT = str(Path(__file__).parent / "roles" / "kit.py")


@pytest.fixture(autouse=True)
def kit(coordinator: Process, spawn: Spawn) -> Process:
    return spawn.agent(KIT)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


@pytest.mark.parametrize("transport", ["mqueue", "unix"])
def test_calls_at_once(transport: str) -> None:
    async def work() -> None:
        async with AsyncClient(transport=transport) as client:
            outcomes = await asyncio.gather(*(client.call("UPPER", f"a{n}") for n in range(500)))
            assert [o.payload for o in outcomes] == [b"A%d" % n for n in range(500)]
            big = await client.call("UPPER", b"x" * 200_000)
            assert bytes(big.payload) == b"X" * 200_000

    run(work())


def test_map_takes_async_sources_and_keeps_order() -> None:
    async def source() -> AsyncIterator[str]:
        for n in range(1000):
            yield f"m{n}"

    async def work() -> None:
        async with AsyncClient() as client:
            got = [o.payload async for o in client.map("UPPER", source(), window=50)]
            assert got == [b"M%d" % n for n in range(1000)]

    run(work())


def test_errors_and_steering() -> None:
    async def work() -> None:
        async with AsyncClient() as client:
            with pytest.raises(TaskBuriedError, match="no luck"):
                await client.call("FAIL", "x", tries=1)
            with pytest.raises(StateError, match="unknown_task"):
                await client.peek("none")
            with pytest.raises(DeadlineError):
                await client.call("NOBODY", task="waits", timeout=0.05)
            await client.cancel("waits")
            await client.pause("UPPER")
            name = await client.submit("UPPER", "x", task="paused")
            assert [row["task"] async for row in client.tasks(action="UPPER")] == [name]
            await client.resume("UPPER")
            assert (await client.watch_task(name)).payload == b"X"
            assert (await client.status())["draining"] is False
            assert [row["name"] async for row in client.agents()]
            assert await client.ping() > 0

    run(work())


@pytest.mark.parametrize("transport", ["mqueue", "unix"])
def test_a_lost_coordinator_is_told_to_all(
    coordinator: Process, spawn: Spawn, transport: str
) -> None:
    async def work() -> None:
        async with AsyncClient(transport=transport, reconnect=0.3) as client:
            waiting = [asyncio.ensure_future(client.call("NOBODY", str(n))) for n in range(3)]
            await client.ping()
            coordinator.kill()
            for one in waiting:
                with pytest.raises(OSError, match="coordinator"):
                    await one

    run(work())
    spawn.coordinator().terminate()  # the next one cleans up after it


@pytest.mark.parametrize("transport", ["mqueue", "unix"])
def test_a_coordinator_that_does_not_answer_is_said(coordinator: Process, transport: str) -> None:
    words = r"coordinator of instance '.*' does not answer \(stopped or busy\); try again"

    async def work() -> None:
        with pytest.raises(DeadlineError, match=words):
            await AsyncClient(transport=transport, timeout=0.2).connect()

    coordinator.freeze()
    try:
        with pytest.raises(DeadlineError, match=words):
            Client(transport=transport, timeout=0.2)
        run(work())
    finally:
        coordinator.thaw()
