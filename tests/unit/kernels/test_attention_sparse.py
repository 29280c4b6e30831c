"""Local and global, and block-sparse attention from Python, beside the dense formula with a mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import attention
from ganglion.kernels.attention import bigbird_layout, block_sparse, local_attention, sdpa

from .attention_reference import Array, attend, blocks, causal, local, normal


@pytest.fixture(params=kernels.isas())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each level in turn."""
    best = kernels.isa()
    kernels.force_isa(request.param)
    yield request.param
    kernels.force_isa(best)


def inputs(queries: int, keys: int, *, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    return normal(rng, queries, 12), normal(rng, keys, 12), normal(rng, keys, 7)


def matrix(starts: Array, columns: Array, cols: int) -> Array:
    """A layout as a boolean matrix."""
    seen = np.zeros((len(starts) - 1, cols), bool)
    seen[np.repeat(np.arange(len(starts) - 1), np.diff(starts.astype(np.int64))), columns] = True
    return seen


@settings(max_examples=120, deadline=None)
@given(
    queries=st.integers(0, 90),
    keys=st.integers(0, 160),
    window=st.integers(0, 100),
    first=st.integers(0, 30),
    is_causal=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
def test_local_is_the_formula_with_its_mask(
    queries: int, keys: int, window: int, first: int, is_causal: bool, masked: bool, seed: int
) -> None:
    q, k, v = inputs(queries, keys, seed=seed)
    see = local(queries, keys, window, first)
    if is_causal:
        see &= causal(queries, keys)
    mask = np.random.default_rng(seed).random((queries, keys)) < 0.6 if masked else None
    if mask is not None:
        see &= mask
    got = local_attention(q, k, v, window=window, globals=first, causal=is_causal, mask=mask)
    np.testing.assert_allclose(got, attend(q, k, v, see), atol=5e-6)


@settings(max_examples=120, deadline=None)
@given(
    queries=st.integers(0, 90),
    keys=st.integers(0, 160),
    block=st.integers(1, 70),
    density=st.floats(0, 1),
    is_causal=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
def test_block_sparse_is_the_formula_with_its_mask(
    queries: int, keys: int, block: int, density: float, is_causal: bool, seed: int
) -> None:
    q, k, v = inputs(queries, keys, seed=seed)
    layout = np.random.default_rng(seed).random((-(-queries // block), -(-keys // block))) < density
    see = blocks(layout, block, queries, keys)
    if is_causal:
        see = see & causal(queries, keys)
    want = attend(q, k, v, see)
    got = block_sparse(q, k, v, layout, block=block, causal=is_causal)
    np.testing.assert_allclose(got, want, atol=5e-6)
    starts = np.concatenate([[0], np.cumsum(layout.sum(1))]).astype(np.uint32)
    columns = np.nonzero(layout)[1].astype(np.uint32)
    again = block_sparse(q, k, v, (starts, columns), block=block, causal=is_causal)
    np.testing.assert_array_equal(again, got)


def test_windows_and_layouts_of_many_heads_and_blocks(level: str) -> None:
    rng = np.random.default_rng(5)
    q = normal(rng, 2, 4, 300, 16)
    k, v = normal(rng, 2, 2, 330, 16), normal(rng, 2, 2, 330, 16)
    want = attend(q, k, v, local(300, 330, 40, 50))
    got = local_attention(q, k, v, window=40, globals=50)
    np.testing.assert_allclose(got, want, atol=3e-6)
    layout = bigbird_layout(11, window=1, globals=1, randoms=2)
    seen = matrix(*layout, 11)[1:]  # 300 queries are 10 blocks of 32, 330 keys 11
    starts, columns = layout[0][1:] - layout[0][1], layout[1][layout[0][1] :]
    for is_causal in (False, True):
        see = blocks(seen, 32, 300, 330)
        see = see & causal(300, 330) if is_causal else see
        got = block_sparse(q, k, v, (starts, columns), block=32, causal=is_causal)
        np.testing.assert_allclose(got, attend(q, k, v, see), atol=3e-6)


def test_wide_windows_and_full_layouts_are_the_whole(level: str) -> None:
    q, k, v = inputs(60, 75)
    whole = sdpa(q, k, v)
    for window in (75, 1000, 2**61):
        np.testing.assert_array_equal(local_attention(q, k, v, window=window), whole)
    np.testing.assert_allclose(
        block_sparse(q, k, v, np.ones((6, 8), bool), block=10), whole, atol=1e-6
    )
    far = local_attention(q, k, v, window=0, globals=500)
    np.testing.assert_array_equal(far, whole)


def test_threads_change_nothing() -> None:
    q, k, v = inputs(401, 500)
    layout = bigbird_layout(50, window=2)
    part = (layout[0][:42], layout[1])  # 401 queries are 41 blocks of 10
    with kernels.Pool(3) as pool:
        for first in (0, 35):
            np.testing.assert_array_equal(
                local_attention(q, k, v, window=50, globals=first, threads=pool),
                local_attention(q, k, v, window=50, globals=first),
            )
        np.testing.assert_array_equal(
            block_sparse(q, k, v, part, block=10, threads=pool),
            block_sparse(q, k, v, part, block=10),
        )


def test_bound_calls_see_what_the_arrays_hold_now() -> None:
    q, k, v = inputs(20, 30)
    near = attention.bind_local_attention(q, k, v, window=4, globals=2)
    layout = np.eye(2, 3, dtype=bool)
    sparse = attention.bind_block_sparse(q, k, v, layout, block=10)
    for _ in range(2):
        np.testing.assert_array_equal(near(), local_attention(q, k, v, window=4, globals=2))
        np.testing.assert_array_equal(sparse(), block_sparse(q, k, v, layout, block=10))
        v *= 2


@given(
    blocks_=st.integers(0, 60),
    window=st.integers(0, 8),
    first=st.integers(0, 8),
    randoms=st.integers(0, 70),
    seed=st.integers(0, (1 << 62) - 1),
)
def test_bigbird_layouts_hold_what_they_must_and_so_many_others(
    blocks_: int, window: int, first: int, randoms: int, seed: int
) -> None:
    starts, columns = bigbird_layout(
        blocks_, window=window, globals=first, randoms=randoms, seed=seed
    )
    seen = matrix(starts, columns, blocks_)
    assert seen.sum() == len(columns)
    row, col = np.indices(seen.shape)
    must = (abs(row - col) <= window) | (row < first) | (col < first)
    assert seen[must].all()
    np.testing.assert_array_equal(seen.sum(1), np.minimum(must.sum(1) + randoms, blocks_))


def test_bigbird_random_columns_are_spread_evenly() -> None:
    times = np.zeros((24, 24))
    for seed in range(600):
        times += matrix(*bigbird_layout(24, window=0, globals=0, randoms=3, seed=seed), 24)
    others = times[~np.eye(24, dtype=bool)]
    # Each of 552 pairs is drawn with the chance 3 / 23: 78.3 times of 600, with a deviation of 8.2.
    assert others.min() > 78.3 - 5 * 8.2
    assert others.max() < 78.3 + 5 * 8.2
    assert 7.0 < others.std() < 9.5


# -- mistakes made elsewhere -----------------------------------------------------------------------------------------


def test_elsewhere_local_global_window_moves_with_the_query(level: str) -> None:
    """Local-global: the window was always round n/2, whatever the query's position. Here zero queries and keys make the
    result the mean of what is seen: of i - 3..i + 3, and for one query at the end, of the last four."""
    n = 90
    q, k = np.zeros((n, 4), np.float32), np.zeros((n, 4), np.float32)
    v = np.arange(n, dtype=np.float32)[:, None]
    want = [np.mean(range(max(0, i - 3), min(n, i + 4))) for i in range(n)]
    np.testing.assert_allclose(local_attention(q, k, v, window=3)[:, 0], want, atol=1e-4)
    last = local_attention(q[:1], k, v, window=3)
    np.testing.assert_allclose(last, [[n - 2.5]], rtol=1e-6)


def test_elsewhere_sparse_masks_only_blocks_unseen_are_not_read(level: str) -> None:
    """Sparse transformer: masks were made and applied to a dense vector of scores; no kernel left anything out. Here
    blocks that nobody sees are not read: NaN in them changes nothing, and masks are exact at odd block sizes."""
    q, k, v = inputs(64, 96)
    layout = np.zeros((4, 6), bool)
    layout[:, [0, 3]] = True
    want = attend(q, k, v, blocks(layout, 16, 64, 96))
    for unseen in (1, 2, 4, 5):
        k[16 * unseen : 16 * unseen + 16] = np.nan
        v[16 * unseen : 16 * unseen + 16] = np.nan
    got = block_sparse(q, k, v, layout, block=16)
    np.testing.assert_allclose(got, want, atol=3e-6)
    q, k, v = inputs(50, 71)
    layout = np.random.default_rng(1).random((8, 11)) < 0.5
    got = block_sparse(q, k, v, layout, block=7)
    np.testing.assert_allclose(got, attend(q, k, v, blocks(layout, 7, 50, 71)), atol=3e-6)
