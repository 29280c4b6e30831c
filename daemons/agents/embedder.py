"""embedder: texts to vectors, many at a time.

EMBED takes a text or a JSON list of texts and gives an array (``ct=f32;shape=n,dim``). EMBED_QUERY,
EMBED_CHUNKS, EMBEDDER and FIT are the embedder's part in the ways of questions and ingests
(agents/__init__.py).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ganglion.daemons.agent import Agent
from ganglion.daemons.retrieval.embed import (
    Embedder,
    as_fitted,
    embed_named,
    fit_due,
    open_embedder,
)
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


def question_of(task: Task) -> str | None:
    """The question in an EMBED_QUERY, or None when its payload holds none."""
    try:
        question = task.data["question"]
    except (PeerError, TypeError, KeyError, IndexError):
        return None
    return question if isinstance(question, str) else None


class EmbedderRole:
    """Holds the embedding backend; the model is loaded once and shared by the threads."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def embed(self, tasks: list[Task]) -> list[Any]:
        results: list[Any] = []
        for task in tasks:
            try:
                results.append(texts_of(task))
            except PeerError as error:  # it fails alone
                results.append(error)
        lists = [texts for texts in results if isinstance(texts, list)]
        # One call of the backend for the texts of all.
        rows = iter(
            self.embedder.embed(list(itertools.chain.from_iterable(lists))) if lists else ()
        )
        for at, texts in enumerate(results):
            if isinstance(texts, list):
                results[at] = np.array(list(itertools.islice(rows, len(texts))), np.float32)
        return results

    def embed_query(self, tasks: list[Task]) -> list[Any]:
        questions = [question_of(task) for task in tasks]
        try:
            name, rows = embed_named(self.embedder, [question or "" for question in questions])
            vectors: list[Any] = [row.tobytes() for row in rows]
        except NotFitted:  # nothing was ingested with vectors yet: words alone will do
            name, vectors = "", [None] * len(tasks)
        return [
            PeerError("bad_payload", "EMBED_QUERY takes an object with a question")
            if question is None
            else Packed({"question": question, "vector": vector, "embedder": name})
            for question, vector in zip(questions, vectors, strict=True)
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
        name, rows = embed_named(self.embedder, body.pop("texts"))
        about = {"name": name, "dim": rows.shape[1]}
        return Packed({**body, "vectors": rows.tobytes(), "embedder": about})

    def _about(self) -> dict[str, Any]:
        # Before it is fitted a backend has neither a name nor vectors to speak of.
        fitted = as_fitted(self.embedder)
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
