"""Documents and chunks in one SQLite file, with full text (FTS5, BM25). Knows no vectors.

Layout, ``user_version`` = SCHEMA; any other version of schema, reader, chunker or analyzer
empties the store, because everything in it can be read again:

    documents(id, path, size, mtime_ns, hash, kind, lines)    one per file
    chunks(id, title, context, text)     one per passage; id is taken from its content
    places(document, chunk, first_line, last_line)            where a passage stands
    fts(title, body)     index terms (not text) of each chunk, rowid = chunk id

To change the layout: edit _SCHEMA, raise SCHEMA. Every write is one transaction, in WAL mode;
a crash loses at most the files since the last commit, which the next ingest reads again.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import chunks, readers, terms
from .document import Document
from .errors import StoreError

SCHEMA = 1
FILE = "store.sqlite"
BUSY_MS = 30_000
VARIABLES_MAX = 500  # SQLite's own limit was 999 for long

_SCHEMA = """
CREATE TABLE documents(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, hash BLOB NOT NULL, kind TEXT NOT NULL, lines INTEGER NOT NULL);
CREATE TABLE chunks(
    id INTEGER PRIMARY KEY, title TEXT NOT NULL, context TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE places(
    document INTEGER NOT NULL, chunk INTEGER NOT NULL,
    first_line INTEGER NOT NULL, last_line INTEGER NOT NULL,
    PRIMARY KEY(document, chunk)) WITHOUT ROWID;
CREATE INDEX places_chunk ON places(chunk);
CREATE VIRTUAL TABLE fts USING fts5(
    title, body, tokenize="unicode61 remove_diacritics 0 tokenchars '_'");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab('fts', 'row');
CREATE TABLE versions(stamp TEXT NOT NULL);
"""
_TABLES = ("vocabulary", "fts", "places", "chunks", "documents", "versions")
_STAMP = f"{SCHEMA}.{readers.VERSION}.{chunks.VERSION}.{terms.VERSION}"


@dataclass(frozen=True)
class Known:
    """What the store remembers of a file, to tell whether it changed."""

    size: int
    mtime_ns: int
    hash: bytes


@dataclass(frozen=True)
class Place:
    """A chunk where it stands."""

    chunk_id: int
    path: str
    first_line: int
    last_line: int
    title: str
    context: str
    text: str


class Store:
    """One writer at a time per file; any number of readers. Not for several threads at once."""

    def __init__(self, state_dir: str | Path) -> None:
        self.file = Path(state_dir) / FILE
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self.file, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot open {self.file}: {error}") from None

    def _prepare(self) -> None:
        with self.transaction():
            stamps: list[tuple[str]] = []
            if self._db.execute("SELECT 1 FROM sqlite_master WHERE name='versions'").fetchone():
                stamps = self._db.execute("SELECT stamp FROM versions").fetchall()
            if stamps == [(_STAMP,)]:
                return
            for table in _TABLES:
                self._db.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
            self._db.execute("INSERT INTO versions VALUES(?)", (_STAMP,))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written inside; inside another one, part of that one."""
        if self._db.in_transaction:
            yield
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"{self.file}: {error}") from None
            raise

    def close(self) -> None:
        self._db.close()

    # Writing

    def put(self, document: Document, size: int, mtime_ns: int, digest: bytes) -> int:
        """Store a file's passages in place of what was known of it; return how many."""
        pieces = chunks.split(document)
        with self.transaction():
            self.remove([document.path])
            cursor = self._db.execute(
                "INSERT INTO documents(path, size, mtime_ns, hash, kind, lines)"
                " VALUES(?, ?, ?, ?, ?, ?)",
                (document.path, size, mtime_ns, digest, document.kind, len(document.lines)),
            )
            for piece in pieces:
                self._add(piece, int(cursor.lastrowid or 0))
        return len(pieces)

    def _add(self, piece: chunks.Chunk, document: int) -> None:
        added = self._db.execute(
            "INSERT OR IGNORE INTO chunks VALUES(?, ?, ?, ?)",
            (piece.id, piece.title, piece.context, piece.text),
        )
        if added.rowcount:
            title = " ".join(terms.terms(f"{piece.title}\n{piece.context}"))
            body = " ".join(terms.terms(piece.text))
            self._db.execute(
                "INSERT INTO fts(rowid, title, body) VALUES(?, ?, ?)", (piece.id, title, body)
            )
        self._db.execute(
            "INSERT INTO places VALUES(?, ?, ?, ?)",
            (document, piece.id, piece.first_line, piece.last_line),
        )

    def touch(self, path: str, size: int, mtime_ns: int) -> None:
        """The file was looked at again and says the same."""
        with self.transaction():
            self._db.execute(
                "UPDATE documents SET size=?, mtime_ns=? WHERE path=?", (size, mtime_ns, path)
            )

    def remove(self, paths: Iterable[str]) -> int:
        """Forget files, and the passages that now stand nowhere; return how many files."""
        removed = 0
        with self.transaction():
            for path in paths:
                row = self._db.execute("SELECT id FROM documents WHERE path=?", (path,)).fetchone()
                if row is None:
                    continue
                orphans = self._db.execute(
                    "SELECT chunk FROM places p WHERE document=? AND NOT EXISTS("
                    "SELECT 1 FROM places o WHERE o.chunk=p.chunk AND o.document<>p.document)",
                    row,
                ).fetchall()
                self._db.execute("DELETE FROM places WHERE document=?", row)
                self._db.executemany("DELETE FROM chunks WHERE id=?", orphans)
                self._db.executemany("DELETE FROM fts WHERE rowid=?", orphans)
                self._db.execute("DELETE FROM documents WHERE id=?", row)
                removed += 1
        return removed

    # Reading

    def _rows(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.file}: {error}") from None

    def known(self, path: str) -> Known | None:
        rows = self._rows("SELECT size, mtime_ns, hash FROM documents WHERE path=?", (path,))
        return Known(*rows[0]) if rows else None

    def paths(self) -> list[str]:
        """Every file in the store, sorted."""
        return [path for (path,) in self._rows("SELECT path FROM documents ORDER BY path")]

    def counts(self) -> tuple[int, int]:
        """(files, chunks)"""
        ((files, pieces),) = self._rows(
            "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks)"
        )
        return int(files), int(pieces)

    def chunk_ids(self) -> NDArray[np.uint64]:
        """Every chunk's id, ascending."""
        rows = self._rows("SELECT id FROM chunks ORDER BY id")
        return np.fromiter((row[0] for row in rows), np.uint64)

    def texts(self, ids: Sequence[int]) -> dict[int, tuple[str, str, str]]:
        """id -> (title, context, text) of those that still exist."""
        found: dict[int, tuple[str, str, str]] = {}
        for part in _parts(ids):
            marks = ",".join("?" * len(part))
            for chunk, *texts in self._rows(
                f"SELECT id, title, context, text FROM chunks WHERE id IN ({marks})", part
            ):
                found[chunk] = (texts[0], texts[1], texts[2])
        return found

    def places(self, ids: Sequence[int]) -> dict[int, Place]:
        """id -> the chunk at the first of its places by path."""
        found: dict[int, Place] = {}
        for part in _parts(ids):
            marks = ",".join("?" * len(part))
            for row in self._rows(
                "SELECT c.id, d.path, p.first_line, p.last_line, c.title, c.context, c.text"
                " FROM chunks c"
                " JOIN places p ON p.chunk = c.id JOIN documents d ON d.id = p.document"
                f" WHERE c.id IN ({marks}) ORDER BY d.path DESC",
                part,
            ):
                found[row[0]] = Place(*row)
        return found

    def bm25(
        self, query_terms: Sequence[str], limit: int, title_weight: float
    ) -> list[tuple[int, float]]:
        """(chunk id, score) by BM25 over any of the terms, best first; scores are positive."""
        if not query_terms:
            return []
        # Terms hold letters, digits and "_" only; quoted, none of them is FTS5 syntax.
        match = " OR ".join(f'"{term}"' for term in query_terms)
        rows = self._rows(
            "SELECT rowid, -bm25(fts, ?, 1.0) AS score FROM fts WHERE fts MATCH ?"
            " ORDER BY score DESC, rowid LIMIT ?",
            (title_weight, match, limit),
        )
        return [(int(row[0]), float(row[1])) for row in rows]

    def document_frequency(self, query_terms: Sequence[str]) -> dict[str, int]:
        """In how many chunks each term occurs."""
        found: dict[str, int] = {}
        for term in query_terms:
            rows = self._rows("SELECT doc FROM vocabulary WHERE term=?", (term,))
            found[term] = int(rows[0][0]) if rows else 0
        return found


def content_hash(data: bytes) -> bytes:
    """What decides whether a file changed."""
    return hashlib.sha256(data).digest()


def _parts(ids: Sequence[int]) -> Iterator[list[int]]:
    for at in range(0, len(ids), VARIABLES_MAX):
        yield [int(one) for one in ids[at : at + VARIABLES_MAX]]
