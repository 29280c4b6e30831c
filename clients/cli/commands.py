"""The list of commands: name, module, one line of help. Modules are imported late."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import NamedTuple


class Command(NamedTuple):
    """``group`` is the heading under which ``ganglion --help`` lists it."""

    module: str
    help: str
    group: str


_WORK, _LOOK, _STEER, _REST = "work", "look", "steer", "other"
COMMANDS: dict[str, Command] = {
    "call": Command("call", "one task (or one per line), its result on stdout", _WORK),
    "send": Command("send", "protocol lines on stdin, protocol lines on stdout", _WORK),
    "serve": Command("serve", "any command as an agent", _WORK),
    "ask": Command("ask", "a question about the ingested files, answered with sources", _WORK),
    "ingest": Command("ingest", "read files into the index that ask searches", _WORK),
    "status": Command("status", "the coordinator: actions, tasks by state, gauges", _LOOK),
    "tasks": Command("tasks", "list tasks", _LOOK),
    "agents": Command("agents", "list agents", _LOOK),
    "watch": Command("watch", "follow one task, or everything, as it happens", _LOOK),
    "top": Command("top", "a status that refreshes", _LOOK),
    "peek": Command("peek", "all about one task", _LOOK),
    "result": Command("result", "the result of a task that was submitted before", _LOOK),
    "cancel": Command("cancel", "cancel tasks", _STEER),
    "bury": Command("bury", "tasks that were given up: list, show, kick, purge", _STEER),
    "kick": Command("kick", "bring buried tasks back, make delayed ones ready", _STEER),
    "pause": Command("pause", "hand out no task of an action", _STEER),
    "resume": Command("resume", "hand out tasks of an action again", _STEER),
    "limit": Command("limit", "how fast tasks are handed out, how many at a time", _STEER),
    "schedule": Command("schedule", "tasks that are submitted by the clock", _STEER),
    "assign": Command("assign", "hand a task to this agent now", _STEER),
    "drain": Command("drain", "let an agent, or everything, finish and stop", _STEER),
    "sim": Command("sim", "search the core for broken promises, under a virtual clock", _REST),
    "completion": Command("completion", "shell completion for bash, zsh or fish", _REST),
    "version": Command("version", "print the version", _REST),
    "help": Command("help", "this text, or that of a command", _REST),
}
GROUPS = {_WORK: "Give work", _LOOK: "Look", _STEER: "Steer", _REST: "Other"}


def load(name: str) -> ModuleType:
    """The module of a command: ``arguments(parser)``, ``run(args, context)``, ``HELP``."""
    return import_module(f"ganglion.clients.cli.{COMMANDS[name].module}")
