"""Human units: durations in, durations, sizes, counts and rates out."""

from __future__ import annotations

import re

_UNITS_MS = {"": 1000, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|s|m|h|d|)")
_LARGE = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))
DURATION_MS_MAX = (1 << 53) - 1  # what the protocol lets a time be


def duration_ms(text: str) -> int:
    """``500ms``, ``10s``, ``1.5m``, ``2h``, ``1d``, ``1h30m`` or a bare number of seconds, in ms.

    Raises:
        ValueError: it is none of these.

    >>> duration_ms("500ms"), duration_ms("10"), duration_ms("1h30m")
    (500, 10000, 5400000)
    """
    total, at = 0.0, 0
    for match in _DURATION.finditer(text):
        # A bare number means seconds only when it stands alone.
        if match.start() != at or (match[2] == "" and match[0] != text):
            break
        total += float(match[1]) * _UNITS_MS[match[2]]
        at = match.end()
    if not text or at != len(text) or total > DURATION_MS_MAX:
        raise ValueError(f"{text!r} is no duration: use 500ms, 10s, 5m, 2h, 1d or seconds")
    return round(total)


def duration(seconds: float) -> str:
    """A duration for people, at most seven characters.

    >>> duration(0.0000123), duration(0.0123), duration(75), duration(90000)
    ('12 us', '12.3 ms', '1m 15s', '1d 1h')
    """
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, below, small in _LARGE:
        if whole >= unit:
            return f"{whole // unit}{name} {whole % unit // below}{small}"
    return f"{whole} s"


def size(count: float) -> str:
    """A number of bytes for people.

    >>> size(0), size(1536), size(536870912)
    ('0 B', '1.5 KiB', '512 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.{1 if unit != 'B' and count < 100 else 0}f} {unit}".replace(".0 ", " ")
        count /= 1024
    return f"{count:.1f} TiB"


def count(number: int) -> str:
    """A count for people.

    >>> count(999), count(1048576)
    ('999', '1,048,576')
    """
    return f"{number:,}"


def rate(number: float, seconds: float) -> str:
    """How many a second.

    >>> rate(5000, 2), rate(3, 2)
    ('2,500/s', '1.5/s')
    """
    per_second = number / seconds if seconds > 0 else 0.0
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.1f}/s"
