"""``./run demo``: the answer service on this machine, from nothing to three answered questions.

Starts a coordinator and five agents (``gangliond up``) as an instance of its own, ingests files,
asks, drains. Everything it does it does with the commands that people use, and it prints them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from ganglion.clients.cli.main import run as ganglion
from ganglion.clients.client import Client
from ganglion.protocol.errors import GanglionError
from ganglion.protocol.instance import Instance
from ganglion.protocol.transport.endpoint import NoCoordinatorError

ROLES = ("planner", "embedder", "retriever", "synthesizer", "evaluator")
# Tests say how a module is broken, not what it is for; the rest is not the library itself.
EXCLUDE = "test,tests,idlelib,_bundled,site-packages,dist-packages"
QUESTIONS = (
    "What does a lock do when it is already acquired by another thread?",
    "How can I make a temporary directory that is removed when I am done?",
    "How is a ZIP archive extracted, and how do I copy a directory tree?",
)
START_SECONDS = 60.0


def say(text: str = "") -> None:
    print(text, flush=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run demo",
        description="Five agents answer questions from real documents, with sources.",
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="your files and folders (default: Python's standard library)",
    )
    parser.add_argument(
        "--ask", action="append", metavar="QUESTION", help="a question; may be given again"
    )
    args = parser.parse_args(argv)
    for path in args.paths:
        if not path.exists():
            parser.error(f"no such file or folder: {path}")
    if args.paths and not args.ask:
        parser.error('with files of your own give --ask "question"')
    return args


def _instance(paths: Sequence[Path]) -> Instance:
    """One for each set of paths, so that answers come from these files and the index is used
    again.
    """
    name = "demo"
    if paths:
        text = "\0".join(sorted(str(path.resolve()) for path in paths))
        name += "-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    base = os.environ.get("GANGLION_INSTANCE")
    return Instance.from_environment(f"{base}-{name}"[:32] if base else name)


def _wait_for_agents(up: subprocess.Popen[bytes], instance: Instance) -> list[dict[str, object]]:
    """The five agents, once all have registered.

    Raises:
        GanglionError: they did not within a minute, or the supervisor ended.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if up.poll() is not None:
            raise GanglionError(f"gangliond up ended with status {up.returncode}")
        try:
            with Client(instance) as client:
                while time.monotonic() < deadline and up.poll() is None:
                    agents = list(client.agents())
                    if len(agents) >= len(ROLES):
                        return agents
                    time.sleep(0.05)
        except NoCoordinatorError:
            time.sleep(0.05)
    raise GanglionError("the agents did not start within a minute")


def _run(instance: Instance, *words: str) -> int:
    """Run a ``ganglion`` command here, shown as it would be typed."""
    shown = " ".join(f'"{word}"' if " " in word or "?" in word else word for word in words)
    say(f"\n$ ganglion {shown}")
    return ganglion(["--instance", instance.name, *words])


def _show_processes(agents: Sequence[dict[str, object]], instance: Instance) -> None:
    say(f"\nFive agents, a process each, and their queues (instance {instance.name}):")
    for agent in sorted(agents, key=lambda row: str(row["name"])):
        info = agent.get("info")
        pid = info.get("pid", "") if isinstance(info, dict) else ""
        actions = agent["actions"]
        served = " ".join(map(str, actions)) if isinstance(actions, list) else ""
        queue = instance.peer_queue(str(agent["name"]))
        say(f"  pid {pid!s:8} {queue:36} {served}")


def _session(args: argparse.Namespace, instance: Instance, up: subprocess.Popen[bytes]) -> int:
    _show_processes(_wait_for_agents(up, instance), instance)
    paths = [str(path.resolve()) for path in args.paths]
    exclude = [] if paths else ["--exclude", EXCLUDE]
    status = _run(instance, "ingest", *exclude, *(paths or [sysconfig.get_paths()["stdlib"]]))
    if status:
        return status
    for question in args.ask or QUESTIONS:
        # 1 is "nothing found": an answer too.
        asked = _run(instance, "ask", "--trace", question)
        if asked not in (0, 1):
            return asked
    return _run(instance, "drain")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo. 0: every question was answered or honestly not found, and all has ended."""
    args = _arguments(argv)
    instance = _instance(args.paths)
    say(f"Starting a coordinator and five agents: gangliond up --instance {instance.name}")
    up = subprocess.Popen(
        [sys.executable, "-m", "ganglion.daemons.main", "up", "-q", "--instance", instance.name],
        start_new_session=True,
    )
    try:
        status = _session(args, instance, up)
        if status == 0:
            up.wait(timeout=START_SECONDS)
            say("\nDrained: the coordinator and the five agents have ended.")
    except GanglionError as error:
        print(f"demo: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    finally:
        for _ in range(2):  # drain, then leave at once
            if up.poll() is None:
                up.send_signal(signal.SIGTERM)
                try:
                    up.wait(timeout=10 if status == 0 else 3)
                except subprocess.TimeoutExpired:
                    continue
    return status


if __name__ == "__main__":
    sys.exit(main())
