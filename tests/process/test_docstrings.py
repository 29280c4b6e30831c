"""The examples in docstrings are run, those of clients and agents against real daemons."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from support.process import Process, Spawn
from support.tree import ROOT

KIT = str(Path(__file__).parent / "roles" / "kit.py")
MODULES = sorted(
    ".".join(("ganglion", *path.relative_to(ROOT).with_suffix("").parts))
    for folder in ("protocol", "clients", "daemons")
    for path in (ROOT / folder).rglob("*.py")
    if re.search(r"^ *>>> ", path.read_text(), re.MULTILINE)
)
RUN = (
    "import doctest, importlib, os, sys\n"
    "failed, tried = doctest.testmod(importlib.import_module(sys.argv[1]))\n"
    "print(tried, flush=True)\n"
    "os._exit(1 if failed else 0)\n"  # threads of an example that failed must not hold us
)


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str, coordinator: Process, spawn: Spawn) -> None:
    spawn.agent(KIT)
    done = spawn.run(sys.executable, "-c", RUN, module)
    assert done.returncode == 0, done.stdout.decode()
    assert int(done.stdout.split()[-1]) > 0
