"""The retrieval bench: its questions fit the running library, its metrics are the known ones."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from math import log2
from pathlib import Path
from types import ModuleType

import pytest

from ganglion.daemons.retrieval.corpus import demo_corpus

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_retrieval", ROOT / "bench/retrieval.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_questions_have_answers_in_this_python(bench: ModuleType) -> None:
    asked = json.loads(bench.QUESTIONS.read_text())
    answerable = [one for one in asked if one["modules"]]
    assert len(answerable) >= 80
    assert len({one["question"] for one in asked}) == len(asked)
    found = [one for one in answerable if bench.labels(demo_corpus(), one["modules"])]
    assert len(found) == len(answerable), "a question nobody can answer here"
    named = [
        one for one in answerable
        if {name.split(".")[-1].lower() for name in one["modules"]}
        & set(re.findall(r"\w+", one["question"].lower()))
    ]  # fmt: skip
    assert len(named) <= 3, "questions that only repeat the module's name prove little"


def test_metrics(bench: ModuleType) -> None:
    assert bench.score(["a", "b"], ["a"]) == {"recall@5": 1.0, "ndcg@10": 1.0}
    assert bench.score(["x", "a"], ["a"])["ndcg@10"] == pytest.approx(1 / log2(3))
    assert bench.score(list("vwxyza"), ["a"])["recall@5"] == 0.0
    assert bench.score(list("ab"), ["a", "c"])["recall@5"] == 0.5
    assert bench.score(list("abcdefghijk"), ["k"])["ndcg@10"] == 0.0
    assert bench.score([], ["a"]) == {"recall@5": 0.0, "ndcg@10": 0.0}


def test_check_complains_when_fused_is_worse(bench: ModuleType) -> None:
    def line(part: str, method: str, value: float) -> dict[str, object]:
        return {"questions": part, "method": method, "recall@5": value, "ndcg@10": value}

    def lines(fused: float) -> list[dict[str, object]]:
        values = {"bm25": 0.5, "vectors": 0.6, "fused": fused}
        return [line(part, one, values[one]) for part in ("held-out", "all") for one in values]

    assert bench.worse(lines(0.6)) == []
    assert len(bench.worse(lines(0.59))) == 4
