"""Modern Hopfield memories through the face, against float64 references and the paper's own bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion.kernels import Pool, hopfield, hypervectors

rng = np.random.default_rng(20211110)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def step(x: np.ndarray, q: np.ndarray, beta: float) -> np.ndarray:
    """X^T softmax(beta X q) for queries [m, d], in float64."""
    scores = beta * (q.astype(np.float64) @ x.T.astype(np.float64))
    scores -= scores.max(axis=1, keepdims=True)
    p = np.exp(scores)
    return (p / p.sum(axis=1, keepdims=True)) @ x.astype(np.float64)


def lse_energy(x: np.ndarray, q: np.ndarray, beta: float) -> np.ndarray:
    scores = beta * (q.astype(np.float64) @ x.T.astype(np.float64))
    top = scores.max(axis=1)
    lse = (top + np.log(np.exp(scores - top[:, None]).sum(axis=1))) / beta
    square = (q.astype(np.float64) ** 2).sum(axis=1) / 2
    return -lse + square + np.log(len(x)) / beta + (x.astype(np.float64) ** 2).sum(axis=1).max() / 2


@pytest.mark.parametrize(
    ("n", "d", "m"), [(1, 1, 1), (7, 3, 2), (100, 64, 5), (3000, 100, 3), (40, 1500, 19)]
)
def test_one_step_is_softmax_over_the_patterns(n: int, d: int, m: int) -> None:
    x, q = normal(n, d), normal(m, d)
    got = hopfield.retrieve(x, q)
    assert got.dtype == np.float32
    assert np.abs(got - step(x, q, d**-0.5)).max() < 2e-6
    assert np.array_equal(hopfield.retrieve(x, q[0]), got[0])


def test_queries_that_no_memory_layout_disturbs() -> None:
    flat = normal(1 + 50 * 32)
    x, q = flat[1:].reshape(50, 32), normal(32)
    assert np.abs(hopfield.retrieve(x, q, beta=0.5) - step(x, q[None], 0.5)[0]).max() < 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.floats(0.01, 8), st.integers(0, 2**32 - 1))
def test_the_energy_never_grows(n: int, d: int, beta: float, seed: int) -> None:
    """Theorem 1 of the paper, to float32 rounding."""
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((n, d)).astype(np.float32)
    state = draw.standard_normal((3, d)).astype(np.float32)
    last = hopfield.energy(x, state, beta=beta)
    assert np.abs(last - lse_energy(x, state, np.float32(beta))).max() < 1e-4 * (
        1 + np.abs(last).max()
    )
    for _ in range(4):
        state = hopfield.retrieve(x, state, beta=beta)
        now = hopfield.energy(x, state, beta=beta)
        assert np.all(now <= last + 1e-5 * (1 + np.abs(last)))
        last = now


def test_recall_settles_and_says_where() -> None:
    x = normal(500, 64)
    q = x[[3, 77, 400]] + 0.5 * normal(3, 64)
    found = hopfield.recall(x, q, beta=1.0)
    assert found.best.tolist() == [3, 77, 400]
    assert np.all(found.weights > 0.99)
    assert np.all((found.steps >= 2) & (found.steps <= 10))
    assert np.abs(hopfield.retrieve(x, found.states, beta=1.0) - found.states).max() < 1e-4


@pytest.mark.parametrize("d", [1, 31, 32, 33, 100, 8191, 8193, 131072, 131073])
def test_sizes_round_the_edge_of_what_needs_no_scratch(d: int) -> None:
    edge = min(max(131072 // d, 1), 4096)
    bound = 1e-5 if d < 10_000 else 1e-4  # serial sums a score in one lane
    for n in (edge, edge + 1, edge + 17):
        x, q = normal(n, d), normal(d)
        assert np.abs(hopfield.retrieve(x, q) - step(x, q[None], d**-0.5)[0]).max() < bound


def test_sums_over_many_rows_stay_sharp() -> None:
    """200,000 rows of one number, which float32 sums in order would blur to 1e-4."""
    x, q = normal(200_000, 1), normal(1)
    assert np.abs(hopfield.retrieve(x, q) - step(x, q[None], 1.0)[0]).max() < 5e-6


def test_a_low_beta_gives_the_mean_of_all() -> None:
    x = normal(30, 10)
    found = hopfield.recall(x, normal(10), beta=0.0)
    assert np.abs(found.states - x.mean(axis=0)).max() < 1e-6
    assert found.best.tolist() == [0]
    assert found.weights[0] == pytest.approx(1 / 30)


def test_steps_stop_at_the_number_asked_for() -> None:
    x, q = normal(20, 5), normal(4, 5)
    found = hopfield.recall(x, q, beta=0.4, steps=3, tolerance=0.0)
    want = q
    for _ in range(3):
        want = step(x, want, 0.4)
    assert np.abs(found.states - want).max() < 1e-5
    assert np.all(found.steps <= 3)


@pytest.mark.parametrize(
    ("d", "n", "noise"), [(16, 10, 0.3), (64, 1000, 0.3), (64, 10000, 0.2), (128, 10000, 0.3)]
)
def test_elsewhere_hopfield_capacity_is_measured_not_a_formula(
    d: int, n: int, noise: float
) -> None:
    """Elsewhere capacity is a function that returns 2^(d/2) and retrieval at a load is never tried. Here that many
    random patterns on the sphere of radius sqrt(d) are stored, and each of 200 noisy ones must come back."""
    x = normal(n, d)
    x *= np.sqrt(d) / np.linalg.norm(x, axis=1, keepdims=True)
    which = rng.choice(n, size=min(n, 200), replace=False)
    found = hopfield.recall(x, x[which] + noise * normal(len(which), d), beta=2.0)
    assert np.array_equal(found.best, which)
    assert np.abs(found.states - x[which]).max() < 0.02 * np.sqrt(d)


def test_one_update_retrieves_within_the_papers_bound() -> None:
    """Theorem 4: |f(q) - x_i| <= 2 (n - 1) exp(-beta (separation - 2 max(|q - x_i|, |fixed - x_i|) M)) M."""
    n, d, beta = 100, 64, 1.0
    x = normal(n, d)
    x *= np.sqrt(d) / np.linalg.norm(x, axis=1, keepdims=True)
    inner = x.astype(np.float64) @ x.T
    np.fill_diagonal(inner, -np.inf)
    separation, largest = d - inner.max(axis=1), np.sqrt(d)
    q = x + 0.02 * normal(n, d)
    fixed = hopfield.recall(x, x, beta=beta, steps=50, tolerance=1e-6).states
    off = np.maximum(np.linalg.norm(q - x, axis=1), np.linalg.norm(fixed - x, axis=1))
    bound = 2 * (n - 1) * np.exp(-beta * (separation - 2 * off * largest)) * largest
    error = np.linalg.norm(hopfield.retrieve(x, q, beta=beta) - x, axis=1)
    assert np.all(error <= bound + 1e-5)
    assert np.median(bound) < 1e-3, "the bound says something"


OFFSETS = np.array([0, 10, 10, 35, 36, 80, 90], np.uint32)


def test_elsewhere_hopfield_hierarchical_form_exists() -> None:
    """Elsewhere the hierarchical form is only a name. Over all groups the joint form is the flat memory."""
    x, q = normal(90, 33), normal(6, 33)
    upper = hopfield.prototypes(x, OFFSETS)
    for g in (0, 2, 3, 4, 5):
        assert np.abs(upper[g] - x[OFFSETS[g] : OFFSETS[g + 1]].mean(axis=0)).max() < 1e-6
    assert not upper[1].any()
    found = hopfield.recall_groups(x, OFFSETS, upper, q, k=6, beta=0.3)
    assert np.abs(found.states - hopfield.retrieve(x, q, beta=0.3)).max() < 1e-6
    assert np.abs(found.shares.sum(axis=1) - 1).max() < 1e-5
    assert np.all(found.chosen[:, 5] == 2**32 - 1)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("mix", ["joint", "gated"])
def test_a_step_reads_the_k_best_groups(k: int, mix: str) -> None:
    x, q = normal(90, 33), normal(6, 33)
    upper = hopfield.prototypes(x, OFFSETS)
    found = hopfield.recall_groups(x, OFFSETS, upper, q, k=k, beta=0.3, beta_top=0.7, mix=mix)
    scores = q.astype(np.float64) @ upper.T
    scores[:, 1] = -np.inf
    for i, query in enumerate(q):
        order = np.argsort(-scores[i])[:k]
        assert found.chosen[i].tolist() == order.tolist()
        parts = [x[OFFSETS[g] : OFFSETS[g + 1]] for g in order]
        if mix == "joint":
            want = step(np.concatenate(parts), query[None], 0.3)[0]
        else:
            w = np.exp(0.7 * (scores[i, order] - scores[i, order[0]]))
            w /= w.sum()
            assert np.abs(found.shares[i] - w).max() < 1e-5
            want = sum(
                a * step(part, query[None], 0.3)[0] for a, part in zip(w, parts, strict=True)
            )
        assert np.abs(found.states[i] - want).max() < 2e-6


def test_groups_find_what_lies_in_them() -> None:
    """Clustered patterns: reading 2 of 50 groups recalls what the whole memory would."""
    centres = 3 * normal(50, 64)
    x = (centres[:, None] + 0.7 * normal(50, 40, 64)).reshape(-1, 64)
    x *= 8 / np.linalg.norm(x, axis=1, keepdims=True)
    offsets = np.arange(0, 2001, 40, dtype=np.uint32)
    which = rng.choice(2000, 100, replace=False)
    q = x[which] + 0.1 * normal(100, 64)
    upper = hopfield.prototypes(x, offsets)
    got = hopfield.retrieve_groups(x, offsets, upper, q, k=2, beta=8.0, steps=5, tolerance=1e-4)
    assert np.abs(got - x[which]).max() < 0.1


def test_threads_and_bound_calls_change_nothing() -> None:
    x, q = normal(9000, 40), normal(40, 40)
    want = hopfield.retrieve(x, q, steps=2)
    with Pool(2) as pool:
        assert np.array_equal(hopfield.retrieve(x, q, steps=2, threads=pool), want)
        assert np.array_equal(hopfield.retrieve(x, q[3], steps=2, threads=pool), want[3])
    assert np.array_equal(hopfield.retrieve(x, q, steps=2, threads=2), want)
    bound = hopfield.bind_retrieve(x, q, steps=2)
    assert np.array_equal(bound(), want)
    x[:] = x[::-1].copy()
    assert np.abs(bound() - want).max() < 1e-5
    out = np.empty_like(q)
    assert hopfield.retrieve(x, q, out=out) is out


def test_torch_tensors_and_memoryviews_go_in() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, q = normal(20, 8), normal(8)
    want = hopfield.retrieve(x, q)
    assert np.array_equal(hopfield.retrieve(torch.from_numpy(x), torch.from_numpy(q)), want)
    assert np.array_equal(hopfield.retrieve(memoryview(x), memoryview(q)), want)


def test_nothing_stored_and_nothing_asked() -> None:
    none, q = np.empty((0, 4), np.float32), normal(2, 4)
    found = hopfield.recall(none, q)
    assert not found.states.any()
    assert found.best.tolist() == [2**32 - 1] * 2
    assert hopfield.retrieve(normal(3, 4), np.empty((0, 4), np.float32)).shape == (0, 4)
    assert hopfield.retrieve(np.empty((3, 0), np.float32), np.empty((2, 0), np.float32)).shape == (
        2,
        0,
    )


def test_a_nan_stays_with_its_query() -> None:
    x, q = normal(20, 8), normal(3, 8)
    q[1, 2] = np.nan
    got = hopfield.retrieve(x, q, steps=4)
    assert np.isnan(got[1]).all()
    assert np.isfinite(got[[0, 2]]).all()


def bipolar(vectors: np.ndarray, bits: int) -> np.ndarray:
    """Packed rows as -1 and 1 in float64: the similarity is their mean product."""
    found = np.unpackbits(vectors.view(np.uint8), axis=1, bitorder="little")[:, :bits]
    return found.astype(np.float64) * 2 - 1


@pytest.mark.parametrize("bits", [64, 100, 1000, 10_000])
def test_hdc_attention_is_softmax_over_similarities(bits: int) -> None:
    keys, q = hypervectors.random(600, bits, seed=1), hypervectors.random(4, bits, seed=2)
    values, packed = normal(600, 33), hypervectors.random(600, bits, seed=3)
    scores = np.sqrt(bits) * (bipolar(q, bits) @ bipolar(keys, bits).T) / bits
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    found = hopfield.hdc_recall(q, keys, values, bits=bits)
    assert np.abs(found.out - p @ values).max() < 2e-6
    assert np.allclose(found.weights, p.max(axis=1), rtol=1e-5)
    votes = p @ bipolar(packed, bits)
    clear = np.abs(votes) > 1e-4
    got = bipolar(hopfield.hdc_vote(q, keys, packed, bits=bits), bits)
    assert np.array_equal(got[clear], np.sign(votes)[clear])
    assert np.array_equal(hopfield.hdc_attention(q[1], keys, values, bits=bits), found.out[1])
    assert np.array_equal(hopfield.hdc_attention(q, keys, values, bits=bits, threads=2), found.out)


def test_hdc_attention_finds_what_a_noisy_key_stands_for() -> None:
    """A key with 30 % of 10,000 bits flipped brings back its own value, of 1,000."""
    bits = 10_000
    keys = hypervectors.random(1000, bits, seed=5)
    flips = np.packbits(rng.random((3, 157 * 64)) < 0.3, axis=1, bitorder="little").view(np.uint64)
    flips[:, -1] &= np.uint64((1 << 16) - 1)
    q = keys[[7, 500, 999]] ^ flips
    found = hopfield.hdc_recall(q, keys, normal(1000, 4), bits=bits)
    assert found.best.tolist() == [7, 500, 999]
    assert np.all(found.weights > 0.99)
    values = hypervectors.random(1000, bits, seed=6)
    assert np.array_equal(hopfield.hdc_vote(q, keys, values, bits=bits), values[[7, 500, 999]])


def test_hdc_ties_are_0_and_no_keys_are_zeros() -> None:
    keys = np.array([[5], [5]], np.uint64)
    values = np.array([[0b1100], [0b1010]], np.uint64)
    assert hopfield.hdc_vote(keys[0], keys, values).tolist() == [0b1000]
    none = np.empty((0, 1), np.uint64)
    assert hopfield.hdc_vote(keys, none, none).tolist() == [[0], [0]]
    assert not hopfield.hdc_attention(keys, none, np.empty((0, 3), np.float32)).any()


X, Q = normal(6, 4), normal(2, 4)
HV = hypervectors.random(2, 128, seed=0)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("patterns", lambda: hopfield.retrieve(X.astype(np.float64), Q)),
        ("patterns", lambda: hopfield.retrieve(X[0], Q)),
        ("patterns", lambda: hopfield.retrieve(normal(2, 3, 4), normal(3, 4))),
        ("patterns", lambda: hopfield.retrieve(X.T, normal(6))),
        ("patterns", lambda: hopfield.retrieve("no", Q)),
        ("queries", lambda: hopfield.retrieve(X, normal(5))),
        ("queries", lambda: hopfield.retrieve(X, normal(8)[::2])),
        ("queries", lambda: hopfield.retrieve(X, Q[None])),
        ("beta", lambda: hopfield.retrieve(X, Q, beta=-1)),
        ("beta", lambda: hopfield.retrieve(X, Q, beta=float("nan"))),
        ("beta", lambda: hopfield.energy(X, Q, beta=0)),
        ("steps", lambda: hopfield.retrieve(X, Q, steps=0)),
        ("tolerance", lambda: hopfield.retrieve(X, Q, tolerance=float("nan"))),
        ("out", lambda: hopfield.retrieve(X, Q, out=Q)),
        ("out", lambda: hopfield.retrieve(X, Q, out=np.empty((2, 5), np.float32))),
        ("threads", lambda: hopfield.retrieve(X, Q, threads=0)),
        ("offsets", lambda: hopfield.prototypes(X, np.array([0, 7], np.uint32))),
        ("offsets", lambda: hopfield.prototypes(X, np.array([0, 4, 3, 6], np.uint32))),
        ("offsets", lambda: hopfield.prototypes(X, np.array([], np.uint32))),
        ("k", lambda: hopfield.recall_groups(X, np.array([0, 6], np.uint32), X[:1], Q, k=2)),
        ("mix", lambda: hopfield.recall_groups(X, np.array([0, 6], np.uint32), X[:1], Q, mix="x")),
        ("keys", lambda: hopfield.hdc_attention(HV, HV[0], X[:2])),
        ("queries", lambda: hopfield.hdc_attention(HV[:, :1].copy(), HV, X[:2])),
        ("values", lambda: hopfield.hdc_attention(HV, HV, X)),
        ("values", lambda: hopfield.hdc_vote(HV, HV, HV[:1])),
        ("bits", lambda: hopfield.hdc_vote(HV, HV, HV, bits=64)),
        ("beta", lambda: hopfield.hdc_vote(HV, HV, HV, beta=-1)),
        ("out", lambda: hopfield.hdc_vote(HV, HV, HV, out=HV)),
        ("upper", lambda: hopfield.recall_groups(X, np.array([0, 6], np.uint32), X[:2], Q)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name: str, call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"^{name}:"):
        call()
