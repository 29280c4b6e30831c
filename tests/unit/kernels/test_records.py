"""The ring of records and the bank of patterns, from Python."""

from __future__ import annotations

import mmap
import os
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion.kernels import Pool
from ganglion.kernels.adaptation import PatternBank, TrajectoryRing

STEP = np.dtype(
    [("when", np.uint64), ("state", np.float32, 5), ("action", np.int16), ("reward", np.float64)]
)


def step(i: int) -> Any:
    return (i, np.full(5, i), i % 100, i / 3)


def whole(record: Any) -> bool:
    """Whether all parts of a record are of one step."""
    i = int(record["when"])
    return (
        (record["state"] == i).all() and record["action"] == i % 100 and record["reward"] == i / 3
    )


@settings(max_examples=50, deadline=None)
@given(slots=st.integers(1, 7), pushes=st.integers(0, 20))
def test_a_ring_keeps_the_youngest(slots: int, pushes: int) -> None:
    ring = TrajectoryRing(STEP, slots)
    assert [ring.push(step(i)) for i in range(pushes)] == list(range(pushes))
    assert len(ring) == pushes
    for i in range(pushes + 2):
        found = ring.read(i)
        assert (found is not None) == (i < pushes <= i + slots)
        assert found is None or (whole(found) and found["when"] == i)
    assert ring.last(3)["when"].tolist() == list(range(max(0, pushes - min(3, slots)), pushes))


def test_elsewhere_ring_is_never_torn_between_threads() -> None:
    """Elsewhere the trajectory buffer is behind a lock or torn; here readers beside a writer see whole records."""
    ring = TrajectoryRing(STEP, 2)
    done, torn, seen = threading.Event(), [], []

    def read() -> None:
        while not done.is_set():
            for record in ring.last(2):
                seen.append(int(record["when"]))
                if not whole(record):
                    torn.append(record)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for i in range(5000):
        ring.push(step(i))
    done.set()
    for reader in readers:
        reader.join()
    assert not torn
    assert ring.last(2)["when"].tolist() == [4998, 4999]


