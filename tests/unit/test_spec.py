"""protocol/SPEC.md says what the C registries say, and leaves out no verb."""

from __future__ import annotations

import re

import pytest

from ganglion.protocol import spec
from ganglion.protocol._native import ffi, lib

TEXT = spec.SPEC.read_text()


def test_the_generated_parts_are_current() -> None:
    assert spec.outdated(TEXT) == []


def test_an_old_part_is_found() -> None:
    assert spec.outdated(TEXT.replace("`unknown_verb`", "`other_verb`")) == ["codes"]
    assert spec.outdated(TEXT.replace("generated: table", "generate: table")) == ["table"]


def test_generating_twice_changes_nothing() -> None:
    assert spec.generate(TEXT) == TEXT


@pytest.mark.parametrize("verb", [lib.gn_verb_name(v) for v in range(1, lib.gn_verb_count())])
def test_every_verb_has_its_entry(verb: object) -> None:
    name = bytes(ffi.string(verb)).decode()
    assert re.search(rf"^#+ .*(CONTROL|RESPONSE|ACK):{name}\b", TEXT, re.MULTILINE), name


def test_every_parameter_of_the_library_is_in_the_table() -> None:
    keys = [bytes(ffi.string(lib.gn_param_key(p))).decode() for p in range(lib.gn_param_count())]
    assert re.findall(r"^\| `([a-z]+)` \| (?:number|text) \|", TEXT, re.MULTILINE) == keys


def test_the_command_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert spec.main(["--check"]) == 0
    assert spec.main(["--nonsense"]) == 64
    assert "usage" in capsys.readouterr().err
