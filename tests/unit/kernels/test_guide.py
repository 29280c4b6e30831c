"""The code in docs/numeric.md runs as it stands, block after block."""

from __future__ import annotations

import importlib
import re
from typing import Any

from support.tree import ROOT

PAGE = (ROOT / "docs" / "numeric.md").read_text()


def test_the_guides_code_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 4
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/numeric.md", "exec"), names)


def test_the_table_names_what_there_is() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.*) \|$", PAGE, re.MULTILINE)
    modules = {name for heads, _ in rows for name in re.findall(r"`(\w+)`", heads)}
    faces = {path.stem for path in (ROOT / "kernels").glob("[a-z]*.py")}
    assert modules == faces
    for heads, words in rows:
        if len(heads.split(",")) == 1:
            module = importlib.import_module(f"ganglion.kernels.{heads.strip('`')}")
            for name in re.findall(r"`(\w+)`", words):
                assert hasattr(module, name), f"{heads}: no {name}"
