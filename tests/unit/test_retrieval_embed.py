"""Embedders: LSA fitted on real text, and an endpoint that is really spoken to."""

from __future__ import annotations

import importlib.util
import io
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganglion.daemons.retrieval import chunks, readers
from ganglion.daemons.retrieval.corpus import demo_corpus
from ganglion.daemons.retrieval.embed import (
    LsaEmbedder,
    OpenAIEmbedder,
    embed_named,
    fit_due,
    open_embedder,
)
from ganglion.daemons.retrieval.errors import (
    BackendError,
    MissingExtra,
    NotFitted,
    RetrievalError,
)

sys.path.insert(0, str(Path(__file__).parent))
from retrieval_endpoint import endpoint, send

MODULES = ("argparse", "smtplib", "tarfile", "heapq", "queue", "sched", "textwrap", "csv", "uuid")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    pytest.importorskip("sklearn", reason="the rag extra is not installed")
    found = []
    for name in MODULES:
        for piece in chunks.split(readers.read(demo_corpus() / f"{name}.py")):
            found.append(chunks.embed_text(piece.title, piece.context, piece.text))
    return found


def test_lsa_before_a_fit(tmp_path: Path) -> None:
    embedder = LsaEmbedder(tmp_path)
    assert not embedder.fitted
    assert embedder.name == ""
    assert fit_due(embedder, 10)
    assert not fit_due(embedder, 0)
    with pytest.raises(NotFitted):
        embedder.embed(["x"])


def test_lsa_vectors_are_normalised_and_find_what_is_about_the_same(
    texts: list[str], tmp_path: Path
) -> None:
    embedder = LsaEmbedder(tmp_path, 64)
    embedder.fit(texts)
    matrix = embedder.embed(texts)
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(texts), embedder.dim)
    assert np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-5)
    nearest = (matrix @ matrix.T).argmax(axis=1)
    assert (nearest == np.arange(len(texts))).mean() > 0.95
    for question, module in {
        "send a mail message to recipients through a relay": "smtplib",
        "options and positional arguments of the command line": "argparse",
        "extract members of an archive": "tarfile",
    }.items():
        best = texts[int((matrix @ embedder.embed([question])[0]).argmax())]
        assert best.startswith(module)


def test_lsa_is_the_same_after_a_reload_and_after_the_same_fit(
    texts: list[str], tmp_path: Path
) -> None:
    one = LsaEmbedder(tmp_path, 32)
    name = one.fit(texts)
    loaded = LsaEmbedder(tmp_path, 32)
    assert (loaded.fitted, loaded.name, loaded.dim) == (True, name, 32)
    assert loaded.fitted_on == len(texts)
    assert np.array_equal(loaded.embed(texts[:9]), one.embed(texts[:9]))
    assert LsaEmbedder(None, 32).fit(texts) == name
    assert LsaEmbedder(None, 32).fit(texts[:-5]) != name
    assert not LsaEmbedder(tmp_path, 48).fitted, "another dimension is another model"
    assert [path.name for path in tmp_path.iterdir()] == ["lsa.npz"]


def test_lsa_refits_only_when_the_corpus_has_changed_much(texts: list[str]) -> None:
    embedder = LsaEmbedder(None, 16)
    embedder.fit(texts)
    count = len(texts)
    assert not fit_due(embedder, count)
    assert not fit_due(embedder, int(count * 1.4))
    assert fit_due(embedder, count * 2)
    assert fit_due(embedder, count // 3)


def test_vectors_and_their_name_belong_together_while_another_thread_refits(
    texts: list[str],
) -> None:
    embedder = LsaEmbedder(None, 16)
    corpora = [texts[:60], texts[60:120]]
    expected = {}
    for corpus in corpora:
        name = embedder.fit(corpus)
        expected[name] = embedder.embed(texts[:3])
    stop = threading.Event()

    def refit() -> None:
        while not stop.is_set():
            for corpus in corpora:
                embedder.fit(corpus)

    thread = threading.Thread(target=refit)
    thread.start()
    try:
        for _ in range(300):
            name, rows = embed_named(embedder, texts[:3])
            assert np.array_equal(rows, expected[name])
    finally:
        stop.set()
        thread.join()


def test_lsa_on_tiny_and_odd_corpora(texts: list[str]) -> None:
    embedder = LsaEmbedder(None, 64)
    embedder.fit(["alpha beta", "beta gamma", "delta"])
    assert embedder.dim <= 3
    rows = embedder.embed(["alpha", "unknown words", "", "a" * 5000, "beta " * 10_000])
    assert np.isfinite(rows).all()
    assert not rows[1:4].any(), "a text without a known word is a row of zeros"
    assert embedder.embed([]).shape == (0, embedder.dim)
    for nothing in ([], ["", "the of and"]):
        with pytest.raises(RetrievalError, match="nothing to fit on"):
            LsaEmbedder(None).fit(nothing)


@pytest.mark.parametrize("damage", ["cut", "junk", "pickle", "shape"])
def test_a_broken_lsa_file_counts_as_not_fitted(
    texts: list[str], tmp_path: Path, damage: str
) -> None:
    LsaEmbedder(tmp_path, 16).fit(texts[:50])
    file = tmp_path / "lsa.npz"
    data = file.read_bytes()
    with np.load(file) as arrays:
        kept = dict(arrays)
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "junk":
        file.write_bytes(b"no zip file")
    else:
        kept["idf"] = kept["idf"][:-1] if damage == "shape" else np.array([{}], dtype=object)
        buffer = io.BytesIO()
        np.savez(buffer, **kept)
        file.write_bytes(buffer.getvalue())
    assert not LsaEmbedder(tmp_path, 16).fitted


def test_missing_libraries_say_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.decomposition", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ganglion\[rag\]'"):
        LsaEmbedder(None).fit(["a text"])
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ganglion\[st\]'"):
        open_embedder(f"st:{tmp_path}", tmp_path)


