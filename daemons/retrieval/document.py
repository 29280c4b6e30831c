"""A file as text: its lines, numbered as in the file, and where its headings stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

SEPARATOR = " > "  # between the headings of a prose title
_NEWLINE = re.compile(r"\r\n|\n|\r")


class Mark(NamedTuple):
    """From ``line`` (1-based) on, until the next mark, the text belongs to ``title``."""

    line: int
    title: str


@dataclass(frozen=True)
class Document:
    """``lines[i]`` is what line ``i + 1`` of the file says, markup removed (possibly empty).

    ``kind`` is one of text, markdown, rst, html, man, python, code, pdf. For a PDF a line is a
    line of the extracted text, pages one after the other. ``summary`` is what the file says of
    itself in one line (a module's docstring, a manual page's NAME), or empty: every passage of
    the file is found by it too.
    """

    path: str
    kind: str
    lines: tuple[str, ...]
    marks: tuple[Mark, ...] = ()
    summary: str = ""


def split_lines(text: str) -> list[str]:
    """Lines as an editor counts them: a form feed or U+2028 ends no line (unlike splitlines)."""
    lines = _NEWLINE.split(text)
    if lines and not lines[-1]:
        lines.pop()
    return lines


SUMMARY_CHARS_MAX = 160


def one_line(text: str) -> str:
    """A summary: blanks joined, cut at a word when too long."""
    text = " ".join(text.split())
    if len(text) <= SUMMARY_CHARS_MAX:
        return text
    return text[:SUMMARY_CHARS_MAX].rpartition(" ")[0] or text[:SUMMARY_CHARS_MAX]


class Headings:
    """Collects headings of levels 1, 2, ... and gives each its path: ``Guide > Install``."""

    def __init__(self, path: str) -> None:
        self._stem = PurePath(path).name.split(".")[0]
        self._open: list[tuple[int, str]] = []
        self.marks: list[Mark] = [Mark(1, self._stem)]

    def add(self, line: int, level: int, heading: str) -> None:
        heading = " ".join(heading.replace("\u00b6", " ").split())[:120]
        if not heading:
            return
        self._open = [one for one in self._open if one[0] < level]
        self._open.append((level, heading))
        path = [name for _, name in self._open[-3:]]
        self.marks.append(Mark(line, SEPARATOR.join([self._stem, *path])))
