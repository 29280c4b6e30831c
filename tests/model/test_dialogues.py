"""tests/vectors/dialogues against the core: every line that must come out, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from model.native import BLOB_DROP, BLOB_KEEP, CLOSE, DRAINED, OPEN, SHARED, STREAM, Core

from ganglion.protocol._native import ffi, lib

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "dialogues"
DIALOGUES = {
    f"{path.stem}: {dialogue['name']}": dialogue
    for path in sorted(FOLDER.glob("*.json"))
    for dialogue in json.loads(path.read_text())
}
DOERS = ("tick", "gone")


class Stage:
    """A core and its links by name; what came out since the last thing done."""

    def __init__(self, config: dict[str, int], cut: int) -> None:
        self.core = Core(**{"seed": 1, **config})
        self.cut = cut  # how many bytes of a stream come in at a time
        self.links: dict[str, int] = {}
        self.lines: dict[str, list[bytes]] = {}
        self.effects: list[tuple[int, int, str]] = []

    def do(self, step: list[Any]) -> None:
        if step[0] == "tick":
            self.core.tick(self.core.now + step[1] * 1000)
        elif step[0] == "gone":
            self.core.closed(self.links.pop(step[1]))
        else:
            self.feed(step[0][:-1], step[1].encode("latin-1") + b"\n")
        self.collect()

    def feed(self, name: str, data: bytes) -> None:
        if name not in self.links:
            self.links[name] = self.core.open(SHARED if name == "inbox" else STREAM)
        if name == "inbox":
            assert self.core.feed(self.links[name], data, final=True) == len(data)
            return
        kept = b""
        for at in range(0, len(data), self.cut):
            kept += data[at : at + self.cut]
            kept = kept[self.core.feed(self.links[name], kept) :]
        assert kept == b""

    def collect(self) -> None:
        self.effects += self.core.effects()
        for name, link in self.links.items():
            self.lines.setdefault(name, []).extend(split(self.core.take(link)))

    def named(self, kind: int, text: str, name: str) -> None:
        """The effect that opens a link: from now on it has this name."""
        found, link, address = self.effects.pop(0)
        assert (found, address) == (kind, text)
        self.links[name] = link
        self.collect()

    def expect(self, step: list[Any]) -> None:
        if step[0] == "open":
            self.named(OPEN, step[1], step[2])
        elif step[0] == "close":
            assert self.effects.pop(0)[:2] == (CLOSE, self.links[step[1]])
        elif step[0] in ("keep", "drop"):
            kind = BLOB_KEEP if step[0] == "keep" else BLOB_DROP
            assert self.effects.pop(0)[::2] == (kind, step[1])
        elif step[0] == "drained":
            assert self.effects.pop(0)[0] == DRAINED
        else:
            lines = self.lines.get(step[0][:-1])
            assert lines, f"{step} does not come"
            compare(lines.pop(0), step)

    def nothing_more(self) -> None:
        assert not self.effects
        assert not {name: lines for name, lines in self.lines.items() if lines}


def split(data: bytes) -> list[bytes]:
    """Whole messages, without their LF."""
    messages, used = ffi.new("gn_msg[64]"), ffi.new("size_t *")
    found, buf = [], ffi.from_buffer(data)
    parser = ffi.new("gn_parser *")
    count = lib.gn_parse(parser, buf, len(data), 1, messages, 64, used)
    for message in messages[0:count]:
        assert message.code == 0, data
        found.append(data[message.whole.off : message.whole.off + message.whole.len])
    return found


def has(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(key in actual and has(actual[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(actual) == len(wanted) and all(map(has, actual, wanted))
    return bool(actual == wanted)


def compare(line: bytes, step: list[Any]) -> None:
    wanted = step[1].encode("latin-1")
    if len(step) == 3:
        assert line.startswith(wanted)
        assert has(json.loads(line[len(wanted) :]), step[2]), line
    elif wanted.startswith(b"RESPONSE:REJECTED:") and b" " not in wanted:
        assert line.split(b" ")[0] == wanted
    else:
        assert line == wanted


@pytest.mark.parametrize("cut", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name: str, cut: int) -> None:
    dialogue = DIALOGUES[name]
    stage = Stage(dialogue.get("config", {}), cut)
    for step in dialogue["steps"]:
        if step[0].endswith("<") or step[0] in DOERS:
            stage.nothing_more()
            stage.do(step)
        else:
            stage.expect(step)
    stage.nothing_more()


def test_every_verb_is_spoken() -> None:
    lines = [step[1] for d in DIALOGUES.values() for step in d["steps"] if step[0][-1] in "<>"]
    said = {line.split(":")[1].split(";")[0] for line in lines}
    verbs = {bytes(ffi.string(lib.gn_verb_name(v))).decode() for v in range(1, lib.gn_verb_count())}
    assert verbs <= said, verbs - said
