"""Predictive coding beside numpy, and what it saves on telemetry of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ganglion.kernels import predictive

from .case import Call, Case, library, present

GOALS = {256: (None, None, None), 4_096: (5, 7, 10), 65_536: (4, 5.5, 7)}


def cases() -> Iterator[Case]:
    for n, goals in GOALS.items():
        yield gate(n, True, goals)
        yield gate(n, True, (None, None, None), told=True)
        yield gate(n, False, (None, None, None))
    yield stream()
    yield telemetry()


def gate(n: int, surprised: bool, goals: tuple[float | None, ...], told: bool = False) -> Case:
    """One gate; numpy without an allocation. `told`: the residual is wanted too (numpy has it anyway)."""
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n).astype(np.float32)
    # Away from x by the same each time: the rate is 0 where nothing may move, and the work is the same.
    threshold, rate = (0.01, 0.0) if surprised else (100.0, 0.0)
    shared = np.zeros(
        n, np.float32
    )  # by all: at rate 0 it stays as it is, and fewer arrays fit a cache
    kept, r, step = np.zeros(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    share = np.float32(rate)
    limit = threshold * threshold * n

    def by_numpy() -> bool:
        np.subtract(x, shared, out=r)
        if not np.dot(r, r) > limit:
            return False
        np.multiply(r, share, out=step)
        np.add(shared, step, out=shared)
        return True

    others: dict[str, Call] = {"numpy": by_numpy}
    if present("torch"):
        torch = library("torch")
        tensor, moved = torch.from_numpy(x), torch.from_numpy(shared)

        def by_torch() -> bool:
            apart = tensor - moved
            if not float(torch.dot(apart, apart)) > limit:
                return False
            moved.add_(apart, alpha=rate)
            return True

        others["torch"] = by_torch
    floor, target, stretch = goals
    kind = "a surprise and its residual" if told else "a surprise" if surprised else "as predicted"
    return Case(
        name=f"predictive gate of {n:,}, {kind}",
        family="predictive",
        ours=predictive.bind_gate(x, shared, threshold, rate, residual=kept if told else None),
        others=others,
        against="numpy",
        floor=floor,
        target=target,
        stretch=stretch,
        bytes=n * (16.0 if told else 12.0 if surprised else 8.0),
        peak="load_l1" if n <= 2048 else "load_l2",
        note="bound; numpy with preallocated arrays",
    )


def stream() -> Case:
    """A tick of a vector stream in which one element of a hundred is off."""
    n = 4_096
    encoder = predictive.VectorEncoder(n, 0.01, key_every=0)
    rng = np.random.default_rng(1)
    x = rng.standard_normal(n).astype(np.float32)
    frames: list[int] = []

    def ours() -> object:
        at = rng.integers(0, n, n // 100)
        x[at] += np.float32(0.5)
        frame = encoder.encode(x)
        frames.append(len(frame or b""))
        return frame

    for _ in range(64):
        ours()
    mean = np.mean(frames[1:])
    return Case(
        name="vector stream, 4,096 floats, 1 % surprises, one tick",
        family="predictive",
        ours=ours,
        note=f"{mean:.0f} bytes a tick of {4 * n} ({4 * n / mean:.0f}x fewer)",
    )


def sample(path: str) -> list[float]:
    """All whole numbers of a file of /proc, in order."""
    return [float(word) for word in Path(path).read_text().split() if word.isdigit()]


def telemetry() -> Case:
    """/proc/stat and /proc/meminfo as they are: 100 samples, 20 ms apart, taken when the case is made."""
    import time

    samples: list[tuple[int, np.ndarray]] = []
    for _ in range(100):
        stat = sample("/proc/stat")[:40]
        values = np.array([*stat, *sample("/proc/meminfo")], np.float64)
        samples.append((time.monotonic_ns() // 1_000_000, values))
        time.sleep(0.02)
    exact = run(samples, 0.0)
    loose = run(samples, 64.0)
    fields = len(samples[0][1])
    raw = 8 * (fields + 1)
    encoder = predictive.TelemetryEncoder([0.0] * fields)
    turn = 0

    def ours() -> object:
        nonlocal turn
        turn += 1
        return encoder.encode(samples[-1][0] + turn, samples[turn % 100][1])

    return Case(
        name=f"telemetry stream, {fields} fields of /proc, one sample",
        family="predictive",
        ours=ours,
        note=(
            f"20 ms apart: {raw} bytes raw; {exact:.0f} sent exactly ({raw / exact:.1f}x fewer), "
            f"{loose:.0f} within 64 ({raw / loose:.1f}x fewer)"
        ),
    )


def run(samples: list[tuple[int, np.ndarray]], bound: float) -> float:
    """Bytes a sample, keyframes included; the decoder is held to the bound at each."""
    fields = len(samples[0][1])
    encoder = predictive.TelemetryEncoder([bound] * fields, trend=0.0, key_every=128)
    decoder = predictive.TelemetryDecoder(fields)
    total = 0
    for time, values in samples:
        frame = encoder.encode(time, values)
        if frame is not None:
            decoder.decode(frame)
            total += len(frame)
        if np.abs(decoder.view(time) - values).max() > bound:
            raise AssertionError("the decoder's view is outside the bound")
    return total / len(samples)
