"""What attention's arguments may be, and what is said when they are not that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ganglion import kernels
from ganglion.kernels import attention
from ganglion.kernels.attention import bigbird_layout, block_sparse, local_attention, sdpa

from .attention_reference import attend, normal

Call = Callable[..., Any]


def near(q: Any, k: Any, v: Any, **options: Any) -> Any:
    return local_attention(q, k, v, window=3, **options)


def sparse(q: Any, k: Any, v: Any, **options: Any) -> Any:
    return block_sparse(q, k, v, np.ones((1, 1), bool), block=100, **options)


def bound(q: Any, k: Any, v: Any, **options: Any) -> Any:
    return attention.bind_sdpa(q, k, v, **options)()


CALLS = pytest.mark.parametrize("call", [sdpa, bound, near, sparse])


def inputs() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"q": normal(rng, 3, 5, 8), "k": normal(rng, 3, 9, 8), "v": normal(rng, 3, 9, 4)}


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("q", {"q": np.zeros((3, 5, 8))}),
    ("q", {"q": [[1.0]]}),
    ("q", {"q": None}),
    ("q", {"q": np.float32(3)}),
    ("q", {"q": np.zeros((3, 5, 16), np.float32)[:, :, ::2]}),
    ("q", {"q": np.zeros((3, 8, 5), np.float32).transpose(0, 2, 1)}),
    ("q", {"q": np.zeros((1, 1, 3, 5, 8), np.float32)}),
    ("q", {"q": np.zeros((3, 5, 8), ">f4")}),
    ("k", {"k": np.zeros((3, 9, 7), np.float32)}),
    ("k", {"k": np.zeros((2, 9, 8), np.float32)}),
    ("k", {"k": np.zeros((0, 9, 8), np.float32)}),
    ("k", {"k": np.zeros((9, 8), np.float32)}),
    ("k", {"k": np.zeros((3, 9, 8), np.int32)}),
    ("v", {"v": np.zeros((3, 8, 4), np.float32)}),
    ("v", {"v": np.zeros((1, 9, 4), np.float32)}),
    ("v", {"v": "text"}),
    ("mask", {"mask": np.ones((5, 8), bool)}),
    ("mask", {"mask": np.ones((5, 1), bool)}),
    ("mask", {"mask": np.ones((2, 5, 9), bool)}),
    ("mask", {"mask": np.ones((1, 3, 5, 9), bool)}),
    ("mask", {"mask": np.ones((5, 9), np.float32)}),
    ("mask", {"mask": np.ones((9, 5), bool).T}),
    ("mask", {"mask": np.bool_(True)}),
    ("bias", {"bias": np.zeros((5, 9))}),
    ("bias", {"bias": np.zeros((4, 9), np.float32)}),
    ("scale", {"scale": float("nan")}),
    ("scale", {"scale": 1e39}),
    ("out", {"out": np.zeros((3, 5, 8), np.float32)}),
    ("out", {"out": np.zeros((3, 5, 4))}),
    ("out", {"out": np.zeros((3, 5, 8), np.float32)[:, :, :4]}),
    ("threads", {"threads": 0}),
    ("threads", {"threads": 257}),
    ("threads", {"threads": "2"}),
]


@CALLS
@pytest.mark.parametrize(("name", "change"), WRONG)
def test_a_wrong_argument_is_named(call: Call, name: str, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        call(**{**inputs(), **change})


@CALLS
def test_out_is_filled_and_returned_and_may_not_overlap(call: Call) -> None:
    given = inputs()
    out = np.full((3, 5, 4), np.nan, np.float32)
    assert call(**given, out=out) is out
    np.testing.assert_array_equal(out, call(**given))
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"^out: read-only"):
        call(**given, out=out)
    room = np.zeros(3 * 9 * 4 + 8, np.float32)
    given["v"] = room[:108].reshape(3, 9, 4)
    with pytest.raises(ValueError, match=r"^out: overlaps"):
        call(**given, out=room[56:].reshape(3, 5, 4))


def test_one_query_may_have_one_dimension() -> None:
    rng = np.random.default_rng(1)
    q, k, v = normal(rng, 8), normal(rng, 20, 8), normal(rng, 20, 3)
    mask = rng.random(20) < 0.5
    got = sdpa(q, k, v, mask=mask)
    assert got.shape == (3,)
    np.testing.assert_allclose(got, attend(q[None], k, v, mask)[0], atol=2e-6)
    with pytest.raises(ValueError, match=r"^k: 1 dimensions"):
        sdpa(q, q, v)


def test_what_has_a_buffer_is_taken_as_it_is() -> None:
    given = inputs()
    want = sdpa(**given)
    np.testing.assert_array_equal(sdpa(**{n: memoryview(x) for n, x in given.items()}), want)
    for value in given.values():
        value.flags.writeable = False
    np.testing.assert_array_equal(sdpa(**given), want)
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tensors = {n: torch.from_numpy(x.copy()) for n, x in given.items()}
    np.testing.assert_array_equal(sdpa(**tensors), want)
    out = torch.zeros(3, 5, 4)
    mask = torch.ones(5, 9, dtype=torch.bool)
    sdpa(**tensors, mask=mask, out=out)
    np.testing.assert_array_equal(out.numpy(), want)
    with pytest.raises(ValueError, match=r"^q: "):
        sdpa(tensors["q"].requires_grad_(), tensors["k"], tensors["v"])


def test_sizes_of_0_are_defined() -> None:
    for q, k, v in [((0, 4), (3, 4), (3, 2)), ((2, 4), (0, 4), (0, 2)), ((2, 4), (3, 4), (3, 0)),
                    ((0, 2, 4), (0, 3, 4), (0, 3, 2)), ((2, 0), (3, 0), (3, 2))]:  # fmt: skip
        given = [np.ones(shape, np.float32) for shape in (q, k, v)]
        got = sdpa(*given)
        assert got.shape == (*q[:-1], v[-1])
        assert (got == (1 if k[-2] else 0)).all()


def test_odd_addresses_are_fine() -> None:
    given = inputs()
    want = sdpa(**given)
    for skip in range(1, 4):
        moved = {}
        for name, value in given.items():
            room = np.zeros(value.nbytes + skip, np.uint8)
            moved[name] = room[skip:].view(np.float32).reshape(value.shape)
            moved[name][...] = value
        np.testing.assert_array_equal(sdpa(**moved), want)


def test_scale_is_what_it_says() -> None:
    given = inputs()
    np.testing.assert_allclose(sdpa(**given, scale=-0.3), attend(**given, scale=-0.3), atol=3e-6)
    even = sdpa(**given, scale=0)
    np.testing.assert_allclose(even, given["v"].mean(1, keepdims=True).repeat(5, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("window", {"window": -1}),
        ("window", {"window": 2.0}),
        ("globals", {"window": 1, "globals": -1}),
        ("globals", {"window": 1, "globals": 2**63}),
    ],
)
def test_wrong_windows_are_named(name: str, options: dict[str, Any]) -> None:
    for call in (local_attention, attention.bind_local_attention):
        with pytest.raises(ValueError, match=f"^{name}: "):
            call(**inputs(), **options)


def u32(*values: int) -> Any:
    return np.array(values, np.uint32)


@pytest.mark.parametrize(
    ("name", "layout", "block"),
    [
        ("block", np.ones((1, 1), bool), 0),
        ("block", np.ones((1, 1), bool), -2),
        ("layout", np.ones((2, 2), bool), 4),
        ("layout", np.ones((2, 3), np.float32), 4),
        ("layout", (u32(0, 1, 2),), 4),
        ("layout", (u32(0, 1), u32(0)), 4),
        ("layout", (u32(0, 1, 2), u32(0)), 4),
        ("layout", (u32(0, 1, 2), u32(0, 3)), 4),
        ("layout", (u32(0, 0, 2), u32(1, 1)), 4),
        ("layout", (u32(0, 0, 2), u32(2, 1)), 4),
        ("layout", (u32(1, 1, 2), u32(0, 1)), 4),
        ("layout", (u32(0, 2, 1), u32(0, 1)), 4),
        ("layout", (np.array([0, 1, 2]), u32(0, 1)), 4),
    ],
)
def test_wrong_layouts_are_named(name: str, layout: Any, block: int) -> None:
    for call in (block_sparse, attention.bind_block_sparse):
        with pytest.raises(ValueError, match=f"^{name}: "):
            call(**inputs(), layout=layout, block=block)().copy()


@pytest.mark.parametrize("name", ["blocks", "window", "globals", "randoms", "seed"])
def test_wrong_numbers_of_a_layout_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        bigbird_layout(**{"blocks": 4, name: -1})
    if name == "blocks":
        with pytest.raises(ValueError, match=r"^blocks: "):
            bigbird_layout(65536)


def test_a_closed_pool_is_said() -> None:
    pool = kernels.Pool(2)
    pool.close()
    with pytest.raises(ValueError, match=r"^threads: the pool is closed"):
        sdpa(**inputs(), threads=pool)
