"""csrc/src/core/cron.c against cronsim, an independent reading of Debian's cron(5)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from cronsim import CronSim
from hypothesis import example, given
from hypothesis import strategies as st

from ganglion.protocol._native import ffi, lib

FIELDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
NAMES = {
    3: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    4: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}
LAST = 253402300799


def read(text: str) -> tuple[int, Any]:
    """What gn_cron_read says, and the expression."""
    cron = ffi.new("gn_cron *")
    return int(lib.gn_cron_read(cron, text.encode(), len(text.encode()))), cron


def good(text: str) -> Any:
    wrong, cron = read(text)
    assert wrong == 0, (text, ffi.string(lib.gn_cron_words(wrong)))
    return cron


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=timezone.utc).timestamp())  # type: ignore[arg-type, misc]


@st.composite
def fields(draw: st.DrawFn, field: int) -> str:
    """One field: a star, or a list of values, ranges and steps."""
    least, most = FIELDS[field]

    def name(value: int) -> str:
        names = NAMES.get(field)
        if names is None or value - least >= len(names) or draw(st.booleans()):
            return str(value)
        return draw(st.sampled_from([str.upper, str.lower, str.title]))(names[value - least])

    def item() -> str:
        kind = draw(st.sampled_from(["*", "*/", "a", "a-b", "a-b/", "a/"]))
        step = draw(st.integers(1, 20))
        first = draw(st.integers(least, most))
        if kind[0] == "*":
            return f"*/{step}" if kind == "*/" else "*"
        if kind[:3] == "a-b" and first < most:
            # (the names of a range stand in order; a range of one value with a step is read otherwise elsewhere)
            last = draw(st.integers(first + 1, most))
            return f"{name(first)}-{last}" + (f"/{step}" if kind == "a-b/" else "")
        return name(first) + (f"/{step}" if kind == "a/" else "")

    stars = draw(st.integers(0, 2)) == 0
    return "*" if stars else ",".join(item() for _ in range(draw(st.integers(1, 3))))


EXPRESSIONS = st.tuples(*[fields(field) for field in range(5)]).map(" ".join)
TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2400, 1, 1), timezones=st.just(timezone.utc))
OFFSETS = st.one_of(st.just(0), st.integers(-840, 840))


@given(EXPRESSIONS, TIMES, OFFSETS)
@example("0 0 29 2 *", datetime(1896 + 200, 3, 1, tzinfo=timezone.utc), 0)  # 2100 is no leap year
@example("0 0 29 2 */7", datetime(2080, 3, 1, tzinfo=timezone.utc), 0)  # a leap day on a Sunday
@example("0 0 13 * FRI", datetime(2026, 11, 21, tzinfo=timezone.utc), 60)
def test_the_next_times_are_cronsims(text: str, start: datetime, offset: int) -> None:
    zone = timezone(timedelta(minutes=offset))
    cron, now = good(text), int(start.timestamp())
    with_stars = text.upper()
    try:
        theirs = CronSim(with_stars, start.astimezone(zone))
    except Exception:
        assert lib.gn_cron_next(cron, now, offset) == -1, text
        return
    for _ in range(3):
        try:
            due = int(next(theirs).timestamp())
        except (StopIteration, RuntimeError):  # it gives up after 50 years
            ours = lib.gn_cron_next(cron, now, offset)
            assert ours == -1 or ours > now + 49 * 365 * 86400
            return
        assert lib.gn_cron_next(cron, now, offset) == due, (text, now)
        now = due


@given(EXPRESSIONS, TIMES, OFFSETS)
def test_back_and_forth(text: str, start: datetime, offset: int) -> None:
    """previous undoes next, nothing lies between the two, and count counts."""
    cron, now = good(text), int(start.timestamp())
    due = [now]
    for _ in range(4):
        following = int(lib.gn_cron_next(cron, due[-1], offset))
        if following < 0:
            return
        due.append(following)
    for earlier, later in pairwise(due[1:]):
        assert lib.gn_cron_previous(cron, later, offset) == earlier
        assert lib.gn_cron_previous(cron, earlier + 1, offset) == earlier
        assert lib.gn_cron_next(cron, later - 1, offset) == later
    assert lib.gn_cron_count(cron, due[0] + 1, due[4], offset) == 4
    assert lib.gn_cron_count(cron, due[1], due[3], offset) == 3
    assert lib.gn_cron_count(cron, due[1] + 1, due[3] - 1, offset) == 1
    assert lib.gn_cron_count(cron, due[1] + 1, due[1], offset) == 0


@given(TIMES)
def test_a_year_of_days_is_counted(start: datetime) -> None:
    now = int(start.timestamp())
    year = 400 * 365 + 97  # days in the calendar's cycle
    assert lib.gn_cron_count(good("0 0 * * *"), now, now + year * 86400 - 1, 0) == year
    assert lib.gn_cron_count(good("* * * * *"), now, now + 86400 - 1, 0) == 1440
    assert lib.gn_cron_count(good("0 12 29 2 *"), now, now + year * 86400 - 1, 0) == 97


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30 FEB */2"])
def test_what_never_comes(text: str) -> None:
    assert lib.gn_cron_next(good(text), at(2026, 11, 21), 0) == -1
    assert lib.gn_cron_previous(good(text), at(2026, 11, 21), 0) == -1
    assert lib.gn_cron_count(good(text), 0, LAST, 0) == 0


def test_the_end_of_time() -> None:
    yearly = good("@yearly")
    assert lib.gn_cron_next(yearly, at(9998, 12, 31), 0) == at(9999, 1, 1)
    for offset in (-1439, 0, 1439):
        assert lib.gn_cron_next(yearly, at(9999, 12, 31, 23, 59, 59), offset) == -1
        assert lib.gn_cron_next(yearly, (1 << 63) - 1, offset) == -1
        assert lib.gn_cron_next(yearly, -(1 << 63), offset) >= 0
        assert 0 <= lib.gn_cron_previous(yearly, (1 << 63) - 1, offset) <= LAST
        assert lib.gn_cron_previous(yearly, -(1 << 63), offset) == -1
    assert lib.gn_cron_next(good("0 0 29 2 *"), at(9996, 3, 1), 0) == -1
    assert lib.gn_cron_count(yearly, -(1 << 63), (1 << 63) - 1, 0) == 8030


def test_macros() -> None:
    for macro, text in {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "\t 0 0 * * FRI-SUN ": "0 0 * * 0,5,6",
        "0 0 * * 2-2/3": "0 0 * * 2",
    }.items():
        ours, theirs = good(macro), good(text)
        for name in ("minutes", "hours", "days", "months", "weekdays", "either"):
            assert getattr(ours, name) == getattr(theirs, name), (macro, name)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        *[(text, 6) for text in ("", "*", "* * * *", "* * * * * *", "@daily 1", "   ")],
        *[
            (f"{bad} * * * *", 1)
            for bad in ("60", "x", "-1", "*/0", "1-", "5-1", ",1", "1,", "1,,2", "@noon", "12345")
        ],
        *[(f"* {bad} * * *", 2) for bad in ("24", "*/", "1/x", "**", "*-3", "MON")],
        *[(f"* * {bad} * *", 3) for bad in ("0", "32", "L", "1#2", "?")],
        *[(f"* * * {bad} *", 4) for bad in ("0", "13", "MA", "MAYO", "DEC-JAN")],
        *[(f"* * * * {bad}", 5) for bad in ("8", "SU", "FRI-MON", "1L", "MON#1")],
    ],
)
def test_what_is_wrong_is_named(text: str, wrong: int) -> None:
    assert read(text)[0] == wrong
    assert ffi.string(lib.gn_cron_words(wrong)).startswith(b"cron")


@given(st.text(max_size=40))
def test_any_text_may_be_read(text: str) -> None:
    wrong, cron = read(text)
    assert 0 <= wrong <= 6
    if wrong == 0:
        lib.gn_cron_next(cron, 0, 0)
