"""What can go wrong in retrieval, by whose fault it is. Knows nothing else of the package."""

from __future__ import annotations


class RetrievalError(Exception):
    """Base of everything this package raises on purpose; the text is one plain line."""


class ReaderError(RetrievalError):
    """A file that cannot be read as text: the caller names it, skips it and counts it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[ReaderError], tuple[str, str]]:
        return (type(self), (self.path, self.reason))


class MissingExtra(RetrievalError):
    """An optional library is not installed; the text says what to type."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'ganglion[{extra}]'")
        self.library = library
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return (type(self), (self.library, self.extra))


class BackendError(RetrievalError):
    """A model or an endpoint failed, or answered something that is not an answer."""


class NotFitted(RetrievalError):
    """The embedder has no model yet: fit it on the corpus first."""


class StoreError(RetrievalError):
    """The state on disk cannot be used (wrong folder, no FTS5, disk full)."""
