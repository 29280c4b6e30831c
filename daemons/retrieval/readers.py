"""A file to text with its line numbers, by suffix and then by content; a tree to its files.

Anything that cannot be read as text raises ReaderError with a reason, never anything else,
so that one bad file never ends an ingest.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import tokenize
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path, PurePath

from .document import Document, Headings, Mark, split_lines
from .errors import ReaderError
from .markup import read_html, read_markdown, read_rst, read_text
from .pysource import read_python
from .roff import looks_like_man, read_man

VERSION = 1  # raise it when the same bytes give another Document: stores are rebuilt then
SIZE_BYTES_MAX = 16 * 1024 * 1024

SKIP_DIRECTORIES = frozenset(
    {"__pycache__", "node_modules", "CVS", "RCS", "SCCS", "_darcs", "venv", "__pypackages__"}
)
# Files nobody means when naming a folder: compiled from, or cached of, something else.
SKIP_SUFFIXES = frozenset({".pyc", ".pyo", ".swp", ".orig", ".rej"})

_BINARY_SUFFIXES = frozenset(
    """.a .bin .bmp .bz2 .class .db .dll .doc .docx .dylib .eot .exe .flac .gif .ico .jar .jpeg .jpg
    .mo .mp3 .mp4 .npy .npz .o .odt .ogg .parquet .pickle .pkl .png .pyd .rar .so .sqlite .tar .tgz
    .tif .tiff .ttf .wav .webp .whl .woff .woff2 .xls .xlsx .xz .zip .zst .7z""".split()  # noqa: SIM905
)
_CODE_SUFFIXES = frozenset(
    """.c .cc .cpp .cs .css .cu .cxx .go .h .hh .hpp .java .js .jsx .kt .lua .m .php .pl .pm .r .rb
    .rs .scala .sh .bash .zsh .sql .swift .tcl .ts .tsx .v .vhd .zig .toml .yaml .yml .json .ini
    .cfg .cmake .mk .xml .pyi""".split()  # noqa: SIM905
)
_MAN_NAME = re.compile(r".+\.[1-9n][a-z]{0,3}$")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read(path: str | os.PathLike[str], size_max: int = SIZE_BYTES_MAX) -> Document:
    """Read one file. Raises ReaderError (and nothing else) when it is not readable text."""
    name = os.fspath(path)
    return parse(name, read_bytes(name, size_max), size_max)


def read_bytes(path: str, size_max: int = SIZE_BYTES_MAX) -> bytes:
    """The bytes of a regular file of at most ``size_max`` bytes."""
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):
            raise ReaderError(path, "not a regular file")
        if info.st_size > size_max:
            raise ReaderError(path, f"too large ({info.st_size} bytes, limit {size_max})")
        if PurePath(path).suffix.lower() in _BINARY_SUFFIXES:
            raise ReaderError(path, "binary file")
        with open(path, "rb") as file:
            data = file.read(size_max + 1)
    except OSError as error:
        raise ReaderError(path, (error.strerror or str(error)).lower()) from None
    except ValueError as error:  # a NUL in the name
        raise ReaderError(path, str(error)) from None
    if len(data) > size_max:  # it grew while we looked
        raise ReaderError(path, f"too large (limit {size_max} bytes)")
    return data


def parse(path: str, data: bytes, size_max: int = SIZE_BYTES_MAX) -> Document:
    """The text of a file whose bytes are at hand."""
    name = PurePath(path).name.lower()
    if name.endswith(".gz"):
        name, data = name[:-3], _gunzip(path, data, size_max)
    suffix = PurePath(name).suffix
    if suffix == ".pdf" or data.startswith(b"%PDF-"):
        return _read_pdf(path, data)
    text = decode(path, data, suffix)
    if suffix in (".md", ".markdown", ".mdown"):
        return read_markdown(path, text)
    if suffix in (".rst", ".rest"):
        return read_rst(path, text)
    head = text[:512].lstrip().lower()
    if suffix in (".html", ".htm", ".xhtml") or head.startswith(("<!doctype html", "<html")):
        return read_html(path, text)
    if suffix in (".py", ".pyw") or (not suffix and re.match(r"#!.*\bpython", text)):
        return read_python(path, text)
    if (_MAN_NAME.match(name) or suffix in (".man", ".mdoc", "")) and looks_like_man(text):
        return read_man(path, text)
    return read_text(path, text, "code" if suffix in _CODE_SUFFIXES else "text")


def decode(path: str, data: bytes, suffix: str = "") -> str:
    """Bytes to text: a byte order mark, the cookie of Python source, UTF-8, else Latin-1."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                return data[len(bom) :].decode(encoding)
            except UnicodeDecodeError as error:
                raise ReaderError(path, f"broken {encoding}: {error.reason}") from None
    if b"\0" in data:
        raise ReaderError(path, "binary file")
    encoding = "utf-8"
    if suffix in (".py", ".pyw"):
        try:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        except (SyntaxError, UnicodeDecodeError):
            encoding = "utf-8"
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return data.decode("latin-1")


