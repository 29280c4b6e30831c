"""Standard output: results, byte for byte, and nothing else.

Collected and written in large pieces; a reader that closes the pipe ends the command without a
word, a full disk ends it with one.
"""

from __future__ import annotations

import os
from typing import Any

from ganglion.clients.cli.exits import OUTPUT, CommandError, OutputClosed

BUFFER_BYTES = 65536


class Output:
    """Buffered writes to a descriptor."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._parts: list[bytes | memoryview] = []
        self._size = 0
        self.wrote = False

    @property
    def is_tty(self) -> bool:
        return is_tty(self._fd)

    def write(self, data: bytes | memoryview) -> None:
        """Take data; it is written when 64 KiB have come together, and by ``flush``."""
        self._parts.append(data)
        self._size += len(data)
        if self._size >= BUFFER_BYTES:
            self.flush()

    def line(self, text: str) -> None:
        self.write(text.encode("utf-8", "surrogateescape") + b"\n")

    def json(self, value: Any) -> None:
        """One JSON value on a line of its own."""
        import json

        self.line(json.dumps(value, ensure_ascii=False, default=_plain))

    def flush(self) -> None:
        """Write all that was taken.

        Raises:
            OutputClosed: nobody reads any more. CommandError: it cannot be written.
        """
        parts, self._parts, self._size = self._parts, [], 0
        try:
            for part in parts if any(len(p) >= BUFFER_BYTES for p in parts) else [b"".join(parts)]:
                view = memoryview(part)
                while view:
                    view = view[os.write(self._fd, view) :]
                    self.wrote = True
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise CommandError(f"cannot write the result: {error.strerror}", OUTPUT) from None


def is_tty(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _plain(value: Any) -> Any:
    """What json cannot write by itself: arrays, and bytes in msgpack."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (bytes, bytearray, memoryview)):
        import base64

        return {"base64": base64.b64encode(value).decode()}
    return str(value)
