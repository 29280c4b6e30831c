"""What ganglion.toml may say under [limits]."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganglion.protocol.config import Config
from ganglion.protocol.errors import UsageError
from ganglion.protocol.limits import Limit, parse


def test_the_table(tmp_path: Path) -> None:
    file = tmp_path / "ganglion.toml"
    file.write_text(
        '[limits]\n"label:openai" = "rate=2.5 burst=10 running=2"\n"action:EMBED" = "running=4"\n'
    )
    openai, embed = Config(str(file)).limits
    assert openai == Limit("label", "openai", 2.5, 10, 2)
    assert json.loads(openai.payload()) == {
        "label": "openai",
        "rate": 2.5,
        "burst": 10,
        "running": 2,
    }
    assert json.loads(embed.payload()) == {"action": "EMBED", "running": 4}


def test_an_empty_one_takes_it_away() -> None:
    assert json.loads(parse("sender:bulk", "", "here").payload()) == {"sender": "bulk"}


@pytest.mark.parametrize(
    ("key", "text", "wrong"),
    [
        ("openai", "rate=1", "begins with"),
        ("label:a b", "rate=1", "begins with"),
        ("action:embed", "rate=1", "begins with"),
        ("label:x", 3, "must be like"),
        ("label:x", "speed=1", "must be like"),
        ("label:x", "rate=1 rate=2", "must be like"),
        ("label:x", "rate=0", "rate: tasks a second"),
        ("label:x", "rate=0.0001", "rate: tasks a second"),
        ("label:x", "rate=1000000.1", "rate: tasks a second"),
        ("label:x", "rate=1 burst=1.5", "burst: 1 to"),
        ("label:x", "burst=2", "only with a rate"),
        ("label:x", "running=0", "running: tasks"),
    ],
)
def test_what_it_may_not_be(key: str, text: object, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        parse(key, text, "here")
