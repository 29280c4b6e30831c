"""Settings: one declaration, four places, the later one wins; wrong values are named with their origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganglion.protocol.config import BY_KEY, SETTINGS, Config, Setting
from ganglion.protocol.errors import UsageError
from ganglion.protocol.instance import Instance


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.delenv("GANGLION_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)


def test_later_places_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "coordinator.tries"
    assert Config()[key] == 3
    (tmp_path / "ganglion.toml").write_text("[coordinator]\ntries = 5\nlease_ms = 7\n")
    assert (Config()[key], Config().origins[key]) == (5, "ganglion.toml")
    monkeypatch.setenv("GANGLION_COORDINATOR_TRIES", "6")
    assert Config()[key] == 6
    config = Config(flags={key: "7", "coordinator.lease_ms": None})
    assert (config[key], config.origins[key], config["coordinator.lease_ms"]) == (
        7,
        "command line",
        7,
    )


def test_the_three_names_people_type() -> None:
    names = {BY_KEY[f"instance.{n}"].variable for n in ("name", "runtime_dir", "state_dir")}
    assert names == {"GANGLION_INSTANCE", "GANGLION_RUNTIME_DIR", "GANGLION_STATE_DIR"}
    assert len({s.variable for s in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (int, "abc", "must be a whole number of 0 or more"), (float, "x", "must be a number of 0"),
        (bool, "maybe", "must be true or false"), (str, 5, "must be text"),
    ],
)  # fmt: skip
def test_wrong_kinds_are_said_in_words(kind: type, value: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Setting("a.b", kind, None, "").parse(value, "command line")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[coordinator]\ntrees = 5\n", "coordinator.trees"),
        ("tries = 5\n", "'tries'"),
        ("[coordinator]\ntries = 'x'\n", "must be a whole number of 0 or more"),
        ("[coordinator]\ntries = -1\n", "0 or more"),
        ("[coordinator]\ntries = true\n", "must be a whole number of 0 or more"),
        ("[coordinator\n", "ganglion.toml"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "ganglion.toml").write_text(text)
    with pytest.raises(UsageError, match=part):
        Config()


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        Config(str(tmp_path / "missing.toml"))


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGLION_COORDINATOR_TRIES", "many")
    with pytest.raises(UsageError, match="GANGLION_COORDINATOR_TRIES"):
        Config()


@pytest.mark.parametrize("name", ["", "a/b", "a.b", "x" * 33, "ü"])
def test_instance_names_are_checked(name: str) -> None:
    with pytest.raises(UsageError, match="instance name"):
        Instance(name, Path("/r"), Path("/s"))


def test_every_name_hangs_on_the_instance() -> None:
    instance = Instance("demo", Path("/r"), Path("/s"))
    assert instance.queue == "/ganglion.demo"
    assert instance.peer_queue("upper-1") == "/ganglion.demo.upper-1"
    assert instance.blob_prefix == "/ganglion.demo."
    assert instance.socket_path == Path("/r/demo/coordinator.sock")
    with pytest.raises(UsageError, match="peer name"):
        instance.peer_queue("a/b")
