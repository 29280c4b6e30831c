"""The selective scan beside a loop over time in numpy and torch, whose steps are vectors over channels and states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ganglion.kernels import scan
from kernel_cases.case import Call, Case, library, present


def cases() -> Iterator[Case]:
    """64 channels, 16 states, 100 and 1,000 tokens, softplus, skip and gate included; one step of a Mamba block."""
    yield _scan(1000, floor=15.0, target=20.0, stretch=35.0)
    yield _scan(100)
    yield _step()


def _inputs(length: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    shapes = {
        "x": (length, 64),
        "delta": (length, 64),
        "b": (length, 16),
        "c": (length, 16),
        "skip": (64,),
        "gate": (length, 64),
    }
    found = {name: rng.standard_normal(s).astype(np.float32) for name, s in shapes.items()}
    found["a_log"] = np.tile(np.log(np.arange(1, 17, dtype=np.float32)), (64, 1))
    return found


def numpy_scan(x: Any, delta: Any, a_log: Any, b: Any, c: Any, skip: Any, gate: Any) -> Any:
    a, dt = -np.exp(a_log), np.logaddexp(x.dtype.type(0), delta)
    fed = dt * x
    h = np.zeros_like(a)
    y = np.empty_like(x)
    for t in range(len(x)):
        h *= np.exp(dt[t][:, None] * a)
        h += fed[t][:, None] * b[t]
        y[t] = h @ c[t]
    return (y + skip * x) * (gate / (1 + np.exp(-gate)))


def _torch_scan(x: Any, delta: Any, a_log: Any, b: Any, c: Any, skip: Any, gate: Any) -> Call:
    torch = library("torch")
    tx, td, ta, tb, tc, ts, tg = (torch.from_numpy(i) for i in (x, delta, a_log, b, c, skip, gate))

    def call() -> Any:
        a, dt = -ta.exp(), torch.nn.functional.softplus(td)
        fed = dt * tx
        h = torch.zeros_like(a)
        y = torch.empty_like(tx)
        for t in range(len(tx)):
            h = h * torch.exp(dt[t].unsqueeze(1) * a) + fed[t].unsqueeze(1) * tb[t]
            y[t] = h @ tc[t]
        return (y + ts * tx) * torch.nn.functional.silu(tg)

    return call


def _scan(length: int, **goals: Any) -> Case:
    of = _inputs(length)
    others: dict[str, Any] = {"numpy": lambda: numpy_scan(**of)}
    if present("torch"):
        others["torch"] = _torch_scan(**of)

    def errors() -> dict[str, float]:
        want = numpy_scan(**{name: value.astype(np.float64) for name, value in of.items()})
        found = {"ganglion": scan.selective_scan(**of), **{x: f() for x, f in others.items()}}
        return {name: float(np.abs(np.asarray(x) - want).max()) for name, x in found.items()}

    return Case(
        name=f"selective scan, {length} tokens, 64 channels, 16 states",
        family="scan",
        ours=lambda: scan.selective_scan(**of),
        others=others,
        against="numpy",
        errors=errors,
        error_max=2e-5,
        **goals,
    )


def _weights() -> dict[str, Any]:
    """A small block: 64 wide, 128 channels, 16 states, rank 4, convolution of 4."""
    rng = np.random.default_rng(2)
    shapes = {
        "in_proj": (256, 64),
        "conv": (4, 128),
        "conv_bias": (128,),
        "x_proj": (36, 128),
        "dt_proj": (128, 4),
        "dt_bias": (128,),
        "a_log": (128, 16),
        "skip": (128,),
        "out_proj": (64, 128),
    }
    return {name: (0.2 * rng.standard_normal(s)).astype(np.float32) for name, s in shapes.items()}


def _torch_step(w: dict[str, Any], x: Any) -> Call:
    torch = library("torch")
    t = {name: torch.from_numpy(value) for name, value in w.items()}
    silu, softplus = torch.nn.functional.silu, torch.nn.functional.softplus
    token, past, h = torch.from_numpy(x), torch.zeros(3, 128), torch.zeros(128, 16)

    def call() -> Any:
        nonlocal past, h
        u, z = (t["in_proj"] @ token).split(128)
        window = torch.cat((past, u.unsqueeze(0)))
        past = window[1:]
        u = silu((window * t["conv"]).sum(0) + t["conv_bias"])
        low, b, c = (t["x_proj"] @ u).split((4, 16, 16))
        dt = softplus(t["dt_proj"] @ low + t["dt_bias"])
        decay = torch.exp(-dt.unsqueeze(1) * t["a_log"].exp())
        h = h * decay + (dt * u).unsqueeze(1) * b
        return t["out_proj"] @ ((h @ c + t["skip"] * u) * silu(z))

    return call


def _step() -> Case:
    w = _weights()
    mamba, x = scan.Mamba(w), np.random.default_rng(3).standard_normal(64).astype(np.float32)
    state, out = mamba.state(), np.empty(64, np.float32)

    def errors() -> dict[str, float]:
        """Ten steps on the same token, beside torch's."""
        if not present("torch"):
            return {"ganglion": 0.0}
        begun, theirs = mamba.state(), _torch_step(w, x)
        gaps = [np.abs(mamba.step(x, begun) - np.asarray(theirs())).max() for _ in range(10)]
        return {"ganglion": float(max(gaps))}

    return Case(
        name="Mamba step, width 64, 128 channels, 16 states",
        family="scan",
        ours=lambda: mamba.step(x, state, out=out),
        others={"torch": _torch_step(w, x)} if present("torch") else {},
        errors=errors,
        error_max=1e-5,
    )
