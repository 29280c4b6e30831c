"""Matrix products through the Python face, beside float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import matrix

EPS = 2.0**-24
FACES = [
    (matrix.matmul_nt, matrix.bind_matmul_nt, True),
    (matrix.matmul_nn, matrix.bind_matmul_nn, False),
]


def inputs(m: int, n: int, k: int, transposed: bool, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """a, b, the product in float64, and the bound of an element's error."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((m, k)).astype(np.float32)
    b = rng.standard_normal((n, k) if transposed else (k, n)).astype(np.float32)
    right = (b.T if transposed else b).astype(np.float64)
    bound = (k + 2) * EPS * (np.abs(a).astype(np.float64) @ np.abs(right))
    return a, b, a.astype(np.float64) @ right, bound


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(0, 40),
    n=st.integers(0, 70),
    k=st.integers(0, 70),
    transposed=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
def test_is_the_product_within_its_bound(
    m: int, n: int, k: int, transposed: bool, seed: int
) -> None:
    a, b, want, bound = inputs(m, n, k, transposed, seed)
    got = (matrix.matmul_nt if transposed else matrix.matmul_nn)(a, b)
    assert got.shape == (m, n)
    assert got.dtype == np.float32
    assert (np.abs(got - want) <= bound).all()


@pytest.mark.parametrize("level", kernels.isas())
@pytest.mark.parametrize(("plain", "bind", "transposed"), FACES)
def test_every_level_past_the_sizes_of_its_blocks(
    level: str, plain: Any, bind: Any, transposed: bool
) -> None:
    best = kernels.isa()
    a, b, want, bound = inputs(173, 261, 401, transposed)
    try:
        kernels.force_isa(level)
        assert (np.abs(plain(a, b) - want) <= bound).all()
    finally:
        kernels.force_isa(best)


@pytest.mark.parametrize(("plain", "bind", "transposed"), FACES)
def test_threads_change_no_bit(plain: Any, bind: Any, transposed: bool) -> None:
    with kernels.Pool(3) as pool:
        for m in (1, 4, 5, 200):
            a, b, _, _ = inputs(m, 300, 50, transposed)
            alone = plain(a, b)
            assert np.array_equal(plain(a, b, threads=2), alone)
            assert np.array_equal(plain(a, b, threads=pool), alone)


@pytest.mark.parametrize(("plain", "bind", "transposed"), FACES)
def test_a_bound_call_follows_its_arrays(plain: Any, bind: Any, transposed: bool) -> None:
    a, b, _, _ = inputs(20, 30, 40, transposed)
    out = np.empty((20, 30), np.float32)
    bound = bind(a, b, out=out)
    assert bound() is out
    assert np.array_equal(out, plain(a, b))
    a *= 2
    assert np.array_equal(bound(), plain(a, b))


def test_takes_what_has_the_buffer_protocol() -> None:
    a, b, _, _ = inputs(6, 5, 4, True)
    assert np.array_equal(matrix.matmul_nt(memoryview(a), b), matrix.matmul_nt(a, b))
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert np.array_equal(matrix.matmul_nt(torch.from_numpy(a), b), matrix.matmul_nt(a, b))


@pytest.mark.parametrize(
    ("begins", "wrong"),
    [
        ("a: dtype", {"a": np.zeros((2, 3))}),
        ("a: 1 dimension", {"a": np.zeros(3, np.float32)}),
        ("a: not dense", {"a": np.zeros((3, 2), np.float32).T}),
        ("a: not an array", {"a": 7}),
        ("b: 4 products", {"b": np.zeros((2, 4), np.float32)}),
        ("out: shape", {"out": np.zeros((3, 3), np.float32)}),
        ("out: dtype", {"out": np.zeros((2, 2))}),
        ("threads: ", {"threads": 0}),
        ("threads: ", {"threads": 257}),
    ],
)
def test_refusals_name_the_argument(begins: str, wrong: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "a": np.zeros((2, 3), np.float32),
        "b": np.zeros((2, 3), np.float32),
        "out": None,
        "threads": 1,
    } | wrong
    with pytest.raises(ValueError, match=f"^{begins}"):
        matrix.matmul_nt(
            arguments["a"], arguments["b"], out=arguments["out"], threads=arguments["threads"]
        )


def test_out_may_not_be_an_input_or_read_only() -> None:
    a = np.zeros((3, 3), np.float32)
    with pytest.raises(ValueError, match=r"^out: overlaps"):
        matrix.matmul_nt(a, a, out=a)
    fixed = np.zeros((3, 3), np.float32)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match=r"^out: read-only"):
        matrix.matmul_nn(a, a, out=fixed)
