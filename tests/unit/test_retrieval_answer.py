"""Answers, chat, judgements and plans: what is said, on what ground, and when nothing is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganglion.daemons.retrieval import readers
from ganglion.daemons.retrieval.answer import nothing_found, support, synthesize
from ganglion.daemons.retrieval.chat import ChatSynthesizer
from ganglion.daemons.retrieval.corpus import demo_corpus
from ganglion.daemons.retrieval.errors import BackendError
from ganglion.daemons.retrieval.judge import check_source, judge
from ganglion.daemons.retrieval.plan import PARTS_MAX, merge, split_question
from ganglion.daemons.retrieval.records import CITATION, NOTHING_FOUND, Answer, Source
from ganglion.daemons.retrieval.search import Index

pytest.importorskip("usearch", reason="the rag extra is not installed")
sys.path.insert(0, str(Path(__file__).parent))
from retrieval_endpoint import endpoint, send

MODULES = (
    "argparse", "smtplib", "tarfile", "heapq", "queue", "sched", "textwrap", "csv", "uuid",
    "shutil", "tempfile", "zipfile", "ftplib", "bisect", "fractions", "calendar", "getpass",
    "gzip", "configparser", "threading", "subprocess", "socket", "functools", "string", "random",
)  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with Index(tmp_path_factory.mktemp("state")) as made:
        made.ingest([demo_corpus() / f"{name}.py" for name in MODULES])
        yield made


GOOD = {
    "How do I keep a list sorted while inserting new items?": "bisect",
    "How do I use a list as a priority queue?": "heapq",
    "How can I wrap a paragraph of text at a line width?": "textwrap",
    "How do I create a temporary directory?": "tempfile",
    "Copy a whole directory tree": "shutil",
    "How do I prompt for a password without echo?": "getpass",
}
FOREIGN = [
    "flurble gnarx wibblequonk",
    "Which wine goes with grilled salmon?",
    "Who discovered penicillin?",
    "How many moons does Jupiter have?",
    "How do I prune an apple orchard?",
    "What is the tallest mountain of Africa?",
    "When was the battle of Hastings?",
    "How do vaccines train immunity?",
    "Which team won the hockey championship?",
    "How do I bake sourdough bread?",
    "",
    "what is the",
    "???",
]


@pytest.mark.parametrize("question", GOOD)
def test_good_questions_are_answered_from_lines_that_say_so(index: Index, question: str) -> None:
    answer = synthesize(index.search(question))
    assert answer.found
    assert 0.33 <= answer.support <= 1
    assert GOOD[question] in {Path(source.path).stem for source in answer.sources}
    assert [source.number for source in answer.sources] == list(range(1, len(answer.sources) + 1))
    cited = {int(one) for one in CITATION.findall(answer.text)}
    assert cited == {source.number for source in answer.sources}
    for source in answer.sources:
        lines = readers.read(source.path).lines[source.first_line - 1 : source.last_line]
        assert "\n".join(lines) == source.text


@pytest.mark.parametrize("question", FOREIGN)
def test_questions_without_support_find_nothing(index: Index, question: str) -> None:
    answer = synthesize(index.search(question))
    assert not answer.found
    assert answer.text == NOTHING_FOUND
    assert answer.sources == ()
    assert judge(answer).verdict == "nothing found"


@pytest.mark.parametrize("question", GOOD)
def test_an_extractive_answer_is_wholly_grounded(index: Index, question: str) -> None:
    result = index.search(question)
    answer = synthesize(result)
    found = judge(answer, result.term_idf)
    assert found.groundedness == 1.0, [one for one in found.sentences if one.support < 1]
    assert all(one.exists and one.matches == 1.0 for one in found.sources)
    assert all(one.citations for one in found.sentences)
    assert found.verdict in ("grounded", "partial")


def test_brackets_in_a_source_are_no_citations(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("The widget frobs heap[0] first, as the widget paper [7] says of frobbing.")
    with Index(tmp_path / "state") as index:
        index.ingest([file])
        answer = synthesize(index.search("What does the widget frob?"))
    assert "heap[0]" in answer.text
    assert "(7)" in answer.text
    assert CITATION.findall(answer.text) == ["1"]


def test_support_is_high_for_what_is_there_and_low_for_what_is_not(index: Index) -> None:
    good = [support(index.search(question)) for question in GOOD]
    foreign = [support(index.search(question)) for question in FOREIGN]
    assert min(good) > max(foreign)


def test_answers_survive_json(index: Index) -> None:
    answer = synthesize(index.search("priority queue"))
    assert Answer.from_json(json.loads(json.dumps(answer.to_json()))) == answer


# The judge


def sourced(tmp_path: Path, *texts: str) -> tuple[Source, ...]:
    found = []
    for number, text in enumerate(texts, 1):
        file = tmp_path / f"s{number}.txt"
        file.write_text(f"first line\n{text}\nlast line\n")
        found.append(Source(number, str(file), 2, 2, f"s{number}", text))
    return tuple(found)


HEAP = "A heap is a binary tree where every parent has a value less than its 2 children."


def judged(question: str, text: str, sources: tuple[Source, ...]) -> Any:
    return judge(Answer(question, text, sources, 1.0, True))


def test_a_faithful_answer_is_grounded(tmp_path: Path) -> None:
    sources = sourced(tmp_path, HEAP, "Pop returns the smallest item.")
    found = judged(
        "What is a heap and what does pop return?",
        "A heap is a binary tree. [1] Every parent has a value less than its 2 children [1]. "
        "Pop returns the smallest item. [2]",
        sources,
    )
    assert found.verdict == "grounded"
    assert found.groundedness == 1.0
    assert found.coverage == 1.0
    assert [one.citations for one in found.sentences] == [(1,), (1,), (2,)]
    assert all(one.exists and one.matches == 1.0 for one in found.sources)
    json.dumps(found.to_json())


def test_each_fault_lowers_groundedness(tmp_path: Path) -> None:
    sources = sourced(tmp_path, HEAP, "Pop returns the smallest item.")
    question, right = "What is a heap?", "A heap is a binary tree with a parent value [1]."
    best = judged(question, right, sources).groundedness
    faults = {
        "invented": "A heap is a purple elephant that sings opera in Vienna [1].",
        "half invented": "A heap is a binary tree invented by purple elephants [1].",
        "wrong source": right.replace("[1]", "[2]"),
        "no citation": right.replace(" [1]", ""),
        "missing source": right.replace("[1]", "[7]"),
        "invented figure": "A heap is a binary tree with a parent of 37 children [1].",
    }
    scores = {fault: judged(question, text, sources).groundedness for fault, text in faults.items()}
    assert all(score < best for score in scores.values()), (best, scores)
    assert scores["invented"] < 0.4
    assert judged(question, faults["invented"], sources).verdict == "ungrounded"
    assert scores["wrong source"] < 0.4
    assert scores["invented figure"] < 0.5 * best


def test_an_answer_to_another_question_is_partial_at_best(tmp_path: Path) -> None:
    sources = sourced(tmp_path, HEAP)
    found = judged("How do I send electronic mail?", "A heap is a binary tree. [1]", sources)
    assert found.groundedness == 1.0
    assert found.coverage == 0.0
    assert found.verdict == "partial"


@pytest.mark.parametrize("fault", ["line", "file", "range", "text", "binary", "empty"])
def test_a_source_that_is_not_there_lowers_the_verdict(tmp_path: Path, fault: str) -> None:
    (source,) = sourced(tmp_path, HEAP)
    if fault == "line":
        source = replace(source, first_line=400, last_line=400)
    elif fault == "file":
        source = replace(source, path=str(tmp_path / "none.txt"))
    elif fault == "range":
        source = replace(source, first_line=3, last_line=2)
    elif fault == "text":
        Path(source.path).write_text("first\nsomething else altogether\n")
    elif fault == "binary":
        Path(source.path).write_bytes(b"\0")
    else:
        source = replace(source, text="")
    seen = check_source(source)
    assert seen.reason
    assert seen.matches < 0.3
    found = judged("What is a heap?", "A heap is a binary tree. [1]", (source,))
    assert found.verdict == "ungrounded"
    trusted = judge(Answer("q", "A heap is a binary tree. [1]", (source,), 1, True), None, False)
    assert trusted.groundedness == (0.0 if fault == "empty" else 1.0)


@given(st.text(alphabet="ab [1]2,.?!\n", max_size=80))
def test_any_answer_is_judged_in_range(text: str) -> None:
    source = Source(1, "/nowhere", 1, 1, "t", "ab b a")
    found = judge(Answer("ab aa", text, (source,), 0.5, True), {"ab": 2.0}, False)
    assert 0 <= found.groundedness <= 1
    assert 0 <= found.coverage <= 1
    assert found.verdict in ("grounded", "partial", "ungrounded", "nothing found")


# The planner


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("", []),
        ("What is a heap?", ["What is a heap?"]),
        ("How do I read and write files?", ["How do I read and write files?"]),
        ("What is the cause and effect of gravity?", ["What is the cause and effect of gravity?"]),
        ("search and replace", ["search and replace"]),
        (
            "What is a queue and how does a thread wait for one?",
            ["What is a queue?", "how does a thread wait for one?"],
        ),
        ("What is a heap? How do I sort a list?", ["What is a heap?", "How do I sort a list?"]),
        (
            "What is a heap, and how do I use it?",
            ["What is a heap?", "how do I use it (What is a heap)?"],
        ),
        (
            "Compare gzip with zipfile.",
            ["what is gzip?", "what is zipfile?", "Compare gzip with zipfile."],
        ),
        (
            "What is the difference between a thread and a process?",
            [
                "what is a thread?",
                "what is a process?",
                "What is the difference between a thread and a process?",
            ],
        ),
        ("1. parse options\n2. copy files\n   quickly", ["parse options", "copy files quickly"]),
        ("1) What is csv? 2) What is json?", ["What is csv?", "What is json?"]),
        ("Is Python 3. 11 supported?", ["Is Python 3. 11 supported?"]),
        ("What is csv? What is csv?", ["What is csv?"]),
        ("Sort a list? Thanks.", ["Sort a list? Thanks."]),
    ],
)
def test_splitting(question: str, parts: list[str]) -> None:
    assert split_question(question) == parts


@given(st.text(alphabet="what is how and?12. \nxyz,", max_size=120))
def test_splitting_is_bounded_and_never_empty(question: str) -> None:
    parts = split_question(question)
    assert len(parts) <= PARTS_MAX
    assert bool(parts) == bool(question.split())
    assert all(part.strip() for part in parts)


def test_merging_renumbers_and_shares_sources() -> None:
    def source(number: int, path: str) -> Source:
        return Source(number, path, 1, 2, path, "text")

    one = Answer("q1", "A [1]. B [2].", (source(1, "a"), source(2, "b")), 0.8, True)
    two = Answer("q2", "C [1, 2]. D [9].", (source(1, "b"), source(2, "c")), 0.4, True)
    none = nothing_found("q3", 0.0)
    whole = merge("q", [one, two, none])
    assert whole.text == "A [1]. B [2].\n\nC [2, 3]. D .\n\nq3 - nothing found."
    assert [(s.number, s.path) for s in whole.sources] == [(1, "a"), (2, "b"), (3, "c")]
    assert whole.support == pytest.approx(0.4)
    assert whole.found
    assert not merge("q", [none, none]).found
    assert not merge("q", []).found
    assert merge("q", [one]).text == one.text


# A language model behind an endpoint


def chat(text: str) -> Any:
    """Answer with this text, whole or streamed in pieces of three characters."""

    def reply(handler: BaseHTTPRequestHandler, path: str, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            send(handler, {"choices": [{"message": {"role": "assistant", "content": text}}]})
            return
        events = [{"choices": [{"delta": {"role": "assistant"}}]}]
        events += [
            {"choices": [{"delta": {"content": text[i : i + 3]}}]} for i in range(0, len(text), 3)
        ]
        events += [{"choices": [], "usage": {"total_tokens": 1}}]
        stream = b": comment\n\n" + b"".join(
            b"data: " + json.dumps(event).encode() + b"\n\n" for event in events
        )
        send(handler, stream + b"data: [DONE]\n\n")

    return reply


def test_chat_answers_from_numbered_passages(index: Index) -> None:
    result = index.search("How do I use a list as a priority queue?")
    with endpoint(chat("Use heap[0]. [2] It is fast[1, 2]. Nonsense [77].")) as (base_url, seen):
        answer = ChatSynthesizer(base_url, "tiny").synthesize(result)
    assert answer.text == "Use heap[0]. [1] It is fast [2, 1]. Nonsense ."
    assert [source.path for source in answer.sources] == [result.hits[1].path, result.hits[0].path]
    system, user = seen[0]["body"]["messages"]
    assert seen[0]["path"] == "/v1/chat/completions"
    assert "nothing else" in system["content"]
    first = result.hits[0]
    assert f"[1] {first.path}:{first.first_line}-{first.last_line}" in user["content"]
    assert user["content"].endswith(result.query)
    assert judge(answer, result.term_idf).sentences[2].citations == ()


def test_chat_streams_pieces_that_make_the_whole(index: Index) -> None:
    result = index.search("How do I use a list as a priority queue?")
    with endpoint(chat("Use a heap [1].")) as (base_url, _):
        draft = ChatSynthesizer(base_url, "tiny").stream(result)
        assert list(draft) == ["Use", " a ", "hea", "p [", "1]."]
    assert draft.text == "Use a heap [1]."
    assert draft.answer is not None
    assert draft.answer.found
    assert len(draft.answer.sources) == 1


@pytest.mark.parametrize("text", ["nothing found", "Nothing found.", "  ", '"Nothing found"'])
def test_chat_that_finds_nothing(index: Index, text: str) -> None:
    with endpoint(chat(text)) as (base_url, _):
        answer = ChatSynthesizer(base_url, "m").synthesize(index.search("priority queue"))
    assert not answer.found
    assert answer.text == NOTHING_FOUND


def test_chat_is_not_asked_about_what_the_corpus_does_not_know(index: Index) -> None:
    with endpoint(chat("made up")) as (base_url, seen):
        model = ChatSynthesizer(base_url, "m")
        assert not model.synthesize(index.search("flurble gnarx")).found
        draft = model.stream(index.search("flurble gnarx"))
        assert list(draft) == []
        assert draft.answer is not None
        assert not draft.answer.found
    assert seen == []


@pytest.mark.parametrize(
    "body", [b"x", {"choices": []}, {"choices": [{"message": None}]}, {"error": {"message": "no"}}]
)
def test_chat_that_misbehaves(index: Index, body: Any) -> None:
    with endpoint(lambda handler, path, asked: send(handler, body)) as (base_url, _):
        model = ChatSynthesizer(base_url, "m")
        with pytest.raises(BackendError):
            model.synthesize(index.search("priority queue"))
        broken = b"data: " + (body if isinstance(body, bytes) else b'{"choices": [1]}') + b"\n\n"
    with (
        endpoint(lambda handler, path, asked: send(handler, broken)) as (base_url, _),
        pytest.raises(BackendError),
    ):
        list(ChatSynthesizer(base_url, "m").stream(index.search("priority queue")))
