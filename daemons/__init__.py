"""Ganglion's daemons: the coordinator, the agent kit and its roles, the supervisor.

Owns the processes that serve. Knows clients only by the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganglion.daemons.agent import Agent as Agent
    from ganglion.daemons.task import Bury as Bury
    from ganglion.daemons.task import Continue as Continue
    from ganglion.daemons.task import Release as Release
    from ganglion.daemons.task import Task as Task

__all__ = ["Agent", "Bury", "Continue", "Release", "Task"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    from importlib import import_module

    home = "agent" if name == "Agent" else "task"
    return getattr(import_module(f"ganglion.daemons.{home}"), name)
