"""``ganglion version``."""

from __future__ import annotations

import argparse

from ganglion.clients.cli.context import Context
from ganglion.clients.cli.options import add_json


def arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("ganglion")
    except PackageNotFoundError:
        found = "unknown (not installed)"
    if getattr(args, "json", False):
        context.out.json({"version": found})
    else:
        context.out.line(f"ganglion {found}")
    return 0
