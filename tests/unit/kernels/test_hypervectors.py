"""Hypervectors from Python, beside numpy's unpacked bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import hypervectors as hv

BITS = 10_000


@pytest.fixture(params=kernels.isas())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each level in turn."""
    best = kernels.isa()
    kernels.force_isa(request.param)
    yield request.param
    kernels.force_isa(best)


def unpacked(vectors: Any, bits: int) -> Any:
    """A row of 0 and 1 for each vector."""
    return np.unpackbits(vectors.view(np.uint8), axis=-1, bitorder="little")[..., :bits]


def noise(n: int, bits: int, seed: int = 0) -> Any:
    """Random words, with whatever in the tail."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 1 << 64, (n, hv.words(bits)), dtype=np.uint64)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(1, 700),
    n=st.integers(1, 40),
    seed=st.integers(0, 99),
    ties=st.sampled_from(sorted(hv.TIES)),
)
def test_a_bundle_is_the_majority(bits: int, n: int, seed: int, ties: str) -> None:
    vectors = noise(n, bits, seed)
    rows = unpacked(vectors, bits).astype(int)
    ones = rows.sum(axis=0)
    tie = {"zero": 0, "one": 1, "neighbour": np.roll(ones, 1) % 2}[ties]
    wanted = np.where(2 * ones == n, tie, 2 * ones > n)
    got = hv.bundle(vectors, bits=bits, ties=ties)
    assert (unpacked(got, bits) == wanted).all()
    assert not unpacked(got, 64 * hv.words(bits))[bits:].any()
    there = hv.bundle(hv.permute(vectors, seed, bits=bits), bits=bits, ties=ties)
    assert (there == hv.permute(got, seed, bits=bits)).all()


@settings(max_examples=60, deadline=None)
@given(bits=st.integers(1, 700), shift=st.integers(-2000, 2000), seed=st.integers(0, 99))
def test_permute_is_a_cyclic_shift_and_keeps_similarity(bits: int, shift: int, seed: int) -> None:
    a, b = noise(2, bits, seed)
    moved = hv.permute(a, shift, bits=bits)
    assert (unpacked(moved, bits) == np.roll(unpacked(a, bits), shift)).all()
    assert (hv.permute(moved, -shift, bits=bits) == hv.bind(a, np.zeros_like(a), bits=bits)).all()
    there = hv.similarity(moved, hv.permute(b, shift, bits=bits), bits=bits)
    assert there == hv.similarity(a, b, bits=bits)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(1, 700), m=st.integers(0, 20), n=st.integers(0, 40), seed=st.integers(0, 99)
)
def test_distances_count_bits(bits: int, m: int, n: int, seed: int) -> None:
    a, b = noise(m, bits, seed), noise(n, bits, seed + 1)
    wanted = (unpacked(a, bits)[:, None] != unpacked(b, bits)[None]).sum(axis=-1)
    assert (hv.hamming(a, b, bits=bits) == wanted).all()
    np.testing.assert_allclose(
        hv.similarity(a, b, bits=bits), 1 - 2 * wanted / bits, rtol=2e-7, atol=1e-7
    )
    k = min(n, 5)
    near, index = hv.search(a, b, k, bits=bits)
    order = np.argsort(wanted, axis=1, kind="stable")[:, :k]
    assert (index == order).all()
    assert (near == np.take_along_axis(hv.similarity(a, b, bits=bits), order, 1)).all()


@settings(max_examples=40, deadline=None)
@given(bits=st.integers(1, 700), seed=st.integers(0, 99))
def test_bind_undoes_itself_and_keeps_distances(bits: int, seed: int) -> None:
    a, b, c = hv.random(3, bits, seed=seed)
    bound = hv.bind(a, b, bits=bits)
    assert (hv.bind(bound, b, bits=bits) == a).all()
    assert hv.hamming(bound, hv.bind(c, b, bits=bits), bits=bits) == hv.hamming(a, c, bits=bits)


def test_levels_and_threads_agree(level: str) -> None:
    keys, queries = noise(700, BITS, 1), noise(3, BITS, 2)
    with kernels.Pool(3) as pool:
        assert (hv.bundle(keys, bits=BITS, threads=pool) == hv.bundle(keys, bits=BITS)).all()
        assert (hv.similarity(queries, keys, threads=pool) == hv.similarity(queries, keys)).all()
        for one, many in zip(
            hv.search(queries, keys, 9), hv.search(queries, keys, 9, threads=pool), strict=True
        ):
            assert (one == many).all()
    wanted = np.bitwise_xor(queries[:, None], keys[None]).view(np.uint8)
    assert (hv.hamming(queries, keys) == np.unpackbits(wanted, axis=-1).sum(axis=-1)).all()


GOLDEN = 0x9E3779B97F4A7C15


def mixed(z: int) -> int:
    """SplitMix64's finaliser."""
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % (1 << 64)
    z = (z ^ z >> 27) * 0x94D049BB133111EB % (1 << 64)
    return z ^ z >> 31


