"""``gangliond``: the daemons. Flags and signals only; each daemon is a module of its own."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any

from ganglion.protocol.config import SETTINGS, Config
from ganglion.protocol.errors import GanglionError, TransportError, UsageError

EX_USAGE = 64
EX_UNAVAILABLE = 69

EPILOG = """\
examples:
  gangliond coordinator                      serve instance "main" over queues and a socket
  gangliond agent retriever                  one of the roles that come with Ganglion
  gangliond agent ./my_role.py               a role of your own: def build(config) -> Agent
  gangliond serve UPPER -- tr a-z A-Z        any command as an agent
  gangliond up                               a coordinator and the five agents of the answer service
"""


def _add_settings(parser: argparse.ArgumentParser, *sections: str) -> None:
    for setting in SETTINGS:
        if setting.section not in sections or setting.key == "instance.name":
            continue
        default = "" if setting.default in ("", None) else f" (default {setting.default})"
        kind = None if setting.kind is bool else setting.kind.__name__
        parser.add_argument(
            setting.flag, dest=setting.key, metavar=kind, help=setting.help + default
        )


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-i", "--instance", dest="instance.name", help="which coordinator (default main)"
    )
    common.add_argument("--config", help="configuration file (docs/configuration.md)")
    common.add_argument("-v", "--verbose", action="store_true", help="log what happens")
    common.add_argument("-q", "--quiet", action="store_true", help="log errors only")
    _add_settings(common, "instance")
    parser = argparse.ArgumentParser(
        prog="gangliond",
        description="Ganglion's daemons.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser(
        "coordinator", parents=[common], help="the coordinator of an instance"
    )
    one.add_argument("--stdio", action="store_true", help="also speak on standard input and output")
    _add_settings(one, "coordinator", "journal")
    one = commands.add_parser("agent", parents=[common], help="an agent with a role")
    one.add_argument("role", help="a role's name, or a file with build(config)")
    _add_settings(one, "agent")
    one = commands.add_parser("serve", parents=[common], help="a command as an agent")
    one.add_argument("actions", metavar="ACTION[,ACTION]")
    one.add_argument("-j", "--jobs", type=int, default=1, help="tasks at a time (default 1)")
    one.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    one = commands.add_parser(
        "up", parents=[common], help="a coordinator and agents, in the foreground"
    )
    one.add_argument("roles", nargs="*", help="default: the five of the answer service")
    _add_settings(one, "journal")
    commands.add_parser("roles", help="the roles that come with Ganglion")
    return parser


def _config(args: argparse.Namespace) -> Config:
    flags = {key: value for key, value in vars(args).items() if "." in key}
    return Config(args.config, flags)


def _coordinator(args: argparse.Namespace) -> int:
    from ganglion.daemons.coordinator import Coordinator

    return Coordinator(_config(args), stdio=args.stdio).run()


def _agent(args: argparse.Namespace) -> int:
    from ganglion.daemons import roles

    agent: Any = roles.build(args.role, _config(args))
    status: int = agent.run()
    return status


def _serve(args: argparse.Namespace) -> int:
    from ganglion.daemons.serve import serve

    config = _config(args)
    argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    return serve(
        [a for a in args.actions.split(",") if a], argv, jobs=args.jobs, instance=config.instance,
        transport=config["instance.transport"], drain_ms=config["agent.drain_ms"],
    )  # fmt: skip


def _up(args: argparse.Namespace) -> int:
    from ganglion.daemons import roles
    from ganglion.daemons.up import Supervisor, default_roles

    config = _config(args)  # complain about settings before anything starts
    wanted = args.roles or default_roles()
    for role in wanted:
        if not role.endswith(".py") and role not in roles.names():
            raise UsageError(f"no role {role!r}; there are: {', '.join(roles.names())}")
    flags = ["--instance", config["instance.name"]]
    flags += ["--transport", config["instance.transport"]]
    flags += ["--config", args.config] if args.config else []
    flags += ["-v"] if args.verbose else ["-q"] if args.quiet else []
    journal = [
        f"{setting.flag}={getattr(args, setting.key)}"
        for setting in SETTINGS
        if setting.section == "journal" and getattr(args, setting.key) is not None
    ]
    return Supervisor(wanted, flags, journal).run()


def _roles(_: argparse.Namespace) -> int:
    from ganglion.daemons import roles

    print("\n".join(roles.names()))
    return 0


COMMANDS = {
    "coordinator": _coordinator,
    "agent": _agent,
    "serve": _serve,
    "up": _up,
    "roles": _roles,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a daemon. Returns its exit status: 64 wrong use, 69 the system refused."""
    try:
        args = _parser().parse_args(argv)
    except SystemExit as end:
        return EX_USAGE if end.code else 0
    level = logging.WARNING
    if getattr(args, "verbose", False):
        level = logging.INFO
    elif getattr(args, "quiet", False):
        level = logging.ERROR
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname).1s %(message)s", stream=sys.stderr
    )
    try:
        return COMMANDS[args.command](args)
    except UsageError as error:
        print(f"gangliond: {error}", file=sys.stderr)
        return EX_USAGE
    except TransportError as error:
        print(f"gangliond: {error.strerror or error}", file=sys.stderr)
        return EX_UNAVAILABLE
    except GanglionError as error:
        print(f"gangliond: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
