"""Many seeds on all processors: the first failures, made small, and what all runs together came to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field

from ganglion.sim.abilities import ask
from ganglion.sim.native import Native, installed
from ganglion.sim.plan import Plan
from ganglion.sim.shrink import shrink
from ganglion.sim.workload import make_plan
from ganglion.sim.world import Result, run

CHUNK = 8  # seeds a worker takes at a time
END_S = 10  # for what is left of a pool whose workers are gone


@dataclass
class Totals:
    """Of all runs so far."""

    seeds: int = 0
    steps: int = 0
    tasks: int = 0
    crashes: int = 0
    virtual_s: float = 0.0
    wall_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.steps += result.steps
        self.tasks += result.tasks
        self.crashes += result.crashes
        self.virtual_s += result.virtual_us / 1e6
        for name, count in result.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


def plan_of(seed: int, native: Native | None = None) -> Plan:
    """The plan that a seed stands for, with this build of the core."""
    return make_plan(seed, ask(native or installed()))


def run_seed(seed: int) -> Result:
    return run(plan_of(seed))


def smallest(plan: Plan, invariant: str, native: Native | None = None) -> tuple[Plan, Result]:
    """The shortest replay found that breaks the same promise, and its run."""
    small = shrink(plan, lambda other: run(other, native).invariant == invariant)
    return small, run(small, native, verbose=True)


def _chunk(seeds: list[int]) -> list[Result]:
    results = []
    for seed in seeds:
        result = run_seed(seed)
        results.append(result)
        if result.invariant:
            break
    return results


def _quiet() -> None:
    """Ctrl-C is for the parent, which then ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _deaf() -> Iterator[None]:
    """A worker that starts hears no Ctrl-C, not even before it can ignore it; ours comes a moment later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def search(
    first: int, count: int, jobs: int = 0, told: Callable[[Totals], None] | None = None
) -> tuple[Totals, list[Result]]:
    """Run ``count`` seeds from ``first`` on until one fails.

    Args:
        jobs: processes; 0: one for each processor.
        told: called now and then with the totals so far.

    Returns: the totals and the failures (none, or those found before the workers stopped).
    """
    jobs = jobs or len(os.sched_getaffinity(0))
    totals, failures, begun = Totals(), list[Result](), time.monotonic()
    for result in _serial(first, count) if jobs == 1 else _parallel(first, count, jobs):
        totals.add(result)
        totals.wall_s = time.monotonic() - begun
        if result.invariant:
            failures.append(result)
        if told is not None:
            told(totals)
    return totals, failures


def _serial(first: int, count: int) -> Iterator[Result]:
    for seed in range(first, first + count):
        result = run_seed(seed)
        yield result
        if result.invariant:
            return


def _parallel(first: int, count: int, jobs: int) -> Iterator[Result]:
    chunks = [
        list(range(at, min(at + CHUNK, first + count))) for at in range(first, first + count, CHUNK)
    ]
    context = multiprocessing.get_context("spawn")  # forking a process with threads is no good idea
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_quiet)
    running: dict[Future[list[Result]], list[int]] = {}
    todo, failed = iter(chunks), False
    try:
        while True:
            while (
                not failed and len(running) < jobs * 2 and (chunk := next(todo, None)) is not None
            ):
                with _deaf():
                    running[pool.submit(_chunk, chunk)] = chunk
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                for result in future.result():
                    yield result
                    failed = failed or bool(result.invariant)
    except BrokenProcessPool:
        yield from _who_died([seed for chunk in running.values() for seed in chunk])
    finally:
        _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    workers = list((pool._processes or {}).values())
    manager: threading.Thread | None = getattr(pool, "_executor_manager_thread", None)
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()
    if manager is not None:  # else it is still at it when the interpreter takes its pipes away
        manager.join(END_S)


def _who_died(seeds: list[int]) -> Iterator[Result]:
    """A worker's process ended: find the seed by running each alone."""
    context = multiprocessing.get_context("spawn")
    for seed in seeds:
        process = context.Process(target=run_seed, args=(seed,))
        process.start()
        process.join()
        if process.exitcode:
            words = f"the process of the core ended with {process.exitcode}"
            yield Result(seed, "crash", words)
            return
    yield Result(
        seeds[0] if seeds else -1, "crash", "a worker died, and none of its seeds does it again"
    )
