"""The gate and the streams through the Python face."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import predictive


def normal(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


@pytest.fixture(params=kernels.isas())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    was = kernels.isa()
    kernels.force_isa(request.param)
    yield request.param
    kernels.force_isa(was)


# ---- the gate


@pytest.mark.parametrize("n", [1, 15, 16, 17, 64, 257, 4_096, 5_001])
@pytest.mark.usefixtures("level")
def test_gate_by_numpy(n: int) -> None:
    x, told = normal(n), normal(n, 1)
    rms = float(np.sqrt(np.mean((x.astype(np.float64) - told) ** 2)))
    residual, moved = np.empty(n, np.float32), told.copy()
    assert predictive.gate(x, moved, rms * 0.999, 0.25, residual=residual)
    assert np.array_equal(residual, x - told)
    assert np.array_equal(moved, told + np.float32(0.25) * (x - told))
    bound = predictive.bind_gate(x, told, rms * 1.001)
    assert not bound().surprised
    assert bound().rms == pytest.approx(rms, rel=2e-6)


def test_elsewhere_gate_leaves_the_prediction_when_it_sends_nothing() -> None:
    """Elsewhere the prediction moves also when nothing is sent, so that no decoder can follow."""
    x, told = normal(100), np.zeros(100, np.float32)
    residual = np.full(100, 9, np.float32)
    assert not predictive.gate(x, told, 10.0, 0.5, residual=residual)
    assert not told.any()
    assert (residual == 9).all()


def test_elsewhere_gate_tells_the_residual_it_acted_on() -> None:
    """Elsewhere the residual is computed twice; here what is told is what the prediction moved by."""
    told, follower = np.zeros(64, np.float32), np.zeros(64, np.float32)
    residual = np.empty(64, np.float32)
    rng = np.random.default_rng(0)
    sent = 0
    for tick in range(200):
        x = rng.standard_normal(64).astype(np.float32) * np.float32(1 + tick % 7)
        if predictive.gate(x, told, 2.0, 0.5, residual=residual):
            follower += np.float32(0.5) * residual
            sent += 1
        assert np.array_equal(told, follower)
    assert 0 < sent < 200


def test_gate_of_what_is_not_finite() -> None:
    x, told = np.array([1, np.nan, np.inf], np.float32), np.zeros(3, np.float32)
    assert predictive.gate(x, told, 1e9)
    assert np.array_equal(told, x, equal_nan=True)
    assert predictive.gate(np.ones(3, np.float32), told, 1e9)  # it recovers
    assert told.tolist() == [1, 1, 1]
    assert not predictive.gate(np.empty(0, np.float32), np.empty(0, np.float32), 0.0)


# ---- streams


def told_within(x: Any, view: Any, bound: Any) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(x - view) <= bound
    return bool(np.all(near | (x == view) | (np.isnan(x) & np.isnan(view))))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 70),
    bound=st.sampled_from([1e-6, 0.01, 3.0, 1e30]),
    trend=st.sampled_from([0.0, 0.25, 1.0]),
    beat=st.integers(0, 5),
    key_every=st.integers(0, 5),
    data=st.data(),
)
def test_elsewhere_decoder_can_follow(
    n: int, bound: float, trend: float, beat: int, key_every: int, data: st.DataObject
) -> None:
    """Elsewhere there is no decoder, and none could follow; here its view is within the bound at every tick."""
    encoder = predictive.VectorEncoder(n, bound, trend=trend, beat=beat, key_every=key_every)
    decoder = predictive.VectorDecoder(n)
    wild = st.lists(st.tuples(st.integers(0, n - 1), st.floats(width=32)), max_size=4)
    rng = np.random.default_rng(n)
    x, silent = np.zeros(n, np.float32), 0
    for tick in range(25):
        x += rng.standard_normal(n).astype(np.float32) * np.float32(0.01 * (tick % 3))
        for at, value in data.draw(wild):
            x[at] = value
        frame = encoder.encode(x)
        if frame is None:
            silent += 1
        else:
            silent = 0
            assert decoder.decode(frame) == "applied"
        assert decoder.in_step
        assert told_within(x, decoder.view(silent), np.float32(bound))
        assert not beat or silent < beat


def ticks_sent(trend: float) -> int:
    """Of 400 ticks of eight ramps."""
    encoder = predictive.VectorEncoder(8, 0.01, trend=trend, beat=0, key_every=0)
    decoder = predictive.VectorDecoder(8)
    slope, sent, last = np.arange(8, dtype=np.float32) / 16, 0, 0
    for tick in range(400):
        frame = encoder.encode(slope * np.float32(tick))
        if frame is not None:
            decoder.decode(frame)
            sent, last = sent + 1, tick
        view = decoder.view(tick - last)
        assert np.abs(view - slope * np.float32(tick)).max() <= np.float32(0.01)
    return sent


def test_what_goes_on_as_it_went_costs_nothing() -> None:
    """A frame about one element may not disturb what was learnt of the others."""
    assert ticks_sent(0.0) == 400
    assert ticks_sent(0.25) < 120


def test_both_ends_agree_on_any_level() -> None:
    x = normal(100)
    frames: dict[str, list[bytes | None]] = {}
    was = kernels.isa()
    try:
        for isa in kernels.isas():
            kernels.force_isa(isa)
            encoder = predictive.VectorEncoder(100, 0.01, trend=0.3, epoch=1)
            rng = np.random.default_rng(5)
            frames[isa] = []
            for _ in range(40):
                x = rng.standard_normal(100).astype(np.float32)
                frames[isa].append(encoder.encode(x))
    finally:
        kernels.force_isa(was)
    assert len({tuple(one) for one in frames.values()}) == 1


def test_after_a_loss_a_keyframe_brings_it_back() -> None:
    encoder, decoder = predictive.VectorEncoder(4, 0.1, beat=3), predictive.VectorDecoder(4)
    x = np.zeros(4, np.float32)

    def tick(change: float) -> bytes | None:
        x[1] += np.float32(change)
        return encoder.encode(x)

    first = tick(1)
    assert first is not None
    assert not decoder.in_step
    assert decoder.decode(first) == "applied"
    assert decoder.decode(first) == "old"
    assert tick(1) is not None  # lost on its way
    beat = next(frame for frame in (tick(0) for _ in range(3)) if frame)
    assert decoder.decode(beat) == "lost"  # a silent stream tells too
    assert not decoder.in_step
    assert decoder.view().tolist() == [0, 1, 0, 0]
    encoder.key()
    key = tick(0)
    assert key is not None
    assert decoder.decode(key) == "applied"
    assert decoder.in_step
    assert np.array_equal(decoder.view(), x)


def test_a_new_encoder_takes_over_and_the_old_is_not_heard() -> None:
    decoder = predictive.VectorDecoder(2)
    old = predictive.VectorEncoder(2, 0.1, epoch=5)
    new = predictive.VectorEncoder(2, 0.1, epoch=6)
    one, two = np.full(2, 1, np.float32), np.full(2, 2, np.float32)
    frames = [old.encode(one), new.encode(two), old.encode(two)]
    assert [decoder.decode(frame) for frame in frames if frame] == ["applied", "applied", "old"]
    assert decoder.view().tolist() == [2, 2]


@settings(max_examples=200, deadline=None)
@given(frame=st.binary(max_size=60))
def test_any_bytes_are_refused_or_read(frame: bytes) -> None:
    decoder, other = predictive.VectorDecoder(3), predictive.TelemetryDecoder(3)
    for one in (decoder, other):
        with pytest.raises(ValueError, match=r"^frame"):
            one.decode(frame)


def test_a_changed_byte_is_noticed() -> None:
    encoder = predictive.VectorEncoder(20, 0.1)
    frames = [encoder.encode(normal(20, seed)) for seed in range(3)]
    decoder = predictive.VectorDecoder(20)
    for frame in frames:
        assert frame is not None
        for at in range(len(frame)):
            bad = bytearray(frame)
            bad[at] ^= 4
            with pytest.raises(ValueError, match=r"^frame"):
                decoder.decode(bytes(bad))
            with pytest.raises(ValueError, match=r"^frame"):
                decoder.decode(frame[:at])
        assert decoder.decode(frame) == "applied"


# ---- telemetry


@settings(max_examples=60, deadline=None)
@given(
    bounds=st.lists(st.sampled_from([0.0, 0.5, 1e-3]), min_size=1, max_size=20),
    trend=st.sampled_from([0.0, 0.5, 1.0]),
    data=st.data(),
)
def test_telemetry_is_within_its_bounds_at_every_sample(
    bounds: list[float], trend: float, data: st.DataObject
) -> None:
    fields = len(bounds)
    encoder = predictive.TelemetryEncoder(bounds, trend=trend, key_every=7, beat=4)
    decoder = predictive.TelemetryDecoder(fields)
    value = st.one_of(
        st.floats(width=64), st.integers(-(2**53), 2**53).map(float), st.just(float("nan"))
    )
    changes = st.lists(st.tuples(st.integers(0, fields - 1), value), max_size=3)
    x, now = np.zeros(fields), -(10**6)
    for _ in range(15):
        now += data.draw(st.integers(0, 10**9))
        for at, new in data.draw(changes):
            x[at] = new
        frame = encoder.encode(now, x)
        if frame is not None:
            assert decoder.decode(frame) == "applied"
            assert decoder.time == now
        assert told_within(x, decoder.view(now), np.array(bounds))


def test_counters_that_go_on_as_before_cost_nothing_and_are_exact() -> None:
    encoder = predictive.TelemetryEncoder([0.0, 0.0], trend=1.0, beat=0, key_every=0)
    decoder = predictive.TelemetryDecoder(2)
    total = 0
    for tick in range(1_000):
        x = np.array([10.0**12 + 250 * tick, 2.0**53 - 1 - tick])
        frame = encoder.encode(tick * 10, x)
        if frame is not None:
            decoder.decode(frame)
            total += len(frame)
        assert decoder.view(tick * 10).tolist() == x.tolist()
    assert total < 120


def numbers_of(path: str) -> list[float]:
    return [float(word) for word in Path(path).read_text().split() if word.isdigit()]


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the telemetry of Linux")
def test_telemetry_of_this_machine_shrinks() -> None:
    """Exactly: counters and sizes as they are, keyframes included."""
    fields = len(numbers_of("/proc/meminfo")) + 40
    encoder = predictive.TelemetryEncoder([0.0] * fields, trend=0.0)
    decoder = predictive.TelemetryDecoder(fields)
    total = 0
    for tick in range(100):
        x = np.array([*numbers_of("/proc/stat")[:40], *numbers_of("/proc/meminfo")])
        frame = encoder.encode(tick, x)
        if frame is not None:
            assert decoder.decode(frame) == "applied"
            total += len(frame)
        assert np.array_equal(decoder.view(tick), x)
    assert total * 3 < 100 * 8 * fields


X = np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("x", lambda: predictive.gate(np.zeros(4), X, 1.0)),
        ("x", lambda: predictive.gate(np.zeros((2, 2), np.float32), X, 1.0)),
        ("prediction", lambda: predictive.gate(X, np.zeros(5, np.float32), 1.0)),
        ("prediction", lambda: predictive.gate(X, X, 1.0)),
        ("prediction", lambda: predictive.gate(X, np.frombuffer(bytes(16), np.float32), 1.0)),
        ("residual", lambda: predictive.gate(X, X.copy(), 1.0, residual=X)),
        ("threshold", lambda: predictive.gate(X, X.copy(), -1.0)),
        ("threshold", lambda: predictive.bind_gate(X, X.copy(), float("nan"))),
        ("rate", lambda: predictive.gate(X, X.copy(), 1.0, 2.0)),
        ("n", lambda: predictive.VectorEncoder(0, 0.1)),
        ("n", lambda: predictive.VectorDecoder(2**25)),
        ("bound", lambda: predictive.VectorEncoder(4, 0.0)),
        ("bound", lambda: predictive.VectorEncoder(4, 1e-60)),
        ("bound", lambda: predictive.VectorEncoder(4, float("nan"))),
        ("trend", lambda: predictive.VectorEncoder(4, 0.1, trend=1.5)),
        ("key_every", lambda: predictive.VectorEncoder(4, 0.1, key_every=-1)),
        ("beat", lambda: predictive.VectorEncoder(4, 0.1, beat=2**32)),
        ("epoch", lambda: predictive.VectorEncoder(4, 0.1, epoch=-1)),
        ("x", lambda: predictive.VectorEncoder(5, 0.1).encode(X)),
        ("ticks", lambda: predictive.VectorDecoder(4).view(-1)),
        ("out", lambda: predictive.VectorDecoder(4).view(out=np.zeros(5, np.float32))),
        ("bounds", lambda: predictive.TelemetryEncoder([])),
        ("bounds", lambda: predictive.TelemetryEncoder([-1.0])),
        ("bounds", lambda: predictive.TelemetryEncoder([float("inf")])),
        ("fields", lambda: predictive.TelemetryDecoder(0)),
        ("values", lambda: predictive.TelemetryEncoder([1.0]).encode(0, X)),
        ("time", lambda: predictive.TelemetryEncoder([1.0]).encode(2**63, np.zeros(1))),
    ],
)
def test_says_which_argument_is_wrong(name: str, call: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}"):
        call()


def test_time_does_not_run_backwards() -> None:
    encoder, decoder = predictive.TelemetryEncoder([1.0]), predictive.TelemetryDecoder(1)
    assert decoder.time is None
    frame = encoder.encode(10, np.ones(1))
    assert frame is not None
    with pytest.raises(ValueError, match=r"^time"):
        encoder.encode(9, np.ones(1))
    decoder.decode(frame)
    with pytest.raises(ValueError, match=r"^time"):
        decoder.view(9)
