"""Every setting of Ganglion, declared once: defaults < file < environment < flags.

Owns: the list of settings and how their values are found. Knows nothing of who uses them.

A setting ``coordinator.tasks_max`` stands in ``ganglion.toml`` as ``tasks_max`` under
``[coordinator]``, in the environment as ``GANGLION_COORDINATOR_TASKS_MAX``, and on the command line
of the programs that use it as ``--tasks-max``. The file is the first of ``--config``,
``$GANGLION_CONFIG``, ``./ganglion.toml``, ``~/.config/ganglion/ganglion.toml``,
``/etc/ganglion/ganglion.toml`` that exists.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganglion.protocol.errors import UsageError
from ganglion.protocol.instance import SPIN_US, Instance, default_runtime_dir, default_state_dir
from ganglion.protocol.limits import Limit, parse_all

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``key`` is ``section.name``; ``kind`` is int, float, bool or str."""

    key: str
    kind: type
    default: Any
    help: str

    @property
    def section(self) -> str:
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        return self.key.partition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable."""
        # The three that name an instance stand without their section: people type them daily.
        prefix = "GANGLION_" if self.section == "instance" else f"GANGLION_{self.section.upper()}_"
        return "GANGLION_INSTANCE" if self.key == "instance.name" else prefix + self.name.upper()

    @property
    def flag(self) -> str:
        # "--dir" and "--policy" alone would not say whose.
        name = f"journal_{self.name}" if self.section == "journal" else self.name
        return "--" + name.replace("_", "-")

    def parse(self, value: Any, origin: str) -> Any:
        """``value`` as this setting's kind.

        Raises:
            UsageError: it is not one; the text names the setting and where the value came from.
        """
        try:
            if self.kind is bool:
                if isinstance(value, bool):
                    return value
                return {
                    "1": True,
                    "true": True,
                    "yes": True,
                    "on": True,
                    "0": False,
                    "false": False,
                    "no": False,
                    "off": False,
                }[str(value).lower()]
            if isinstance(value, bool) or (self.kind is str and not isinstance(value, str)):
                raise ValueError
            parsed = self.kind(value)
            if self.kind in (int, float) and parsed < 0:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise UsageError(
                f"{self.key} = {value!r} ({origin}): must be {_KINDS[self.kind]}"
                + (" of 0 or more" if self.kind in (int, float) else "")
            ) from None
        return parsed


_S = Setting
SETTINGS: tuple[Setting, ...] = (
    _S(
        "instance.name",
        str,
        "main",
        "which coordinator of this machine: prefix of queues and segments",
    ),
    _S("instance.runtime_dir", str, "", "sockets and the ledger of queues"),
    _S("instance.state_dir", str, "", "the journal, indexes and other files that are kept"),
    _S("instance.transport", str, "auto", "auto, mqueue or unix"),
    _S(
        "instance.spin_us",
        int,
        SPIN_US,
        "us a receiver looks for more before it sleeps, while messages come quickly; 0: never",
    ),
    _S("client.reconnect_ms", int, 30_000, "how long clients wait for a lost coordinator"),
    _S("coordinator.tasks_max", int, 1_048_576, "tasks in all states"),
    _S("coordinator.results_max", int, 131_072, "delivered results kept; the oldest make room"),
    _S("coordinator.bytes_max", int, 536_870_912, "bytes of payloads and results held"),
    _S("coordinator.peers_max", int, 4096, "named clients and agents"),
    _S("coordinator.actions_max", int, 1024, "actions with a queue"),
    _S(
        "coordinator.limits_max",
        int,
        65_536,
        "actions, senders and labels in use that limits can be set on",
    ),
    _S("coordinator.schedules_max", int, 4096, "schedules"),
    _S(
        "coordinator.partial_bytes_max",
        int,
        65_536,
        "partial results of a running task kept for who watches it later, in bytes; 0: none",
    ),
    _S("coordinator.tries", int, 3, "how often a task is tried"),
    _S("coordinator.lease_ms", int, 30_000, "how long an agent may hold a task between heartbeats"),
    _S("coordinator.backoff_ms", int, 200, "pause after the first failed try; doubles"),
    _S("coordinator.backoff_ms_max", int, 60_000, "longest pause between tries"),
    _S("coordinator.keep_ms", int, 300_000, "how long a result is kept"),
    _S(
        "coordinator.keep_buried_ms",
        int,
        0,
        "how long a buried task is kept; 0: until kicked or cancelled",
    ),
    _S("coordinator.heartbeat_ms", int, 1000, "how often agents report"),
    _S("coordinator.agent_timeout_ms", int, 10_000, "silence after which an agent is gone"),
    _S(
        "coordinator.suspect_ms",
        int,
        3000,
        "silence (and two heartbeats) after which an agent gets no new tasks; 0: none",
    ),
    _S("coordinator.cancel_grace_ms", int, 5000, "time a cancelled task's agent has to stop"),
    _S(
        "journal.policy",
        str,
        "group",
        "what `accepted` promises: group (on disk, one sync per group_ms), sync (on disk, at once) "
        "or memory (with the kernel: survives the coordinator, not the machine)",
    ),
    _S(
        "journal.dir",
        str,
        "",
        "where it is kept; empty: `journal` in the instance's state directory; none: nowhere, "
        "only with policy memory",
    ),
    _S("journal.group_ms", int, 5, "with policy group: time between two syncs of the disk"),
    _S("journal.segment_bytes", int, 67_108_864, "a file of the journal is closed at this length"),
    _S(
        "journal.compact_bytes",
        int,
        67_108_864,
        "written since the journal was last compacted, before it is again",
    ),
    _S("agent.slots", int, 0, "tasks taken at a time; 0: what the role asks for"),
    _S("agent.drain_ms", int, 20_000, "how long SIGTERM waits for running tasks"),
    _S(
        "embedder.backend",
        str,
        "lsa",
        "lsa[:DIM], st:DIRECTORY, or openai:BASE_URL#MODEL[@KEY_VARIABLE]",
    ),
    _S(
        "synthesizer.backend",
        str,
        "extractive",
        "extractive, or openai:BASE_URL#MODEL[@KEY_VARIABLE]",
    ),
    _S("retriever.passages", int, 8, "passages handed to the synthesizer"),
)
BY_KEY: Mapping[str, Setting] = {setting.key: setting for setting in SETTINGS}


def config_files() -> tuple[Path, ...]:
    """Where a configuration file is looked for, first to last, when none is named."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return (
        Path("ganglion.toml"),
        home / "ganglion" / "ganglion.toml",
        Path("/etc/ganglion/ganglion.toml"),
    )


