"""Ganglion's daemons: the coordinator, the agent kit and its roles, the supervisor.

Owns the processes that serve. Knows clients only by the wire.

``main`` flags and signals; ``coordinator`` the control plane around the C loop; ``up`` the supervisor;
the kit: ``agent`` (declaring, living), ``handlers``, ``task``, ``workers`` (threads), ``line`` (the C
runtime), ``requests`` (what a task asks of others), ``outcome``, ``warm`` (child processes); ``serve`` a
command as an agent; ``roles`` finds the files of ``agents/``; ``retrieval/`` is their library.
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
