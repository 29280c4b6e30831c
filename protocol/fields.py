"""Parameters and whole messages as bytes: what ``key=value`` may hold, and how it is escaped. No IO."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ganglion.protocol.errors import UsageError

KEY_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,15}")
_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b":;%")


def escape(value: str) -> str:
    """Percent-encode what may not stand in a parameter's value."""
    return "".join(chr(b) if b in _PLAIN else f"%{b:02X}" for b in value.encode())


def unescape(value: bytes) -> str:
    """The text of a percent-encoded value; broken codes are left as they are."""
    if b"%" not in value:
        return value.decode("ascii", "replace")
    text = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), value)
    return text.decode("utf-8", "replace")


def parse_params(raw: bytes) -> dict[str, str]:
    """``key=value;key=value`` as a dictionary, values decoded."""
    pairs = (field.partition(b"=") for field in raw.split(b";") if field)
    return {key.decode("ascii", "replace"): unescape(value) for key, _, value in pairs}


def format_params(params: Mapping[str, Any]) -> bytes:
    """A dictionary as ``key=value;key=value``; None values are left out, lists joined with commas.

    Raises:
        UsageError: a key that the grammar does not know.
    """
    fields = []
    for key, value in params.items():
        if value is None:
            continue
        if not KEY_PATTERN.fullmatch(key):
            raise UsageError(f"parameter {key!r}: a-z, then up to 15 of a-z 0-9 _")
        if isinstance(value, bool):
            value = int(value)
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        fields.append(f"{key}={escape(str(value))}")
    return ";".join(fields).encode()


def format_line(head: bytes, task: bytes, params: bytes, payload: bytes | memoryview) -> bytes:
    """One message; ``head`` is ``TYPE:ACTION``. ``len=`` is added where the payload needs it."""
    payload = bytes(payload)  # no copy when it is bytes already
    if b"\n" in payload or payload.endswith(b"\0"):
        params = b"%blen=%d" % (params + b";" if params else b"", len(payload))
    if params:
        return b"%b:%b;%b:%b\n" % (head, task, params, payload)
    return b"%b:%b:%b\n" % (head, task, payload)
