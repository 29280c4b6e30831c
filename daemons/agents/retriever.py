"""retriever: owns the index; finds passages by words and by vectors, fused.

RETRIEVE takes ``{"question", "vector", "embedder"}`` and gives a ``SearchResult``. INGEST takes
``{"paths": [...], "exclude": [folder names]}``; its result is the report, its PROGRESS says stage,
done and total. REFRESH is the retriever's part in an ingest (agents/__init__.py): what has no
vector yet is sent to the embedder, batch by batch.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ganglion.daemons.agent import Agent
from ganglion.daemons.retrieval.lsa import FIT_TEXTS_MAX
from ganglion.daemons.retrieval.search import Index
from ganglion.daemons.task import Bury, Continue, Packed, Task
from ganglion.protocol.config import Config

EMBED_TEXTS = 512
PROGRESS_SECONDS = 0.1


class RetrieverRole:
    """Holds the index in ``state_dir``; gives ``passages`` hits to a question."""

    def __init__(self, index: Index, passages: int) -> None:
        self.index = index
        self.passages = passages

    def retrieve(self, task: Task) -> dict[str, Any]:
        data = task.data
        vector = data.get("vector")
        rows = None if vector is None else np.frombuffer(vector, dtype=np.float32)
        result = self.index.search(
            data["question"], rows, k=self.passages, name=data.get("embedder", "")
        )
        return result.to_json()

    def ingest(self, task: Task) -> Continue | Bury:
        body = task.data
        if not isinstance(body, dict) or not body.get("paths"):
            return Bury('an INGEST holds JSON: {"paths": [...], "exclude": [folder names]}')
        last = 0.0

        def progress(done: int, total: int, path: str) -> None:
            nonlocal last
            if done == total or time.monotonic() - last > PROGRESS_SECONDS:
                last = time.monotonic()
                task.progress({"stage": "read", "done": done, "total": total, "path": path})

        report = self.index.ingest(body["paths"], body.get("exclude", ()), progress=progress)
        state = {"report": report.to_json(), "embedded": 0, "refitted": False}
        return self._on(state, ["EMBEDDER", "REFRESH"])

    def _on(self, state: dict[str, Any], via: list[str], **more: Any) -> Continue:
        chunks = int(self.index.stats()["chunks"])  # type: ignore[call-overload]
        return Continue(Packed({"state": state, "chunks": chunks, **more}), via=via)

    def refresh(self, task: Task) -> Continue | dict[str, Any]:
        body = task.data
        state, embedder = body["state"], body["embedder"]
        if body.get("fit_due"):
            state["refitted"] = True
            task.progress({"stage": "fit", "done": 0, "total": body["chunks"]})
            texts = list(self.index.texts())
            texts = texts[:: -(-len(texts) // FIT_TEXTS_MAX) or 1]
            return self._on(state, ["FIT", "REFRESH"], texts=texts)
        if embedder["dim"]:
            self.index.use_embedder(embedder["name"], embedder["dim"])
        if body.get("vectors") is not None:
            rows = np.frombuffer(body["vectors"], dtype=np.float32)
            ids = body["ids"]
            self.index.add_vectors(ids, rows.reshape(len(ids), -1), embedder["name"])
            state["embedded"] += len(ids)
        batch = self.index.pending(EMBED_TEXTS) if embedder["dim"] else []
        total = int(self.index.stats()["chunks"])  # type: ignore[call-overload]
        vectors = int(self.index.stats()["vectors"])  # type: ignore[call-overload]
        task.progress({"stage": "embed", "done": vectors, "total": total})
        if batch:
            ids, texts = [one.id for one in batch], [one.text for one in batch]
            return self._on(state, ["EMBED_CHUNKS", "REFRESH"], ids=ids, texts=texts)
        self.index.save()
        return {**state["report"], **self.index.stats(), "embedded": state["embedded"],
                "refitted": state["refitted"]}  # fmt: skip


def build(config: Config) -> Agent:
    """The retriever's agent. Two threads: questions are answered while an ingest goes on."""
    state = config.instance.state_dir / "retriever"
    state.mkdir(parents=True, exist_ok=True)
    role = RetrieverRole(Index(state), config["retriever.passages"])
    agent = Agent.of("retriever", config, threads=2)
    agent.add("RETRIEVE", role.retrieve)
    agent.add("INGEST", role.ingest)
    agent.add("REFRESH", role.refresh)
    return agent
