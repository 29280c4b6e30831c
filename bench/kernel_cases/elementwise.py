"""Functions of one number: what the accuracy of the others rests on. No floors: nobody compares libraries by these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ganglion.kernels import elementwise
from kernel_cases.case import Call, Case, library, present

Function = Callable[..., Any]
FUNCTIONS: dict[str, Function] = {
    "exp": elementwise.exp,
    "log": elementwise.log,
    "tanh": elementwise.tanh,
}


def relative_errors(x: Any, ours: Function, theirs: Function) -> dict[str, float]:
    """The largest error against float64, relative above 1."""
    truth = theirs(x.astype(np.float64))
    scale = np.maximum(1, np.abs(truth))
    return {
        name: float(np.max(np.abs(function(x) - truth) / scale))
        for name, function in (("ganglion", ours), ("numpy", theirs))
    }


def cases() -> Iterator[Case]:
    x = np.random.default_rng(0).uniform(0.01, 8, 4096).astype(np.float32)
    out = np.empty_like(x)
    for name, ours in FUNCTIONS.items():
        theirs = getattr(np, name)
        others: dict[str, Call] = {"numpy": partial(theirs, x, out=out)}
        if present("torch"):
            torch = library("torch")
            others["torch"] = partial(
                getattr(torch, name), torch.from_numpy(x), out=torch.empty(4096)
            )
        yield Case(
            f"{name} of 4,096",
            "elementwise",
            partial(ours, x, out=out),
            others,
            errors=partial(relative_errors, x, ours, theirs),
            error_max=4e-7,
            bytes=2.0 * x.nbytes,
            peak="load_l1",
            note="errors are relative above 1",
        )
