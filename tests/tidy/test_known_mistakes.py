"""docs/known-mistakes.md is the list of the tests named test_elsewhere_..., and nothing else.

Each is about a mistake found in other libraries of this kind; its docstring says which. To write the page:
`python tests/tidy/test_known_mistakes.py`.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "known-mistakes.md"
TESTS = ROOT / "tests" / "unit" / "kernels"
PREFIX = "test_elsewhere_"
HEAD = """\
# Mistakes made elsewhere

Libraries with kernels of these names exist. Reading and running the best known of them showed the mistakes below:
answers that are wrong, tests that cannot fail, claims that nothing shows. Each is a test here, and passes. Written by
`python tests/tidy/test_known_mistakes.py` from the tests' own docstrings.
"""


def listed() -> list[tuple[str, str, str]]:
    """(file, test, what its docstring says) of every such test, in order."""
    found = []
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith(PREFIX):
                found.append(
                    (path.name, node.name, " ".join((ast.get_docstring(node) or "").split()))
                )
    return found


def page() -> str:
    """The page as it should be."""
    parts, file = [HEAD], ""
    for name, test, words in listed():
        if name != file:
            file, family = name, name.removeprefix("test_").removesuffix(".py")
            parts.append(f"\n## {family}\n\nIn [{name}](../tests/unit/kernels/{name}):\n")
        parts.append(f"\n- {words}\n  `{test}`\n")
    return "".join(parts)


def test_the_page_is_the_tests() -> None:
    assert PAGE.read_text() == page(), "run: python tests/tidy/test_known_mistakes.py"


def test_each_says_what_the_mistake_is() -> None:
    assert [test for _, test, words in listed() if len(words) < 30] == []


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stderr.write(f"{PAGE}: {len(listed())} tests\n")
