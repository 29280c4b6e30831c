"""bench/: the statistics are right, the peers really run, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import posix_ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import until

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))  # as Python does for `python bench/roundtrip.py`

import harness  # noqa: E402
from targets import base, gearman, mqueue_raw  # noqa: E402

SLOT = 1024  # two queues of 10 x 1024 fit into any budget; the bench itself uses 8192
DEADLINE_S = 20.0
SAMPLES = st.lists(st.floats(0.001, 1e9), min_size=1, max_size=200)


def options(**changes: Any) -> harness.Options:
    words = ["--rounds", "2", "--seconds", "0.1", "--json-only"]
    parsed = harness.parse_options(words, "a test", "mqueue_raw")
    for name, value in changes.items():
        setattr(parsed, name, value)
    return parsed


def measured(target: str, metric: str, number: int, value: float) -> harness.Measurement:
    unit = "us" if metric == "roundtrip" else "tasks/s"
    stats = harness.Stats(samples=3, p50=value, p99=2 * value, min=value / 2)
    return harness.Measurement(target, metric, unit, number, 1, value, stats)


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def assert_gone(name: str) -> None:
    with pytest.raises(posix_ipc.ExistentialError):
        posix_ipc.MessageQueue(name)


# -- statistics --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([7.0], 0, 7.0),
        ([7.0], 99, 7.0),
        ([1.0, 2.0, 3.0, 4.0], 50, 2.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 50, 3.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 101)], 100, 100.0),
    ],
)
def test_percentile_is_the_nearest_rank(
    samples: list[float], percent: float, expected: float
) -> None:
    assert harness.percentile(samples, percent) == expected


@given(SAMPLES, st.floats(0, 100))
def test_percentile_covers_its_share_with_a_measured_value(
    samples: list[float], percent: float
) -> None:
    value = harness.percentile(sorted(samples), percent)
    assert value in samples
    assert sum(one <= value for one in samples) >= percent / 100 * len(samples) - 1e-9
    assert sum(one < value for one in samples) <= percent / 100 * len(samples)


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_percentile_refuses_nonsense(samples: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match=r"no samples|a percentile is"):
        harness.percentile(samples, percent)


def test_describe_does_not_need_order() -> None:
    stats = harness.describe([float(n) for n in range(200, 0, -1)])
    assert stats == harness.Stats(samples=200, p50=100.0, p99=198.0, min=1.0)


def test_summary_is_the_median_over_rounds() -> None:
    one = harness.summarize([measured("a", "roundtrip", n, v) for n, v in enumerate([9, 1, 4])])
    stats = harness.Stats(samples=9, p50=4, p99=8, min=0.5)
    assert one == [harness.Summary("a", "roundtrip", "us", 3, 1, 4, stats)]


def test_ratios_are_paired_within_a_round_and_more_than_one_is_faster() -> None:
    times = [("a", 0, 10.0), ("b", 0, 20.0), ("a", 1, 1000.0), ("b", 1, 4000.0), ("a", 2, 1.0)]
    rounds = [measured(name, "roundtrip", n, value) for name, n, value in times]
    assert harness.times_as_fast(rounds, "a", "b", "roundtrip") == 3.0
    assert harness.times_as_fast(rounds, "b", "a", "roundtrip") == pytest.approx(0.375)
    rates = [measured("a", "throughput", 0, 50.0), measured("b", "throughput", 0, 10.0)]
    assert harness.times_as_fast(rates, "a", "b", "throughput") == 5.0
    assert harness.times_as_fast(rates, "a", "c", "throughput") is None


def test_every_target_is_compared_with_those_before_it() -> None:
    rounds = [measured(name, "roundtrip", 0, 1.0) for name in "abc"]
    pairs = list(harness.pairs(harness.summarize(rounds)))
    assert pairs == [("b", "a", "roundtrip"), ("c", "a", "roundtrip"), ("c", "b", "roundtrip")]


@pytest.mark.parametrize(
    ("at_least", "value", "passes"),
    [(True, 10, True), (True, 9.9, False), (False, 9.9, True), (False, 10, False)],
)
def test_gate_at_its_limit(at_least: bool, value: float, passes: bool) -> None:
    assert harness.Gate("a", "roundtrip", 10, at_least).passes(value) is passes


def test_a_gate_nothing_was_measured_for_fails(capsys: pytest.CaptureFixture[str]) -> None:
    run = harness.Run("test", options(check=True, targets=["a"]))
    run.measurements.append(measured("a", "roundtrip", 0, 5.0))
    passing = harness.Gate("a", "roundtrip", 6, at_least=False)
    assert harness.report(run, [passing])
    assert not harness.report(run, [passing, harness.Gate("b", "roundtrip", 6, at_least=False)])
    gates = [one for one in records(capsys.readouterr().out) if one["record"] == "gate"]
    assert [(one["target"], one["passed"]) for one in gates] == [
        ("a", True),
        ("a", True),
        ("b", False),
    ]


# -- the peers ---------------------------------------------------------------------------------


def test_mqueue_raw_runs_and_leaves_no_queue(capsys: pytest.CaptureFixture[str]) -> None:
    run = harness.Run("test", options())
    with mqueue_raw.MqueueRaw(slot=SLOT) as target:
        target.start(32)
        harness.measure_rounds(run, [target])
    assert run.broken == []
    assert harness.report(run, [])
    lines = records(capsys.readouterr().out)
    seen = [(one["record"], one["metric"], one["unit"], one["window"]) for one in lines]
    both = [("roundtrip", "us", 1), ("throughput", "tasks/s", 20)]
    assert seen == [("measurement", *one) for one in both * 2] + [("summary", *m) for m in both]
    for one in lines:
        assert (one["bench"], one["target"], one["size"]) == ("test", "mqueue_raw", 32)
        assert 0 < one["min"] <= one["p50"] <= one["p99"]
        assert one["value"] > 0
    assert lines[0]["samples"] > 10
    assert len(target.names) == 8
    for name in target.names:
        assert_gone(name)


def test_a_payload_that_fits_no_slot_is_unavailable_not_an_error() -> None:
    with (
        pytest.raises(base.UnavailableError, match="1 to 1024 bytes"),
        mqueue_raw.MqueueRaw(slot=SLOT) as target,
    ):
        target.start(SLOT + 1)


def test_a_killed_pingpong_leaves_neither_queue_nor_process() -> None:
    name = f"/{os.environ.get('GANGLION_INSTANCE', 'ganglion')}.bench.killed.{os.getpid()}"
    program = base.compile_c("pingpong", "rt")
    process = base.spawn(program, "rtt", name, "32", "60", str(SLOT))
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: bool(children.read_text()), DEADLINE_S, "the echo process does not start")
        echo = Path("/proc") / children.read_text().split()[0] / "stat"
        process.kill()
        process.wait()
        until(lambda: is_dead(echo), DEADLINE_S, "the echo process outlives its parent")
    finally:
        base.end(process)
    assert_gone(f"{name}.req")
    assert_gone(f"{name}.rep")


def is_dead(stat: Path) -> bool:
    """No such process, or a zombie that only waits for its new parent to look."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_gearman_runs_and_its_server_ends() -> None:
    with gearman.Gearman() as target:
        try:
            target.start(32)
        except base.UnavailableError as why:
            pytest.skip(f"the gearman peer is optional: {why}")
        assert min(target.roundtrip(0.05)) > 0
        assert target.throughput(0.05, 100) > 0
    with (
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.1", target.port)),
    ):
        pass


