"""The kernels' Python face: what it takes, what it refuses and how it says so, levels, threads."""

from __future__ import annotations

import array as plain
import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import (
    Pool,
    attention,
    distances,
    elementwise,
    graphs,
    heads,
    hopfield,
    selection,
)
from ganglion.kernels._arrays import F32, U64, aligned, mask_array, scratch
from ganglion.kernels._call import check
from ganglion.kernels._kernels import ffi, lib


@pytest.fixture(params=kernels.isas())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    before = kernels.isa()
    kernels.force_isa(request.param)
    yield request.param
    kernels.force_isa(before)


def test_a_level_is_chosen_and_can_be_forced(level: str) -> None:
    assert kernels.isa() == level
    assert kernels.isas()[0] == "serial"
    with pytest.raises(ValueError, match="isa: 'mmx' is not a level of this machine: serial"):
        kernels.force_isa("mmx")


def started(isa: str) -> subprocess.CompletedProcess[str]:
    program = "import ganglion.kernels as k; print(k.isa())"
    environment = os.environ | {"GANGLION_ISA": isa}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )


def test_the_environment_chooses_the_level() -> None:
    for name in kernels.isas():
        assert started(name).stdout.strip() == name
    assert started("").stdout.strip() == kernels.isas()[-1]


@pytest.mark.parametrize("name", ["mmx", "neon" if "haswell" in kernels.isas() else "haswell"])
def test_a_level_that_is_not_there_is_said_at_import(name: str) -> None:
    done = started(name)
    assert done.returncode == 1
    assert "ValueError: GANGLION_ISA names" in done.stderr
    assert "(here: serial" in done.stderr


# -- what is taken -----------------------------------------------------------------------------


def buffers() -> dict[str, Any]:
    numbers = np.linspace(-2, 2, 33, dtype=np.float32)
    shared = mmap.mmap(-1, 4096)
    shared[: numbers.nbytes] = numbers.tobytes()
    return {
        "numpy": numbers,
        "array": plain.array("f", numbers),
        "memoryview": memoryview(numbers.tobytes()).cast("f"),
        "shared memory": memoryview(shared)[: numbers.nbytes].cast("f"),
        "a row of a matrix": np.stack([numbers, numbers])[1],
    }


@pytest.mark.parametrize("name", list(buffers()))
def test_any_buffer_of_floats_is_taken(level: str, name: str) -> None:
    got = elementwise.exp(buffers()[name])
    np.testing.assert_allclose(got, np.exp(np.linspace(-2, 2, 33)), rtol=3e-7)


def test_a_torch_tensor_is_taken_in_place() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed; nothing depends on it")
    x = torch.linspace(-3, 3, 50)
    np.testing.assert_allclose(elementwise.exp(x), torch.exp(x).numpy(), rtol=3e-7)
    out = torch.empty(50)
    elementwise.exp(x, out=out)
    np.testing.assert_allclose(out.numpy(), torch.exp(x).numpy(), rtol=3e-7)
    for dtype in (torch.bfloat16, torch.float16):
        np.testing.assert_array_equal(
            elementwise.from_half(x.to(dtype)), x.to(dtype).float().numpy()
        )


def test_out_takes_the_result_and_may_be_the_input() -> None:
    x = np.linspace(-1, 1, 100, dtype=np.float32)
    truth = np.exp(x.astype(np.float64))
    out = np.empty_like(x)
    assert elementwise.exp(x, out=out) is out
    np.testing.assert_allclose(out, truth, rtol=3e-7)
    elementwise.exp(x, out=x)
    np.testing.assert_allclose(x, truth, rtol=3e-7)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (2, 3, 5)])
def test_shapes_are_kept(shape: tuple[int, ...]) -> None:
    assert elementwise.tanh(np.zeros(shape, np.float32)).shape == shape


@given(st.lists(st.floats(width=32), max_size=70))
def test_halves_round_as_numpy_does(numbers: list[float]) -> None:
    x = np.array(numbers, np.float32)
    with np.errstate(over="ignore"):
        theirs = x.astype(np.float16)
    np.testing.assert_array_equal(elementwise.to_f16(x), theirs)
    np.testing.assert_array_equal(elementwise.from_half(theirs), theirs.astype(np.float32))
    back = elementwise.from_half(elementwise.to_bf16(x))
    finite = np.isfinite(x) & (np.abs(x) < 3e38) & (np.abs(x) > 1e-37)
    assert np.all(np.abs(back[finite] - x[finite]) <= np.abs(x[finite]) * 2.0**-8)


# -- what is refused ---------------------------------------------------------------------------

READ_ONLY = np.zeros(8, np.float32)
READ_ONLY.flags.writeable = False
WHOLE = np.zeros(12, np.float32)


