"""``ganglion drain``."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli.exits import OK, TRY_AGAIN, CommandError, InterruptedCommand
from ganglion.clients.cli.options import add_json, completes, milliseconds

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.cli.progress import Progress
    from ganglion.clients.client import Client

HELP = """\
Without AGENT: the coordinator takes no new tasks, finishes those it has, and ends; waits for
that. With AGENT: it gets no more tasks and finishes those it has."""
POLL_S = 0.1
HINT_S = 2.0  # when to say what it waits for
AGAIN_S = 5.0  # how soon to say it again, when the numbers have changed
ACTIONS_MAX = 3  # that are named
STATES = ("waiting", "delayed", "ready", "leased", "cancelling")


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("agent", metavar="AGENT", nargs="?"), "agent")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the end")
    parser.add_argument(
        "--timeout", type=milliseconds, metavar="T", help="how long to wait; it goes on draining"
    )
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    from ganglion.protocol.transport.endpoint import NoCoordinatorError

    with context.client(reconnect=0) as client:  # its end is what is waited for
        # The coordinator takes a word that is no agent's name for a request's: it would drain.
        if args.agent is not None and all(a.get("name") != args.agent for a in client.agents()):
            raise CommandError(f"no agent is called {args.agent!r} (see: ganglion agents)")
        client.drain(args.agent)
        if args.no_wait:
            return _say("draining", args, context)
        try:
            _wait(args, context, client)
        except KeyboardInterrupt:
            raise InterruptedCommand("it goes on draining (ganglion status)") from None
        except NoCoordinatorError:
            if args.agent is not None:
                raise
    return _say("drained", args, context)


def _say(status: str, args: argparse.Namespace, context: Context) -> int:
    if args.json:
        context.out.json({"agent": args.agent, "status": status})
    else:
        context.note(status)
    return OK


def _wait(args: argparse.Namespace, context: Context, client: Client) -> None:
    """Until the agent holds no task; without one until the coordinator is gone.

    Raises:
        CommandError: not within ``--timeout``.
    """
    agent = args.agent
    end = float("inf") if args.timeout is None else time.monotonic() + args.timeout / 1000
    most = 0
    with context.progress("drain") as progress:
        hint = _Hint(context, progress)
        while True:
            if agent is not None:
                left = _held(client, agent)
                if left == 0:
                    return
                words = f"{_tasks(left)} that {agent} holds"
                state = "leased"
            else:
                left, words, state = unfinished(client.status().get("actions", {}))
            most = max(most, left)
            progress.total = most
            progress.update(most - left, f"{left} left")
            if time.monotonic() >= end:
                words = f"not drained within --timeout: {words}; it goes on (ganglion status)"
                raise CommandError(words, TRY_AGAIN)
            hint.say(words, state)
            limit = min(end, time.monotonic() + POLL_S)
            while (wait := limit - time.monotonic()) > 0:
                client.pump(wait)


class _Hint:
    """Says what is waited for: once after a while, then when it has changed."""

    def __init__(self, context: Context, progress: Progress) -> None:
        self._context = context
        self._progress = progress
        self._next = time.monotonic() + HINT_S
        self._said = ""

    def say(self, words: str, state: str) -> None:
        now = time.monotonic()
        if now < self._next or words == self._said:
            return
        self._next, self._said = now + AGAIN_S, words
        lister = f"; ganglion tasks --state {state} lists them" if state else ""
        self._progress.clear()
        self._context.note(f"waiting for {words}; Ctrl-C leaves it draining{lister}")


def _held(client: Client, agent: str) -> int:
    """Tasks the agent holds; one that has left holds none."""
    return next((int(a.get("used", 0)) for a in client.agents() if a.get("name") == agent), 0)


def _tasks(count: int) -> str:
    return f"{count} unfinished task{'s' * (count != 1)}"


def unfinished(actions: dict[str, Any]) -> tuple[int, str, str]:
    """How many tasks have not ended, that in words, and the state that most of them are in.

    >>> unfinished({"A": {"ready": 3, "agents": 0}, "B": {"leased": 1, "agents": 1}})
    (4, '4 unfinished tasks (A: 3 ready, no agent; B: 1 leased)', 'ready')
    """
    totals = dict.fromkeys(STATES, 0)
    parts: list[tuple[int, str]] = []
    for action, counts in sorted(actions.items()):
        found = {state: n for state in STATES if (n := int(counts.get(state, 0)))}
        if not found:
            continue
        for state, n in found.items():
            totals[state] += n
        words = [f"{n} {state}" for state, n in found.items()]
        words += ["paused"] * bool(counts.get("paused"))
        words += ["no agent"] * (not counts.get("agents"))
        parts.append((sum(found.values()), f"{action}: {', '.join(words)}"))
    left = sum(totals.values())
    if not left:
        return 0, "the coordinator to end", ""
    parts.sort(key=lambda part: -part[0])  # the largest first: what holds it up
    named = [words for _, words in parts[:ACTIONS_MAX]]
    if len(parts) > ACTIONS_MAX:
        named.append(f"{len(parts) - ACTIONS_MAX} more actions")
    return left, f"{_tasks(left)} ({'; '.join(named)})", max(totals, key=lambda s: totals[s])
