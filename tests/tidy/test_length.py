"""Functions one can read in one go, files that hold one idea."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from support.tree import ROOT, c_code, expect_none, plant, relative, sources

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
# A file may be longer for a stated reason: {"path": "reason"}.
LONG_FILES: dict[str, str] = {}


def python_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """(name, first line, lines) of every function, its docstring included, its decorators not."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def c_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """(head, first line, lines) of every function, from the start of its head to its last brace.

    A block at depth 0 whose head ends in ``)`` is a function; structs, enums and tables are not.
    """
    depth, first, head = 0, 0, ""
    for number, line in enumerate(c_code(text).split("\n"), 1):
        if depth == 0 and line.lstrip().startswith(("#", 'extern "')):
            head = ""
            continue
        for character in line:
            if depth == 0 and not head.strip():
                first = number
            if character == "{":
                depth += 1
            elif character == "}":
                depth -= 1
                if depth == 0:
                    if head.rstrip().endswith(")"):
                        yield " ".join(head.split()), first, number - first + 1
                    head = ""
            elif depth == 0:
                head = "" if character == ";" else head + character
        if depth == 0:
            head += "\n"


def long_functions(root: Path) -> list[str]:
    return [
        f"{relative(root, path)}:{line}: {lines} lines: {name}"
        for path in sources(root, ".py", ".c", ".h")
        for name, line, lines in (python_functions if path.suffix == ".py" else c_functions)(
            path.read_text()
        )
        if lines > FUNCTION_LINES_MAX
    ]


def long_files(root: Path) -> list[str]:
    return [
        f"{name}: {lines} lines"
        for path in sources(root, ".py", ".pyi", ".c", ".h", ".sh")
        if (lines := path.read_text().count("\n")) > FILE_LINES_MAX
        and (name := relative(root, path)) not in LONG_FILES
    ]


def test_functions_are_short() -> None:
    expect_none(long_functions(ROOT))


def test_files_are_short() -> None:
    expect_none(long_files(ROOT))


def test_every_exception_is_needed() -> None:
    assert [name for name in LONG_FILES if not (ROOT / name).exists()] == []


def test_long_functions_are_found(tmp_path: Path) -> None:
    body = "    x = 1\n" * FUNCTION_LINES_MAX
    c_body = "    x = 1; /* } */\n" * FUNCTION_LINES_MAX
    root = plant(
        tmp_path,
        {
            "a.py": f"class A:\n  async def long(self):\n{body}",
            "a.c": f"#define X {{\nint table[] = {{ 1 }};\nint\nf(int a,\n  int b)\n{{\n{c_body}}}\n",
        },
    )
    found = sorted(long_functions(root))
    assert [fault.split(": ")[0] for fault in found] == ["a.c:3", "a.py:2"]


def test_functions_at_the_limit_pass(tmp_path: Path) -> None:
    body = "    x = 1;\n" * (FUNCTION_LINES_MAX - 2)
    text = (
        f"struct s {{\n{'    int a;' * 90}\n}};\n"
        f"int f(void) {{\n{body}}}\nint g(void) {{ return '}}'; }}\n"
    )
    assert long_functions(plant(tmp_path, {"a.c": text})) == []
    heads = [(head, lines) for head, _, lines in c_functions(text)]
    assert heads == [("int f(void)", FUNCTION_LINES_MAX), ("int g(void)", 1)]


def test_long_files_are_found(tmp_path: Path) -> None:
    root = plant(tmp_path, {"a.h": "\n" * (FILE_LINES_MAX + 1), "b.h": "\n" * FILE_LINES_MAX})
    assert long_files(root) == [f"a.h: {FILE_LINES_MAX + 1} lines"]