def _read(path: Path) -> tuple[dict[str, Any], tuple[Limit, ...]]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from error
    values: dict[str, Any] = {}
    limits: tuple[Limit, ...] = ()
    if isinstance(tables.get("limits"), dict):  # its keys are names, not settings
        limits = parse_all(tables.pop("limits"), str(path))
    for section, table in tables.items():
        for name, value in table.items() if isinstance(table, dict) else ((None, None),):
            key = f"{section}.{name}" if name is not None else section
            if key not in BY_KEY:
                raise UsageError(f"{path}: no setting is called {key!r}")
            values[key] = BY_KEY[key].parse(value, str(path))
    return values, limits


class Config:
    """The value of every setting, and where it came from.

    Args:
        file: a configuration file; None looks in the usual places.
        flags: values from the command line by key; None values are left out.

    Raises:
        UsageError: an unreadable file, an unknown setting, a value of the wrong kind.
    """

    def __init__(self, file: str | None = None, flags: Mapping[str, Any] | None = None) -> None:
        self._values: dict[str, Any] = {setting.key: setting.default for setting in SETTINGS}
        self.origins: dict[str, str] = dict.fromkeys(self._values, "default")
        named = file or os.environ.get("GANGLION_CONFIG")
        path = Path(named) if named else next((p for p in config_files() if p.is_file()), None)
        self.limits: tuple[Limit, ...] = ()  # those of [limits]
        if path is not None:
            values, self.limits = _read(path)
            self._merge(values, str(path))
        self._merge(
            {
                setting.key: setting.parse(os.environ[setting.variable], setting.variable)
                for setting in SETTINGS
                if os.environ.get(setting.variable)
            },
            "environment",
        )
        given = {key: value for key, value in (flags or {}).items() if value is not None}
        self._merge(
            {k: BY_KEY[k].parse(v, "command line") for k, v in given.items()}, "command line"
        )

    def _merge(self, values: Mapping[str, Any], origin: str) -> None:
        self._values.update(values)
        self.origins.update(dict.fromkeys(values, origin))

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def section(self, name: str) -> dict[str, Any]:
        """The settings of one section, by bare name."""
        return {s.name: self._values[s.key] for s in SETTINGS if s.section == name}

    @property
    def instance(self) -> Instance:
        """The instance that the settings name."""
        return Instance(
            self["instance.name"],
            Path(self["instance.runtime_dir"] or default_runtime_dir()),
            Path(self["instance.state_dir"] or default_state_dir()),
            self["instance.spin_us"],
        )


def settings_table() -> str:
    """Every setting as a Markdown table, for docs/configuration.md."""
    rows = ["| setting | default | variable | what |", "|---|---|---|---|"]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default != "" else ""
        rows.append(f"| `{setting.key}` | {default} | `{setting.variable}` | {setting.help} |")
    return "\n".join(rows)


def fill_table(text: str) -> str:
    """``text`` with the table between its markers brought up to date."""
    begin, end = "<!-- settings: begin -->\n", "<!-- settings: end -->"
    head, _, rest = text.partition(begin)
    return head + begin + settings_table() + "\n" + end + rest.partition(end)[2]


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(fill_table(page.read_text()))
