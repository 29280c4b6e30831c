"""K winners take all through the Python face, beside a stable sort of numpy's."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ganglion import kernels
from ganglion.kernels import selection

FLOATS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=80),
    elements=st.one_of(
        st.floats(width=32),
        st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), float("-inf")]),
    ),
)


@pytest.fixture(params=kernels.isas())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    was = kernels.isa()
    kernels.force_isa(request.param)
    yield request.param
    kernels.force_isa(was)


def winners(x: Any, k: int, mask: Any = None) -> list[int]:
    """Of one row, the winner first."""
    let = [i for i in range(len(x)) if mask is None or mask[i]]
    let.sort(key=lambda i: (np.isnan(x[i]), -x[i] if not np.isnan(x[i]) else 0, i))
    return (let + [-1] * k)[:k]


@settings(max_examples=150, deadline=None)
@given(x=FLOATS, part=st.floats(0, 1), seed=st.integers(0, 99), masked=st.booleans())
def test_wins_who_is_first_in_a_stable_sort(x: Any, part: float, seed: int, masked: bool) -> None:
    k = round(part * x.shape[-1])
    mask = np.random.default_rng(seed).random(x.shape) < 0.7 if masked else None
    values, indices = selection.top(x, k, mask=mask)
    for row in np.ndindex(x.shape[:-1]):
        want = winners(x[row], k, None if mask is None else mask[row])
        assert indices[row].tolist() == want
        got = [x[row][i] if i >= 0 else np.float32(np.nan) for i in want]
        assert np.array_equal(values[row], np.array(got, np.float32), equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(x=FLOATS, part=st.floats(0, 1))
def test_faces_agree(x: Any, part: float) -> None:
    k = round(part * x.shape[-1])
    sort = selection.kwta(x, k)
    assert np.array_equal(sort, selection.top(x, k)[1])
    assert np.array_equal(sort, selection.bind_kwta(x, k)())
    assert np.array_equal(sort, selection.bind_top(x, k)()[1])
    plain = selection.kwta(x, k, sorted=False)
    assert np.array_equal(np.sort(sort, -1), np.sort(plain, -1))
    dense = selection.kwta_dense(x, k)
    want = np.zeros_like(x)
    np.put_along_axis(
        want, sort.astype(np.int64), np.take_along_axis(x, sort.astype(np.int64), -1), -1
    )
    assert dense.tobytes() == want.tobytes()


@pytest.mark.parametrize("n", [1_000, 4_097, 30_000])
@pytest.mark.parametrize("kind", ["random", "ascending", "descending", "ties", "equal"])
@pytest.mark.usefixtures("level")
def test_large_in_every_order(n: int, kind: str) -> None:
    x = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    if kind == "ascending":
        x = np.sort(x)
    elif kind == "descending":
        x = np.sort(x)[::-1].copy()
    elif kind == "ties":
        x = np.round(x)
    elif kind == "equal":
        x[:] = 3
    order = np.argsort(-x, kind="stable")
    for k in (1, 32, n // 10, n // 2, n):
        assert np.array_equal(selection.kwta(x, k), order[:k])
        assert np.array_equal(selection.kwta(x, k, sorted=False), np.sort(order[:k]))


def test_elsewhere_kwta_nan_comes_last() -> None:
    """Elsewhere a comparison that NaN breaks makes [1, NaN, 3, 2, NaN, 0, 5, 4], k = 2 give indices 0 and 1."""
    x = np.array([1, np.nan, 3, 2, np.nan, 0, 5, 4], np.float32)
    assert selection.kwta(x, 2).tolist() == [6, 7]
    assert selection.kwta(x, 8).tolist() == [6, 7, 2, 3, 0, 5, 1, 4]
    assert selection.kwta(x, 7, sorted=False).tolist() == [0, 2, 3, 5, 6, 7, 1]


def test_elsewhere_kwta_of_sorted_input_is_not_another_kernel() -> None:
    """Elsewhere ascending input costs ten times as much; here it takes the same way, and gives the same winners."""
    x = np.arange(100_000, dtype=np.float32)
    assert selection.kwta(x, 3).tolist() == [99_999, 99_998, 99_997]
    assert selection.kwta(-x, 3).tolist() == [0, 1, 2]


def test_results_do_not_depend_on_threads() -> None:
    x = np.random.default_rng(0).standard_normal((50, 400)).astype(np.float32)
    want = selection.top(x, 7)
    with kernels.Pool(3) as pool:
        for threads in (2, pool):
            got = selection.top(x, 7, threads=threads)
            assert np.array_equal(got[0], want[0])
            assert np.array_equal(got[1], want[1])
        assert np.array_equal(selection.bind_kwta(x, 7, threads=pool)(), want[1])
        assert np.array_equal(selection.soft_wta(x, threads=pool), selection.soft_wta(x))


def test_plain_calls_from_many_threads_do_not_share_results() -> None:
    rows = np.random.default_rng(0).standard_normal((8, 1_000)).astype(np.float32)
    want = [winners(row, 16) for row in rows]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(200):
            if selection.kwta(rows[i], 16).tolist() != want[i]:
                wrong.append(i)

    threads = [Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_result_stays_when_the_next_is_computed() -> None:
    x = np.arange(1_000, dtype=np.float32)
    first = selection.kwta(x, 4)
    selection.kwta(-x, 4)
    assert first.tolist() == [999, 998, 997, 996]


def test_bound_sees_what_changes() -> None:
    x = np.zeros(100, np.float32)
    bound = selection.bind_kwta(x, 2)
    assert bound().tolist() == [0, 1]
    x[50] = 1
    assert bound().tolist() == [50, 0]


def test_what_is_not_numpy() -> None:
    torch = pytest.importorskip("torch", reason="torch is optional")
    tensor = torch.arange(10, dtype=torch.float32)
    assert selection.kwta(tensor, 2).tolist() == [9, 8]
    assert selection.kwta(memoryview(np.arange(5, dtype=np.float32)), 1).tolist() == [4]


def test_out_takes_the_result() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    out = np.empty((3, 2), np.int32)
    assert selection.kwta(x, 2, out=out) is out
    assert out.tolist() == [[3, 2]] * 3
    values = np.empty((3, 2), np.float32)
    assert selection.top(x, 2, out=(values, out))[0] is values
    assert values.tolist() == [[3, 2], [7, 6], [11, 10]]


X = np.zeros((3, 8), np.float32)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("x", lambda: selection.kwta(np.zeros(8), 2)),
        ("x", lambda: selection.kwta(np.zeros((2, 2, 2), np.float32), 2)),
        ("x", lambda: selection.kwta(np.zeros(16, np.float32)[::2], 2)),
        ("x", lambda: selection.kwta("text", 2)),
        ("k", lambda: selection.kwta(X, 9)),
        ("k", lambda: selection.kwta(X[0], -1)),
        ("k", lambda: selection.top(X, 2.0)),  # type: ignore[arg-type]
        ("mask", lambda: selection.kwta(X, 2, mask=np.ones(7, bool))),
        ("mask", lambda: selection.kwta(X, 2, mask=np.ones(8))),
        ("mask", lambda: selection.kwta(X, 2, mask=np.ones((8, 3), bool).T)),
        ("out", lambda: selection.kwta(X, 2, out=np.zeros((3, 2), np.int64))),
        ("out", lambda: selection.kwta(X, 2, out=np.zeros((3, 3), np.int32))),
        ("out", lambda: selection.kwta_dense(X, 2, out=X)),
        ("threads", lambda: selection.kwta(X, 2, threads=0)),
        ("temperature", lambda: selection.soft_wta(X, 0.0)),
        ("temperature", lambda: selection.soft_wta(X, float("nan"))),
        ("out", lambda: selection.soft_wta(X, out=X.T)),
        ("strength", lambda: selection.inhibit(X, 1.5)),
        ("rounds", lambda: selection.inhibit(X, 0.5, rounds=-1)),
        ("radius", lambda: selection.inhibit_near(X, 0, 0.5)),
        ("out", lambda: selection.inhibit_near(X, 1, 0.5, out=X)),
        ("phases", lambda: selection.Oscillators(X[0], phases=X[0, :3])),
        ("frequencies", lambda: selection.Oscillators(np.zeros(3))),
        ("coupling", lambda: selection.Oscillators(X[0]).step(float("inf"), 0.1)),
        ("steps", lambda: selection.Oscillators(X[0]).step(1, 0.1, -1)),
        ("capacity", lambda: selection.Workspace(0)),
        ("floor", lambda: selection.Workspace(4, floor=0.0)),
        ("content", lambda: selection.Workspace(4, width=3).offer(1, 1.0)),
        ("id", lambda: selection.Workspace(4).offer(-1, 1.0)),
        ("salience", lambda: selection.Workspace(4).offer(1, float("nan"))),
        ("factor", lambda: selection.Workspace(4).decay(2.0)),
    ],
)
def test_says_which_argument_is_wrong(name: str, call: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}"):
        call()


def test_nothing_of_nothing() -> None:
    assert selection.kwta(np.empty(0, np.float32), 0).shape == (0,)
    assert selection.kwta(np.empty((0, 5), np.float32), 2).shape == (0, 2)
    assert selection.soft_wta(np.empty((3, 0), np.float32)).shape == (3, 0)
    assert selection.Oscillators(np.empty(0, np.float32)).order() == (0.0, 0.0)
