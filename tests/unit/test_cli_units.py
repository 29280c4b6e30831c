"""Durations in, human units out."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ganglion.clients.cli.units as units
from ganglion.clients.cli.units import duration_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("500ms", 500), ("10s", 10_000), ("10", 10_000), ("0", 0), ("1.5s", 1500), (".5s", 500),
        ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000), ("1h30m", 5_400_000),
        ("1m500ms", 60_500), ("0.0004s", 0),
    ],
)  # fmt: skip
def test_durations(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "ms",
        "-1s",
        "1 s",
        "1x",
        "1s2",
        "2 1s",
        "1e3",
        "ten",
        "1s ",
        "9" * 400,
        "²s",
        "\uff11s",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        duration_ms(text)


@given(st.integers(0, units.DURATION_MS_MAX))
def test_every_number_of_ms_is_read_back(ms: int) -> None:
    assert duration_ms(f"{ms}ms") == ms


@given(st.floats(0, 1e9))
def test_durations_for_people_are_short(seconds: float) -> None:
    shown = units.duration(seconds)
    assert len(shown) <= 10
    assert shown[0].isdigit()


@given(st.integers(0, 1 << 60))
def test_sizes_for_people_are_short_and_within_a_tenth(count: int) -> None:
    number, unit = units.size(count).split()
    factor = 1024 ** ("B", "KiB", "MiB", "GiB", "TiB").index(unit)
    assert abs(float(number) * factor - count) <= max(0.1 * count, 0.5)


def test_the_examples_of_the_modules_hold() -> None:
    from ganglion.clients.cli import ingest, options, progress, results, table

    for module in (units, options, progress, results, table, ingest):
        found = doctest.testmod(module)
        assert found.attempted > 0, module
        assert found.failed == 0, module
