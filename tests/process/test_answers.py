"""The answer service on real processes: five agents, real files, questions with and without an answer."""

from __future__ import annotations

import http.server
import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganglion.clients import Client
from ganglion.protocol.session import TaskBuriedError
from support.instance import Sandbox
from support.process import Process, Spawn
from support.until import until

ROLES = ("planner", "embedder", "retriever", "synthesizer", "evaluator")
pytestmark = pytest.mark.timeout_s(240)

PAGES = {
    "heron.md": "# Herons\n\nThe grey heron nests in tall trees near lakes.\n"
    "It hunts fish at dawn by standing still in shallow water.\n",
    "kettle.md": "# Kettles\n\nAn electric kettle boils a litre of water in three minutes.\n"
    "Scale is removed from a kettle with citric acid.\n",
    "sextant.rst": "Sextants\n========\n\nA sextant measures the angle between the horizon and a\n"
    "star. Navigators used it to find latitude at sea.\n",
    "notes.txt": "The lighthouse keeper winds the clockwork of the lamp every four hours.\n",
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def service(coordinator: Process, spawn: Spawn) -> list[Process]:
    agents = [spawn("gangliond", "agent", role) for role in ROLES]
    until(lambda: len(spawn.agents()) == len(ROLES), timeout=60, what="five agents")
    return agents


@pytest.fixture
def client(service: list[Process]) -> Iterator[Client]:
    with Client() as client:
        yield client


def ingest(client: Client, *paths: Path, **more: Any) -> dict[str, Any]:
    body = {"paths": [str(path) for path in paths], **more}
    found: dict[str, Any] = client.call("INGEST", body, timeout=120).data
    return found


def ask(client: Client, question: str) -> dict[str, Any]:
    found: dict[str, Any] = client.call("ASK", {"question": question}, timeout=60).data
    return found


def check_sources(found: dict[str, Any], folder: Path) -> None:
    """Every source is a file of the corpus and the passage stands at its lines."""
    assert found["sources"]
    for source in found["sources"]:
        path = Path(source["path"])
        assert path.parent == folder
        lines = path.read_text().splitlines()
        assert 1 <= source["first_line"] <= source["last_line"] <= len(lines)
        assert f"[{source['number']}]" in found["text"]


def test_answers_with_sources_or_says_that_there_is_none(client: Client, corpus: Path) -> None:
    report = ingest(client, corpus)
    assert (report["added"], report["skipped"]) == (4, 0)
    assert report["embedded"] == report["vectors"] == report["chunks"] > 0
    found = ask(client, "How does a heron hunt fish?")
    assert found["found"]
    assert "standing still" in found["text"]
    assert found["verdict"] == "grounded"
    assert 0 < found["coverage"] <= 1
    check_sources(found, corpus)
    nothing = ask(client, "What is the boiling point of tungsten hexafluoride?")
    assert (nothing["found"], nothing["text"]) == (False, "nothing found")
    assert (nothing["verdict"], nothing["sources"]) == ("nothing found", [])


def test_a_compound_question_is_split_and_merged(client: Client, corpus: Path) -> None:
    ingest(client, corpus)
    found = ask(client, "How does a heron hunt fish, and how is scale removed from a kettle?")
    assert len(found["parts"]) == 2
    assert "standing still" in found["text"]
    assert "citric acid" in found["text"]
    check_sources(found, corpus)


def test_the_path_and_a_plain_question(client: Client, corpus: Path) -> None:
    ingest(client, corpus)
    outcome = client.call("ASK", "What does a sextant measure?", trace=1, timeout=60)
    hops = [hop.split(".")[0] for hop in outcome.params["hops"].split(",")]
    assert hops == ["ASK", "EMBED_QUERY", "RETRIEVE", "SYNTHESIZE", "EVALUATE"]
    assert "angle" in outcome.data["text"]


def test_only_what_changed_is_read_and_embedded_again(client: Client, corpus: Path) -> None:
    first = ingest(client, corpus)
    again = ingest(client, corpus)
    assert (again["unchanged"], again["embedded"]) == (4, 0)
    (corpus / "heron.md").write_text(PAGES["heron.md"] + "\nHerons live for fifteen years.\n")
    (corpus / "notes.txt").unlink()
    changed = ingest(client, corpus)
    assert (changed["changed"], changed["removed"], changed["refitted"]) == (1, 1, False)
    assert 0 < changed["embedded"] < first["embedded"] + 2
    assert "fifteen" in ask(client, "For how many years do herons live?")["text"]
    assert not ask(client, "What does the lighthouse keeper wind?")["found"]


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(client: Client, corpus: Path) -> None:
    (corpus / "bad.pdf").write_bytes(b"%PDF-1.4 nothing\x00")
    (corpus / "dangling.md").symlink_to(corpus / "none")
    report = ingest(client, corpus, corpus / "missing")
    names = {Path(error["path"]).name for error in report["errors"]}
    assert names == {"bad.pdf", "dangling.md", "missing"}
    assert (report["added"], report["skipped"]) == (4, 3)
    assert all(error["reason"] for error in report["errors"])


def test_a_retriever_killed_in_the_middle_loses_nothing(
    client: Client, corpus: Path, service: list[Process], spawn: Spawn
) -> None:
    for n in range(300):
        (corpus / f"page{n}.md").write_text(f"# Page {n}\n\nItem number{n} lies in drawer{n}.\n")
    task = client.submit("INGEST", {"paths": [str(corpus)]}, task="big")
    service[ROLES.index("retriever")].kill()
    spawn("gangliond", "agent", "retriever")
    report = client.watch_task(task, timeout=120).data
    assert report["vectors"] == report["chunks"] >= 304
    assert "drawer77" in ask(client, "Where does item number77 lie?")["text"]


class _Chat(http.server.BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that answers from the passages it was sent, in pieces."""

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(size))
        assert body["stream"]
        assert "standing still" in body["messages"][-1]["content"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for piece in ("Herons hunt ", "by standing still ", "in shallow water [1]."):
            event = {"choices": [{"delta": {"content": piece}}]}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: Any) -> None:
        """The test's output is not the place for it."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Chat)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_language_model_streams_its_words(
    coordinator: Process, spawn: Spawn, corpus: Path, endpoint: str
) -> None:
    model = {"GANGLION_SYNTHESIZER_BACKEND": f"openai:{endpoint}#test"}
    for role in ROLES:
        spawn("gangliond", "agent", role, env=model)
    until(lambda: len(spawn.agents()) == len(ROLES), timeout=60, what="five agents")
    heard: list[bytes] = []
    with Client() as client:
        ingest(client, corpus)

        def hear(kind: str, params: dict[str, str], payload: bytes) -> None:
            if kind == "partial":
                heard.append(payload)

        question = {"question": "How does a heron hunt fish?"}
        found = client.call("ASK", question, on_stream=hear, timeout=60).data
    assert b"".join(heard) == b"Herons hunt by standing still in shallow water [1]."
    assert found["text"] == "Herons hunt by standing still in shallow water [1]."
    check_sources(found, corpus)


def test_embed_gives_arrays(client: Client, corpus: Path) -> None:
    ingest(client, corpus)
    rows = client.call("EMBED", ["a heron", "a kettle", "a heron"], timeout=30).data
    assert rows.shape[0] == 3
    assert rows.dtype == "float32"
    assert (rows[0] == rows[2]).all()


def test_the_demo_on_files_of_ones_own(spawn: Spawn, corpus: Path, instance: Sandbox) -> None:
    words = ("-m", "ganglion.clients.demo", str(corpus), "--ask", "How does a heron hunt fish?")
    demo = spawn(sys.executable, *words)
    assert demo.wait(timeout=120) == 0
    out = demo.stdout
    assert len(set(re.findall(r"pid (\d+)", out))) == len(ROLES)
    assert all(re.search(rf"/ganglion\.[\w-]+\.{role}-\d+", out) for role in ROLES)
    place = re.search(r"\[1\] (\S+):(\d+)", out)
    assert place
    assert int(place[2]) <= len(Path(place[1]).read_text().splitlines())
    assert "verdict: grounded" in out


def test_a_bad_payload_fails_alone(client: Client, corpus: Path) -> None:
    ingest(client, corpus)
    bad = client.start("EMBED", b"{", ct="json", tries=1)
    good = client.start("EMBED", ["a heron"])
    worse = client.start("EMBED_QUERY", {"no": "question"}, tries=1)
    assert client.wait(good, 30).data.shape[0] == 1
    for submission in (bad, worse):
        with pytest.raises(TaskBuriedError, match="bad_payload"):
            client.wait(submission, 30)
    with pytest.raises(TaskBuriedError, match="holds a question"):
        client.call("ASK", b"", timeout=30)
