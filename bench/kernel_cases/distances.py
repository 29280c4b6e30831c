"""Distances of 384 floats and 10,000 bits beside numpy, NumKong, usearch and faiss; top-k; matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ganglion.kernels import distances, matrix
from kernel_cases.case import Call, Case, library, present

DIM = 384
BITS = 10_000


def cases() -> Iterator[Case]:
    """One to many, many to many, fused top-k."""
    yield dot(1_000, 1.3, 1.6, 1.8, "numpy", "load_l2")
    yield dot(100_000, 0.95, 1.0, 1.05, "best", "load_dram")
    yield dot_f64()
    yield dot_many()
    yield l2_many()
    yield hamming_one(100_000, 0.95, 1.0, 1.05, "load_dram")
    yield hamming_many()
    yield nearest_one()
    yield nearest_many()
    yield int8_one()
    yield from products()


def vectors(n: int, seed: int, dim: int = DIM) -> Any:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def error_of(call: Callable[[], Any], exact: Any) -> float:
    return float(np.abs(np.asarray(call(), np.float64).reshape(exact.shape) - exact).max())


def dot(n: int, floor: float, target: float, stretch: float, against: str, peak: str) -> Case:
    keys, query = vectors(n, 1), vectors(1, 2)[0]
    out, numpy_out = np.empty(n, np.float32), np.empty(n, np.float32)
    others: dict[str, Call] = {"numpy": lambda: np.matmul(keys, query, out=numpy_out)}
    if present("torch"):
        torch = library("torch")
        key_tensor, query_tensor = torch.from_numpy(keys), torch.from_numpy(query)
        others["torch"] = lambda: torch.mv(key_tensor, query_tensor)
    if present("faiss"):
        flat = library("faiss").IndexFlatIP(DIM)
        flat.add(keys)
        row = query[None]
        others["faiss"] = lambda: flat.search(row, 10)
    ours = distances.bind_distances(query, keys, "dot", out=out)
    exact = keys.astype(np.float64) @ query.astype(np.float64)
    return Case(
        name=f"dot 384 f32, 1 x {n:,}",
        family="distances",
        ours=ours,
        others=others,
        against=against,
        floor=floor,
        target=target,
        stretch=stretch,
        flops=2.0 * n * DIM,
        bytes=float(keys.nbytes),
        peak=peak,
        errors=lambda: {
            "ganglion": error_of(ours, exact),
            "numpy": error_of(others["numpy"], exact),
        },
        error_max=1e-4,
        note="faiss keeps the ten largest; f32 sums",
    )


def dot_f64() -> Case:
    keys, query = vectors(1_000, 1), vectors(1, 2)
    ours = distances.bind_distances(query[0], keys, "dot", sums="f64")
    exact = keys.astype(np.longdouble) @ query[0].astype(np.longdouble)
    others: dict[str, Call] = {}
    if present("numkong"):
        numkong = library("numkong")
        packed = numkong.dots_pack(keys)
        others["numkong"] = lambda: numkong.dots_packed(query, packed)
    return Case(
        name="dot 384 f32 summed in f64, 1 x 1,000",
        family="distances",
        ours=ours,
        others=others,
        floor=1.0,
        target=1.5,
        stretch=2.0,
        bytes=float(keys.nbytes),
        peak="load_l2",
        errors=lambda: {
            "ganglion": error_of(ours, exact),
            **({"numkong": error_of(others["numkong"], exact)} if others else {}),
        },
        error_max=1e-12,
        note="NumKong's keys are packed beforehand",
    )


def dot_many() -> Case:
    queries, keys = vectors(1_000, 3), vectors(1_000, 1)
    out, numpy_out = np.empty((1_000, 1_000), np.float32), np.empty((1_000, 1_000), np.float32)
    others: dict[str, Call] = {"numpy": lambda: np.matmul(queries, keys.T, out=numpy_out)}
    ours = distances.bind_distances(queries, keys, "dot", out=out)
    exact = queries.astype(np.float64) @ keys.astype(np.float64).T
    return Case(
        name="dot 384 f32, 1,000 x 1,000",
        family="distances",
        ours=ours,
        others=others,
        floor=0.8,
        target=1.0,
        stretch=1.1,
        flops=2e6 * DIM,
        errors=lambda: {
            "ganglion": error_of(ours, exact),
            "numpy": error_of(others["numpy"], exact),
        },
        error_max=1e-4,
    )


def l2_many() -> Case:
    queries, keys = vectors(1_000, 3), vectors(1_000, 1)
    others: dict[str, Call] = {}
    if present("faiss"):
        faiss = library("faiss")
        others["faiss"] = lambda: faiss.pairwise_distances(queries, keys)
    if present("numkong"):
        numkong = library("numkong")
        others["numkong"] = lambda: numkong.cdist(queries, keys, metric="sqeuclidean")
    return Case(
        name="l2sq 384 f32, 1,000 x 1,000",
        family="distances",
        ours=distances.bind_distances(queries, keys, "l2sq"),
        others=others,
        against="numkong",
        flops=3e6 * DIM,
        note="faiss expands |q|^2 + |k|^2 - 2 q.k, which cancels for near vectors",
    )


def bits(n: int, seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (n, BITS // 8), dtype=np.uint8)


def hamming_one(n: int, floor: float, target: float, stretch: float, peak: str) -> Case:
    keys, query = bits(n, 1), bits(1, 2)
    others: dict[str, Call] = {}
    if present("numkong"):
        numkong = library("numkong")
        others["numkong"] = lambda: numkong.cdist(query, keys, metric="hamming", dtype="uint1")
    return Case(
        name=f"hamming 10,000 bits, 1 x {n:,}",
        family="distances",
        ours=distances.bind_distances(query[0], keys, "hamming"),
        others=others,
        floor=floor,
        target=target,
        stretch=stretch,
        bytes=float(keys.nbytes),
        peak=peak,
    )


def hamming_many() -> Case:
    queries, keys = bits(1_000, 1), bits(1_000, 2)
    others: dict[str, Call] = {}
    if present("numkong"):
        numkong = library("numkong")
        packed = numkong.hammings_pack(keys, dtype="uint1")
        others["numkong"] = lambda: numkong.hammings_packed(queries, packed)
    return Case(
        name="hamming 10,000 bits, 1,000 x 1,000",
        family="distances",
        ours=distances.bind_distances(queries, keys, "hamming"),
        others=others,
        floor=1.0,
        target=1.5,
        stretch=1.9,
        note="NumKong's keys are packed beforehand",
    )


def nearest_one() -> Case:
    keys, query = vectors(10_000, 1), vectors(1, 2)
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    others: dict[str, Call] = {"numpy": lambda: np.argpartition(-(keys @ query[0]), 10)[:10]}
    if present("faiss"):
        flat = library("faiss").IndexFlatIP(DIM)
        flat.add(keys)
        others["faiss"] = lambda: flat.search(query, 10)
    if present("usearch"):
        index = library("usearch.index")
        metric = index.MetricKind.IP
        others["usearch"] = lambda: index.search(keys, query, 10, metric, exact=True, threads=1)
    return Case(
        name="10 nearest of 10,000 by dot, 384 f32",
        family="distances",
        ours=distances.bind_nearest(query[0], keys, 10, "dot"),
        others=others,
        bytes=float(keys.nbytes),
        peak="load_l3",
        budget_us=2000.0,
    )


def nearest_many() -> Case:
    keys, queries = vectors(10_000, 1), vectors(100, 2)
    others: dict[str, Call] = {
        "numpy": lambda: np.argpartition(-(queries @ keys.T), 10, axis=1)[:, :10]
    }
    if present("faiss"):
        flat = library("faiss").IndexFlatIP(DIM)
        flat.add(keys)
        others["faiss"] = lambda: flat.search(queries, 10)
    return Case(
        name="10 nearest of 10,000 by dot, 384 f32, 100 queries",
        family="distances",
        ours=distances.bind_nearest(queries, keys, 10, "dot"),
        others=others,
        flops=2e6 * DIM,
    )


def int8_one() -> Case:
    random = np.random.default_rng(5)
    keys = random.integers(-127, 128, (10_000, DIM), dtype=np.int8)
    query = random.integers(-127, 128, (1, DIM), dtype=np.int8)
    others: dict[str, Call] = {}
    if present("numkong"):
        numkong = library("numkong")
        others["numkong"] = lambda: numkong.cdist(query, keys, metric="dot")
    return Case(
        name="dot 384 i8, 1 x 10,000",
        family="distances",
        ours=distances.bind_distances(query[0], keys, "dot"),
        others=others,
        bytes=float(keys.nbytes),
        peak="load_l3",
    )


def products() -> Iterator[Case]:
    for size in (64, 256, 1_024):
        a, b = vectors(size, 1, size), vectors(size, 2, size)
        out = np.empty((size, size), np.float32)
        yield Case(
            name=f"matmul_nn {size:,} f32",
            family="matrix",
            ours=matrix.bind_matmul_nn(a, b),
            others={"numpy": lambda a=a, b=b, out=out: np.matmul(a, b, out=out)},
            floor=0.8,
            target=1.0,
            flops=2.0 * size**3,
        )
