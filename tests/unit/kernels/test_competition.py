"""Soft and lateral competition, oscillators and the workspace through the Python face."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion.kernels import selection


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("n", [1, 3, 16, 17, 1_000])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 40.0])
def test_soft_is_a_softmax(n: int, temperature: float) -> None:
    x = normal(4, n)
    wide = x.astype(np.float64) / temperature
    want = np.exp(wide - wide.max(-1, keepdims=True))
    want /= want.sum(-1, keepdims=True)
    got = selection.soft_wta(x, temperature)
    assert np.allclose(got, want, rtol=2e-5, atol=1e-30)
    assert np.allclose(got.sum(-1), 1, atol=1e-5)
    assert selection.soft_wta(x, temperature, out=x) is x
    assert np.array_equal(x, got)


def test_soft_where_there_is_no_softmax() -> None:
    inf, nan = np.inf, np.nan
    x = np.array([[1, nan, 1, -inf], [inf, 5, nan, inf], [nan, -inf, nan, nan]], np.float32)
    want = [[0.5, 0, 0.5, 0], [0.5, 0, 0, 0.5], [0, 0, 0, 0]]
    assert selection.soft_wta(x).tolist() == want


def test_soft_winners_of_winners() -> None:
    """A temperature near 0 is the hard competition."""
    x = normal(5, 100)
    assert np.array_equal(selection.soft_wta(x, 1e-6).argmax(-1), selection.kwta(x, 1)[:, 0])


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 200), seed=st.integers(0, 1000))
def test_inhibition_of_all_leaves_the_largest(n: int, seed: int) -> None:
    x = np.random.default_rng(seed).permutation(n).astype(np.float32)
    got = selection.inhibit(x, 0.9 / (n - 1), rounds=10_000)
    assert np.flatnonzero(got).tolist() == [int(x.argmax())]
    assert np.array_equal(selection.inhibit(x, 0.0), x)


def test_inhibition_of_neighbours_sharpens_an_edge() -> None:
    """The overshoot at a step of light: the bright side beside the edge is inhibited less, the dark side more."""
    x = np.array([1.0] * 20 + [2.0] * 20, np.float32)
    got = selection.inhibit_near(x, 2, 0.5)
    assert got[20] > got[30] > got[10] > got[19]
    assert got[20] == pytest.approx(2 - 0.5 / 4 * (1 + 1 + 2 + 2))
    assert np.array_equal(selection.inhibit_near(x, 2, 0.5, rounds=0), x)


def test_elsewhere_oscillatory_routing_is_linear_and_exact() -> None:
    """Elsewhere a step takes n^2 sines; the mean field is the same sum in n of them."""
    n, coupling, dt = 50, 1.7, 0.03
    frequencies, phases = normal(n), normal(n, seed=1)
    ours = selection.Oscillators(frequencies, phases=phases)
    wide = phases.astype(np.float64)
    for _ in range(20):
        pull = np.sin(wide[None, :] - wide[:, None]).mean(1)
        wide = wide + dt * (frequencies + coupling * pull)
        ours.step(coupling, dt)
    apart = np.angle(np.exp(1j * (ours.phases - wide)))
    assert np.abs(apart).max() < 2e-5
    assert ours.order()[0] == pytest.approx(abs(np.exp(1j * wide).mean()), abs=2e-5)


@pytest.mark.parametrize("n", [2, 3, 10, 1_000])
def test_elsewhere_oscillators_do_not_begin_in_step(n: int) -> None:
    """Elsewhere phases start equal, so they are always in step until reset and the order parameter says nothing."""
    ours = selection.Oscillators(np.zeros(n, np.float32))
    assert len(set(ours.phases.tolist())) == n
    assert ours.order()[0] <= 1.08 / n + 1e-6


def test_coupling_brings_them_in_step_and_gates_follow() -> None:
    frequencies = np.linspace(-1, 1, 200, dtype=np.float32)
    ours = selection.Oscillators(frequencies)
    order = ours.trace(5.0, 0.05, 400)
    assert order.shape == (401, 2)
    assert order[0, 0] < 0.01
    assert order[-1, 0] > 0.95
    assert ours.order() == (order[-1, 0], order[-1, 1])
    assert ours.gains().min() > 0.9
    against = ours.gains(ours.order()[1] + np.pi)
    assert against.max() < 0.1
    loose = selection.Oscillators(frequencies)
    loose.step(0.1, 0.05, 400)
    assert loose.order()[0] < 0.5


def test_elsewhere_workspace_history_is_bounded() -> None:
    """Elsewhere the history of broadcasts grows without end; here it keeps the last ones, and capacity holds."""
    ours = selection.Workspace(4, history=8)
    for i in range(1_000):
        ours.offer(i, float(i + 1))
        assert len(ours.broadcast()) <= 4
    assert ours.history() == list(range(999, 991, -1))
    assert [item.id for item in ours.broadcast()] == [999, 998, 997, 996]


def test_workspace_by_a_plain_model() -> None:
    rng = np.random.default_rng(3)
    ours = selection.Workspace(5, width=2, floor=0.05)
    held: dict[int, tuple[float, float, int]] = {}
    for tick in range(2_000):
        id, salience = int(rng.integers(12)), float(np.float32(rng.random()))
        content = np.array([id, tick], np.float32)
        told, gone = ours.offer(id, salience, content)
        if id in held:
            was = held[id]
            held[id] = (max(salience, was[0]), float(tick), was[2])
            assert told == "renewed"
        elif salience >= 0.05 and len(held) < 5:
            held[id] = (salience, float(tick), tick)
            assert told == "entered"
        elif salience >= 0.05 and salience > min(held.values())[0]:
            weakest = min(held, key=lambda one: (held[one][0], held[one][2]))
            del held[weakest]
            held[id] = (salience, float(tick), tick)
            assert (told, gone) == ("replaced", weakest)
        else:
            assert told == "refused"
        if tick % 3 == 0:
            factor = np.float32(0.9)
            held = {i: (float(np.float32(s[0]) * factor), *s[1:]) for i, s in held.items()}
            held = {i: s for i, s in held.items() if s[0] >= np.float32(0.05)}
            assert ours.decay(float(factor)) == len(held)
        want = sorted(held, key=lambda one: (-held[one][0], held[one][2]))
        heard = ours.broadcast()
        assert [item.id for item in heard] == want
        assert [item.salience for item in heard] == [held[i][0] for i in want]
        assert [item.content.tolist() for item in heard] == [[i, held[i][1]] for i in want]