def test_a_ring_between_processes() -> None:
    memory = mmap.mmap(-1, TrajectoryRing.bytes_needed(STEP, 4))
    ring = TrajectoryRing(STEP, 4, buffer=memory)
    child = os.fork()
    if not child:
        code = 1
        try:
            writer = TrajectoryRing(STEP, 4, buffer=memory, attach=True)
            for i in range(20_000):
                writer.push(step(i))
            code = 0
        finally:
            os._exit(code)
    while len(ring) < 20_000 and not os.waitpid(child, os.WNOHANG)[0]:
        assert all(whole(record) for record in ring.last(4))
    assert len(ring) == 20_000 or os.waitpid(child, 0)[1] == 0
    assert ring.last(4)["when"].tolist() == [19_996, 19_997, 19_998, 19_999]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("slots", lambda: TrajectoryRing(STEP, 0)),
        ("slots", lambda: TrajectoryRing(STEP, 1 << 62)),
        ("slots", lambda: TrajectoryRing(np.dtype([]), 3)),
        ("dtype", lambda: TrajectoryRing(object, 3)),
        ("buffer", lambda: TrajectoryRing(STEP, 4, buffer=bytearray(64))),
        ("buffer", lambda: TrajectoryRing(STEP, 4, buffer=bytes(1024))),
        ("buffer", lambda: TrajectoryRing(STEP, 4, buffer=bytearray(1024), attach=True)),
        ("buffer", lambda: TrajectoryRing(STEP, 4, buffer=memoryview(bytearray(1024))[1:])),
        ("number", lambda: TrajectoryRing(STEP, 4).read(-1)),
        ("capacity, dim", lambda: PatternBank(0, 4)),
        ("capacity, dim", lambda: PatternBank(4, 0)),
        ("vector", lambda: PatternBank(4, 4).add(np.ones(3, np.float32))),
        ("vector", lambda: PatternBank(4, 4).add(np.ones(4))),
        ("k", lambda: PatternBank(4, 4).nearest(np.ones(4, np.float32), -1)),
        ("query", lambda: PatternBank(4, 4).nearest(np.zeros(4, np.float32))),
        ("place", lambda: PatternBank(4, 4).use(0, reward=1)),
    ],
)
def test_what_is_wrong_is_named(name: str, call: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        call()


def test_a_ring_of_another_shape_is_told() -> None:
    memory = bytearray(4096)
    TrajectoryRing(STEP, 4, buffer=memory)
    with pytest.raises(ValueError, match=r"^buffer: a ring of 4 records"):
        TrajectoryRing(STEP, 5, buffer=memory, attach=True)


def test_a_ring_that_may_only_be_read() -> None:
    memory = bytearray(4096)
    writer = TrajectoryRing(STEP, 4, buffer=memory)
    reader = TrajectoryRing(STEP, 4, buffer=memoryview(memory).toreadonly(), attach=True)
    writer.push(step(0))
    assert whole(reader.read(0))
    with pytest.raises(ValueError, match="read-only"):
        reader.push(step(1))
    with pytest.raises(ValueError, match="buffer"):
        TrajectoryRing(STEP, 4, buffer="a text", attach=True)


def filled(n: int, dim: int, seed: int = 0) -> tuple[PatternBank, Any]:
    vectors = np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)
    bank = PatternBank(n, dim)
    assert [bank.add(vector) for vector in vectors] == list(range(n))
    return bank, vectors


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 400), dim=st.integers(1, 130), k=st.integers(0, 20), seed=st.integers(0, 99)
)
def test_nearest_is_the_largest_cosine(n: int, dim: int, k: int, seed: int) -> None:
    bank, vectors = filled(n, dim, seed)
    query = np.random.default_rng(seed + 1).standard_normal(dim, dtype=np.float32)
    exact = vectors.astype(float) @ query / np.linalg.norm(vectors.astype(float), axis=1)
    exact /= np.linalg.norm(query.astype(float))
    cosine, place = bank.nearest(query, k)
    assert len(place) == min(k, n)
    np.testing.assert_allclose(cosine, exact[place], atol=1e-6)
    np.testing.assert_allclose(cosine, np.sort(exact)[::-1][: len(cosine)], atol=1e-6)
    for a, b in zip(bank.nearest(query, k, threads=2), (cosine, place), strict=True):
        assert (a == b).all()


def test_elsewhere_patterns_that_are_used_stay() -> None:
    """Elsewhere uses are never counted, so that every score is 0 and the oldest goes, however good."""
    bank, vectors = filled(5, 8)
    bank.use(0, reward=1)
    bank.use(1, reward=0, rate=1.0)
    other = np.ones(8, np.float32)
    assert bank.uses.tolist() == [1, 1, 0, 0, 0]
    assert [bank.add(other) for _ in range(3)] == [
        1,
        2,
        3,
    ]  # the worthless one, then the oldest of equals
    assert bank.nearest(vectors[0])[1][0] == 0
    assert len(bank) == 5


def test_elsewhere_patterns_nan_is_no_panic() -> None:
    """Elsewhere a NaN ends the process in a sort: here it is refused, and one that got in comes last."""
    bank, vectors = filled(5, 8)
    bad = vectors[0].copy()
    bad[3] = np.nan
    with pytest.raises(ValueError, match="vector"):
        bank.add(bad)
    with pytest.raises(ValueError, match="quality"):
        bank.add(vectors[0], quality=float("nan"))
    with pytest.raises(ValueError, match=r"^query: "):
        bank.nearest(bad)
    with pytest.raises(ValueError, match="reward"):
        bank.use(0, reward=float("nan"))
    bank.vectors[2, 0] = np.nan
    cosine, place = bank.nearest(vectors[1], 5)
    assert place[0] == 1
    assert place[4] == 2
    assert np.isnan(cosine[4])


def test_elsewhere_search_is_exact_over_10_000() -> None:
    """Elsewhere clusters are computed and never searched; here all 10,000 are, and pools change nothing."""
    bank, vectors = filled(10_000, 64)
    with Pool(2) as pool:
        for i in (0, 4999, 9999):
            cosine, place = bank.nearest(vectors[i], 3, threads=pool)
            assert place[0] == i
            assert cosine[0] == pytest.approx(1, abs=1e-6)
