"""The prose points to things that exist: links, headings, benches, commands of ./run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from support.tree import ROOT, expect_none, plant, relative, sources

LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|!\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
BENCH = re.compile(r"(?<![\w/])bench/([a-z_0-9]+)(\.py)?(?![\w/*])|\./run bench +([a-z_0-9]+)")


def slug(heading: str) -> str:
    """A heading's anchor, as the usual renderers of Markdown make it."""
    words = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return words.replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {
        slug(match[1]) for match in re.finditer(r"^#+\s+(.*)$", FENCE.sub("", text), re.MULTILINE)
    }


def dead_links(root: Path) -> list[str]:
    faults = []
    for path in sources(root, ".md"):
        text = path.read_text()
        for match in LINK.finditer(CODE.sub("", FENCE.sub("", text))):
            target = match[1] or match[2]
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / unquote(name)) if name else path
            if not file.exists():
                faults.append(f"{relative(root, path)}: {target}: no such file")
            elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
                faults.append(f"{relative(root, path)}: {target}: no such heading")
    return faults


def orphan_pages(root: Path) -> list[str]:
    """Pages of docs/ that its README does not lead to."""
    index = root / "docs" / "README.md"
    listed = {link.partition("#")[0] for pair in LINK.findall(index.read_text()) for link in pair}
    pages = [path for path in sources(root, ".md") if path.parent == index.parent and path != index]
    return [f"docs/{path.name}: not in docs/README.md" for path in pages if path.name not in listed]


def missing_benches(root: Path) -> list[str]:
    """Benches that the prose names and bench/ does not hold, be it as a program or as a folder."""
    return [
        f"{relative(root, path)}: {match[0]}: no such bench"
        for path in sources(root, ".md")
        for match in BENCH.finditer(path.read_text())
        if not _is_bench(root, match[1] or match[3], program=bool(match[2] or match[3]))
    ]


def _is_bench(root: Path, name: str, *, program: bool) -> bool:
    return (root / "bench" / f"{name}.py").exists() or (
        not program and (root / "bench" / name).is_dir()
    )


def unknown_commands(root: Path, usage: str) -> list[str]:
    """`./run WORD` in the prose that ./run does not know."""
    known = set(re.findall(r"^  ([a-z]+)", usage, re.MULTILINE))
    return [
        f"{relative(root, path)}: {match[0]}"
        for path in sources(root, ".md")
        for match in re.finditer(r"\./run +([a-z]+)", path.read_text())
        if match[1] not in known
    ]


def test_links_resolve() -> None:
    expect_none(dead_links(ROOT))


def test_every_page_is_listed() -> None:
    expect_none(orphan_pages(ROOT))


def test_named_benches_exist() -> None:
    expect_none(missing_benches(ROOT))


def test_named_commands_exist() -> None:
    usage = subprocess.run(
        [ROOT / "run", "help"], capture_output=True, text=True, check=True
    ).stdout
    expect_none(unknown_commands(ROOT, usage))


@pytest.mark.parametrize(
    "text",
    ["[a](gone.md)", "![a](gone.png)", "[a](b.md#nowhere)", "[a](#nowhere)", '[a](no.md "t")'],
)
def test_a_dead_link_is_found(tmp_path: Path, text: str) -> None:
    root = plant(tmp_path, {"docs/a.md": f"# Here\n\n{text}\n", "docs/b.md": "# There\n"})
    assert len(dead_links(root)) == 1


def test_a_living_link_is_not(tmp_path: Path) -> None:
    text = "[a](../b.md#what-it-is-ok) [b](https://example.org/x) `[c](gone.md)`\n```\n[d](gone.md)\n```\n"
    root = plant(tmp_path, {"docs/a.md": text, "b.md": "## What it is (`ok`)\n"})
    assert dead_links(root) == []


@pytest.mark.parametrize(
    "text", ["`bench/gone.py`", "`./run bench gone`", "see bench/gone for more"]
)
def test_a_missing_bench_is_found(tmp_path: Path, text: str) -> None:
    assert len(missing_benches(plant(tmp_path, {"README.md": text, "bench/here.py": ""}))) == 1


def test_an_unknown_command_is_found(tmp_path: Path) -> None:
    root = plant(tmp_path, {"README.md": "`./run demo`, `./run fly`"})
    assert unknown_commands(root, "usage:\n\n  demo [PATH]   words\n") == ["README.md: ./run fly"]