def test_random_is_the_same_everywhere(level: str) -> None:
    counter, wanted = mixed(5 + GOLDEN), []
    for i in range(4):
        counter = (counter + GOLDEN) % (1 << 64)
        wanted.append(mixed(counter) & (63 if i % 2 else (1 << 64) - 1))
    assert hv.random(2, 70, seed=5).ravel().tolist() == wanted
    assert (hv.random(2, 70, seed=-1) == hv.random(2, 70, seed=(1 << 64) - 1)).all()


def test_elsewhere_hdc_complement_is_minus_one() -> None:
    """Elsewhere 10,000 bits fill 157 words to the last bit, and a vector and its complement score -1.0096."""
    a = hv.random(1, BITS, seed=1)[0]
    assert hv.similarity(a, hv.complement(a, bits=BITS), bits=BITS) == -1
    assert hv.similarity(a, ~a, bits=BITS) == -1  # the tail of ~a is all ones
    assert hv.similarity(a, a, bits=BITS) == 1


def test_elsewhere_hdc_random_pairs_are_unbiased() -> None:
    """Elsewhere random pairs of 10,000 bits have a mean similarity of -0.005, from 48 bits that should not be."""
    vectors = hv.random(400, BITS, seed=3)
    assert not (vectors[:, -1] >> np.uint64(BITS % 64)).any()
    near = hv.similarity(vectors, vectors, bits=BITS)[np.triu_indices(400, 1)]
    assert abs(near.mean()) < 4 / np.sqrt(BITS * len(near)) * 3
    assert 0.009 < near.std() < 0.011  # 1 / sqrt(bits)
    assert near.max() <= 1
    assert near.min() >= -1


def test_elsewhere_hdc_bundle_of_300_vectors() -> None:
    """Elsewhere a bundle counts in 8 bits, so that more than 255 vectors wrap round to nearly none."""
    vectors = np.repeat(hv.random(1, BITS, seed=4), 300, axis=0)
    assert (hv.bundle(vectors, bits=BITS) == vectors[0]).all()
    mixed = noise(300, BITS, 5)
    ones = unpacked(mixed, BITS).sum(axis=0, dtype=int)
    clear = ones != 150
    assert (unpacked(hv.bundle(mixed, bits=BITS), BITS) == (ones > 150))[clear].all()
    many = np.repeat(hv.random(1, 130, seed=6), 65_536, axis=0)
    assert (hv.bundle(many, bits=130) == many[0]).all()


def test_elsewhere_hdc_ties_have_a_rule_without_bias() -> None:
    """Elsewhere a tie is always 0, so that bundles of two are a quarter ones, and unrelated ones look alike."""
    a, b, c, d = hv.random(4, BITS, seed=7)
    ab, cd = hv.bundle(np.stack([a, b]), bits=BITS), hv.bundle(np.stack([c, d]), bits=BITS)
    assert abs(unpacked(ab, BITS).mean() - 0.5) < 0.02
    assert abs(hv.similarity(ab, cd, bits=BITS)) < 0.05
    assert hv.similarity(a & b, c & d, bits=BITS) > 0.2
    for part in (a, b):
        assert abs(hv.similarity(ab, part, bits=BITS) - 0.5) < 0.05
    assert (ab == hv.bundle(np.stack([b, a]), bits=BITS)).all()
    zero = hv.bundle(np.stack([a, b]), bits=BITS, ties="zero")
    assert (zero == (a & b)).all()
    assert (hv.bundle(np.stack([a, b]), bits=BITS, ties="one") == (a | b)).all()


def test_elsewhere_hdc_top_k_takes_the_lowest_of_equals() -> None:
    """Elsewhere top_k sorts everything and leaves the order of equals to the sort."""
    keys = np.repeat(hv.random(5, BITS, seed=8), 3, axis=0)
    near, index = hv.search(keys[6], keys, 4, bits=BITS)
    assert index.tolist()[:3] == [6, 7, 8]
    assert near.tolist()[:3] == [1, 1, 1]
    rest = hv.similarity(keys[6], keys, bits=BITS)
    assert index[3] == np.flatnonzero(rest == np.sort(rest)[-4])[0]


