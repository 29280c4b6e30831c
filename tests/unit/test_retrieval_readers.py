"""Files to lines: every format keeps line numbers, and nothing but ReaderError escapes."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion.daemons.retrieval import readers
from ganglion.daemons.retrieval.corpus import DEMO_SKIP, demo_corpus
from ganglion.daemons.retrieval.document import Document, split_lines
from ganglion.daemons.retrieval.errors import ReaderError


def parse(name: str, text: str | bytes) -> Document:
    return readers.parse(name, text.encode() if isinstance(text, str) else text)


def line_of(document: Document, words: str) -> int:
    """The one line (1-based) that holds these words."""
    (found,) = [n for n, line in enumerate(document.lines, 1) if words in line]
    return found


def titles(document: Document) -> dict[int, str]:
    return {mark.line: mark.title for mark in document.marks}


MARKDOWN = """# Guide

Intro text.

```sh
# not a heading
```

Install
-------
Type make.

### Detail ###
Deep.
"""


def test_markdown_headings_become_paths_and_code_fences_hold_none() -> None:
    document = parse("docs/guide.md", MARKDOWN)
    assert document.kind == "markdown"
    assert list(document.lines) == MARKDOWN.split("\n")[:-1]
    assert titles(document) == {
        1: "guide > Guide",
        9: "guide > Guide > Install",
        13: "guide > Guide > Install > Detail",
    }


def test_rst_levels_are_the_order_in_which_styles_occur() -> None:
    text = "=====\nTitle\n=====\n\nText.\n\nPart\n====\n\nMore.\n\nSub\n---\n\nPart two\n========\n"
    document = parse("a.rst", text)
    assert titles(document) == {
        1: "a",
        2: "a > Title",
        7: "a > Title > Part",
        12: "a > Title > Part > Sub",
        15: "a > Title > Part two",
    }


HTML = """<!DOCTYPE html>
<html><head><title>The
 page</title><style>p { color: red }</style>
