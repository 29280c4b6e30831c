"""Scaled dot-product attention from Python, beside its formula in float64."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import attention
from ganglion.kernels.attention import sdpa

from .attention_reference import attend, causal, normal


@pytest.fixture(params=kernels.isas())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each level in turn."""
    best = kernels.isa()
    kernels.force_isa(request.param)
    yield request.param
    kernels.force_isa(best)


def inputs(queries: int, keys: int, dim: int = 64, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    return normal(rng, queries, dim), normal(rng, keys, dim), normal(rng, keys, dim)


@settings(max_examples=150, deadline=None)
@given(
    lead=st.sampled_from([(), (1,), (3,), (2, 4)]),
    queries=st.integers(0, 70),
    keys=st.integers(0, 150),
    dims=st.tuples(st.integers(1, 70), st.integers(0, 40)),
    masked=st.booleans(),
    biased=st.booleans(),
    is_causal=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
def test_is_its_formula(
    lead: tuple[int, ...],
    queries: int,
    keys: int,
    dims: tuple[int, int],
    masked: bool,
    biased: bool,
    is_causal: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    q = normal(rng, *lead, queries, dims[0])
    k, v = normal(rng, *lead, keys, dims[0]), normal(rng, *lead, keys, dims[1])
    mask = rng.random((*lead, queries, keys)) < 0.7 if masked else None
    bias = normal(rng, *lead, queries, keys) if biased else None
    see = np.ones((queries, keys), bool) if mask is None else mask
    if is_causal:
        see = see & causal(queries, keys)
    got = sdpa(q, k, v, mask=mask, bias=bias, causal=is_causal)
    assert got.dtype == np.float32
    assert got.shape == (*lead, queries, dims[1])
    np.testing.assert_allclose(got, attend(q, k, v, see, bias), atol=5e-6)


@pytest.mark.parametrize("n", [100, 512, 2048])
def test_within_1e_6_of_float64_on_unit_normal_input(level: str, n: int) -> None:
    if level == "serial" and n > 1000:
        n = 700  # its one lane takes its time
    q, k, v = inputs(n, n)
    for is_causal in (False, True):
        rows = slice(0, n, 7)  # the reference takes its time too
        see = causal(n, n)[rows] if is_causal else None
        gap = np.abs(sdpa(q, k, v, causal=is_causal)[rows] - attend(q[rows], k, v, see)).max()
        # A causal row that sees few keys averages no errors away, neither here nor elsewhere.
        assert gap <= (3e-6 if is_causal else 1e-6)


def test_one_query_is_within_1e_6_too(level: str) -> None:
    for n in (100, 1000, 5000):
        q, k, v = inputs(1, n)
        assert np.abs(sdpa(q, k, v) - attend(q, k, v)).max() <= 1e-6


@cache
def large_logits() -> tuple[list[tuple[Any, ...]], float]:
    """Inputs with logits of 100 and more beside their float64 results, and torch's largest error on them."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    trials, gaps = [], []
    for seed in range(4):
        q, k, v = inputs(512, 512, seed=seed)
        q, k = q * np.float32(6), k * np.float32(6)
        want = attend(q, k, v)
        assert np.abs(q @ k.T / 8).max() > 100
        theirs = torch.nn.functional.scaled_dot_product_attention(
            *(torch.from_numpy(x)[None, None] for x in (q, k, v))
        )
        gaps.append(float(np.abs(theirs[0, 0].numpy() - want).max()))
        trials.append((q, k, v, want))
    return trials, max(gaps)


def test_large_logits_are_within_twice_torchs_error(level: str) -> None:
    trials, theirs = large_logits()
    ours = max(float(np.abs(sdpa(q, k, v) - want).max()) for q, k, v, want in trials)
    assert ours <= 2 * theirs


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40),
    shift=st.floats(-300, 300, width=32),
    weight=st.floats(-50, 50, width=32),
    seed=st.integers(0, 1 << 20),
)
def test_laws_of_softmax(n: int, shift: float, weight: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, k, v = normal(rng, n, 8), normal(rng, 50, 8), normal(rng, 50, 4)
    plain = sdpa(q, k, v)
    # A bias that is the same for all keys changes nothing.
    bias = np.full((n, 50), shift, np.float32)
    np.testing.assert_allclose(sdpa(q, k, v, bias=bias), plain, atol=3e-4)
    # Values that are all the same come back, and linear in the values it is.
    same = np.full((50, 4), weight, np.float32)
    np.testing.assert_allclose(sdpa(q, k, same), same[:1].repeat(n, 0), rtol=5e-6)
    # The order of the keys does not matter.
    order = rng.permutation(50)
    np.testing.assert_allclose(sdpa(q, k[order], v[order]), plain, atol=3e-6)


def test_causal_queries_stand_at_the_end_of_the_keys(level: str) -> None:
    q, k, v = inputs(40, 40)
    whole = sdpa(q, k, v, causal=True)
    # Decoding, one query after another with the keys so far, is the same as all at once.
    for i in (0, 1, 15, 16, 31, 39):
        one = sdpa(q[i : i + 1], k[: i + 1], v[: i + 1], causal=True)
        np.testing.assert_allclose(one[0], whole[i], atol=3e-6)
    np.testing.assert_allclose(sdpa(q[30:], k, v, causal=True), whole[30:], atol=3e-6)
    # More queries than keys: the first see nothing.
    few = sdpa(q, k[:5], v[:5], causal=True)
    assert not few[:35].any()
    np.testing.assert_allclose(few[35], v[0], atol=1e-6)


def test_grouped_queries_share_keys(level: str) -> None:
    rng = np.random.default_rng(1)
    q = normal(rng, 2, 6, 21, 16)
    k, v = normal(rng, 2, 3, 33, 16), normal(rng, 2, 3, 33, 10)
    np.testing.assert_allclose(sdpa(q, k, v), attend(q, k, v), atol=3e-6)
    np.testing.assert_allclose(sdpa(q[0], k[0], v[0]), attend(q[0], k[0], v[0]), atol=3e-6)
    one = sdpa(q, k[:, :1].copy(), v[:, :1].copy())
    np.testing.assert_allclose(one, attend(q, k[:, :1], v[:, :1]), atol=3e-6)


@pytest.mark.parametrize(
    ("heads", "kv_heads"), [(4, 2), (6, 1), (7, 7), (10, 1), (64, 2), (400, 2)]
)
def test_one_query_each_of_heads_that_share_keys(level: str, heads: int, kv_heads: int) -> None:
    rng = np.random.default_rng(heads)
    q = normal(rng, 2, heads, 1, 20)
    k, v = normal(rng, 2, kv_heads, 600, 20), normal(rng, 2, kv_heads, 600, 10)
    mask, bias = rng.random((2, heads, 1, 600)) < 0.5, normal(rng, heads, 1, 600)
    for is_causal in (False, True):
        got = sdpa(q, k, v, causal=is_causal)
        np.testing.assert_allclose(got, attend(q, k, v), atol=1e-6)
        with kernels.Pool(2) as pool:
            np.testing.assert_array_equal(sdpa(q, k, v, causal=is_causal, threads=pool), got)
        got = sdpa(q, k, v, mask=mask, bias=bias, causal=is_causal)
        np.testing.assert_allclose(got, attend(q, k, v, mask, bias), atol=2e-6)


@pytest.mark.parametrize(
    "shape", [(9,), (1, 9), (5, 9), (1, 1, 9), (3, 1, 9), (1, 5, 9), (2, 1, 5, 9), (2, 3, 5, 9)]
)
def test_masks_and_biases_broadcast(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    q, k, v = normal(rng, 2, 3, 5, 4), normal(rng, 2, 3, 9, 4), normal(rng, 2, 3, 9, 4)
    mask, bias = rng.random(shape) < 0.6, normal(rng, *shape)
    want = attend(q, k, v, mask, bias)
    np.testing.assert_allclose(sdpa(q, k, v, mask=mask, bias=bias), want, atol=3e-6)
    flags = mask.astype(np.uint8) * 7
    np.testing.assert_allclose(sdpa(q, k, v, mask=flags, bias=bias), want, atol=3e-6)


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(4)
    q, k, v = normal(rng, 3, 301, 32), normal(rng, 3, 290, 32), normal(rng, 3, 290, 32)
    for is_causal in (False, True):
        alone = sdpa(q, k, v, causal=is_causal)
        with kernels.Pool(3) as pool:
            np.testing.assert_array_equal(sdpa(q, k, v, causal=is_causal, threads=pool), alone)
        np.testing.assert_array_equal(sdpa(q, k, v, causal=is_causal, threads=2), alone)


def test_every_level_has_the_same_row_whatever_stands_beside_it(level: str) -> None:
    q, k, v = inputs(70, 300)
    whole = sdpa(q, k, v)
    for queries in (1, 3, 5, 16, 33, 64):
        np.testing.assert_allclose(sdpa(q[:queries], k, v), whole[:queries], atol=1e-6)


def test_bound_calls_see_what_the_arrays_hold_now() -> None:
    q, k, v = inputs(20, 30, 8)
    mask = np.ones((20, 30), bool)
    for threads in (1, 2):
        bound = attention.bind_sdpa(q, k, v, mask=mask, threads=threads)
        np.testing.assert_array_equal(bound(), sdpa(q, k, v, mask=mask))
        k[3] += 1
        mask[:, 5] = False
        np.testing.assert_array_equal(bound(), sdpa(q, k, v, mask=mask))
        assert bound() is bound.out


# -- mistakes made elsewhere -----------------------------------------------------------------------------------------


def test_elsewhere_dot_product_masked_row_is_zeros_not_nan(level: str) -> None:
    """Scaled dot-product: a row whose keys are all masked was 0 / 0 and came back as NaN. Here it is zeros, by a mask,
    by a bias of -infinity and with no keys at all, and rows beside it are right."""
    q, k, v = inputs(40, 50)
    mask = np.ones((40, 50), bool)
    mask[[0, 17, 39]] = False
    got = sdpa(q, k, v, mask=mask)
    assert not got[[0, 17, 39]].any()
    np.testing.assert_allclose(got, attend(q, k, v, mask), atol=3e-6)
    bias = np.where(mask, 0, -np.inf).astype(np.float32)
    np.testing.assert_array_equal(sdpa(q, k, v, bias=bias)[17], np.zeros(64, np.float32))
    assert not sdpa(q[:1], k, v, mask=mask[:1]).any()
    assert not sdpa(q, k[:0], v[:0]).any()


def test_elsewhere_dot_product_values_are_tested_not_lengths(level: str) -> None:
    """Scaled dot-product: its two tests checked only how long the result was, so any numbers passed. Here a case worked
    by hand: scores 0 and ln 3 weigh two values by 1/4 and 3/4."""
    q = np.array([[1.0, 0.0]], np.float32)
    k = np.array([[0.0, 5.0], [np.log(3.0), -7.0]], np.float32)
    v = np.array([[8.0, 0.0, 4.0], [0.0, 4.0, 4.0]], np.float32)
    np.testing.assert_allclose(sdpa(q, k, v, scale=1.0), [[2.0, 3.0, 4.0]], rtol=1e-6)


def test_elsewhere_flash_causal_sees_its_own_position_not_only_the_first_key(level: str) -> None:
    """Flash: "causal" took every query to stand at position 0 and so masked every key but the first; constant values
    hid it. Here values tell the keys apart, and the last query sees them all."""
    n = 70
    q, k = np.zeros((n, 8), np.float32), np.zeros((n, 8), np.float32)
    v = np.arange(n, dtype=np.float32)[:, None]
    want = np.arange(n)[:, None] / 2  # the mean of 0..i
    np.testing.assert_allclose(sdpa(q, k, v, causal=True), want, atol=1e-5)
    np.testing.assert_allclose(sdpa(q[:1], k, v, causal=True), [[(n - 1) / 2]], rtol=1e-6)


def test_elsewhere_flash_tiles_agree_with_the_whole_and_take_no_square(level: str) -> None:
    """FlashAttention: tiles over vectors of vectors, under the name of a paper whose parts it had not. Here the one
    implementation is tiled: any number of keys agrees with the untiled formula, and scratch does not grow with them."""
    for keys in (127, 128, 129, 1023, 1025):
        q, k, v = inputs(35, keys, 16)
        np.testing.assert_allclose(sdpa(q, k, v), attend(q, k, v), atol=1e-6)
    plans = [
        attention._plan((n, 64), (m, 64), (m, 64), None, None, False, None).scratch(1)
        for n, m in ((1000, 1000), (1000, 1000000), (1000000, 1000000))
    ]
    assert plans[0] == plans[1] == plans[2] < 1 << 20
