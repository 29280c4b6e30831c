"""Ganglion's protocol: what is said and how it travels.

Owns the bytes of messages, payload codecs, names, blobs and transports. Knows nothing of clients
and daemons. The names below are imported when first used: a program pays only for what it touches.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganglion.protocol.codec import decode, encode
    from ganglion.protocol.errors import (
        GanglionError,
        HostError,
        PeerError,
        ProtocolError,
        StateError,
        TransportError,
        UsageError,
    )
    from ganglion.protocol.message import (
        Message,
        StreamParser,
        format_batch,
        parse_batch,
        parse_each,
    )

__all__ = [
    "GanglionError",
    "HostError",
    "Message",
    "PeerError",
    "ProtocolError",
    "StateError",
    "StreamParser",
    "TransportError",
    "UsageError",
    "decode",
    "encode",
    "format_batch",
    "parse_batch",
    "parse_each",
]

_HOME = {
    **dict.fromkeys(("decode", "encode"), "codec"),
    **dict.fromkeys(("Message", "StreamParser"), "message"),
    **dict.fromkeys(("format_batch", "parse_batch", "parse_each"), "message"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