def test_item_memory_cleans_up_noise() -> None:
    memory = hv.ItemMemory(BITS)
    items = hv.random(40, BITS, seed=9)
    assert memory.nearest(items[0]) == []
    for name, item in enumerate(items):
        memory.put(name, item)
    memory.put(3, items[3])
    noisy = hv.bundle(items[[3, 7, 9]], bits=BITS)
    assert sorted(name for name, _ in memory.nearest(noisy, 3)) == [3, 7, 9]
    assert len(memory) == 40
    assert len(memory.nearest(noisy, 100)) == 40
    assert (memory.get(7) == items[7]).all()
    with pytest.raises(KeyError):
        memory.get("nobody")


def test_bound_calls_see_changes() -> None:
    a, b = hv.random(2, BITS, seed=10)
    keys = hv.random(20, BITS, seed=11)
    bound, near, best = hv.bind_bind(a, b), hv.bind_similarity(a, keys), hv.bind_search(a, keys, 2)
    whole = hv.bind_bundle(keys, bits=BITS)
    a[:] = keys[4]
    keys[5] = 0
    assert (bound() == (a ^ b)).all()
    assert (near() == hv.similarity(a, keys)).all()
    assert best()[1][0] == 4
    assert (whole() == hv.bundle(keys, bits=BITS)).all()


def test_memoryviews_and_out() -> None:
    a, b = hv.random(2, 128, seed=12)
    out = np.empty(2, np.uint64)
    assert hv.bind(memoryview(a), memoryview(b), out=out) is out
    assert (hv.bind(a, b, out=a) == out).all()
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tensor = torch.from_numpy(b.view(np.int64)).view(torch.uint64)
    assert hv.similarity(tensor, b) == 1


def test_nothing_at_all() -> None:
    none = np.empty((0, 2), np.uint64)
    assert hv.bundle(none).tolist() == [0, 0]
    assert hv.bundle(none, ties="one", bits=66).tolist() == [(1 << 64) - 1, 3]
    assert hv.similarity(none, none).shape == (0, 0)
    assert hv.search(none, none, 0)[0].shape == (0, 0)
    assert hv.bind(none, none).shape == (0, 2)
    assert hv.random(0, 64, seed=0).shape == (0, 1)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("vectors", lambda v: hv.bundle(v[0])),
        ("vectors", lambda v: hv.bundle(v.astype(np.int64))),
        ("vectors", lambda v: hv.bundle(v[:, ::2])),
        ("vectors", lambda v: hv.bundle(np.zeros((65_537, 1), np.uint64))),
        ("ties", lambda v: hv.bundle(v, ties="both")),
        ("bits", lambda v: hv.bundle(v, bits=64)),
        ("bits", lambda v: hv.bundle(v, bits=0)),
        ("bits", lambda v: hv.bundle(np.empty((3, 0), np.uint64))),
        ("bits", lambda v: hv.random(1, 0, seed=0)),
        ("bits", lambda v: hv.random(1, (1 << 31) + 1, seed=0)),
        ("n", lambda v: hv.random(-1, 64, seed=0)),
        ("out", lambda v: hv.bundle(v, out=v[0])),
        ("out", lambda v: hv.permute(v, 1, out=v)),
        ("out", lambda v: hv.similarity(v, v, out=np.empty((4, 3), np.float32))),
        ("out", lambda v: hv.bind(v, v, out=np.empty((4, 4), np.uint32))),
        ("bind", lambda v: hv.bind(v[1:], v[0], out=v[:-1])),
        ("b", lambda v: hv.bind(v, v[:2])),
        ("a", lambda v: hv.bind(v[0, 0], v)),
        ("keys", lambda v: hv.similarity(v, np.zeros((3, 5), np.uint64), bits=256)),
        ("k", lambda v: hv.search(v, v, 5)),
        ("k", lambda v: hv.search(v, v, -1)),
        ("threads", lambda v: hv.bundle(v, threads=0)),
        ("vector", lambda v: hv.ItemMemory(100).put("x", v[0])),
    ],
)
def test_what_is_wrong_is_named(name: str, call: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        call(hv.random(4, 256, seed=1))
