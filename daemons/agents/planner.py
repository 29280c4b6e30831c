"""planner: splits a compound question into tasks, and merges their answers.

ASK takes ``{"question": text}`` or plain text. A simple question goes on as it is; of a compound
one each part becomes a task of its own, and the question goes on to MERGE after all of them.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ganglion.daemons.agent import Agent
from ganglion.daemons.retrieval.plan import merge, split_question
from ganglion.daemons.retrieval.records import Answer
from ganglion.daemons.task import Bury, Continue, Task
from ganglion.protocol.config import Config

ROUTE = ["EMBED_QUERY", "RETRIEVE", "SYNTHESIZE", "EVALUATE"]
# From best to worst: a whole is no better than its worst part.
VERDICTS = ("grounded", "partial", "ungrounded", "nothing found")


def question_of(task: Task) -> str:
    """The question in an ASK: JSON with ``question``, or the text itself."""
    text = bytes(task.payload).decode("utf-8", "replace").strip()
    if text.startswith("{"):
        try:
            body = json.loads(text)
        except ValueError:
            return text
        text = str(body.get("question") or body.get("query") or "").strip()
    return text


def part_name(task: Task, number: int) -> str:
    """The same name at every try, so that a try that died leaves no part to be run twice."""
    name = task.name
    if len(name) > 56:
        name = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{name}.{number}"


async def ask(task: Task) -> Continue | Bury:
    question = question_of(task)
    if not question:
        return Bury("an ASK holds a question: text, or JSON with a question")
    parts = split_question(question)
    if len(parts) < 2:
        return Continue({"question": question}, via=ROUTE)
    passed_on = {key: task.params[key] for key in ("prio", "tp", "trace") if key in task.params}
    names = [
        await task.submit_async(
            ROUTE[0], {"question": part}, task=part_name(task, n), via=ROUTE[1:], **passed_on
        )
        for n, part in enumerate(parts, start=1)
    ]
    return Continue({"question": question}, via=["MERGE"], after=names)


async def merged(task: Task) -> dict[str, Any]:
    outcomes = [await task.result_async(name) for name in task.after]
    bodies = [json.loads(bytes(outcome.payload)) for outcome in outcomes]
    whole = merge(task.data["question"], [Answer.from_json(body) for body in bodies])
    found = [body for body in bodies if body["found"]]
    worst = max((VERDICTS.index(body["verdict"]) for body in found), default=len(VERDICTS) - 1)
    if found and len(found) < len(bodies):
        worst = max(worst, VERDICTS.index("partial"))
    share = 1 / max(1, len(bodies))
    return {
        **whole.to_json(),
        "verdict": VERDICTS[worst],
        "groundedness": round(sum(b["groundedness"] for b in found) / max(1, len(found)), 4),
        "coverage": round(sum(body["coverage"] for body in bodies) * share, 4),
        "parts": [
            {"question": b["question"], "verdict": b["verdict"], "hops": o.params.get("hops", "")}
            for b, o in zip(bodies, outcomes, strict=True)
        ],
    }


def build(config: Config) -> Agent:
    """The planner's agent."""
    agent = Agent.of("planner", config)
    agent.add("ASK", ask)
    agent.add("MERGE", merged)
    return agent
