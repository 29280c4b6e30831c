"""synthesizer: passages to an answer with citations.

SYNTHESIZE takes a ``SearchResult`` and gives ``{"answer": Answer, "term_idf": ...}``. Without a
language model the answer is made of sentences of the passages; with one its text is sent as it
comes (PARTIAL).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganglion.daemons.agent import Agent
from ganglion.daemons.retrieval import answer as extractive
from ganglion.daemons.retrieval.chat import ChatSynthesizer
from ganglion.daemons.retrieval.records import Answer, SearchResult
from ganglion.daemons.task import Task
from ganglion.protocol.config import Config
from ganglion.protocol.errors import UsageError

Synthesize = Callable[[Task, SearchResult], Answer]


def extract(_: Task, result: SearchResult) -> Answer:
    return extractive.synthesize(result)


def chat(backend: ChatSynthesizer) -> Synthesize:
    """Ask the model, passing its words on as they come."""

    def synthesize(task: Task, result: SearchResult) -> Answer:
        draft = backend.stream(result)
        for piece in draft:
            task.partial(piece)
        return draft.answer or extractive.nothing_found(result.query)

    return synthesize


def backend(spec: str) -> Synthesize:
    """The synthesizer that ``synthesizer.backend`` names.

    Raises:
        UsageError: an unknown one.
    """
    if spec == "extractive":
        return extract
    kind, _, rest = spec.partition(":")
    url, _, model = rest.partition("#")
    model, _, key_env = model.partition("@")
    if kind != "openai" or not url or not model:
        raise UsageError(
            f"synthesizer {spec!r}: use extractive or openai:BASE_URL#MODEL[@KEY_VARIABLE]"
        )
    return chat(ChatSynthesizer(url, model, key_env or "OPENAI_API_KEY"))


def build(config: Config) -> Agent:
    """The synthesizer's agent. A model answers several at a time."""
    synthesize = backend(config["synthesizer.backend"])

    def handle(task: Task) -> dict[str, Any]:
        result = SearchResult.from_json(task.data)
        return {"answer": synthesize(task, result).to_json(), "term_idf": result.term_idf}

    agent = Agent.of("synthesizer", config, threads=1 if synthesize is extract else 4)
    agent.add("SYNTHESIZE", handle)
    return agent
