"""A document to passages of some 80 to 200 words, along its headings and paragraphs.

A passage is whole lines: line ``i`` of its text is line ``first_line + i`` of the file, except
for pieces of a line that alone is longer than a passage. Passages do not overlap.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from .document import SEPARATOR, Document
from .terms import term_set, words

VERSION = 1  # raise it when the same Document gives other chunks: stores are rebuilt then
WORDS_MIN = 80
WORDS_MAX = 200
CHARS_MAX = 4000
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Chunk:
    """A passage. ``id`` is taken from its content (63 bits of SHA-256 over the three texts), so
    equal passages are one passage, wherever they stand and whenever they were read. ``context``
    is the summary of its file: it is searched with the passage but is no part of it."""

    id: int
    path: str
    first_line: int
    last_line: int
    title: str
    context: str
    text: str


@dataclass(frozen=True)
class _Block:
    """Consecutive lines that belong together."""

    first: int
    title: str
    lines: tuple[str, ...]
    words: int

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def chunk_id(title: str, context: str, text: str) -> int:
    """The identity of a passage: positive, 63 bits. Two of a million passages differ in it but
    for a chance of one in ten million."""
    digest = hashlib.sha256(f"{title}\0{context}\0{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def embed_text(title: str, context: str, text: str) -> str:
    """What an embedder is given for a passage: what the text itself takes for granted first."""
    return "\n".join(part for part in (title, context, text) if part)


def split(document: Document) -> list[Chunk]:
    """The passages of a document in order; equal ones and ones without a word are left out."""
    chunks: dict[int, Chunk] = {}
    for group in _pack(_blocks(document)):
        chunk = _chunk(document, group)
        if term_set(chunk.text):
            chunks.setdefault(chunk.id, chunk)
    return list(chunks.values())


def _chunk(document: Document, group: list[_Block]) -> Chunk:
    first, last = group[0].first, group[-1].last
    title = _common([block.title for block in group])
    if len(group) == 1:
        text = "\n".join(group[0].lines)
    else:
        text = "\n".join(document.lines[first - 1 : last])
    context = document.summary
    return Chunk(chunk_id(title, context, text), document.path, first, last, title, context, text)


def _common(titles: list[str]) -> str:
    """The title of several sections: what their titles share, else the first one."""
    if len(set(titles)) == 1:
        return titles[0]
    for separator in (SEPARATOR, "."):
        split_titles = [title.split(separator) for title in titles]
        shared = 0
        for parts in zip(*split_titles, strict=False):
            if len(set(parts)) > 1:
                break
            shared += 1
        if shared:
            return separator.join(split_titles[0][:shared])
    return titles[0]


def _blocks(document: Document) -> Iterator[_Block]:
    """Runs of lines without an empty one and under one mark, cut where they are too long."""
    marks = {mark.line: mark.title for mark in document.marks}
    title = marks.get(1, PurePath(document.path).stem)
    run: list[str] = []
    for number, line in enumerate(document.lines, 1):
        if number in marks or not line.strip():
            yield from _cut(number - len(run), title, run)
            run = []
            title = marks.get(number, title)
        if line.strip():
            run.append(line)
    yield from _cut(len(document.lines) + 1 - len(run), title, run)


def _cut(first: int, title: str, run: list[str]) -> Iterator[_Block]:
    part: list[str] = []
    count = chars = 0
    for offset, line in enumerate(run):
        size = words(line)
        if part and (count + size > WORDS_MAX or chars + len(line) > CHARS_MAX):
            yield _Block(first + offset - len(part), title, tuple(part), count)
            part, count, chars = [], 0, 0
        if size > WORDS_MAX or len(line) > CHARS_MAX:
            for piece in _pieces(line):
                yield _Block(first + offset, title, (piece,), WORDS_MAX)
            continue
        part.append(line)
        count, chars = count + size, chars + len(line)
    if part:
        yield _Block(first + len(run) - len(part), title, tuple(part), count)


def _pieces(line: str) -> Iterator[str]:
    """A line that is too long, cut after sentences, else after words, else anywhere."""
    part: list[str] = []
    count = chars = 0
    for token in re.findall(r"\S+\s*", line):
        for start in range(0, len(token), CHARS_MAX):
            bit = token[start : start + CHARS_MAX]
            full = count >= WORDS_MAX or chars + len(bit) > CHARS_MAX
            ended = count >= WORDS_MIN and part and _SENTENCE_END.search(part[-1] + " ")
            if part and (full or ended):
                yield "".join(part).rstrip()
                part, count, chars = [], 0, 0
            part.append(bit)
            count, chars = count + 1, chars + len(bit)
    if part:
        yield "".join(part).rstrip()


def _pack(blocks: Iterator[_Block]) -> Iterator[list[_Block]]:
    """Small neighbours together, until a passage has enough words or a new section begins."""
    group: list[_Block] = []
    count = 0
    for block in blocks:
        enough = count >= WORDS_MIN and block.title != group[-1].title if group else False
        if group and (enough or count + block.words > WORDS_MAX):
            yield group
            group, count = [], 0
        group.append(block)
        count += block.words
    if group:
        yield group