<script>var hidden = "<p>no</p>";</script></head>
<body><h1>First &amp; last</h1>
<p>One <b>bold</b>word
continues here.</p><h2>Sub</h2>
caf&eacute; <!-- comment --></body></html>
"""


def test_html_text_stands_on_the_line_it_came_from() -> None:
    document = parse("page.html", HTML)
    assert len(document.lines) == len(HTML.split("\n")) - 1
    assert document.summary == "The page"
    assert line_of(document, "One boldword") == 6
    assert line_of(document, "continues here.") == 7
    assert line_of(document, "café") == 8
    assert "hidden" not in " ".join(document.lines)
    assert "color" not in " ".join(document.lines)
    assert titles(document)[5] == "page > First & last"
    assert titles(document)[7] == "page > First & last > Sub"


@pytest.mark.parametrize(
    "text",
    [
        "<html><p>kept <b>unclosed <table><tr><td>cell",
        "<html><p>kept</p><![nonsense[ x ]> <!DOCTYPE <<<",
        "<html><p>kept</p><a href='unclosed>text",
        "<html>kept</p></div></script></b>&#xZZ; &bogus;",
        "<html><h1>kept<h2></h1></h2></h3>",
    ],
)
def test_broken_html_still_gives_its_text(text: str) -> None:
    assert "kept" in " ".join(parse("x.html", text).lines)


@pytest.mark.parametrize("unit", ["<!--", "<!--\n", "<![CDATA[", "<!", "<a ", "</", "<?", "&#"])
def test_html_that_never_closes_anything_is_read_in_linear_time(unit: str) -> None:
    # In quadratic time this takes minutes; the suite's own time limit is the check.
    document = parse("x.html", "<p>kept</p>" + unit * (500_000 // len(unit)))
    assert document.lines[0].startswith("kept")


def test_html_comments_keep_the_lines_they_take() -> None:
    document = parse("x.html", "<p>one</p><!-- a\nb -->two\nthree <!-- open\nfour")
    assert document.lines == ("one", "two", "three open", "four")


MAN = r"""'\" t
.\" comment that is gone
.TH TOOL 1 "2024" "pkg" "Manual"
.SH NAME
tool \- turns \fIinput\fP into \fBoutput\fR
.SH "SEE ALSO"
.BR ls (1),
.B \-\-all
.de XX
hidden macro
..
.SS Details
text with \(lqquotes\(rq and a \\ sign\(em done
.TS
l l.
cell one
.TE
"""


def test_man_page_is_stripped_line_for_line() -> None:
    document = parse("man/tool.1", MAN)
    assert document.kind == "man"
    assert len(document.lines) == len(MAN.split("\n")) - 1
    assert document.lines[4] == "tool - turns input into output"
    assert document.lines[6] == "ls(1),"
    assert document.lines[7] == "--all"
    assert document.lines[12] == 'text with "quotes" and a \\ sign- done'
    assert "hidden" not in " ".join(document.lines)
    assert "comment" not in " ".join(document.lines)
    assert line_of(document, "cell one") == 16
    assert document.summary == "tool - turns input into output"
    assert titles(document)[6] == "tool > SEE ALSO"
    assert titles(document)[12] == "tool > SEE ALSO > Details"


def test_gzipped_mdoc_page(tmp_path: Path) -> None:
    page = ".Dd May 1\n.Dt X 1\n.Sh NAME\n.Nm x\n.Nd does a thing\n.Sh OPTIONS\n.It Fl v Ar level\n.Nm\nruns\n"
    file = tmp_path / "x.1.gz"
    file.write_bytes(gzip.compress(page.encode()))
    document = readers.read(file)
    assert document.kind == "man"
    assert document.summary == "x does a thing"
    assert document.lines[6:] == ("-v level", "x", "runs")


def test_a_page_called_name_has_its_summary_too() -> None:
    page = ".TH BASENAME 1\n.SH NAME\nbasename \\- strip directory\n.SH OPTIONS\n"
    assert parse("basename.1", page).summary == "basename - strip directory"


def test_a_rotated_log_is_no_man_page() -> None:
    assert parse("syslog.1", ".hidden\nline two\n").kind == "text"


PYTHON = '''#!/usr/bin/env python3
# Copyright nobody
"""Frobs widgets.

Second paragraph.
"""

LIMIT = 3  # widgets at most
x = """
# not a comment
"""

class Widget(Base):
    r"""A thing."""

    def frob(self, a,
             b=LIMIT):
        """Do it."""
        secret = compute(a)
        # why it is so
        return secret

    async def late(self): pass

if True:
    def guarded():
        """Inside an if."""
'''


def test_python_shows_docstrings_comments_signatures_and_constants() -> None:
    document = parse("/x/lib/tool/widget.py", PYTHON)
    assert document.kind == "python"
    assert len(document.lines) == len(PYTHON.split("\n")) - 1
    assert document.summary == "Frobs widgets."
    assert document.lines[2] == "Frobs widgets."
    assert line_of(document, "LIMIT = 3") == 8
    assert line_of(document, "b=LIMIT") == 17
    assert document.lines[17].strip() == "Do it."
    assert document.lines[19] == "why it is so"
    text = "\n".join(document.lines)
    assert "secret" not in text
    assert document.lines[9] == "# not a comment"  # a text in triple quotes, as it is
    assert '"""' not in text
    assert titles(document) == {
        1: "tool.widget",
        13: "tool.widget.Widget",
        16: "tool.widget.Widget.frob",
        22: "tool.widget.Widget",
        23: "tool.widget.Widget.late",
        24: "tool.widget",
        26: "tool.widget.guarded",
        28: "tool.widget",
    }


def test_python_that_does_not_parse_is_read_as_lines() -> None:
    document = parse("bad.py", "def broken(:\n    still text\n")
    assert document.lines == ("def broken(:", "    still text")
    assert document.kind == "code"
    deep = "x = " + "(" * 5000 + ")" * 5000 + "\n"
    assert parse("deep.py", deep).lines


def test_every_file_of_a_real_package_keeps_its_line_count() -> None:
    for file in sorted((demo_corpus() / "email").glob("*.py")):
        raw = split_lines(readers.decode(str(file), file.read_bytes(), ".py"))
        document = readers.read(file)
        assert len(document.lines) == len(raw)
        shown = [pair for pair in zip(document.lines, raw, strict=True) if pair[0].strip()]
        assert shown
        assert all(line.strip() in original for line, original in shown)


def test_encodings() -> None:
    assert parse("a.txt", "caf\xe9\n".encode("latin-1")).lines == ("caf\xe9",)
    assert parse("a.txt", "\ufeffcaf\xe9\n".encode()).lines == ("caf\xe9",)
    assert parse("a.txt", "caf\xe9\n".encode("utf-16")).lines == ("caf\xe9",)
    cookie = "# coding: koi8-r\n# слово\n".encode("koi8-r")
    assert parse("a.py", cookie).lines[1] == "слово"


def test_only_newlines_end_a_line() -> None:
    assert split_lines("a\r\nb\rc\nd\x0ce\u2028f\x85g\n") == ["a", "b", "c", "d\x0ce\u2028f\x85g"]
    assert split_lines("") == []
    assert split_lines("\n\n") == ["", ""]


def reason(path: Path, **options: int) -> str:
    with pytest.raises(ReaderError) as caught:
        readers.read(path, **options)
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    return caught.value.reason


def test_what_cannot_be_read_is_named_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "nul.txt").write_bytes(b"text\0more")
    (tmp_path / "image.png").write_bytes(b"no nul at all")
    (tmp_path / "big.txt").write_bytes(b"x" * 101)
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b\x08 broken")
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"x" * 100_000))
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path / "nul.txt") == "binary file"
    assert reason(tmp_path / "image.png") == "binary file"
    assert "too large" in reason(tmp_path / "big.txt", size_max=100)
    assert "broken gzip" in reason(tmp_path / "bad.gz")
    assert "too large when unpacked" in reason(tmp_path / "bomb.gz", size_max=50_000)
    assert "broken utf-16" in reason(tmp_path / "bad.txt")
    assert reason(tmp_path / "pipe") == "not a regular file"
    assert reason(tmp_path) == "not a regular file"
    assert reason(tmp_path / "missing") == "no such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission(tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("x")
    file.chmod(0)
    assert reason(file) == "permission denied"


