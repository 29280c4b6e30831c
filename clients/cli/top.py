"""``ganglion top``."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ganglion.clients.cli import status, units
from ganglion.clients.cli.agents import table
from ganglion.clients.cli.options import add_json, milliseconds, positive

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.client import Client

HELP = "Status and agents, refreshed until Ctrl-C. Into a pipe: one page after the other."
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-d", "--delay", type=milliseconds, default=1000, metavar="T", help="1s")
    parser.add_argument("-n", "--count", type=positive, metavar="N", help="end after so many pages")
    add_json(parser, "one JSON object a page: what STATUS says")


def run(args: argparse.Namespace, context: Context) -> int:
    out, left = context.out, args.count
    with context.client() as client:
        while True:
            out.json(client.status()) if args.json else out.write(_page(client, context))
            out.flush()
            if left is not None:
                left -= 1
                if left == 0:
                    return 0
            limit = time.monotonic() + max(args.delay, 100) / 1000
            while (wait := limit - time.monotonic()) > 0:
                client.pump(wait)


def _page(client: Client, context: Context) -> bytes:
    words = f"{client.instance.name} over {client.transport}, {time.strftime('%H:%M:%S')}, "
    words += f"round trip {units.duration(client.ping())}"
    page = status.lines(client.status(), words, context)
    rows = [row for row in client.agents() if row.get("actions")]
    page += ["", *table(rows, context.width, context.colour)]
    if not context.out.is_tty:
        return "".join(f"{line}\n" for line in [*page, ""]).encode()
    return (_HOME + "".join(f"{line}{_CLEAR_LINE}\n" for line in page) + _CLEAR_BELOW).encode()