# -- the command -------------------------------------------------------------------------------


def command(*words: str) -> list[str]:
    return [sys.executable, str(BENCH / "roundtrip.py"), *words]


def test_a_module_that_does_not_import_is_skipped_and_its_gate_fails() -> None:
    words = command("--targets", "nonesuch", "--json-only")
    plain = subprocess.run(words, capture_output=True, text=True)
    assert plain.returncode == 0
    assert plain.stderr.startswith("nonesuch: skipped, its module does not import")
    assert [one["record"] for one in records(plain.stdout)] == ["machine"]
    checked = subprocess.run([*words, "--check"], capture_output=True, text=True)
    assert checked.returncode == 1
    assert [one["value"] for one in records(checked.stdout)[1:]] == [None, None]


@pytest.mark.parametrize(
    "words", [["--rounds", "0"], ["--seconds", "nan"], ["--targets", "a,a"], ["--nonsense"]]
)
def test_wrong_use_is_64(words: list[str]) -> None:
    done = subprocess.run(command(*words), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_sums_up_and_leaves_no_queue(number: int, status: int) -> None:
    words = command("--targets", "mqueue_raw", "--rounds", "100000", "--seconds", "0.05")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        first = [json.loads(run.stdout.readline()) for _ in range(3)]
        run.send_signal(number)
        rest, errors = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == status, errors
    assert [one["record"] for one in first] == ["machine", "measurement", "measurement"], errors
    assert {one["metric"] for one in records(rest) if one["record"] == "summary"} == {
        "roundtrip",
        "throughput",
    }
    for i in range(len(records(rest)) + 3):
        name = f"/{os.environ.get('GANGLION_INSTANCE', 'ganglion')}.bench.{run.pid}.{i}"
        assert_gone(f"{name}.req")
        assert_gone(f"{name}.rep")