def test_open_embedder(tmp_path: Path) -> None:
    assert isinstance(open_embedder("lsa", tmp_path), LsaEmbedder)
    assert open_embedder("lsa:64", tmp_path).dim == 64
    remote = open_embedder("openai:http://127.0.0.1:9/v1#m", tmp_path)
    assert isinstance(remote, OpenAIEmbedder)
    assert not fit_due(remote, 100)  # and no connection is tried
    for spec in ("", "lsa:x", "lsa:0", "openai:http://x", "openai:#m", "st:", "what"):
        with pytest.raises(RetrievalError):
            open_embedder(spec, tmp_path)
    for spec in ("openai:ftp://host/v1#m", "openai:file:///etc/passwd#m"):
        with pytest.raises(BackendError, match="not an http"):
            open_embedder(spec, tmp_path)
    with pytest.raises(BackendError, match="no such model directory"):
        open_embedder(f"st:{tmp_path}/none", tmp_path)


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None,
    reason="the st extra is not installed",
)
def test_a_folder_that_is_no_sentence_transformer(tmp_path: Path) -> None:
    with pytest.raises(BackendError):
        open_embedder(f"st:{tmp_path}", tmp_path)


def lengths(handler: BaseHTTPRequestHandler, path: str, body: dict[str, Any]) -> None:
    """Embed a text as its length, and answer out of order, as servers may."""
    rows = [
        {"index": i, "embedding": [float(len(text)), 1.0, 0.0]}
        for i, text in enumerate(body["input"])
    ]
    send(handler, {"data": rows[::-1], "model": body["model"]})


def test_openai_embeddings_over_a_real_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    with endpoint(lengths) as (base_url, seen):
        embedder = OpenAIEmbedder(base_url, "tiny", "MY_KEY")
        rows = embedder.embed(["abc", "", "x" * 300] + ["y"] * 200)
        assert rows.shape == (203, 3)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        assert rows[0] == pytest.approx(np.array([3, 1, 0]) / np.sqrt(10), abs=1e-6)
        assert rows[2][0] > 0.99
        assert embedder.dim == 3
        assert embedder.embed([]).shape == (0, 3)
    assert [len(one["body"]["input"]) for one in seen] == [128, 75]
    assert {one["path"] for one in seen} == {"/v1/embeddings"}
    assert seen[0]["headers"]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in embedder.name
    assert embedder.name != OpenAIEmbedder("http://other/v1", "tiny").name


BAD_ANSWERS: dict[str, tuple[Any, int]] = {
    "HTTP 401: no such key": ({"error": {"message": "no such key"}}, 401),
    "HTTP 500: oh": (b"oh\n", 500),
    "not JSON": (b"<html>", 200),
    "not a JSON object": ([1], 200),
    "no data": ({"data": [{"index": 0}]}, 200),
    "expected 1 vectors": ({"data": []}, 200),
    "of one length": ({"data": [{"index": 0, "embedding": ["x"]}]}, 200),
    "NaN": (b'{"data": [{"index": 0, "embedding": [NaN, 1]}]}', 200),
    "overloaded": ({"error": "overloaded"}, 200),
}


@pytest.mark.parametrize("words", list(BAD_ANSWERS))
def test_an_endpoint_that_misbehaves(words: str) -> None:
    body, status = BAD_ANSWERS[words]
    with endpoint(lambda handler, path, asked: send(handler, body, status)) as (base_url, _):
        with pytest.raises(BackendError, match=words) as caught:
            OpenAIEmbedder(base_url, "m").embed(["x"])
        assert "\n" not in str(caught.value)
        if status != 200 or "overloaded" in words:
            assert base_url in str(caught.value)


def test_a_redirect_is_not_followed_with_the_key() -> None:
    def away(handler: BaseHTTPRequestHandler, path: str, body: dict[str, Any]) -> None:
        handler.send_response(302)
        handler.send_header("Location", "http://127.0.0.1:9/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with endpoint(away) as (base_url, _), pytest.raises(BackendError, match="HTTP 302"):
        OpenAIEmbedder(base_url, "m").embed(["x"])


def test_an_endpoint_that_is_silent_or_gone() -> None:
    release = threading.Event()
    with endpoint(lambda *_: release.wait(30) and None) as (base_url, _):  # type: ignore[func-returns-value]
        try:
            with pytest.raises(BackendError, match=r"no answer within 0\.2 s|timed out"):
                OpenAIEmbedder(base_url, "m", timeout_s=0.2).embed(["x"])
        finally:
            release.set()
    with pytest.raises(BackendError, match="refused"):
        OpenAIEmbedder(base_url, "m").embed(["x"])
    with (
        endpoint(lambda handler, *_: handler.connection.close()) as (base_url, _),
        pytest.raises(BackendError, match=r"127\.0\.0\.1"),
    ):
        OpenAIEmbedder(base_url, "m").embed(["x"])
