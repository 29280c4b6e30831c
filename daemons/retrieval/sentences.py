"""A passage to sentences that know their lines. Used by answers and judgements alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

WORDS_MAX = 60  # a longer "sentence" is a table or code; it is cut at lines
_END = re.compile(r"(?<=[.!?])[\"')\]]*(?:\s+|$)")
_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)]|:\w+[^:]*:|@\w+|>>>|\.\. )\s*")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Mr|Dr|No|Fig|resp|approx)|\b[A-Z])\.$")


@dataclass(frozen=True)
class Sentence:
    """Text on one line, and the lines of the file it stands on."""

    text: str
    first_line: int
    last_line: int


def split_sentences(text: str, first_line: int = 1) -> list[Sentence]:
    """Sentences in order. An empty line, a list item or a change to less indent ends one."""
    found: list[Sentence] = []
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), first_line):
        if block and (not line.strip() or _ITEM.match(line) or _dedent(block[-1][1], line)):
            found.extend(_of_block(block))
            block = []
        if line.strip():
            block.append((number, line))
    found.extend(_of_block(block))
    return found


def _dedent(before: str, line: str) -> bool:
    """A heading or signature is followed by an indented line; a paragraph is not."""
    first, second = (len(one) - len(one.lstrip()) for one in (before, line))
    return abs(first - second) >= 2 and before.rstrip()[-1:] not in ",;(" and bool(first or second)


def _of_block(block: list[tuple[int, str]]) -> list[Sentence]:
    found: list[Sentence] = []
    words: list[str] = []
    start = 0
    for number, line in block:
        if len(words) > WORDS_MAX:
            found.append(Sentence(" ".join(words), start, number - 1))
            words = []
        for piece in _pieces(line.strip()):
            if not words:
                start = number
            words.extend(piece.split())
            if re.search(r"[.!?][\"')\]]*$", piece) and not _ABBREVIATION.search(piece):
                found.append(Sentence(" ".join(words), start, number))
                words = []
    if words:
        found.append(Sentence(" ".join(words), start, block[-1][0]))
    return found


def _pieces(line: str) -> list[str]:
    """A line cut after each sentence end."""
    cuts = [match.end() for match in _END.finditer(line)]
    edges = sorted({0, *cuts, len(line)})
    return [piece for a, b in pairwise(edges) if (piece := line[a:b].strip())]
