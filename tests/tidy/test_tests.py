"""Rules about the tests: they wait for states, and say why they skip."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tree import ROOT, expect_none, plant, relative, sources

WAITS_HERE = "tests/support/until.py"
SKIPS = ("skip", "skipif", "xfail", "importorskip")
REASON = "# sleep: "  # what follows says what the sleep stands for, e.g. the work of a slow handler


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def sleeps(root: Path) -> list[str]:
    """Sleeps in the tests: `until` is for waiting."""
    faults = []
    for path in sources(root, ".py"):
        name = relative(root, path)
        if not name.startswith("tests/") or name == WAITS_HERE:
            continue
        text = path.read_text()
        lines = text.split("\n")
        for node, called in calls(ast.parse(text)):
            # sleep(0) only lets others run.
            zero = [ast.unparse(word) for word in node.args] == ["0"]
            is_sleep = called.split(".")[-1] in ("sleep", "usleep")
            if is_sleep and not zero and REASON not in lines[node.lineno - 1]:
                faults.append(f"{name}:{node.lineno}: {called}: use support.until")
    return faults


def silent_skips(root: Path) -> list[str]:
    """Skips and expected failures without a reason."""
    faults = []
    for path in sources(root, ".py"):
        name = relative(root, path)
        if not name.startswith("tests/"):
            continue
        tree = ast.parse(path.read_text())
        called = {id(node.func) for node, _ in calls(tree)}
        for node, words in calls(tree):
            if words.startswith("pytest.") and words.split(".")[-1] in SKIPS:
                given = [word.value for word in node.keywords if word.arg == "reason"]
                if words.endswith(("skip", "xfail")) and not words.endswith("importorskip"):
                    given += node.args[:1]
                if not any(not isinstance(value, ast.Constant) or value.value for value in given):
                    faults.append(f"{name}:{node.lineno}: {words} without a reason")
        for mark in ast.walk(tree):
            if isinstance(mark, ast.Attribute) and id(mark) not in called:
                words = ast.unparse(mark)
                if words in ("pytest.mark.skip", "pytest.mark.xfail"):
                    faults.append(f"{name}:{mark.lineno}: {words} without a reason")
    return faults


def test_tests_wait_for_states() -> None:
    expect_none(sleeps(ROOT))


def test_skips_say_why() -> None:
    expect_none(silent_skips(ROOT))


@pytest.mark.parametrize("call", ["time.sleep(1)", "await asyncio.sleep(1)", "sleep(0.1)"])
def test_a_sleep_is_found(tmp_path: Path, call: str) -> None:
    root = plant(tmp_path, {"tests/unit/test_a.py": f"async def test_a():\n    {call}\n"})
    assert len(sleeps(root)) == 1


def test_a_sleep_with_a_reason_is_not(tmp_path: Path) -> None:
    text = f"def handler(task):\n    time.sleep(1)  {REASON}a handler that works for long\n    sleep(0)\n"
    assert sleeps(plant(tmp_path, {"tests/test_a.py": text})) == []


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.skip\ndef f(): ...",
        "pytest.skip()",
        'pytest.skip("")',
        "@pytest.mark.skipif(x)\ndef f(): ...",
        "@pytest.mark.xfail\ndef f(): ...",
        'pytest.importorskip("numpy")',
    ],
)
def test_a_silent_skip_is_found(tmp_path: Path, text: str) -> None:
    assert len(silent_skips(plant(tmp_path, {"tests/test_a.py": f"{text}\n"}))) == 1


def test_a_skip_with_a_reason_is_not(tmp_path: Path) -> None:
    text = 'pytest.skip("no clang")\n@pytest.mark.skipif(x, reason="no GPU")\ndef f(): ...\n'
    assert silent_skips(plant(tmp_path, {"tests/test_a.py": text})) == []
