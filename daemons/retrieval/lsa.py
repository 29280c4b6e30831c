"""Latent semantic analysis (Deerwester et al. 1990): the embedder that needs no download.

It is fitted on the user's own corpus: TF-IDF with sublinear tf over the shared analyzer
(``terms``), then a truncated SVD (Halko et al. 2011, by scikit-learn). A text's vector is its
TF-IDF row projected on the right singular vectors, each dimension divided by
``singular_value ** WHITENING``, and normalised. Fitting needs scikit-learn, embedding only numpy.

On disk: one ``.npz`` (arrays only, read with allow_pickle=False) that also holds the vocabulary
as UTF-8 lines, written to a temporary name and renamed.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import MissingExtra, NotFitted, RetrievalError, StoreError
from .terms import VERSION as TERMS_VERSION
from .terms import terms

FORMAT = 1
DIM = 192
WHITENING = 0.0  # chosen on half of the questions of bench/retrieval.py
VOCABULARY_MAX = 60_000
FIT_TEXTS_MAX = 60_000  # more texts than this are sampled evenly: the SVD gains nothing from them
_FILE = "lsa.npz"


@dataclass(frozen=True)
class _Model:
    """What a fit learns; never changed, so that a refit swaps it under running calls at once."""

    vocabulary: dict[str, int]
    idf: NDArray[np.float32]
    components: NDArray[np.float32]  # a row for each term
    fitted_on: int
    name: str


class LsaEmbedder:
    """``fit`` once on the corpus's texts, then ``embed`` anything. Without a fit, NotFitted."""

    def __init__(self, state_dir: str | os.PathLike[str] | None = None, dim: int = DIM) -> None:
        """With a ``state_dir`` the fitted model is loaded from there and saved there by ``fit``."""
        self._wanted = dim
        self._file = Path(state_dir) / _FILE if state_dir is not None else None
        self._model: _Model | None = None
        self.fitted_on = 0
        if self._file and self._file.exists():
            self._load(self._file)

    @property
    def fitted(self) -> bool:
        return self._model is not None

    @property
    def dim(self) -> int:
        return int(self._model.components.shape[1]) if self._model else self._wanted

    @property
    def name(self) -> str:
        """The fingerprint of the fitted model (empty before); only vectors of one compare."""
        return self._model.name if self._model else ""

    def fit(self, texts: Iterable[str]) -> str:
        """Learn from the corpus, save, and return the new fingerprint. Same texts, same name."""
        try:
            from sklearn.decomposition import TruncatedSVD
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError:
            raise MissingExtra("scikit-learn", "rag") from None
        corpus = _sample(list(texts))
        if not corpus:
            raise RetrievalError("nothing to fit on: the corpus has no text")
        vectorizer = TfidfVectorizer(
            analyzer=terms,
            sublinear_tf=True,
            min_df=2 if len(corpus) >= 50 else 1,
            max_features=VOCABULARY_MAX,
            dtype=np.float32,
        )
        try:
            matrix = vectorizer.fit_transform(corpus)
        except ValueError:
            raise RetrievalError("nothing to fit on: the corpus has no words") from None
        vocabulary = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
        dim = min(self._wanted, matrix.shape[0], matrix.shape[1])
        if dim < min(matrix.shape):
            svd = TruncatedSVD(dim, n_iter=3, random_state=0).fit(matrix)
            rows, sigma = svd.components_, svd.singular_values_
        else:  # a corpus smaller than the dimension: the exact decomposition
            _, sigma, rows = np.linalg.svd(matrix.toarray(), full_matrices=False)
            rows, sigma = rows[:dim], sigma[:dim]
        scale = np.maximum(sigma, sigma.max() * 1e-3) ** -WHITENING
        model = self._set(
            vocabulary,
            vectorizer.idf_.astype(np.float32),
            np.ascontiguousarray((rows * scale[:, None]).T, dtype=np.float32),
            len(corpus),
        )
        if self._file:
            self._save(self._file, model)
        return model.name

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dim), L2-normalised; a text without a known word is a row of zeros."""
        model = self._model
        if model is None:
            raise NotFitted("the LSA embedder is not fitted: run an ingest first")
        out = np.zeros((len(texts), model.components.shape[1]), np.float32)
        for row, text in enumerate(texts):
            counts = Counter(map(model.vocabulary.get, terms(text)))
            counts.pop(None, 0)
            if not counts:
                continue
            columns = np.fromiter(counts.keys(), np.int64, len(counts))
            tf = 1.0 + np.log(np.fromiter(counts.values(), np.float32, len(counts)))
            out[row] = (tf * model.idf[columns]) @ model.components[columns]
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        np.divide(out, norms, out=out, where=norms > 0)
        return out

    def _set(
        self,
        vocabulary: list[str],
        idf: NDArray[np.float32],
        components: NDArray[np.float32],
        fitted_on: int,
    ) -> _Model:
        digest = hashlib.sha256("\n".join(vocabulary).encode())
        digest.update(idf.tobytes())
        digest.update(components.tobytes())
        name = f"lsa-{components.shape[1]}-t{TERMS_VERSION}-{digest.hexdigest()[:16]}"
        columns = {term: column for column, term in enumerate(vocabulary)}
        self._model = _Model(columns, idf, components, fitted_on, name)
        self.fitted_on = fitted_on
        return self._model

    def _save(self, file: Path, model: _Model) -> None:
        buffer = io.BytesIO()
        words = "\n".join(model.vocabulary).encode()
        np.savez(
            buffer,
            header=np.array([FORMAT, TERMS_VERSION, self._wanted, model.fitted_on], np.int64),
            vocabulary=np.frombuffer(words, np.uint8),
            idf=model.idf,
            components=model.components,
        )
        replace_file(file, buffer.getvalue())

    def _load(self, file: Path) -> None:
        """A file of another version or a broken one counts as not fitted: fitting mends it."""
        try:
            with np.load(file, allow_pickle=False) as arrays:
                version, analyzer, wanted, fitted_on = (int(one) for one in arrays["header"])
                vocabulary = arrays["vocabulary"].tobytes().decode().split("\n")
                idf, components = arrays["idf"], arrays["components"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return
        if (version, analyzer, wanted) != (FORMAT, TERMS_VERSION, self._wanted):
            return
        if idf.shape != (len(vocabulary),) or components.shape[:1] != idf.shape:
            return
        self._set(vocabulary, idf, components, fitted_on)


def _sample(texts: list[str]) -> list[str]:
    step = -(-len(texts) // FIT_TEXTS_MAX) or 1
    return list(islice(texts, 0, None, step))


def replace_file(file: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, whole."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {file}: {error.strerror}") from None
