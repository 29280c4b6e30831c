"""The store and its vectors: incremental ingest equals a fresh one, and survives kill -9."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ganglion.daemons.retrieval.corpus import demo_corpus
from ganglion.daemons.retrieval.errors import RetrievalError, StoreError
from ganglion.daemons.retrieval.search import Index
from ganglion.daemons.retrieval.store import FILE as STORE_FILE
from ganglion.daemons.retrieval.vectors import FILE as VECTORS_FILE
from ganglion.daemons.retrieval.vectors import Vectors

pytest.importorskip("usearch", reason="the rag extra is not installed")

DIM = 16
NAME = "by-id"


def vectors_for(ids: list[int]) -> NDArray[np.float32]:
    """A fixed vector for each id, so that equal ids mean equal vectors."""
    rows = [np.random.default_rng(one).standard_normal(DIM) for one in ids]
    matrix = np.array(rows, np.float32).reshape(len(ids), DIM)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def embed_all(index: Index, batch: int = 64) -> int:
    index.use_embedder(NAME, DIM)
    done = 0
    while pending := index.pending(batch):
        ids = [one.id for one in pending]
        done += index.add_vectors(ids, vectors_for(ids), NAME)
    return done


QUERIES = ("alpha beta", "gamma", "delta epsilon alpha", "zeta")


def state_of(index: Index, folder: Path) -> dict[str, Any]:
    """Everything that can be seen of an index."""
    with sqlite3.connect(folder / STORE_FILE) as db:
        places = db.execute(
            "SELECT d.path, d.size, d.hash, d.kind, d.lines, p.first_line, p.last_line, c.id,"
            " c.title, c.context, c.text FROM documents d LEFT JOIN places p ON p.document = d.id"
            " LEFT JOIN chunks c ON c.id = p.chunk ORDER BY d.path, p.first_line, c.id"
        ).fetchall()
        orphans = db.execute(
            "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT chunk FROM places)"
        ).fetchall()
        terms = db.execute("SELECT term, doc, cnt FROM vocabulary ORDER BY term").fetchall()
    db.close()
    query = vectors_for([42])[0]
    found = [index.search(one, query, 5, NAME).to_json() for one in QUERIES]
    return {
        "places": places,
        "orphans": orphans,
        "terms": terms,
        "found": found,
        "vectors": sorted(index._vectors.ids().tolist()),
        "stats": index.stats(),
    }


WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
PARAGRAPHS = [" ".join(WORDS[(seed * step + step) % 6] for step in range(90)) for seed in range(5)]
TEXTS = st.lists(st.sampled_from(PARAGRAPHS), max_size=3).map("\n\n".join)
FILES = st.sampled_from(["a.txt", "b.md", "sub/c.txt", "sub/deep/d.py", "sub/a.txt"])
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), FILES, TEXTS),
        st.tuples(st.just("binary"), FILES, st.just("")),
        st.tuples(st.just("remove"), FILES, st.just("")),
        st.tuples(st.just("move"), FILES, FILES),
        st.tuples(st.just("ingest"), FILES, st.just("")),
    ),
    max_size=12,
)


def apply(root: Path, operation: str, name: str, extra: str) -> None:
    file = root / name
    if operation == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(extra)
    elif operation == "binary":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"alpha\0beta")
    elif operation == "remove":
        file.unlink(missing_ok=True)
    elif operation == "move" and file.exists():
        (root / extra).parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, root / extra)


@settings(max_examples=40, deadline=None)
@given(OPERATIONS)
def test_any_sequence_of_changes_then_ingest_equals_a_fresh_ingest(
    operations: list[tuple[str, str, str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, old, new = (Path(folder) / name for name in ("files", "old", "new"))
        root.mkdir()
        with Index(old) as index:
            for operation, name, extra in operations:
                if operation == "ingest":
                    index.ingest([root])
                    embed_all(index)
                else:
                    apply(root, operation, name, extra)
            index.ingest([root])
            embed_all(index)
            incremental = state_of(index, old)
        with Index(new) as index:
            index.ingest([root])
            embed_all(index)
            fresh = state_of(index, new)
        assert incremental == fresh
        assert fresh["orphans"] == [(0,)]


def write_corpus(root: Path, count: int = 5) -> None:
    root.mkdir(exist_ok=True)
    for number in range(count):
        (root / f"{number}.txt").write_text(f"{PARAGRAPHS[number % 5]}\nunique{number}\n")


def age(root: Path) -> None:
    """Make every file look as if it had been written long ago."""
    for file in root.iterdir():
        os.utime(file, ns=(10**18, 10**18))


def test_unchanged_files_are_neither_read_nor_embedded_again(tmp_path: Path) -> None:
    write_corpus(tmp_path / "files")
    age(tmp_path / "files")
    with Index(tmp_path / "state") as index:
        first = index.ingest([tmp_path / "files"])
        assert (first.added, first.unchanged) == (5, 0)
        assert embed_all(index) == first.chunks
    # Same size and time, other bytes: what a look at the content alone would notice.
    file = tmp_path / "files" / "0.txt"
    file.write_text(file.read_text().replace("unique0", "changed"))
    os.utime(file, ns=(10**18, 10**18))
    with Index(tmp_path / "state") as index:
        again = index.ingest([tmp_path / "files"])
        assert (again.added, again.changed, again.unchanged) == (0, 0, 5)
        assert index.pending() == []
        assert index.search("changed").hits == ()
        os.utime(file)
        later = index.ingest([tmp_path / "files"])
        assert (later.changed, later.unchanged) == (1, 4)
        assert len(index.pending()) == 1
        assert index.search("changed").hits[0].path == str(file)


def test_a_file_changed_in_the_moment_it_was_read_is_seen(tmp_path: Path) -> None:
    write_corpus(tmp_path / "files", 1)
    file = tmp_path / "files" / "0.txt"
    with Index(tmp_path / "state") as index:
        index.ingest([tmp_path / "files"])
        stamp = file.stat().st_mtime_ns
        file.write_text(file.read_text().replace("unique0", "changed"))
        os.utime(file, ns=(stamp, stamp))  # a clock too coarse to tell the two apart
        assert index.ingest([tmp_path / "files"]).changed == 1


def test_moved_and_copied_text_keeps_its_vector(tmp_path: Path) -> None:
    root = tmp_path / "files"
    write_corpus(root)
    with Index(tmp_path / "state") as index:
        index.ingest([root])
        embed_all(index)
        (root / "sub").mkdir()
        shutil.move(str(root / "1.txt"), root / "sub" / "1.txt")
        shutil.copy(root / "2.txt", root / "sub" / "2.txt")
        report = index.ingest([root])
        assert (report.added, report.removed) == (2, 1)
        assert index.pending() == []
        assert index.search("unique1").hits[0].path == str(root / "sub" / "1.txt")
        (root / "2.txt").unlink()
        index.ingest([root])
        assert index.pending() == []
        assert index.search("unique2").hits[0].path == str(root / "sub" / "2.txt")


def test_only_what_lies_under_the_given_paths_is_touched(tmp_path: Path) -> None:
    write_corpus(tmp_path / "one")
    write_corpus(tmp_path / "one-more")
    with Index(tmp_path / "state") as index:
        index.ingest([tmp_path / "one", tmp_path / "one-more"])
        shutil.rmtree(tmp_path / "one")
        shutil.rmtree(tmp_path / "one-more")
        report = index.ingest([tmp_path / "one"])
        assert report.removed == 5
        assert [error.reason for error in report.errors] == ["no such file or directory"]
        assert len(index.paths()) == 5


def test_bad_files_are_named_skipped_and_counted(tmp_path: Path) -> None:
    root = tmp_path / "files"
    write_corpus(root, 2)
    (root / "bad.bin").write_bytes(b"\0")
    (root / "nul.txt").write_bytes(b"a\0")
    (root / "empty.txt").write_bytes(b"")
    (root / "latin.txt").write_bytes("caf\xe9 cr\xe8me".encode("latin-1"))
    (root / "dangling").symlink_to("nowhere")
    with open(os.fsencode(root) + b"/\xff.txt", "wb") as file:
        file.write(b"text")
    seen: list[tuple[int, int, str]] = []
    with Index(tmp_path / "state") as index:
        report = index.ingest([root], progress=lambda *one: seen.append(one))
        assert sorted(error.reason for error in report.errors) == [
            "binary file", "binary file", "name is not UTF-8", "no such file or directory",
        ]  # fmt: skip
        assert report.files == 4
        assert report.to_json()["skipped"] == 4
        assert index.search("café").hits[0].path.endswith("latin.txt")
    assert seen[0][:2] == (0, 8)
    assert seen[-1] == (8, 8, "")


def test_a_file_that_turns_binary_drops_out(tmp_path: Path) -> None:
    write_corpus(tmp_path / "files", 2)
    with Index(tmp_path / "state") as index:
        index.ingest([tmp_path / "files"])
        (tmp_path / "files" / "0.txt").write_bytes(b"\0")
        report = index.ingest([tmp_path / "files"])
        assert (report.removed, report.files, len(report.errors)) == (1, 1, 1)


def test_another_embedder_makes_every_chunk_pending(tmp_path: Path) -> None:
    write_corpus(tmp_path / "files")
    with Index(tmp_path / "state") as index:
        chunks = index.ingest([tmp_path / "files"]).chunks
        embed_all(index)
        assert index.use_embedder(NAME, DIM) is False
        assert index.use_embedder("another", DIM) is True
        assert len(index.pending()) == chunks
        # Vectors still on their way from the old embedder are not taken.
        ids = [one.id for one in index.pending()]
        assert index.add_vectors(ids, vectors_for(ids), NAME) == 0
        assert len(index.pending()) == chunks
    with Index(tmp_path / "state") as index:
        assert index.embedder == "another"


def test_vectors_of_chunks_that_are_gone_are_not_kept(tmp_path: Path) -> None:
    write_corpus(tmp_path / "files", 2)
    with Index(tmp_path / "state") as index:
        index.ingest([tmp_path / "files"])
        index.use_embedder(NAME, DIM)
        ids = [one.id for one in index.pending()]
        (tmp_path / "files" / "0.txt").unlink()
        index.ingest([tmp_path / "files"])
        assert index.add_vectors(ids, vectors_for(ids), NAME) == 1
        assert index.stats()["vectors"] == 1


@pytest.mark.parametrize("damage", ["truncate", "flip", "header", "empty", "other"])
def test_a_broken_vector_file_counts_as_empty(tmp_path: Path, damage: str) -> None:
    write_corpus(tmp_path / "files")
    with Index(tmp_path / "state") as index:
        chunks = index.ingest([tmp_path / "files"]).chunks
        embed_all(index)
    file = tmp_path / "state" / VECTORS_FILE
    data = file.read_bytes()
    _, _, body = data.partition(b"\n")
    file.write_bytes({
        "truncate": data[:-10],
        "flip": data[:-1] + bytes([data[-1] ^ 1]),
        "header": b"{}\n" + body,
        "empty": b"",
        "other": b"\x80\x04 not json \n" + body,
    }[damage])  # fmt: skip
    with Index(tmp_path / "state") as index:
        index.use_embedder(NAME, DIM)
        assert len(index.pending()) == chunks
        assert index.search("alpha").hits
        embed_all(index)
        assert index.pending() == []


def test_bad_vectors_are_refused_and_change_nothing(tmp_path: Path) -> None:
    write_corpus(tmp_path / "files", 1)
    with Index(tmp_path / "state") as index:
        index.ingest([tmp_path / "files"])
        with pytest.raises(RetrievalError):
            index.use_embedder("", 0)
        index.use_embedder(NAME, DIM)
        (one,) = index.pending()
        for matrix in (np.zeros((1, DIM + 1)), np.zeros((2, DIM)), np.full((1, DIM), np.nan)):
            with pytest.raises(RetrievalError):
                index.add_vectors([one.id], matrix.astype(np.float32))
        assert len(index.pending()) == 1
        # A text without a known word has a vector of zeros: stored, never found, not pending.
        index.add_vectors([one.id], np.zeros((1, DIM), np.float32))
        assert index.pending() == []
        assert index.search("nothing", vectors_for([1])[0]).hits == ()


def test_vectors_by_hnsw_and_by_exact_search_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = list(range(1, 2001))
    vectors = Vectors(tmp_path)
    vectors.use(NAME, DIM)
    vectors.add(ids, vectors_for(ids))
    vectors.add(ids[:100], vectors_for(ids[:100]))
    assert len(vectors) == 2000
    query = vectors_for([7])[0]
    exact = vectors.search(query, 10)
    assert exact[0][0] == 7
    assert exact[0][1] == pytest.approx(1.0, abs=1e-2)
    monkeypatch.setattr("ganglion.daemons.retrieval.vectors.EXACT_MAX", 0)
    near = vectors.search(query, 10)
    assert len({one for one, _ in near} & {one for one, _ in exact}) >= 8


def test_a_state_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        Index(tmp_path / "file" / "state")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / STORE_FILE).write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Index(tmp_path / "state")


def test_a_store_of_another_version_is_made_anew(tmp_path: Path) -> None:
    write_corpus(tmp_path / "files")
    with Index(tmp_path / "state") as index:
        index.ingest([tmp_path / "files"])
    with sqlite3.connect(tmp_path / "state" / STORE_FILE) as db:
        db.execute("UPDATE versions SET stamp = 'older'")
    db.close()
    with Index(tmp_path / "state") as index:
        assert index.paths() == []
        assert index.ingest([tmp_path / "files"]).added == 5


CRASHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from ganglion.daemons.retrieval.search import Index
from test_retrieval_store import DIM, NAME, vectors_for

def step(*words):
    print(*words, flush=True)
    sys.stdin.readline()

index = Index(sys.argv[2])
index.ingest([sys.argv[1]], progress=lambda done, total, path: step("file", done))
index.use_embedder(NAME, DIM)
while pending := index.pending(8):
    ids = [one.id for one in pending]
    index.add_vectors(ids, vectors_for(ids), NAME)
    step("vectors", len(ids))
    index.save()
    step("saved", len(ids))
step("end", 0)
"""


