"""Talking to a coordinator: ``Client`` (blocking), ``AsyncClient``, and the ``ganglion`` command.

Owns what people and programs use to submit, watch and steer. Knows daemons only by the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganglion.clients.aio import AsyncClient as AsyncClient
    from ganglion.clients.client import Client as Client

_HOMES = {"Client": "ganglion.clients.client", "AsyncClient": "ganglion.clients.aio"}
__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    """Import late: the command line must start in under 100 ms."""
    if name not in _HOMES:
        raise AttributeError(name)
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
