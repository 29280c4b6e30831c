"""Hypervectors of 10,000 bits beside numpy (unpackbits, bitwise_count) and libraries of Hamming distances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ganglion.kernels import hypervectors as hv
from kernel_cases.case import Call, Case, library, present

BITS = 10_000
WORDS = hv.words(BITS)


def cases() -> Iterator[Case]:
    """One query, an item memory, bundles of 9 and 101, a bind."""
    for n, floor, target, stretch, peak in (
        (1_000, 1.8, 2.3, 2.6, "load_l2"),
        (100_000, 0.95, 1.0, 1.05, "load_dram"),
    ):
        yield one_query(n, floor, target, stretch, peak)
    yield nearest()
    for count, floor, target in ((9, 40, 60), (101, 100, 150)):
        yield bundle(count, floor, target)
    yield bind()
    yield one_pair()


def one_query(n: int, floor: float, target: float, stretch: float, peak: str) -> Case:
    keys, query = hv.random(n, BITS, seed=1), hv.random(1, BITS, seed=2)[0]
    return Case(
        name=f"similarity 10,000 bits, 1 x {n:,}",
        family="hypervectors",
        ours=hv.bind_similarity(query, keys, bits=BITS),
        others=distances(query, keys),
        floor=floor,
        target=target,
        stretch=stretch,
        bytes=float(keys.nbytes + query.nbytes + 4 * n),
        peak=peak,
    )


def one_pair() -> Case:
    """One similarity is mostly the call: batches are what the kernels are for."""
    a, b = hv.random(2, BITS, seed=3)
    return Case(
        name="similarity 10,000 bits, one pair",
        family="hypervectors",
        ours=hv.bind_similarity(a, b, bits=BITS),
        others={"numpy": lambda: np.bitwise_count(a ^ b).sum()}
        if hasattr(np, "bitwise_count")
        else {},
        note="a bound handle",
    )


def distances(query: Any, keys: Any) -> dict[str, Call]:
    """The same distances by others, on the same bytes."""
    query_bytes, key_bytes = query.view(np.uint8)[None], keys.view(np.uint8)
    others: dict[str, Call] = {}
    if hasattr(np, "bitwise_count"):
        others["numpy"] = lambda: np.bitwise_count(keys ^ query).sum(axis=1, dtype=np.uint32)
    if present("usearch"):
        index = library("usearch.index")
        hamming, kind = index.MetricKind.Hamming, index.ScalarKind.B1
        others["usearch"] = lambda: index.search(
            key_bytes, query_bytes, 10, hamming, exact=True, threads=1, dtype=kind
        )
    if present("numkong"):
        numkong = library("numkong")
        others["numkong"] = lambda: numkong.cdist(
            query_bytes, key_bytes, metric="hamming", dtype="uint1"
        )
    if present("faiss"):
        faiss = library("faiss")
        found = np.empty((1, len(keys)), np.int32)
        at = faiss.swig_ptr
        others["faiss"] = lambda: faiss.hammings(
            at(query_bytes), at(key_bytes), 1, len(keys), query_bytes.shape[1], at(found)
        )
    return others


def nearest() -> Case:
    """The ten nearest of 1,000, fused."""
    keys, query = hv.random(1_000, BITS, seed=1), hv.random(1, BITS, seed=2)[0]
    others: dict[str, Call] = {}
    if hasattr(np, "bitwise_count"):
        others["numpy"] = lambda: np.argpartition(
            np.bitwise_count(keys ^ query).sum(axis=1, dtype=np.uint32), 10
        )[:10]
    if present("faiss"):
        faiss = library("faiss")
        flat = faiss.IndexBinaryFlat(WORDS * 64)
        flat.add(keys.view(np.uint8))
        query_bytes = query.view(np.uint8)[None]
        others["faiss"] = lambda: flat.search(query_bytes, 10)
    return Case(
        name="item memory, 10 nearest of 1,000",
        family="hypervectors",
        ours=hv.bind_search(query, keys, 10, bits=BITS),
        others=others,
        bytes=float(keys.nbytes),
        peak="load_l2",
    )


def bundle(count: int, floor: float, target: float) -> Case:
    vectors = hv.random(count, BITS, seed=count)
    packed = vectors.view(np.uint8)

    def by_numpy() -> object:
        ones = np.unpackbits(packed, axis=1, bitorder="little").sum(axis=0, dtype=np.uint16)
        return np.packbits(ones > count // 2, bitorder="little")

    return Case(
        name=f"bundle {count} vectors of 10,000 bits",
        family="hypervectors",
        ours=hv.bind_bundle(vectors, bits=BITS),
        others={"numpy": by_numpy},
        floor=floor,
        target=target,
        bytes=float(vectors.nbytes),
        peak="load_l1" if count < 20 else "load_l2",
    )


def bind() -> Case:
    a, b = hv.random(2, BITS, seed=3)
    out = np.empty_like(a)
    return Case(
        name="bind 10,000 bits",
        family="hypervectors",
        ours=hv.bind_bind(a, b, bits=BITS, out=out),
        others={"numpy": lambda: np.bitwise_xor(a, b, out=out)},
    )