def run_until_killed(root: Path, state: Path, steps: int) -> list[str]:
    """Run a real ingest, let it take ``steps`` steps, and kill it between or within the next."""
    with subprocess.Popen(
        [sys.executable, "-c", CRASHER, str(root), str(state), str(Path(__file__).parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        lines = []
        for _ in range(steps):
            lines.append(process.stdout.readline().strip())
            process.stdin.write("\n")
            process.stdin.flush()
        process.send_signal(signal.SIGKILL)  # while it works on the next step
        assert process.wait(30) == -signal.SIGKILL
    return lines


@pytest.mark.parametrize("steps", [1, 3, 7, 9, 10, 11, 14])
def test_kill_9_at_any_step_leaves_a_store_that_the_next_run_completes(
    tmp_path: Path, steps: int
) -> None:
    root = tmp_path / "files"
    root.mkdir()
    names = ("bisect", "heapq", "sched", "shlex", "textwrap", "queue", "stat")
    for name in names:
        shutil.copy(demo_corpus() / f"{name}.py", root)
    lines = run_until_killed(root, tmp_path / "state", steps)
    assert len(lines) == steps
    assert all(lines), "it ended before it was killed"
    with Index(tmp_path / "state") as index:
        index.search("queue")  # usable at once
        index.ingest([root])
        embed_all(index)
        after = state_of(index, tmp_path / "state")
    with Index(tmp_path / "fresh") as index:
        index.ingest([root])
        embed_all(index)
        assert after == state_of(index, tmp_path / "fresh")
    assert after["stats"]["files"] == len(names)
    assert after["stats"]["vectors"] == after["stats"]["chunks"] > len(names)
