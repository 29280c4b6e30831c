"""Attention on 16-bit arrays and by three products, through the Python face, against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ganglion.kernels import attention
from ganglion.kernels._call import Pool
from ganglion.kernels._kernels import lib

Array = npt.NDArray[Any]


def normal(*shape: int, seed: int = 7) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def exact(q: Any, k: Any, v: Any, mask: Any = None, bias: Any = None, causal: bool = False) -> Any:
    """softmax(q k^T / sqrt(d) + bias) v in float64; rows that see nothing are zeros."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    group = q.shape[-3] // k.shape[-3] if q.ndim > 2 else 1
    k, v = (np.repeat(x, group, -3) if group > 1 else x for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    if causal:
        rows, keys = scores.shape[-2:]
        scores = np.where(np.tri(rows, keys, keys - rows, bool), scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = weights.sum(-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v


def test_float16_follows_float64_and_stays_float16() -> None:
    q, k, v = (normal(2, 6, n, 32, seed=n).astype(np.float16) for n in (33, 65, 65))
    k, v = k[:, :3].copy(), v[:, :3].copy()
    mask = np.random.default_rng(1).random((33, 65)) < 0.7
    mask[4] = False
    bias = normal(6, 33, 65)
    for options in ({}, {"causal": True}, {"mask": mask}, {"bias": bias, "mask": mask}):
        got = attention.sdpa(q, k, v, **options)
        assert got.dtype == np.float16
        want = exact(q, k, v, **options)
        assert np.abs(got - want).max() < 2e-3
    assert not attention.sdpa(q, k, v, mask=mask)[:, :, 4].any()


def test_bfloat16_of_torch_comes_back_as_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    q, k, v = (torch.from_numpy(normal(3, 70, 48, seed=s)).bfloat16() for s in (1, 2, 3))
    wide = [x.float().numpy() for x in (q, k, v)]
    for causal in (False, True):
        got = attention.sdpa(q, k, v, causal=causal)
        assert got.dtype == torch.bfloat16
        assert got.shape == (3, 70, 48)
        want = exact(*wide, causal=causal)
        # a weight and the result each round to 8 bits
        assert np.abs(got.float().numpy() - want).max() < 2.0**-7 * np.abs(wide[2]).max()
    out = torch.zeros_like(q)
    assert attention.sdpa(q, k, v, causal=True, out=out) is out
    assert torch.equal(out, got)


def test_bfloat16_of_another_library_comes_back_as_its_own() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    q = normal(20, 16).astype(ml_dtypes.bfloat16)
    got = attention.sdpa(q, q, q)
    assert got.dtype == q.dtype
    want = exact(*(np.asarray(q, np.float32),) * 3)
    assert np.abs(got.astype(np.float32) - want).max() < 2e-2


def test_three_products_keep_their_bound() -> None:
    q, k, v = (normal(2, 300, 64, seed=s) for s in (4, 5, 6))
    got = attention.sdpa(q, k, v, precision="f32x3")
    assert got.dtype == np.float32
    assert np.abs(got - exact(q, k, v)).max() < 5e-6
    bound = attention.bind_sdpa(q, k, v, precision="f32x3", threads=2)
    assert np.array_equal(bound(), got)


def test_threads_do_not_change_the_result() -> None:
    q, k, v = (normal(1, 4, 160, 32, seed=s).astype(np.float16) for s in (1, 2, 3))
    alone = attention.sdpa(q, k, v, causal=True)
    with Pool(2) as pool:
        assert np.array_equal(attention.sdpa(q, k, v, causal=True, threads=pool), alone)


def test_a_bound_call_sees_new_numbers() -> None:
    q, k, v = (normal(40, 24, seed=s).astype(np.float16) for s in (1, 2, 3))
    bound = attention.bind_sdpa(q, k, v)
    first = bound().copy()
    v *= np.float16(2)
    assert np.allclose(bound(), 2 * first, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_no_keys_and_no_queries(count: int) -> None:
    q, k = np.ones((3, 8), np.float16), np.ones((count, 8), np.float16)
    assert attention.sdpa(q, k, k).tolist() == [[float(count)] * 8] * 3
    assert attention.sdpa(q[:0], k, k).shape == (0, 8)


def test_what_is_wrong_names_its_argument() -> None:
    q = np.ones((4, 8), np.float16)
    wide = q.astype(np.float32)
    with pytest.raises(ValueError, match=r"^k: "):
        attention.sdpa(q, wide, q)
    with pytest.raises(ValueError, match=r"^q: "):
        attention.sdpa(q.astype(np.float64), q, q)
    with pytest.raises(ValueError, match=r"^v: "):
        attention.sdpa(q, q, q[:, ::2])
    with pytest.raises(ValueError, match=r"^out: "):
        attention.sdpa(q, q, q, out=wide)
    with pytest.raises(ValueError, match=r"^out: "):
        attention.sdpa(q, q, q, out=q)
    with pytest.raises(ValueError, match=r"^precision: "):
        attention.sdpa(q, q, q, precision="f32x3")
    with pytest.raises(ValueError, match=r"^precision: "):
        attention.sdpa(wide, wide, wide, precision="half")
    with pytest.raises(ValueError, match=r"^threads: "):
        attention.sdpa(q, q, q, threads=0)


def test_every_level_stays_within_the_same_bound() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    q, k, v = (torch.from_numpy(normal(50, 40, seed=s)).bfloat16() for s in (1, 2, 3))
    want = exact(*(x.float().numpy() for x in (q, k, v)))
    active = lib.gn_isa_active()
    try:
        for level in range(lib.GN_ISA_COUNT):
            if lib.gn_isa_force(level) == lib.GN_K_OK:
                got = attention.sdpa(q, k, v).float().numpy()
                assert np.abs(got - want).max() < 2e-2
    finally:
        lib.gn_isa_force(active)
