"""Vectors by chunk id: a usearch index (HNSW, cosine, f16) in one checked file.

The file is one JSON line (format, fingerprint of the embedder, dimension, count, SHA-256 of the
rest) and then usearch's own bytes. It is written to a temporary name and renamed; a file that
is broken, or belongs to another embedder, counts as empty, because every vector can be made again.
Keys are ids taken from content, so a vector is right for its key however old the file is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MissingExtra, RetrievalError
from .lsa import replace_file

FORMAT = 1
FILE = "vectors.bin"
EXACT_MAX = 30_000  # up to so many vectors every one is compared: exact, and still milliseconds


class Vectors:
    """The vectors of one embedder. Not for several threads at once."""

    def __init__(self, state_dir: str | Path) -> None:
        self.file = Path(state_dir) / FILE
        self.name = ""
        self.dim = 0
        self.unsaved = 0
        self._index: Any = None
        self._load()

    def __len__(self) -> int:
        return len(self._index) if self._index is not None else 0

    def ids(self) -> NDArray[np.uint64]:
        """Every key, in no particular order."""
        if not len(self):
            return np.zeros(0, np.uint64)
        found: NDArray[np.uint64] = self._index.keys.__array__(np.uint64)
        return found

    def use(self, name: str, dim: int) -> bool:
        """Declare the embedder; True when it is another one than before and all vectors went."""
        if not name or dim < 1:
            raise RetrievalError(f"not an embedder: name {name!r}, {dim} dimensions")
        if (name, dim) == (self.name, self.dim):
            return False
        had = len(self) > 0
        self.name, self.dim, self._index = name, dim, _new(dim)
        self.unsaved = 1
        return had

    def add(self, ids: Sequence[int], matrix: NDArray[np.float32]) -> None:
        """Put vectors under their keys; a key that is there already is replaced."""
        rows = np.ascontiguousarray(matrix, dtype=np.float32)
        keys = np.array(ids, dtype=np.uint64)
        if rows.shape != (len(keys), self.dim):
            raise RetrievalError(f"expected {len(keys)} x {self.dim} numbers, got {rows.shape}")
        if not np.isfinite(rows).all():
            raise RetrievalError("a vector holds NaN or infinity")
        if not len(keys):
            return
        keys, first = np.unique(keys, return_index=True)
        self.remove(keys[np.isin(keys, self.ids())])
        self._index.add(keys, rows[first], threads=1)
        self.unsaved += len(keys)

    def remove(self, ids: NDArray[np.uint64]) -> None:
        if len(ids):
            self._index.remove(ids)
            self.unsaved += len(ids)

    def search(self, vector: NDArray[np.float32], limit: int) -> list[tuple[int, float]]:
        """(id, cosine) of the nearest, best first; only positive cosines, ties by id."""
        row = np.ascontiguousarray(vector, dtype=np.float32).reshape(-1)
        if row.shape != (self.dim,) or not np.isfinite(row).all():
            raise RetrievalError(f"a query vector must be {self.dim} finite numbers")
        if not len(self) or not row.any():
            return []
        found = self._index.search(row, min(limit, len(self)), exact=len(self) <= EXACT_MAX)
        pairs = [
            (int(key), 1.0 - float(far))
            for key, far in zip(found.keys, found.distances, strict=True)
            if float(far) < 1.0
        ]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def save(self) -> None:
        """Write the file, whole or not at all; nothing when nothing changed."""
        if not self.unsaved or self._index is None:
            return
        body = bytes(self._index.save())
        header = {
            "format": FORMAT,
            "name": self.name,
            "dim": self.dim,
            "count": len(self),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        replace_file(self.file, json.dumps(header).encode() + b"\n" + body)
        self.unsaved = 0

    def _load(self) -> None:
        try:
            head, _, body = self.file.read_bytes().partition(b"\n")
            header = json.loads(head)
            name, dim = str(header["name"]), int(header["dim"])
            sound = header["format"] == FORMAT and name and dim > 0
            # usearch trusts the bytes it restores, so they are checked first.
            if not sound or header["sha256"] != hashlib.sha256(body).hexdigest():
                return
        except (OSError, ValueError, KeyError, TypeError):
            return
        index = _new(dim)
        try:
            index.load(body)
        except (RuntimeError, ValueError):  # written by a usearch that this one cannot read
            return
        if index.ndim == dim:
            self.name, self.dim, self._index = name, dim, index


def _new(dim: int) -> Any:
    try:
        from usearch.index import Index
    except ImportError:
        raise MissingExtra("usearch", "rag") from None
    return Index(ndim=dim, metric="cos", dtype="f16")
