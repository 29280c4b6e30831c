"""embedder: texts to vectors, many at a time.

EMBED takes a text or a JSON list of texts and gives an array (``ct=f32;shape=n,dim``). EMBED_QUERY,
EMBED_CHUNKS, EMBEDDER and FIT are the embedder's part in the ways of questions and ingests
(agents/__init__.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganglion.daemons.agent import Agent
from ganglion.daemons.retrieval.embed import Embedder, as_fitted, fit_due, open_embedder
from ganglion.daemons.retrieval.errors import NotFitted
from ganglion.daemons.task import Packed, Task
from ganglion.protocol.config import Config
from ganglion.protocol.errors import PeerError

BATCH = 64


def texts_of(task: Task) -> list[str]:
    """The texts in an EMBED.

    Raises:
        PeerError: ``bad_payload``.
    """
    data = task.data
    if isinstance(data, bytes | memoryview):
        data = bytes(data).decode("utf-8", "replace")
    texts = [data] if isinstance(data, str) else data
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise PeerError("bad_payload", "EMBED takes a text or a JSON list of texts")
    return texts


class EmbedderRole:
    """Holds the embedding backend; the model is loaded once and shared by the threads."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def _embed_each(self, lists: Sequence[list[str]]) -> list[NDArray[np.float32]]:
        """One call of the backend for the texts of many tasks."""
        rows = self.embedder.embed(list(itertools.chain.from_iterable(lists)))
        ends = list(itertools.accumulate(len(texts) for texts in lists))
        return [rows[end - len(texts) : end] for end, texts in zip(ends, lists, strict=True)]

    def embed(self, tasks: list[Task]) -> list[Any]:
        results: list[Any] = [None] * len(tasks)
        good: list[tuple[int, list[str]]] = []
        for at, task in enumerate(tasks):
            try:
                good.append((at, texts_of(task)))
            except PeerError as error:
                results[at] = error
        for (at, _), rows in zip(good, self._embed_each([t for _, t in good]), strict=True):
            results[at] = rows
        return results

    def embed_query(self, tasks: list[Task]) -> list[Packed]:
        questions = [str(task.data["question"]) for task in tasks]
        try:
            rows: list[Any] = list(self.embedder.embed(questions))
        except NotFitted:  # nothing was ingested with vectors yet: words alone will do
            rows = [None] * len(tasks)
        return [
            Packed(
                {
                    "question": question,
                    "vector": None if row is None else row.tobytes(),
                    "embedder": self.embedder.name,
                }
            )
            for question, row in zip(questions, rows, strict=True)
        ]

    def describe(self, task: Task) -> Packed:
        body = task.data
        due = fit_due(self.embedder, body["chunks"])
        return Packed({**body, "embedder": self._about(), "fit_due": due})

    def fit(self, task: Task) -> Packed:
        body = task.data
        if fitted := as_fitted(self.embedder):
            fitted.fit(body.pop("texts"))
        return Packed({**body, "embedder": self._about(), "fit_due": False})

    def embed_chunks(self, task: Task) -> Packed:
        body = task.data
        rows = self.embedder.embed(body.pop("texts"))
        return Packed({**body, "vectors": rows.tobytes(), "embedder": self._about(rows.shape[1])})

    def _about(self, dim: int | None = None) -> dict[str, Any]:
        # A fitted backend has no name, and an endpoint may cost a call for its dimension, before it
        # is used.
        fitted = as_fitted(self.embedder)
        if dim is None:
            dim = self.embedder.dim if fitted is None or fitted.fitted else 0
        return {"name": self.embedder.name, "dim": dim}


def build(config: Config) -> Agent:
    """The embedder's agent. Two threads: questions are answered while a fit goes on."""
    state = config.instance.state_dir / "embedder"
    state.mkdir(parents=True, exist_ok=True)
    role = EmbedderRole(open_embedder(config["embedder.backend"], state))
    agent = Agent.of("embedder", config, threads=2)
    agent.add("EMBED", role.embed, batch=BATCH)
    agent.add("EMBED_QUERY", role.embed_query, batch=BATCH, window_ms=0)
    agent.add("EMBEDDER", role.describe)
    agent.add("EMBED_CHUNKS", role.embed_chunks)
    agent.add("FIT", role.fit)
    return agent
