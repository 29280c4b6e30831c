"""The options of a submission, a limit and a schedule: what is written, and what is refused before it is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ganglion.clients import requests
from ganglion.protocol.again import repeatable
from ganglion.protocol.errors import UsageError
from ganglion.protocol.fields import format_params
from ganglion.protocol.options import checked

TIMES: dict[str, Any] = {
    "cron": None, "every": None, "offset": None, "missed": None, "overlap": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"once": True, "prio": "urgent"}, b"once=1;prio=9"),
        ({"once": False, "prio": 3}, b"prio=3"),
        ({"retry": [100, 1000]}, b"retry=100,1000"),
        ({"retry": 100}, b"retry=100"),
        ({"retry": "0,5"}, b"retry=0,5"),
        ({"needs": "any", "after": ["x", "y"]}, b"needs=any;after=x,y"),
        ({"key": "user 7;x", "label": ["openai", "gpu"]}, b"key=user%207%3Bx;label=openai,gpu"),
        ({"dup": "replace", "label": "a,b"}, b"dup=replace;label=a,b"),
        ({"key": None, "width": 200}, b"width=200"),
    ],
)
def test_what_is_written(options: dict[str, Any], written: bytes) -> None:
    assert format_params(checked(options)) == written


@pytest.mark.parametrize(
    "options",
    [
        {"once": 2}, {"once": "yes"}, {"dup": "again"}, {"dup": 1}, {"retry": []}, {"retry": [1.5]},
        {"retry": [-1]}, {"retry": [True]}, {"retry": "soon"}, {"retry": [1 << 32]},
        {"needs": "all"}, {"needs": "some", "after": ["x"]}, {"key": ""}, {"key": "k" * 65},
        {"key": "ä" * 33}, {"label": []}, {"label": list("abcde")}, {"label": ["a,b"]},
        {"label": ["a", ""]},
    ],
)  # fmt: skip
def test_what_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        checked(options)


def test_a_limit() -> None:
    body = requests.limit("label", "openai", {"rate": 2.5, "burst": None, "running": 2})
    assert json.loads(body) == {"label": "openai", "rate": 2.5, "running": 2}
    assert json.loads(requests.limit("action", "A", {})) == {"action": "A"}
    for wrong in (("agent", "a", {}), ("label", "a", {"speed": 1}), ("label", "a", {"rate": -1})):
        with pytest.raises(UsageError):
            requests.limit(*wrong)


def test_a_schedule() -> None:
    written = requests.schedule(
        "REPORT", {"ct": "json", "prio": "low", "label": ["a"]},
        **{**TIMES, "cron": "30 4 * * MON-FRI", "offset": 60, "overlap": "skip"},
    )  # fmt: skip
    assert format_params(written) == (
        b"action=REPORT;cron=30%204%20*%20*%20MON-FRI;offset=60;overlap=skip;prio=1;label=a"
    )


@pytest.mark.parametrize(
    "times",
    [
        {}, {"cron": "@daily", "every": 1000}, {"every": 1000, "missed": "some"},
        {"every": 1000, "overlap": "never"},
    ],
)  # fmt: skip
def test_a_schedule_that_is_refused(times: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        requests.schedule("A", {}, **{**TIMES, **times})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "n" * 49, "a\n"])
def test_no_name_of_a_schedule(name: str) -> None:
    with pytest.raises(UsageError, match="schedule"):
        requests.schedule_name(name)


def test_what_may_be_asked_again_after_a_restart() -> None:
    assert repeatable(b"CONTROL:SCHEDULE:n;action=A;every=100:\n")
    assert not repeatable(b"CONTROL:UNSCHEDULE:n\n")  # the second time it would be unknown