def test_an_empty_file_is_a_document_without_lines(tmp_path: Path) -> None:
    for name in ("a.txt", "a.py", "a.html", "a.md", "a.rst", "a.1"):
        (tmp_path / name).write_bytes(b"")
        assert readers.read(tmp_path / name).lines in ((), ("",))


def minimal_pdf(text: str) -> bytes:
    """A one-page PDF made by hand."""
    stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode()
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 6\n0000000000 65535 f \n" + table
    return out + head + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(out)


def test_pdf_pages_are_marks() -> None:
    pytest.importorskip("pypdf", reason="the pdf extra is not installed")
    document = parse("report.pdf", minimal_pdf("Widgets are frobbed daily"))
    assert document.kind == "pdf"
    assert "Widgets are frobbed daily" in " ".join(document.lines)
    assert document.marks[1].title == "report > page 1"
    with pytest.raises(ReaderError, match="broken PDF"):
        parse("broken.pdf", b"%PDF-1.4\nnothing of use")


def test_pdf_without_the_extra_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(ReaderError, match=r"pip install 'ganglion\[pdf\]'"):
        parse("report.pdf", b"%PDF-1.4")


NAMES = ("a.txt", "a.md", "a.rst", "a.html", "a.py", "a.1", "a.gz", "a.json", "a")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(NAMES), st.binary(max_size=300))
def test_any_bytes_under_any_name_give_a_document_or_a_reader_error(name: str, data: bytes) -> None:
    try:
        document = readers.parse(name, data)
    except ReaderError:
        return
    assert all(isinstance(line, str) for line in document.lines)


ROFF = st.lists(
    st.sampled_from([".SH ", ".B ", "\\f", '"', "\\", "\n", "(", "[x", "a", ".TH", "'"])
)


@settings(max_examples=200, deadline=None)
@given(ROFF.map("".join), st.sampled_from(["a.1", "a.html", "a.md", "a.rst", "a.py"]))
def test_hostile_markup_keeps_the_line_count(text: str, name: str) -> None:
    document = parse(name, ".TH X 1\n" + text)
    assert len(document.lines) in (n := len(split_lines(".TH X 1\n" + text)), n + 1)


def test_walk_is_ordered_and_skips_what_nobody_means(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/c.txt", ".git/config", ".hidden", "__pycache__/x.pyc",
                 "y.pyc", "z.txt~", "test/t.py", "sub/deep/d.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    found = [os.path.relpath(file, tmp_path) for file in readers.walk([tmp_path], DEMO_SKIP)]
    assert found == ["a.txt", "b.txt", "dangling", "sub/c.txt", "sub/deep/d.txt"]
    assert list(readers.walk([tmp_path / ".hidden"])) == [str(tmp_path / ".hidden")]
    twice = list(readers.walk([tmp_path / "a.txt", tmp_path, tmp_path], DEMO_SKIP))
    assert len(twice) == len(set(twice)) == 5


def test_walk_reports_roots_that_are_not_there(tmp_path: Path) -> None:
    errors: list[ReaderError] = []
    assert list(readers.walk([tmp_path / "gone", "nul\0name"], on_error=errors.append)) == []
    assert [error.reason for error in errors] == ["no such file or directory", "embedded null byte"]
