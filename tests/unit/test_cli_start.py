"""What the start of the command costs: which modules are imported, never how long it took."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "numpy", "msgpack", "asyncio", "logging", "json", "_cffi_backend", "posix_ipc", "tomllib",
    "ganglion.protocol", "ganglion.clients.client", "ganglion.daemons", "hashlib", "socket",
)  # fmt: skip
NEVER = ("numpy", "msgpack", "asyncio", "ganglion.daemons", "tomllib", "importlib.metadata")
PROBE = """
import sys
from ganglion.clients.cli.main import run
try:
    run(sys.argv[2:])
except SystemExit:
    pass
print("loaded:", *(m for m in sys.argv[1].split(",") if m in sys.modules))
"""


def loaded(heavy: tuple[str, ...], *argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, ",".join(heavy), *argv],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "argv",
    [("--help",), (), ("call", "--help"), ("send", "--help"), ("help", "ask"), ("nonsense",),
     ("call", "--nonsense"), ("serve", "--help"), ("ingest", "--help")],
)  # fmt: skip
def test_help_and_wrong_use_import_nothing_heavy(argv: tuple[str, ...]) -> None:
    assert loaded(HEAVY, *argv) == "loaded:"


@pytest.mark.parametrize("argv", [("call", "UPPER", "x"), ("send",), ("status",)])
@pytest.mark.usefixtures("instance")
def test_commands_that_talk_import_no_array_library(argv: tuple[str, ...]) -> None:
    assert loaded(NEVER, *argv) == "loaded:"
