"""The options of a submission, checked where the caller can see them: before anything is sent.

What the grammar and the coordinator check anyway (numbers, names of actions and tasks) is left to
them; here is what would be taken for something else, or travel unnoticed.
"""

from __future__ import annotations

from typing import Any

from ganglion.protocol.errors import UsageError

PRIORITIES = {"low": 1, "normal": 4, "high": 7, "urgent": 9}
DUP = ("existing", "reject", "replace")
NEEDS = ("all", "ended", "any")
LABELS_MAX = 4
KEY_BYTES_MAX = 64
RETRY_MS_MAX = 4294967295


def _one_of(name: str, value: Any, words: tuple[str, ...]) -> str:
    if value not in words:
        raise UsageError(f"{name}={value!r}: use {', '.join(words)}")
    return str(value)


def _retry(value: Any) -> list[int]:
    items = value.split(",") if isinstance(value, str) else value
    pauses = list(items) if isinstance(items, list | tuple) else [items]
    try:
        found = [int(pause) for pause in pauses if not isinstance(pause, bool | float)]
    except (TypeError, ValueError):
        found = []
    if not found or len(found) != len(pauses) or not all(0 <= p <= RETRY_MS_MAX for p in found):
        raise UsageError(f"retry={value!r}: pauses in whole ms, such as [100, 1000]")
    return found


def _labels(value: Any) -> list[str]:
    labels = value.split(",") if isinstance(value, str) else [str(label) for label in value]
    if not 1 <= len(labels) <= LABELS_MAX or not all(labels) or any("," in x for x in labels):
        raise UsageError(f"label={value!r}: one to {LABELS_MAX} names without commas")
    return labels


def _key(value: Any) -> str:
    text = str(value)
    if not 1 <= len(text.encode()) <= KEY_BYTES_MAX:
        raise UsageError(f"key={value!r}: 1 to {KEY_BYTES_MAX} bytes of text")
    return text


def _once(value: Any) -> int | None:
    if value not in (0, 1, "0", "1"):
        raise UsageError(f"once={value!r}: True or False")
    return 1 if int(value) else None


_CHECKS = {
    "prio": lambda value: PRIORITIES.get(value, value),
    "once": _once,
    "dup": lambda value: _one_of("dup", value, DUP),
    "needs": lambda value: _one_of("needs", value, NEEDS),
    "retry": _retry,
    "label": _labels,
    "key": _key,
}


def checked(options: dict[str, Any]) -> dict[str, Any]:
    """``options`` as they are written into the header.

    Raises:
        UsageError: one that could not mean what was meant.
    """
    found = dict(options)
    for name, check in _CHECKS.items():
        if found.get(name) is not None:
            found[name] = check(found[name])
    if found.get("needs") is not None and not found.get("after"):
        raise UsageError(f"needs={found['needs']!r} says what of after= is needed: give after too")
    return found
