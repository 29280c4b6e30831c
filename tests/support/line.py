"""One question to a coordinator over its Unix socket, with nothing but a socket.

It does not use the project's own codec, so that a fault there cannot hide itself.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path


def ask(path: Path, line: bytes, timeout: float = 10.0) -> bytes:
    """Send one message and return the first line that comes back, without its LF.

    Args:
        line: a whole message; the LF is added when it is missing.
        timeout: seconds for each step.

    Raises:
        OSError: nobody listens, or nobody answered in time.
        ConnectionError: the connection was closed before a whole line had come.
    """
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(timeout)
        peer.connect(str(path))
        peer.sendall(line if line.endswith(b"\n") else line + b"\n")
        received = b""
        while b"\n" not in received:
            chunk = peer.recv(65536)
            if not chunk:
                raise ConnectionError(f"{path}: closed after {received!r}")
            received += chunk
    return received.partition(b"\n")[0]


def payload(answer: bytes) -> bytes:
    """What follows the header of a line that has a task field."""
    return answer.split(b":", 3)[3] if answer.count(b":") >= 3 else b""


def pings(path: Path) -> bool:
    """Whether a coordinator serves at ``path`` now."""
    with contextlib.suppress(OSError):
        return ask(path, b"CONTROL:PING:ready", timeout=2.0).startswith(b"ACK:PONG:ready")
    return False
