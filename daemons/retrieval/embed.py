"""Texts to vectors: what an embedder is, and the backends that are not fitted here.

Every backend gives float32 (n, dim) rows of length one. ``name`` is a fingerprint: vectors
made under different names are never compared, and the index re-embeds when it changes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from .errors import BackendError, MissingExtra, RetrievalError
from .lsa import FIT_TEXTS_MAX, LsaEmbedder
from .remote import Endpoint

__all__ = [
    "Embedder",
    "FittedEmbedder",
    "LsaEmbedder",
    "OpenAIEmbedder",
    "SentenceTransformerEmbedder",
    "as_fitted",
    "embed_named",
    "fit_due",
    "normalise",
    "open_embedder",
]
BATCH = 128


class Embedder(Protocol):
    """Anything that turns texts into comparable vectors."""

    @property
    def dim(self) -> int: ...
    @property
    def name(self) -> str: ...
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class FittedEmbedder(Embedder, Protocol):
    """An embedder that learns from the corpus first. ``fitted_on`` is how many texts it saw."""

    fitted_on: int

    @property
    def fitted(self) -> bool: ...
    def fit(self, texts: Iterable[str]) -> str: ...


def as_fitted(embedder: Embedder) -> FittedEmbedder | None:
    """The embedder when it is one that learns from the corpus.

    Asked of the class: isinstance with a protocol would read ``dim``, which may cost a request.
    """
    return cast(FittedEmbedder, embedder) if hasattr(type(embedder), "fit") else None


def fit_due(embedder: Embedder, chunks: int) -> bool:
    """Whether a backend that learns from the corpus should do so (again) for ``chunks`` passages.

    A refit changes the fingerprint and so re-embeds everything; it is worth that only when the
    corpus has grown or shrunk by half since. Backends that are not fitted never need it.
    """
    fitted = as_fitted(embedder)
    if fitted is None or chunks < 1:
        return False
    if not fitted.fitted:
        return True
    seen, now = fitted.fitted_on, min(chunks, FIT_TEXTS_MAX)
    return now > 1.5 * seen or now < 0.5 * seen


def embed_named(embedder: Embedder, texts: Sequence[str]) -> tuple[str, NDArray[np.float32]]:
    """(name, vectors) that belong together, even when another thread refits meanwhile."""
    while True:
        name = embedder.name
        rows = embedder.embed(texts)
        if embedder.name == name:
            return name, rows


def normalise(rows: Any, count: int, what: str) -> NDArray[np.float32]:
    """Check that ``rows`` are ``count`` finite vectors of one length; return them normalised."""
    try:
        matrix = np.array(rows, dtype=np.float32)
    except (TypeError, ValueError):
        raise BackendError(f"{what}: the vectors are not rows of numbers of one length") from None
    if matrix.ndim != 2 or matrix.shape[0] != count or matrix.shape[1] == 0:
        raise BackendError(f"{what}: expected {count} vectors, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise BackendError(f"{what}: a vector holds NaN or infinity")
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    np.divide(matrix, norms, out=matrix, where=norms > 0)
    return matrix


class SentenceTransformerEmbedder:
    """A model in a local sentence-transformers directory; nothing is downloaded."""

    def __init__(self, directory: str | os.PathLike[str], device: str | None = None) -> None:
        folder = Path(directory)
        if not folder.is_dir():
            raise BackendError(f"no such model directory: {folder}")
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtra("sentence-transformers", "st") from None
        try:
            self._model = SentenceTransformer(str(folder), device=device)
            self.dim = len(self._model.encode(["dimension"])[0])
        except Exception as error:  # the library raises many kinds for a folder it cannot use
            raise BackendError(f"{folder}: {type(error).__name__}: {error}") from None
        self.name = f"st-{self.dim}-{_folder_digest(folder)}"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        rows = self._model.encode(list(texts), batch_size=BATCH, show_progress_bar=False)
        return normalise(rows, len(texts), self.name)


def _folder_digest(folder: Path) -> str:
    """Names, sizes, and both ends of every file: cheap, and tells models apart."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder)}\0{size}\0".encode())
        with open(file, "rb") as content:
            digest.update(content.read(1 << 20))
            content.seek(max(0, size - (1 << 20)))
            digest.update(content.read(1 << 20))
    return digest.hexdigest()[:16]


class OpenAIEmbedder:
    """Any endpoint with ``POST {base_url}/embeddings`` as OpenAI defines it."""

    def __init__(
        self,
        base_url: str,
        model: str,
        key_env: str = "OPENAI_API_KEY",
        timeout_s: float = 60.0,
    ) -> None:
        """The key is read from the environment variable ``key_env`` at each request."""
        self._endpoint = Endpoint(base_url, key_env, timeout_s)
        self.model = model
        where = hashlib.sha256(self._endpoint.base_url.encode()).hexdigest()[:8]
        self.name = f"openai-{model}-{where}"
        self._dim = 0

    @property
    def dim(self) -> int:
        """Asks the endpoint once, when nothing has been embedded yet."""
        if not self._dim:
            self.embed(["dimension"])
        return self._dim

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        parts = [self._batch(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        if len({part.shape[1] for part in parts}) > 1:
            raise BackendError(f"{self.name}: vectors of different lengths")
        return np.concatenate(parts)

    def _batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # An empty input is an error to most servers; a space has the same meaning.
        inputs = [text if text.strip() else " " for text in texts]
        answer = self._endpoint.post(
            "/embeddings", {"model": self.model, "input": inputs, "encoding_format": "float"}
        )
        try:
            rows = sorted(answer["data"], key=lambda one: int(one["index"]))
            vectors = [one["embedding"] for one in rows]
        except (KeyError, TypeError, ValueError):
            raise BackendError(f"{self.name}: the answer has no data[].embedding") from None
        matrix = normalise(vectors, len(texts), self.name)
        if self._dim and matrix.shape[1] != self._dim:
            raise BackendError(f"{self.name}: {matrix.shape[1]} dimensions, before {self._dim}")
        self._dim = int(matrix.shape[1])
        return matrix


def open_embedder(spec: str, state_dir: str | os.PathLike[str]) -> Embedder:
    """The embedder a configuration line names.

    ``lsa`` or ``lsa:DIM`` (state in ``state_dir``), ``st:DIRECTORY``, or
    ``openai:BASE_URL#MODEL`` with an optional ``@KEY_VARIABLE`` at the end.
    """
    kind, _, rest = spec.partition(":")
    if kind == "lsa":
        if rest and not (rest.isascii() and rest.isdigit() and 2 <= int(rest) <= 2048):
            raise RetrievalError(f"lsa:{rest}: the dimension must be 2 to 2048")
        return LsaEmbedder(state_dir, int(rest)) if rest else LsaEmbedder(state_dir)
    if kind == "st" and rest:
        return SentenceTransformerEmbedder(rest)
    if kind == "openai" and "#" in rest:
        base_url, _, model = rest.partition("#")
        model, _, key_env = model.partition("@")
        if base_url and model:
            return OpenAIEmbedder(base_url, model, key_env or "OPENAI_API_KEY")
    raise RetrievalError(
        f"unknown embedder {spec!r}: use lsa, lsa:DIM, st:DIRECTORY or openai:BASE_URL#MODEL"
    )
