"""Roles: one small file each, found by its name.

A role is ``daemons/agents/<role>.py``, or any Python file of yours, with a function
``build(config: Config) -> Agent``. Adding one touches no other file.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from ganglion.protocol.config import Config
from ganglion.protocol.errors import UsageError

PACKAGE = "ganglion.daemons.agents"


def names() -> list[str]:
    """The roles that come with Ganglion."""
    folder = Path(__file__).parent / "agents"
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load(role: str) -> Any:
    """The module of a role, by name or by file.

    Raises:
        UsageError: there is none of this name, or it has no ``build``.
    """
    if role.endswith(".py") or "/" in role:
        spec = importlib.util.spec_from_file_location(Path(role).stem, role)
        if spec is None or spec.loader is None or not Path(role).is_file():
            raise UsageError(f"no role file {role!r}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    elif role in names():
        module = importlib.import_module(f"{PACKAGE}.{role}")
    else:
        raise UsageError(f"no role {role!r}; there are: {', '.join(names())}, or a file of yours")
    if not hasattr(module, "build"):
        raise UsageError(f"role {role!r} has no function build(config) -> Agent")
    return module


def build(role: str, config: Config) -> Any:
    """The agent of a role. Raises as ``load``."""
    return load(role).build(config)
