"""Unix stream sockets: the listener of a coordinator and the connection of a peer."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from ganglion.protocol.errors import TransportError, UsageError

SOCKET_PATH_BYTES_MAX = 107  # sun_path of Linux, less its NUL


def _checked(path: Path) -> str:
    text = str(path)
    if len(os.fsencode(text)) > SOCKET_PATH_BYTES_MAX:
        raise UsageError(
            f"socket path {text} is over {SOCKET_PATH_BYTES_MAX} bytes: "
            "set GANGLION_RUNTIME_DIR to a shorter directory"
        )
    return text


def listen(path: Path, backlog: int = 128) -> socket.socket:
    """A listening socket at ``path``, for its owner alone.

    A socket file left by a dead coordinator is replaced; the caller holds the instance's claim, so
    a living one cannot be.

    Raises:
        UsageError: the path is too long for a Unix socket.
        TransportError: the kernel refused.
    """
    text = _checked(path)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        sock.bind(text)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise TransportError(
            error.errno or 0, f"cannot listen on {text}: {error.strerror}"
        ) from error
    finally:
        os.umask(mask)
    sock.setblocking(False)
    return sock


def connect(path: Path) -> socket.socket | None:
    """A connection to the coordinator, or None when nobody listens there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(_checked(path))
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except OSError as error:
        sock.close()
        raise TransportError(
            error.errno or 0, f"cannot connect to {path}: {error.strerror}"
        ) from error
    return sock
