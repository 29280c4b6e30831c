"""Outcomes of tasks as people and programs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ganglion.protocol.session import Outcome

TEXT_TYPES = frozenset({"text", "json"})
PIECE_BYTES = 1 << 20  # of a result without content type that are looked at together


def is_text(payload: bytes | memoryview, ct: str) -> bool:
    """Whether a result is text: by its content type, else by its bytes."""
    if ct:
        return ct in TEXT_TYPES
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(payload), PIECE_BYTES):
            piece = bytes(payload[at : at + PIECE_BYTES])
            if b"\0" in piece:
                return False
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def ending(payload: bytes | memoryview, ct: str, wanted: bool) -> bytes:
    """The newline that is put behind a result: none to what has one, is empty, or is not text."""
    if not wanted or not len(payload) or payload[-1] == 0x0A or not is_text(payload, ct):
        return b""
    return b"\n"


def record(outcome: Outcome, **more: Any) -> dict[str, Any]:
    """An outcome as one JSON object; bytes that are no text stand under ``result_base64``."""
    found: dict[str, Any] = {**more, "task": outcome.task, "status": outcome.status}
    ct = outcome.params.get("ct", "")
    if ct:
        found["ct"] = ct
    if outcome.status == "completed":
        key, value = _value(outcome, ct)
        found[key] = value
    else:
        found.update(reason=outcome.reason, words=outcome.words)
    if "hops" in outcome.params:
        found["hops"] = [hop._asdict() for hop in hops(outcome.params["hops"])]
    return found


def late_record(outcome: Outcome) -> dict[str, Any]:
    """As ``record``, of an outcome that was not applied: whose it is, and how long it was."""
    params = outcome.params
    key, value = text_or_base64("result", outcome.payload)
    size = int(params.get("size", len(outcome.payload)))
    return {
        "task": outcome.task,
        "status": outcome.status,
        "late": True,
        "token": int(params["token"]),
        "from": params.get("from"),
        "bytes": size,
        key: value,
    }


def _value(outcome: Outcome, ct: str) -> tuple[str, Any]:
    from ganglion.protocol.errors import GanglionError

    if ct and ct != "text":
        try:
            data = outcome.data
        except GanglionError:  # not what it says: as it came
            data = outcome.payload
        if not isinstance(data, (bytes, memoryview)):
            return "result", data
    return text_or_base64("result", outcome.payload)


def text_or_base64(key: str, payload: bytes | memoryview) -> tuple[str, str]:
    """``key`` and text, or ``key_base64`` and base64."""
    try:
        return key, bytes(payload).decode()
    except UnicodeDecodeError:
        import base64

        return f"{key}_base64", base64.b64encode(payload).decode()


class Hop(NamedTuple):
    """One station of a task's way; times in microseconds."""

    action: str
    agent: str
    wait_us: int
    run_us: int


def hops(text: str) -> list[Hop]:
    """``ACTION.agent.wait_us.run_us,...``; an agent's name may hold dots.

    >>> hops("UPPER.upper.1.20.300")
    [Hop(action='UPPER', agent='upper.1', wait_us=20, run_us=300)]
    """
    found = []
    for field in text.split(","):
        action, _, rest = field.partition(".")
        parts = rest.rsplit(".", 2)
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            found.append(Hop(action, parts[0], int(parts[1]), int(parts[2])))
    return found


def hop_lines(text: str, seconds: float | None = None) -> list[str]:
    """The path of a task for people, one line a hop; ``seconds``: what the whole took here."""
    from ganglion.clients.cli.table import Column, render
    from ganglion.clients.cli.units import duration

    path = hops(text)
    rows = [[h.action, h.agent, duration(h.wait_us / 1e6), duration(h.run_us / 1e6)] for h in path]
    if seconds is not None:
        spent = sum(h.wait_us + h.run_us for h in path) / 1e6
        rows.append(["(all)", "", "", duration(seconds)])
        rows.append(["(on the way)", "", "", duration(max(0.0, seconds - spent))])
    columns = [Column("HOP"), Column("AGENT"), Column("WAITED", True), Column("RAN", True)]
    return render(columns, rows)
