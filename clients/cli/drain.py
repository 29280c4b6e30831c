"""``ganglion drain``."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ganglion.clients.cli.exits import OK, InterruptedCommand
from ganglion.clients.cli.options import add_json, completes

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.client import Client

HELP = """\
Without AGENT: the coordinator takes no new tasks, finishes those it has, and ends; waits for
that. With AGENT: it gets no more tasks and finishes those it has."""
POLL_S = 0.1


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("agent", metavar="AGENT", nargs="?"), "agent")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the end")
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    from ganglion.protocol.transport.endpoint import NoCoordinatorError

    with context.client() as client:
        client.drain(args.agent)
        if args.no_wait:
            return _say("draining", args, context)
        try:
            _wait(args.agent, context, client)
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


def _wait(agent: str | None, context: Context, client: Client) -> None:
    """Until the agent holds no task; without one until the coordinator is gone."""
    most = 0
    with context.progress("drain") as progress:
        while True:
            left = _held(client, agent) if agent is not None else _unfinished(client)
            if agent is not None and left == 0:
                return
            most = max(most, left)
            progress.total = most
            progress.update(most - left, f"{left} left")
            limit = time.monotonic() + POLL_S
            while (wait := limit - time.monotonic()) > 0:
                client.pump(wait)


def _held(client: Client, agent: str) -> int:
    """Tasks the agent holds; one that has left holds none."""
    return next((int(a.get("used", 0)) for a in client.agents() if a.get("name") == agent), 0)


def _unfinished(client: Client) -> int:
    counts = client.status().get("actions", {}).values()
    states = ("waiting", "delayed", "ready", "leased", "cancelling")
    return sum(int(count.get(state, 0)) for count in counts for state in states)