def _gunzip(path: str, data: bytes, size_max: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            plain = file.read(size_max + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ReaderError(path, f"broken gzip: {error}") from None
    if len(plain) > size_max:
        raise ReaderError(path, f"too large when unpacked (limit {size_max} bytes)")
    return plain


def _read_pdf(path: str, data: bytes) -> Document:
    try:
        from pypdf import PdfReader
    except ImportError:
        raise ReaderError(path, "PDF needs pypdf: pip install 'ganglion[pdf]'") from None
    headings, lines = Headings(path), list[str]()
    marks = [headings.marks[0]]
    try:
        for number, page in enumerate(PdfReader(io.BytesIO(data)).pages, 1):
            marks.append(Mark(len(lines) + 1, f"{marks[0].title} > page {number}"))
            lines.extend([*split_lines(page.extract_text()), ""])
    except Exception as error:  # pypdf raises whatever a broken file makes it trip over
        raise ReaderError(path, f"broken PDF: {type(error).__name__}: {error}") from None
    return Document(path, "pdf", tuple(lines), tuple(marks))


def walk(
    paths: Iterable[str | os.PathLike[str]],
    skip: Collection[str] = (),
    on_error: Callable[[ReaderError], None] | None = None,
) -> Iterator[str]:
    """The files under ``paths`` as absolute names, in a fixed order, each once.

    Hidden entries, version control, caches and the folder names in ``skip`` are left out below
    the given paths (a path that is given itself is always taken). Links to folders are followed,
    but no folder is entered twice. What cannot be listed goes to ``on_error``.
    """
    seen: set[str] = set()
    entered: set[tuple[int, int]] = set()
    report = on_error or (lambda error: None)
    for root in paths:
        try:
            top = os.path.abspath(os.fspath(root))
            is_directory = stat.S_ISDIR(os.stat(top).st_mode)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            report(ReaderError(os.fspath(root), (reason or str(error)).lower()))
            continue
        for file in _files(top, entered, skip, report) if is_directory else (top,):
            if file not in seen:
                seen.add(file)
                yield file


def _files(
    top: str,
    entered: set[tuple[int, int]],
    skip: Collection[str],
    report: Callable[[ReaderError], None],
) -> Iterator[str]:
    stack = [top]
    while stack:
        folder = stack.pop()
        try:
            info = os.stat(folder)
            if (info.st_dev, info.st_ino) in entered:
                continue
            entered.add((info.st_dev, info.st_ino))
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            report(ReaderError(folder, (error.strerror or str(error)).lower()))
            continue
        folders: list[str] = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_dir(entry):
                if entry.name not in SKIP_DIRECTORIES and entry.name not in skip:
                    folders.append(entry.path)
            elif Path(entry.name).suffix not in SKIP_SUFFIXES and not entry.name.endswith("~"):
                yield entry.path
        stack.extend(reversed(folders))


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
