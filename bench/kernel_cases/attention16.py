"""Attention on bfloat16 and float16, and on float32 by three bfloat16 products, beside torch's of the same type.

The result of f32x3 is compared with torch's float32. Errors are against float64 on the inputs as they are stored, so
for 16 bits they are mostly the rounding of the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ganglion.kernels import attention
from kernel_cases.case import Case, library, present

DIM = 64


def _exact(q: Any, k: Any, v: Any, causal: bool) -> Any:
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    scores = q @ k.T * DIM**-0.5
    if causal:
        scores[~np.tri(*scores.shape, dtype=bool)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def _case(
    name: str,
    n: int,
    kind: str,
    goals: tuple[float | None, float | None, float | None] = (None, None, None),
    causal: bool = False,
    needs: str | None = None,
) -> Case:
    torch = library("torch")
    dtype = {"bf16": torch.bfloat16, "f16": torch.float16, "f32x3": torch.float32}[kind]
    generator = torch.Generator().manual_seed(n)
    q, k, v = (torch.randn(n, DIM, generator=generator).to(dtype) for _ in range(3))
    precision = "f32x3" if kind == "f32x3" else "f32"
    product = torch.nn.functional.scaled_dot_product_attention
    batched = [x[None, None] for x in (q, k, v)]

    def ours() -> object:
        return attention.sdpa(q, k, v, causal=causal, precision=precision)

    def theirs() -> object:
        return product(*batched, is_causal=causal)

    def errors() -> dict[str, float]:
        want = _exact(*(x.double().numpy() for x in (q, k, v)), causal)
        found = {
            "ganglion": torch.as_tensor(ours()).double().numpy(),
            "torch": theirs()[0, 0].double().numpy(),  # type: ignore[index]
        }
        return {side: float(np.abs(got - want).max()) for side, got in found.items()}

    return Case(
        name=name,
        family="attention16",
        ours=ours,
        others={"torch": theirs},
        against="torch",
        floor=goals[0],
        target=goals[1],
        stretch=goals[2],
        flops=4.0 * n * n * DIM / (2 if causal else 1),
        peak="fma_f32" if kind != "bf16" else "bf16",
        errors=errors,
        error_max=5e-6 if kind == "f32x3" else None,
        error_times=1.5 if kind != "f32x3" else None,
        needs=needs,
    )


def cases() -> Iterator[Case]:
    """bfloat16 whole and causal, float16, and f32x3 where there are tiles."""
    if not present("torch"):
        return
    for n in (512, 1000, 2048):
        yield _case(f"sdpa bf16 n = {n}", n, "bf16", (1.15, 1.6, 2.3))
    yield _case("sdpa bf16 n = 100", 100, "bf16")
    yield _case("sdpa bf16 causal n = 512", 512, "bf16", causal=True)
    yield _case("sdpa bf16 causal n = 2048", 2048, "bf16", causal=True)
    yield _case("sdpa f16 n = 512", 512, "f16")
    yield _case("sdpa f16 n = 2048", 2048, "f16")
    for n in (512, 1000, 2048):
        yield _case(f"sdpa f32x3 n = {n}", n, "f32x3", (1.6, 2.2, 3.5), needs="sapphire")
