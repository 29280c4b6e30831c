"""The index the retriever holds: ingest, chunks that need vectors, and fused search.

Full text (BM25, by SQLite) and vectors (by usearch) rank separately; the ranks are fused by
reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009): the sum over the lists of
``weight / (60 + rank)``. Without vectors the order is that of BM25.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import readers
from .chunks import embed_text
from .errors import ReaderError
from .records import Hit, SearchResult
from .store import Known, Place, Store, content_hash
from .terms import terms
from .vectors import Vectors

RRF_K = 60  # the constant of the paper
DEPTH = 100  # entries of each list that take part in the fusion
# Chosen on half of the questions of bench/retrieval.py (--tune: the largest sum of recall@5 and
# nDCG@10), reported on the other half.
BM25_WEIGHT = 1.0
VECTOR_WEIGHT = 0.7
TITLE_WEIGHT = 2.0
QUERY_CHARS_MAX = 10_000
QUERY_TERMS_MAX = 64
RACY_NS = 2_000_000_000  # a file changed this shortly before it was read may change unseen again
_SAVE_EVERY = 4096


class Pending(NamedTuple):
    """A chunk that has no vector yet; ``text`` is what to embed."""

    id: int
    text: str


@dataclass
class IngestReport:
    """What an ingest did. ``errors`` name what was skipped; all counts are files but ``chunks``."""

    files: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    seconds: float = 0.0
    errors: list[ReaderError] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {
            **{name: value for name, value in vars(self).items() if name != "errors"},
            "skipped": len(self.errors),
            "errors": [{"path": one.path, "reason": one.reason} for one in self.errors],
        }


Progress = Callable[[int, int, str], None]


class Index:
    """All state of a retriever, in one folder. Methods may be called from any thread."""

    def __init__(self, state_dir: str | os.PathLike[str]) -> None:
        self._lock = threading.RLock()
        self._store = Store(Path(state_dir))
        self._vectors = Vectors(Path(state_dir))

    def close(self) -> None:
        """Save what is unsaved and let go of the files."""
        with self._lock:
            self._vectors.save()
            self._store.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # Ingest

    def ingest(
        self,
        paths: Sequence[str | os.PathLike[str]],
        skip: Collection[str] = (),
        size_max: int = readers.SIZE_BYTES_MAX,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Bring the store up to date with the files under ``paths``; others stay as they are.

        ``skip``: names of folders not to enter. ``size_max``: bytes of a file. ``progress`` is
        called with (files done, files in all, path). A file that is gone, or that can no longer
        be read, drops out. Searches go on meanwhile.
        """
        started, report = time.monotonic(), IngestReport()
        files = list(readers.walk(paths, skip, report.errors.append))
        kept: set[str] = set()
        for done, path in enumerate(files):
            if progress:
                progress(done, len(files), path)
            try:
                self._ingest_file(path, size_max, report)
                kept.add(path)
            except ReaderError as error:
                report.errors.append(error)
        if progress:
            progress(len(files), len(files), "")
        with self._lock:
            gone = [
                path for path in self._store.paths() if path not in kept and _under(path, paths)
            ]
            report.removed = self._store.remove(gone)
            self._drop_orphans()
            report.files, report.chunks = self._store.counts()
        report.seconds = time.monotonic() - started
        return report

    def _ingest_file(self, path: str, size_max: int, report: IngestReport) -> None:
        try:
            path.encode()
            info = os.stat(path)
        except UnicodeEncodeError:
            raise ReaderError(path.encode(errors="replace").decode(), "name is not UTF-8") from None
        except OSError as error:
            raise ReaderError(path, (error.strerror or str(error)).lower()) from None
        with self._lock:
            known = self._store.known(path)
        stamp = info.st_mtime_ns if time.time_ns() - info.st_mtime_ns > RACY_NS else -1
        if known and info.st_size <= size_max and _same(known, info):
            report.unchanged += 1
            return
        data = readers.read_bytes(path, size_max)
        digest = content_hash(data)
        if known and known.hash == digest:
            with self._lock:
                self._store.touch(path, info.st_size, stamp)
            report.unchanged += 1
            return
        document = readers.parse(path, data, size_max)
        with self._lock:
            self._store.put(document, info.st_size, stamp, digest)
        if known:
            report.changed += 1
        else:
            report.added += 1

    def _drop_orphans(self) -> None:
        ids = self._vectors.ids()
        self._vectors.remove(ids[~np.isin(ids, self._store.chunk_ids())])

    # Vectors

    @property
    def embedder(self) -> str:
        """The fingerprint the vectors were made under; empty when there are none."""
        with self._lock:
            return self._vectors.name

    def texts(self, batch: int = 512) -> Iterator[str]:
        """What an embedder is fitted on: every chunk as it would be embedded, in a fixed order."""
        with self._lock:
            ids = self._store.chunk_ids().tolist()
        for at in range(0, len(ids), batch):
            with self._lock:
                found = self._store.texts(ids[at : at + batch])
            for one in sorted(found):
                yield embed_text(*found[one])

    def use_embedder(self, name: str, dim: int) -> bool:
        """Declare the embedder before ``pending``; True when a change of it dropped all vectors."""
        with self._lock:
            return self._vectors.use(name, dim)

    def pending(self, limit: int | None = None) -> list[Pending]:
        """Chunks that have no vector of the declared embedder, by id, at most ``limit``."""
        with self._lock:
            wanted = np.setdiff1d(self._store.chunk_ids(), self._vectors.ids())
            ids = wanted[:limit].tolist()
            found = self._store.texts(ids)
        return [Pending(one, embed_text(*found[one])) for one in ids if one in found]

    def add_vectors(self, ids: Sequence[int], matrix: NDArray[np.float32], name: str = "") -> int:
        """Store vectors made for ``pending`` chunks; return how many were still wanted.

        ``name`` is the fingerprint they were made under; with one that is not the declared one,
        none is stored. Vectors reach the disk now and then, and for certain with ``save``.
        """
        rows = np.asarray(matrix, dtype=np.float32)
        with self._lock:
            if name and name != self._vectors.name:
                return 0
            present = np.isin(np.array(ids, np.uint64), self._store.chunk_ids())
            if rows.ndim == 2 and len(rows) == len(present):
                rows, ids = rows[present], np.array(ids, np.uint64)[present].tolist()
            self._vectors.add(ids, rows)
            if self._vectors.unsaved >= max(_SAVE_EVERY, len(self._vectors) // 4):
                self._vectors.save()
            return len(ids)

    def save(self) -> None:
        """Write the vectors to disk (chunks are there already)."""
        with self._lock:
            self._vectors.save()

    # Search

    def search(
        self,
        query: str,
        vector: NDArray[np.float32] | None = None,
        k: int = 10,
        name: str = "",
        weights: tuple[float, float] = (BM25_WEIGHT, VECTOR_WEIGHT),
    ) -> SearchResult:
        """The ``k`` best passages. Any text is a valid query; one without terms finds nothing
        by BM25. A ``vector`` made under a ``name`` other than the index's is left out.
        ``weights``: of BM25 and of the vectors in the fusion."""
        with self._lock:
            asked = self._query_terms(query[:QUERY_CHARS_MAX])
            _, total = self._store.counts()
            depth = max(DEPTH, 3 * k)
            by_text = self._store.bm25(list(asked), depth, TITLE_WEIGHT) if weights[0] > 0 else []
            usable = vector is not None and len(self._vectors) > 0 and weights[1] > 0
            usable = usable and name in ("", self._vectors.name)
            by_vector = self._vectors.search(vector, depth) if vector is not None and usable else []
            fused = _fuse(by_text, by_vector, weights)
            places = self._store.places([chunk for chunk, _ in fused])
        idf = {term: log(1 + (total - df + 0.5) / (df + 0.5)) for term, df in asked.items()}
        hits = _hits(fused, places, by_text, by_vector, k)
        return SearchResult(query, tuple(hits), idf, total, usable)

    def _query_terms(self, query: str) -> dict[str, int]:
        """term -> document frequency of the query's distinct terms, the rarest when too many."""
        distinct = list(dict.fromkeys(terms(query)))
        found = self._store.document_frequency(distinct)
        if len(found) > QUERY_TERMS_MAX:
            rarest = sorted(found, key=lambda term: (found[term] == 0, found[term]))
            found = {term: found[term] for term in rarest[:QUERY_TERMS_MAX]}
        return found

    def stats(self) -> dict[str, object]:
        """Files, chunks, vectors, and the embedder they belong to."""
        with self._lock:
            files, pieces = self._store.counts()
            return {
                "files": files,
                "chunks": pieces,
                "vectors": len(self._vectors),
                "embedder": self._vectors.name,
                "dim": self._vectors.dim,
            }

    def paths(self) -> list[str]:
        """Every file in the index, sorted."""
        with self._lock:
            return self._store.paths()


def _same(known: Known, info: os.stat_result) -> bool:
    return (known.size, known.mtime_ns) == (info.st_size, info.st_mtime_ns)


def _under(path: str, roots: Sequence[str | os.PathLike[str]]) -> bool:
    for root in roots:
        top = os.path.abspath(os.fspath(root))
        if path == top or path.startswith(top.rstrip(os.sep) + os.sep):
            return True
    return False


def _fuse(
    by_text: list[tuple[int, float]],
    by_vector: list[tuple[int, float]],
    weights: tuple[float, float],
) -> list[tuple[int, float]]:
    """(chunk, fused score), best first, ties by id."""
    fused: dict[int, float] = {}
    for ranked, weight in zip((by_text, by_vector), weights, strict=True):
        for rank, (chunk, _) in enumerate(ranked, 1):
            fused[chunk] = fused.get(chunk, 0.0) + weight / (RRF_K + rank)
    return sorted(fused.items(), key=lambda pair: (-pair[1], pair[0]))


def _hits(
    fused: list[tuple[int, float]],
    places: dict[int, Place],
    by_text: list[tuple[int, float]],
    by_vector: list[tuple[int, float]],
    k: int,
) -> Iterator[Hit]:
    """The first ``k`` that exist; a text already shown under another title is not shown again."""
    text_rank = {chunk: (rank, score) for rank, (chunk, score) in enumerate(by_text, 1)}
    vector_rank = {chunk: (rank, score) for rank, (chunk, score) in enumerate(by_vector, 1)}
    shown: set[str] = set()
    for chunk, score in fused:
        place = places.get(chunk)
        if len(shown) >= k:
            return
        if place is None or place.text in shown:
            continue
        shown.add(place.text)
        first, second = text_rank.get(chunk), vector_rank.get(chunk)
        yield Hit(
            chunk, place.path, place.first_line, place.last_line, place.title, place.text, score,
            first[0] if first else None, first[1] if first else None,
            second[0] if second else None, second[1] if second else None, place.context,
        )  # fmt: skip
