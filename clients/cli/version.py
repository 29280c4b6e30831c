"""``ganglion version``."""

from __future__ import annotations

import argparse

from ganglion.clients.cli.context import Context


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(args: argparse.Namespace, context: Context) -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("ganglion")
    except PackageNotFoundError:
        found = "unknown (not installed)"
    context.out.line(f"ganglion {found}")
    return 0
