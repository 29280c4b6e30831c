"""Search: two lists and their fusion over a real corpus; no text is a wrong query."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion.daemons.retrieval.corpus import demo_corpus
from ganglion.daemons.retrieval.document import split_lines
from ganglion.daemons.retrieval.embed import LsaEmbedder
from ganglion.daemons.retrieval.errors import RetrievalError
from ganglion.daemons.retrieval.records import Hit, SearchResult
from ganglion.daemons.retrieval.search import RRF_K, VECTOR_WEIGHT, Index

pytest.importorskip("sklearn", reason="the rag extra is not installed")
pytest.importorskip("usearch", reason="the rag extra is not installed")

MODULES = (
    "argparse", "smtplib", "tarfile", "heapq", "queue", "sched", "textwrap", "csv", "uuid",
    "shutil", "tempfile", "zipfile", "ftplib", "bisect", "fractions", "calendar", "getpass",
)  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Index, LsaEmbedder]]:
    state = tmp_path_factory.mktemp("state")
    files = [demo_corpus() / f"{name}.py" for name in MODULES]
    with Index(state) as index:
        index.ingest([file for file in files if file.exists()] + [demo_corpus() / "json"])
        embedder = LsaEmbedder(state, 96)
        embedder.fit(index.texts())
        index.use_embedder(embedder.name, embedder.dim)
        while batch := index.pending(100):
            rows = embedder.embed([one.text for one in batch])
            index.add_vectors([one.id for one in batch], rows, embedder.name)
        yield index, embedder


Library = tuple[Index, LsaEmbedder]


def ask(library: Library, question: str, k: int = 10) -> SearchResult:
    index, embedder = library
    return index.search(question, embedder.embed([question])[0], k, embedder.name)


def test_hits_carry_both_lists_and_their_fusion(library: Library) -> None:
    result = ask(library, "How do I extract all members of an archive?")
    assert result.vectors_used
    assert Path(result.hits[0].path).stem in ("tarfile", "zipfile")
    assert [hit.score for hit in result.hits] == sorted(
        (h.score for h in result.hits), reverse=True
    )
    both = [hit for hit in result.hits if hit.bm25_rank and hit.vector_rank]
    assert both
    for hit in result.hits:
        parts = [(1.0, hit.bm25_rank), (VECTOR_WEIGHT, hit.vector_rank)]
        fused = sum(weight / (RRF_K + rank) for weight, rank in parts if rank)
        assert hit.score == pytest.approx(fused)
        assert (hit.bm25_rank is None) == (hit.bm25_score is None)
        assert (hit.vector_rank is None) == (hit.vector_score is None)
        if hit.vector_score is not None:
            assert 0 < hit.vector_score <= 1.001


def test_hits_cite_lines_that_exist_and_hold_their_text(library: Library) -> None:
    for hit in ask(library, "wrap a paragraph of text to a line width").hits:
        raw = split_lines(Path(hit.path).read_text(encoding="utf-8"))
        assert 1 <= hit.first_line <= hit.last_line <= len(raw)
        shown = hit.text.split("\n")
        assert len(shown) == hit.last_line - hit.first_line + 1
        for offset, line in enumerate(shown):
            assert line.strip() in raw[hit.first_line - 1 + offset]


def test_search_without_vectors_is_bm25(library: Library) -> None:
    index, embedder = library
    plain = index.search("priority queue", None, 5)
    assert not plain.vectors_used
    assert [hit.bm25_rank for hit in plain.hits] == sorted(hit.bm25_rank or 0 for hit in plain.hits)
    assert all(hit.vector_rank is None for hit in plain.hits)
    vector = embedder.embed(["priority queue"])[0]
    foreign = index.search("priority queue", vector, 5, "made by another embedder")
    assert [hit.chunk_id for hit in foreign.hits] == [hit.chunk_id for hit in plain.hits]
    only = index.search("priority queue", vector, 5, weights=(0.0, 1.0))
    assert [hit.vector_rank for hit in only.hits] == sorted(h.vector_rank or 0 for h in only.hits)


def test_a_question_in_no_known_word_still_finds_by_vector_or_nothing(library: Library) -> None:
    assert ask(library, "flurble gnarx").hits == ()
    assert ask(library, "").hits == ()
    assert ask(library, "what is the").hits == ()


HOSTILE = [
    '"', "'", "NEAR(a b)", "a AND OR NOT", "title:x", "body : queue", "{a b} : c", "*", "a*", "^a",
    "a + b", "--", "/*", "; DROP TABLE fts", "\0", "(((", "\\", "queue\"", "-queue", "😀", "\ud800",
    "x" * 100_000, "queue " * 20_000, " ".join(f"w{n}" for n in range(5000)),
]  # fmt: skip


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_queries_never_raise(library: Library, query: str) -> None:
    result = ask(library, query)
    if "queue" in query:
        assert result.hits


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_no_text_is_a_wrong_query(library: Library, query: str) -> None:
    ask(library, query, 3)


def test_weights_of_terms(library: Library) -> None:
    idf = ask(library, "queue archive flurble the").term_idf
    assert set(idf) == {"queu", "archiv", "flurbl"}
    assert max(idf, key=idf.__getitem__) == "flurbl"
    assert all(weight > 0 for weight in idf.values())


def test_results_survive_json(library: Library) -> None:
    import json

    result = ask(library, "temporary files")
    again = SearchResult.from_json(json.loads(json.dumps(result.to_json())))
    assert again == result
    newer = {**result.hits[0].to_json(), "added_later": 1}
    assert Hit.from_json(newer) == result.hits[0]


def test_wrong_vectors_are_refused(library: Library) -> None:
    index, embedder = library
    for vector in (np.zeros(3, np.float32), np.full(embedder.dim, np.nan, np.float32)):
        with pytest.raises(RetrievalError, match="finite numbers"):
            index.search("queue", vector)


def test_the_same_text_is_shown_once(tmp_path: Path) -> None:
    text = "widgets are frobbed in the evening by the night shift of the plant"
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.txt").write_text(text)
    with Index(tmp_path / "state") as index:
        index.ingest([tmp_path / f"{name}.txt" for name in ("one", "two", "three")])
        assert len(index.search("frobbed widgets").hits) == 1


def test_search_and_ingest_from_several_threads(tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    for number in range(40):
        (root / f"{number}.txt").write_text(f"common words and unique{number} here " * 30)
    failures: list[BaseException] = []
    with Index(tmp_path / "state") as index:
        done = threading.Event()

        def search() -> None:
            try:
                while not done.is_set():
                    assert len(index.search("common words", k=3).hits) <= 3
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=search) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            report = index.ingest([root])
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert report.added == 40
        assert failures == []
