"""evaluator: how well an answer stands on its sources.

EVALUATE takes ``{"answer": Answer, "term_idf": ...}`` and gives the answer with ``verdict``,
``groundedness`` and ``coverage``. Each verdict is also a feedback event: a PROGRESS to whoever
waits, and a line of ``feedback.jsonl`` in the state directory, from which routing and ranking can
learn.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ganglion.daemons.agent import Agent
from ganglion.daemons.retrieval.judge import judge
from ganglion.daemons.retrieval.records import Answer
from ganglion.daemons.task import Task
from ganglion.protocol.config import Config

FEEDBACK_BYTES_MAX = 16 << 20


class EvaluatorRole:
    """Judges answers and keeps the feedback in ``file`` (and one older file of the same size)."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def evaluate(self, task: Task) -> dict[str, Any]:
        data = task.data
        answer = Answer.from_json(data["answer"])
        verdict = judge(answer, data.get("term_idf"))
        numbers = {
            "verdict": verdict.verdict,
            "groundedness": verdict.groundedness,
            "coverage": verdict.coverage,
        }
        self._feedback(task, {"task": task.name, "question": answer.question, **numbers})
        return {**answer.to_json(), **numbers, "judgement": verdict.to_json()}

    def _feedback(self, task: Task, event: dict[str, Any]) -> None:
        task.progress({"stage": "evaluate", "feedback": event})
        if self.file.exists() and self.file.stat().st_size > FEEDBACK_BYTES_MAX:
            self.file.replace(self.file.with_suffix(".old.jsonl"))
        with self.file.open("a") as file:
            file.write(json.dumps({"time": round(time.time(), 3), **event}) + "\n")


def build(config: Config) -> Agent:
    """The evaluator's agent."""
    state = config.instance.state_dir / "evaluator"
    state.mkdir(parents=True, exist_ok=True)
    agent = Agent.of("evaluator", config)
    agent.add("EVALUATE", EvaluatorRole(state / "feedback.jsonl").evaluate)
    return agent
