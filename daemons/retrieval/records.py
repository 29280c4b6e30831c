"""What travels between the roles: plain frozen records with a JSON form. No behaviour here.

A persisted or wired record grows by optional fields only: ``from_json`` ignores what it
does not know and gives what is missing its default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

_T = TypeVar("_T")


def _load(cls: type[_T], data: dict[str, Any]) -> _T:
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in data.items() if name in known})


def _dump(record: Any) -> dict[str, Any]:
    return {f.name: getattr(record, f.name) for f in fields(record)}


@dataclass(frozen=True)
class Hit:
    """One passage found: where it stands, what it says, and its place in each list.

    Line ``first_line + i`` of the file is line ``i`` of ``text``. Ranks start at 1; a list the
    passage is not in has rank and score None. ``bm25_score`` is positive, higher is better;
    ``vector_score`` is the cosine; ``score`` is the fused one, only good for ordering.
    ``context`` is what the file says of itself in a line.
    """

    chunk_id: int
    path: str
    first_line: int
    last_line: int
    title: str
    text: str
    score: float
    bm25_rank: int | None = None
    bm25_score: float | None = None
    vector_rank: int | None = None
    vector_score: float | None = None
    context: str = ""

    def to_json(self) -> dict[str, Any]:
        return _dump(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Hit:
        return _load(cls, data)


@dataclass(frozen=True)
class SearchResult:
    """The hits of one query, best first, with what the other roles need to judge them.

    ``term_idf`` gives the weight of every index term of the query in the corpus (a term that
    never occurs has the highest weight); ``vectors_used`` says whether the vector list took part.
    """

    query: str
    hits: tuple[Hit, ...]
    term_idf: dict[str, float] = field(default_factory=dict)
    chunks: int = 0
    vectors_used: bool = False

    def to_json(self) -> dict[str, Any]:
        return {**_dump(self), "hits": [hit.to_json() for hit in self.hits]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SearchResult:
        hits = tuple(Hit.from_json(hit) for hit in data.get("hits", ()))
        return _load(cls, {**data, "hits": hits})


@dataclass(frozen=True)
class Source:
    """What ``[number]`` in an answer stands for. ``text`` is the passage as it was read."""

    number: int
    path: str
    first_line: int
    last_line: int
    title: str = ""
    text: str = ""

    @property
    def place(self) -> str:
        """``path:first-last``, as it is printed."""
        if self.first_line == self.last_line:
            return f"{self.path}:{self.first_line}"
        return f"{self.path}:{self.first_line}-{self.last_line}"

    def to_json(self) -> dict[str, Any]:
        return {**_dump(self), "place": self.place}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Source:
        return _load(cls, data)


@dataclass(frozen=True)
class Answer:
    """An answer with its sources. ``support`` in [0, 1]: how much of the question the corpus bears.

    ``found`` is False when the corpus has nothing to say; ``text`` is then ``nothing found``.
    """

    question: str
    text: str
    sources: tuple[Source, ...] = ()
    support: float = 0.0
    found: bool = False

    def to_json(self) -> dict[str, Any]:
        return {**_dump(self), "sources": [source.to_json() for source in self.sources]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        sources = tuple(Source.from_json(source) for source in data.get("sources", ()))
        return _load(cls, {**data, "sources": sources})


NOTHING_FOUND = "nothing found"
# ``[1]`` or ``[1, 2]`` standing by itself; ``heap[0]`` is code.
CITATION = re.compile(r"(?<![\w\])}'\"])\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