@pytest.mark.parametrize(
    ("x", "out", "words"),
    [
        (np.zeros(8), None, "x: dtype float64, not float32"),
        (np.zeros(8, ">f4"), None, "x: dtype >f4, not float32"),
        (np.zeros((8, 8), np.float32)[:, ::2], None, "x: not dense and row-major"),
        (np.zeros((8, 8), np.float32).T[1:], None, "x: not dense and row-major"),
        (np.zeros(33, np.uint8)[1:].view(np.float32), None, "x: elements not at multiples"),
        ([1.0, 2.0], None, r"x: not an array \(list\)"),
        (None, None, r"x: not an array \(NoneType\)"),
        ("text", None, r"x: not an array \(str\)"),
        (np.zeros(8, np.float32), np.zeros(9, np.float32), r"out: shape \(9,\), not \(8,\)"),
        (np.zeros(8, np.float32), np.zeros(8), "out: dtype float64, not float32"),
        (np.zeros(8, np.float32), READ_ONLY, "out: read-only"),
        (READ_ONLY, READ_ONLY, "out: read-only"),
        (WHOLE[:8], WHOLE[4:], "out: overlaps an input"),
    ],
)
def test_what_cannot_be_used_is_named(x: Any, out: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        elementwise.exp(x, out=out)


def test_a_mask_is_bool_or_bytes_of_that_shape() -> None:
    assert mask_array(np.ones((2, 3), bool), "mask", (2, 3)).dtype == np.uint8
    with pytest.raises(ValueError, match=r"mask: shape \(3,\), not \(2, 3\)"):
        mask_array(np.ones(3, bool), "mask", (2, 3))
    with pytest.raises(ValueError, match="mask: dtype float64"):
        mask_array(np.ones((2, 3)), "mask", (2, 3))


def test_statuses_become_exceptions_in_one_place() -> None:
    check(lib.GN_K_OK, "f")
    for status in range(1, lib.GN_K_STATUS_COUNT):
        wanted = {lib.GN_K_MEMORY: MemoryError, lib.GN_K_UNSUPPORTED: NotImplementedError}
        with pytest.raises(wanted.get(status, ValueError), match=r"^f: "):
            check(status, "f")


def test_sizes_may_be_numpys_integers() -> None:
    x = np.linspace(0, 1, 20, dtype=np.float32)
    assert selection.kwta(x, np.int64(2)).tolist() == [19, 18]
    rows = x.reshape(4, 5)
    assert distances.nearest(rows, rows, np.int32(1))[1].shape == (4, 1)
    local = attention.local_attention(rows, rows, rows, window=np.int64(1), threads=np.int64(2))
    assert local.shape == (4, 5)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: selection.top(x, 2, out=3), "out"),
        (lambda x: hopfield.retrieve(x, x, steps=1.5), "steps"),
        (lambda x: heads.route(x, k=1.5), "k"),
        (lambda x: heads.multi_head(x, x), "layer"),
        (lambda x: graphs.csr(np.zeros(1, np.int32), np.zeros(1, np.int32), 2**31), "nodes"),
        (lambda x: graphs.cone(np.zeros(2, np.int32), np.zeros(0, np.int32), 0.5), "node"),
    ],
)
def test_what_is_no_size_or_no_layer_is_named(call: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        call(np.eye(4, dtype=np.float32))


# -- memory and threads ------------------------------------------------------------------------


def address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", ffi.cast("void *", pointer)))


def test_scratch_is_aligned_kept_and_a_threads_own() -> None:
    assert scratch(0) == ffi.NULL
    for size in (1, 63, 64, 70_000, 1 << 20, (64 << 20) + 1):
        assert address(scratch(size)) % 64 == 0
    assert address(scratch(100)) == address(scratch(1000))
    found: list[int] = []
    other = threading.Thread(target=lambda: found.append(address(scratch(100))))
    other.start()
    other.join()
    assert found[0] != address(scratch(100))
    assert aligned(3, U64).ctypes.data % 64 == 0
    assert aligned(5, F32).shape == (5,)


def test_a_pool_is_opened_used_and_closed() -> None:
    with Pool(3) as pool:
        assert pool.threads == 3
        assert lib.gn_pool_threads(pool.pointer) == 3
    with pytest.raises(ValueError, match="threads: the pool is closed"):
        _ = pool.pointer
    pool.close()


@pytest.mark.parametrize("threads", [0, -1, 257, 1.5, "2", None])
def test_a_wrong_number_of_threads_is_refused(threads: Any) -> None:
    with pytest.raises(ValueError, match="threads: "):
        Pool(threads)
