"""Imports run one way: csrc <- protocol <- {clients, daemons, sim}; kernels <- daemons."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tree import ROOT, expect_none, plant, relative, sources

# Each part, and what of the project it may import besides itself.
PARTS = {
    "protocol": set[str](),
    "kernels": set[str](),
    "clients": {"protocol"},
    "sim": {"protocol"},
    "daemons": {"protocol", "kernels"},
}
# One file that opens the door to a further part, and imports it late.
DOORS = {"clients/cli/sim.py": {"sim"}}
# The bytes of a message know neither how they travel nor the time.
WIRE = ("protocol/message.py", "protocol/codec.py")
WIRE_FORBIDDEN = ("ganglion.protocol.transport", "socket", "posix_ipc", "time", "random", "asyncio")


def imported(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module name) of every import, wherever it stands; relative ones resolved."""
    package = ("ganglion", *path.relative_to(root).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *([node.module] if node.module else [])))
            # `from ganglion import daemons` names a module behind the word import.
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)


def wrong_direction(root: Path) -> list[str]:
    """Imports from one part to another that may not know it."""
    faults = []
    for path in sources(root, ".py"):
        name = relative(root, path)
        part = name.partition("/")[0]
        if part not in PARTS:
            continue
        for line, module in imported(path, root):
            words = module.split(".")
            if words[0] == "ganglion" and words[1] not in {
                part,
                *PARTS[part],
                *DOORS.get(name, ()),
            }:
                faults.append(f"{name}:{line}: {part} may not import {module}")
            if name in WIRE and f"{module}.".startswith(tuple(f"{bad}." for bad in WIRE_FORBIDDEN)):
                faults.append(f"{name}:{line}: the wire may not import {module}")
    return faults


def bare(root: Path) -> list[str]:
    """Imports of a folder by its bare name: they work only where the clone happens to be on the path."""
    return [
        f"{relative(root, path)}:{line}: import ganglion.{module}, not {module}"
        for path in sources(root, ".py")
        for line, module in imported(path, root)
        if module.split(".")[0] in PARTS
    ]


def test_imports_run_one_way() -> None:
    expect_none(wrong_direction(ROOT))


def test_no_bare_imports() -> None:
    expect_none(bare(ROOT))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("protocol/a.py", "import ganglion.daemons.kit\n"),
        ("protocol/a.py", "def late():\n    from ganglion.clients import Client\n"),
        ("protocol/a.py", "import ganglion.kernels\n"),
        ("protocol/transport/a.py", "from ...daemons import kit\n"),
        ("protocol/codec.py", "from ganglion.protocol import transport\n"),
        ("protocol/message.py", "import time\n"),
        ("clients/a.py", "from ganglion import daemons\n"),
        ("clients/cli/a.py", "import ganglion.daemons\n"),
        ("clients/cli/a.py", "from ganglion.sim.world import run\n"),
        ("sim/a.py", "import ganglion.clients\n"),
        ("clients/demo.py", "from ganglion.daemons.agents import planner\n"),
        ("daemons/agents/a.py", "from ganglion.clients import Client\n"),
    ],
)
def test_a_wrong_direction_is_found(tmp_path: Path, path: str, text: str) -> None:
    assert len(wrong_direction(plant(tmp_path, {path: text}))) == 1


@pytest.mark.parametrize("text", ["import protocol\n", "from daemons.agents import planner\n"])
def test_a_bare_import_is_found(tmp_path: Path, text: str) -> None:
    assert len(bare(plant(tmp_path, {"bench/a.py": text}))) == 1


def test_a_right_direction_is_not(tmp_path: Path) -> None:
    text = "import time\nfrom . import kit\nfrom ganglion.protocol.message import Message\n"
    root = plant(
        tmp_path, {"daemons/a.py": text, "protocol/transport/b.py": "from .. import names\n"}
    )
    assert wrong_direction(root) == bare(root) == []
