"""Aligned tables of text for people: columns two blanks apart, numbers to the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_COLOURS = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36",
}  # fmt: skip
STATE_COLOURS: Mapping[str, str] = {
    "waiting": "dim", "delayed": "yellow", "ready": "cyan", "leased": "blue",
    "cancelling": "yellow", "done": "green", "buried": "red", "cancelled": "dim",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; ``right``: numbers; ``flexible``: cut when the terminal is too narrow."""

    heading: str
    right: bool = False
    flexible: bool = False


def paint(text: str, colour: str, on: bool) -> str:
    """``text`` in a colour, when there are any."""
    code = _COLOURS.get(colour)
    return f"\x1b[{code}m{text}\x1b[0m" if on and code else text


def render(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    width: int | None = None,
    colour: bool = False,
    colours: Mapping[str, str] | None = None,
) -> list[str]:
    """The lines of a table.

    ``width``: columns of the terminal (None: as wide as it gets). ``colours``: which words are
    painted how, when ``colour``.

    >>> render([Column("NAME"), Column("DONE", right=True)], [["a", "1"], ["bcd", "10"]])
    ['NAME  DONE', 'a        1', 'bcd     10']
    """
    cells = [[column.heading for column in columns], *([*row] for row in rows)]
    cells = [[_clean(cell) for cell in row] for row in cells]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    if width is not None:
        _shrink(columns, widths, width)
    lines = []
    for number, row in enumerate(cells):
        parts = []
        for column, room, cell in zip(columns, widths, row, strict=True):
            text = cell if len(cell) <= room else cell[: room - 1] + "…"
            text = text.rjust(room) if column.right else text.ljust(room)
            tone = "bold" if number == 0 else (colours or {}).get(cell, "")
            parts.append(paint(text, tone, colour))
        lines.append("  ".join(parts) if colour else "  ".join(parts).rstrip())
    return lines


def _clean(cell: str) -> str:
    """No control characters: a task's words must not steer the terminal."""
    return "".join(c if c.isprintable() else "?" for c in cell)


def _shrink(columns: Sequence[Column], widths: list[int], width: int) -> None:
    over = sum(widths) + 2 * (len(widths) - 1) - width
    for i in sorted(range(len(widths)), key=lambda i: -widths[i]):
        if over > 0 and columns[i].flexible:
            least = max(len(columns[i].heading), 8)
            cut = min(over, max(0, widths[i] - least))
            widths[i] -= cut
            over -= cut
