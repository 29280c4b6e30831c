"""Terms and passages: what is searched, and that every passage is where it says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion.daemons.retrieval import chunks, readers
from ganglion.daemons.retrieval.corpus import demo_corpus
from ganglion.daemons.retrieval.document import Document
from ganglion.daemons.retrieval.sentences import split_sentences
from ganglion.daemons.retrieval.terms import stem, term_set, terms, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parse_args", ["pars", "arg", "parse_args"]),
        ("HTTPServer", ["http", "serv", "httpserver"]),
        ("os.path.join", ["os", "path", "join"]),
        ("utf8 x", ["utf", "utf8"]),
        ("What is the", []),
        ("don't user's", ["user"]),
        ("Zürich 北京", ["zürich", "北京"]),
        ("a" * 100, []),
        ("__init__", ["init"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    "forms",
    [
        "connect connects connected connecting connection connections",
        "parse parses parsed parsing parser",
        "run runs running runner",
        "copy copies copied copying",
        "file files",
        "queue queues queued",
        "generate generator generated generating generates",
        "process processes processed processing",
    ],
)
def test_everyday_forms_have_one_stem(forms: str) -> None:
    assert len({stem(form) for form in forms.split()}) == 1


@given(st.text(max_size=200))
def test_terms_are_safe_words(text: str) -> None:
    for term in terms(text):
        assert term
        assert all(sign.isalnum() or sign == "_" or not sign.isascii() for sign in term)


def test_passages_of_real_files_stand_where_they_say() -> None:
    for name in ("argparse.py", "shutil.py", "json/decoder.py"):
        document = readers.read(demo_corpus() / name)
        pieces = chunks.split(document)
        assert pieces
        last = 0
        for piece in pieces:
            assert piece.first_line > last, "passages overlap"
            last = piece.last_line
            assert piece.text == "\n".join(document.lines[piece.first_line - 1 : piece.last_line])
            assert words(piece.text) <= chunks.WORDS_MAX
            assert piece.context == document.summary
        small = sum(words(piece.text) < chunks.WORDS_MIN // 2 for piece in pieces)
        assert small <= 0.2 * len(pieces) + 1


def test_no_word_of_a_document_is_lost() -> None:
    document = readers.read(demo_corpus() / "textwrap.py")
    found = term_set("\n".join(piece.text for piece in chunks.split(document)))
    assert found == term_set("\n".join(document.lines))


def test_equal_passages_of_a_document_are_one() -> None:
    block = "same words in every paragraph " * 30
    document = Document("a.txt", "text", (block, "", block, "", block))
    (piece,) = chunks.split(document)
    assert (piece.first_line, piece.last_line) == (1, 1)


def test_a_huge_line_is_cut_into_passages_of_that_line() -> None:
    line = "Alpha beta gamma delta. " * 2000
    pieces = chunks.split(Document("min.js", "code", ("first", line, "last")))
    assert {piece.first_line for piece in pieces} <= {1, 2, 3}
    assert all(len(piece.text) <= chunks.CHARS_MAX + 10 for piece in pieces)
    blob = chunks.split(Document("b.txt", "text", ("x" * 1_000_000, "real words here")))
    assert [piece.text.split()[-1] for piece in blob] == ["here"]


def test_headings_divide_and_small_sections_join() -> None:
    long = "word " * 90
    text = f"# One\n\n{long}\n\n# Two\n\n{long}\n\n## A\nshort\n\n## B\nshort\n"
    pieces = chunks.split(readers.parse("g.md", text.encode()))
    assert [piece.title for piece in pieces] == ["g > One", "g > Two", "g > Two"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="ab .\t", max_size=80), max_size=30))
def test_any_lines_give_passages_that_can_be_found_in_them(lines: list[str]) -> None:
    document = Document("x", "text", tuple(lines))
    for piece in chunks.split(document):
        assert piece.text == "\n".join(lines[piece.first_line - 1 : piece.last_line])
        assert 0 < piece.id < 2**63


def test_sentences_know_their_lines() -> None:
    text = (
        "One is here. Two goes\nover the line. Three\n\n- item one\n- item two\n\ne.g. this stays."
    )
    found = [(one.text, one.first_line, one.last_line) for one in split_sentences(text, 10)]
    assert found == [
        ("One is here.", 10, 10),
        ("Two goes over the line.", 10, 11),
        ("Three", 11, 11),
        ("- item one", 13, 13),
        ("- item two", 14, 14),
        ("e.g. this stays.", 16, 16),
    ]


@given(st.text(alphabet="aB. !?\n-\"'()1", max_size=200))
def test_sentences_lose_no_word(text: str) -> None:
    joined = " ".join(one.text for one in split_sentences(text))
    assert joined.split() == text.split()
