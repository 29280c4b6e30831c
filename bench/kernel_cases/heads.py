"""Layers of heads beside torch and numpy: multi-head with projections, differential heads, the routing of experts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ganglion.kernels import attention, heads
from kernel_cases.case import Call, Case, library, present

WIDTH, HEADS = 512, 8


def _layer(rng: Any, pair: int = 1) -> heads.Layer:
    def matrix(rows: int) -> Any:
        return rng.standard_normal((rows, WIDTH)).astype(np.float32) / np.float32(WIDTH**0.5)

    return heads.Layer(
        matrix(pair * WIDTH), matrix(pair * WIDTH), matrix(WIDTH), matrix(WIDTH), HEADS
    )


def _torch(x: Any, layer: heads.Layer, rule: bool = False) -> Call:
    """The same layer by torch's linear and scaled_dot_product_attention."""
    torch = library("torch")
    given = torch.from_numpy(x)
    q, k, v, out = (torch.from_numpy(w) for w in (layer.q, layer.k, layer.v, layer.out))
    functional = torch.nn.functional
    n, pair = x.shape[0], 2 if rule else 1

    def split(y: Any) -> Any:
        return y.view(n, HEADS * (y.shape[1] // WIDTH), -1).transpose(0, 1)[None]

    def plain() -> object:
        y = functional.scaled_dot_product_attention(
            split(given @ q.T), split(given @ k.T), split(given @ v.T)
        )
        return y[0].transpose(0, 1).reshape(n, WIDTH) @ out.T

    def differential() -> object:
        queries, keys, values = split(given @ q.T), split(given @ k.T), split(given @ v.T)
        first, second = (
            functional.scaled_dot_product_attention(queries[:, t::pair], keys[:, t::pair], values)
            for t in range(pair)
        )
        y = first - 0.5 * second
        y = 0.2 * y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-5)
        return y[0].transpose(0, 1).reshape(n, WIDTH) @ out.T

    return differential if rule else plain


def _layers(n: int, rule: bool) -> Case:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, WIDTH)).astype(np.float32)
    layer = _layer(rng, 2 if rule else 1)
    if rule:
        layer = heads.Layer(
            layer.q, layer.k, layer.v, layer.out, HEADS, differential=heads.Differential(0.5)
        )
    pair = 2 if rule else 1
    others = {"torch": _torch(x, layer, rule)} if present("torch") else {}
    return Case(
        name=f"{'differential' if rule else 'multi-head'} {n} x {WIDTH}, {HEADS} heads",
        family="heads",
        ours=lambda: heads.multi_head(x, layer),
        others=others,
        flops=pair * 4.0 * n * WIDTH * WIDTH + 4.0 * n * WIDTH * WIDTH + pair * 4.0 * n * n * WIDTH,
    )


def _route(tokens: int, experts: int) -> Case:
    logits = np.random.default_rng(3).standard_normal((tokens, experts)).astype(np.float32)
    others: dict[str, Call] = {}

    def in_numpy() -> object:
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        index = np.argpartition(-p, 1, axis=1)[:, :2]
        weights = np.take_along_axis(p, index, axis=1)
        load = np.bincount(index.ravel(), minlength=experts) / index.size
        balance = experts * (load * p.mean(axis=0)).sum()
        return index, weights / weights.sum(axis=1, keepdims=True), balance

    others["numpy"] = in_numpy
    if present("torch"):
        torch = library("torch")
        given = torch.from_numpy(logits)

        def in_torch() -> object:
            p = torch.softmax(given, 1)
            weights, index = p.topk(2, dim=1)
            load = torch.bincount(index.flatten(), minlength=experts) / index.numel()
            return index, weights / weights.sum(1, keepdim=True), experts * (load * p.mean(0)).sum()

        others["torch"] = in_torch
    return Case(
        name=f"route {tokens} tokens, 2 of {experts} experts",
        family="heads",
        ours=lambda: heads.route(logits, k=2),
        others=others,
    )


def _mixture() -> Case:
    rng = np.random.default_rng(4)
    x, keys, values = (rng.standard_normal((512, 64)).astype(np.float32) for _ in range(3))
    gate = rng.standard_normal((4, 64)).astype(np.float32) / 8

    def expert(scale: float) -> heads.Expert:
        return lambda q, at: attention.sdpa(q, keys, values, scale=scale)

    experts = [expert(scale) for scale in (0.05, 0.125, 0.2, 0.5)]
    return Case(
        name="mixture of 4 attention experts, 512 x 64, 2 each",
        family="heads",
        ours=lambda: heads.mixture(x, gate, experts, k=2),
        note="no library has it",
    )


def cases() -> Iterator[Case]:
    for n in (1, 100, 1024):
        yield _layers(n, False)
    for n in (100, 1024):
        yield _layers(n, True)
    yield _route(1024, 8)
    yield _route(4096, 64)
    yield _mixture()
