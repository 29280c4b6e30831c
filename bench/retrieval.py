"""How well are passages found? Our own questions over the running Python's standard library.

    python bench/retrieval.py            JSON lines on stdout, a table on stderr
    python bench/retrieval.py --check    and exit 1 when fused is worse than the better single list
    python bench/retrieval.py --tune     the settings tried on the tuning half
    python bench/retrieval.py --support  who is answered: these questions, and out-of-domain ones

bench/retrieval_questions.json holds questions in plain words and the modules (or packages) that
answer them; a hit counts for a module when its file is that module or lies in that package. The
ranking is of modules: the first hit of each counts. recall@5 is the share of questions' modules
among the first five (at most five can be found), nDCG@10 has binary gains. The weight of
the vectors is the one with the largest sum of both on the questions of even number ("tune");
"held-out" is the other half. Questions without
modules are out of domain: nothing in the corpus answers them, and no answer is right.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import log2
from pathlib import Path, PurePath
from typing import Any

from ganglion.daemons.retrieval.answer import supported
from ganglion.daemons.retrieval.corpus import DEMO_SKIP, demo_corpus
from ganglion.daemons.retrieval.embed import LsaEmbedder
from ganglion.daemons.retrieval.search import BM25_WEIGHT, VECTOR_WEIGHT, Index

QUESTIONS = Path(__file__).with_name("retrieval_questions.json")
DEPTH = 60  # chunks asked for, so that ten modules are among them
METHODS = {"bm25": (1.0, 0.0), "vectors": (0.0, 1.0), "fused": (BM25_WEIGHT, VECTOR_WEIGHT)}
METRICS = ("recall@5", "ndcg@10")
Ranking = list[str]


def module_of(path: str, root: Path) -> str:
    parts = PurePath(path).relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def labels(root: Path, wanted: Sequence[str]) -> list[str]:
    """The answering modules that this Python version has."""
    found = []
    for name in wanted:
        file = root.joinpath(*name.split("."))
        if file.is_dir() or file.with_suffix(".py").exists():
            found.append(name)
    return found


def ranking(index: Index, question: str, vector: Any, weights: tuple[float, float],
            wanted: Sequence[str], root: Path) -> Ranking:  # fmt: skip
    """Modules in the order of their best passage; one inside a wanted package is that package."""
    order: dict[str, None] = {}
    for hit in index.search(question, vector, DEPTH, weights=weights).hits:
        module = module_of(hit.path, root)
        name = next((one for one in wanted if f"{module}.".startswith(f"{one}.")), module)
        order.setdefault(name)
    return list(order)


def score(order: Ranking, wanted: Sequence[str]) -> dict[str, float]:
    recall = len(set(order[:5]) & set(wanted)) / min(5, len(wanted))
    gain = sum(1 / log2(rank + 1) for rank, one in enumerate(order[:10], 1) if one in wanted)
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(10, len(wanted)) + 1))
    return {"recall@5": recall, "ndcg@10": gain / ideal}


def mean(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(sum(one[name] for one in scores) / len(scores), 4) for name in METRICS}


def build(root: Path, state: str) -> tuple[Index, LsaEmbedder, dict[str, Any]]:
    """Ingest, fit and embed, each timed."""
    clock = [time.perf_counter()]
    index = Index(state)
    report = index.ingest([root], DEMO_SKIP)
    clock.append(time.perf_counter())
    embedder = LsaEmbedder(state)
    embedder.fit(index.texts())
    clock.append(time.perf_counter())
    index.use_embedder(embedder.name, embedder.dim)
    while batch := index.pending(512):
        vectors = embedder.embed([one.text for one in batch])
        index.add_vectors([one.id for one in batch], vectors, embedder.name)
    index.save()
    clock.append(time.perf_counter())
    seconds = [round(after - before, 2) for before, after in pairwise(clock)]
    return index, embedder, {
        "metric": "ingest", "python": sys.version.split()[0], "files": report.files,
        "chunks": report.chunks, "skipped": len(report.errors), "dim": embedder.dim,
        "ingest_s": seconds[0], "fit_s": seconds[1], "embed_s": seconds[2],
    }  # fmt: skip


class Bench:
    def __init__(self, index: Index, embedder: LsaEmbedder, root: Path) -> None:
        self.index, self.root = index, root
        asked = json.loads(QUESTIONS.read_text())
        self.questions = [(one["question"], labels(root, one["modules"])) for one in asked]
        self.foreign = [one["question"] for one in asked if not one["modules"]]
        self.questions = [one for one in self.questions if one[1]]
        self.embedder = embedder
        self.vectors = embedder.embed([question for question, _ in self.questions])

    def scores(self, weights: tuple[float, float]) -> list[dict[str, float]]:
        return [
            score(ranking(self.index, question, vector, weights, wanted, self.root), wanted)
            for (question, wanted), vector in zip(self.questions, self.vectors, strict=True)
        ]

    def answered(self) -> Iterator[dict[str, Any]]:
        """How many questions get an answer; of those out of domain, none should."""
        groups = {"answerable": [one for one, _ in self.questions], "out-of-domain": self.foreign}
        for part, questions in groups.items():
            found = []
            for question, vector in zip(questions, self.embedder.embed(questions), strict=True):
                if supported(self.index.search(question, vector, 10)):
                    found.append(question)
            counts = {"count": len(questions), "answered": len(found)}
            named = found if part == "out-of-domain" else sorted(set(questions) - set(found))
            yield {"metric": "support", "questions": part, **counts, "wrong": named}

    def lines(self) -> Iterator[dict[str, Any]]:
        for method, weights in METHODS.items():
            started = time.perf_counter()
            scores = self.scores(weights)
            each_ms = (time.perf_counter() - started) / len(scores) * 1000
            parts = {"tune": scores[::2], "held-out": scores[1::2], "all": scores}
            for part, chosen in parts.items():
                head = {"metric": "retrieval", "method": method, "questions": part}
                tail = {"count": len(chosen), "search_ms": round(each_ms, 2)}
                yield {**head, **mean(chosen), **tail}


def table(lines: Sequence[dict[str, Any]]) -> str:
    rows = [f"{'questions':10}{'method':9}{'recall@5':>9}{'nDCG@10':>9}{'ms':>7}"]
    for one in sorted(lines, key=lambda line: str(line["questions"])):
        rows.append(
            f"{one['questions']:10}{one['method']:9}{one['recall@5']:9.3f}{one['ndcg@10']:9.3f}"
            f"{one['search_ms']:7.1f}"
        )
    return "\n".join(rows)


def worse(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Where fused is below the better of the two single lists, on held-out and on all questions."""
    by = {(one["questions"], one["method"]): one for one in lines}
    found = []
    for part in ("held-out", "all"):
        for metric in METRICS:
            best = max(by[part, "bm25"][metric], by[part, "vectors"][metric])
            if by[part, "fused"][metric] < best:
                found.append(f"{metric} on {part}: fused {by[part, 'fused'][metric]} < {best}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 when fused is worse")
    parser.add_argument("--tune", action="store_true", help="try vector weights on the tuning half")
    parser.add_argument("--support", action="store_true", help="count who gets an answer")
    args = parser.parse_args()
    root = demo_corpus()
    with tempfile.TemporaryDirectory(prefix="ganglion-bench-") as state:
        index, embedder, ingest = build(root, state)
        with index:
            print(json.dumps(ingest))
            bench = Bench(index, embedder, root)
            if args.tune:
                for weight in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0):
                    tuned = mean(bench.scores((1.0, weight))[::2])
                    print(json.dumps({"metric": "tune", "vector_weight": weight, **tuned}))
            if args.support:
                for line in bench.answered():
                    print(json.dumps(line))
            lines = list(bench.lines())
    for line in lines:
        print(json.dumps(line))
    print(table(lines), file=sys.stderr)
    problems = worse(lines)
    for problem in problems:
        print(f"worse: {problem}", file=sys.stderr)
    return 1 if problems and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
