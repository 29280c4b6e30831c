"""Plain text, Markdown, reStructuredText and HTML: where the headings are, what the text is."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from .document import Document, Headings, one_line, split_lines

_ATX = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_UNDERLINE = re.compile(r"([=\-`:'\"~^_*+#<>.])\1{2,}\s*$")
_TAG = re.compile(r"<[^<>]*>")
_SILENT = frozenset({"script", "style", "template", "noscript", "svg"})
_HEADING = re.compile(r"h[1-6]$")


def read_text(path: str, text: str, kind: str = "text") -> Document:
    """Lines as they are; the title is the file's stem."""
    return Document(path, kind, tuple(split_lines(text)), tuple(Headings(path).marks))


def read_markdown(path: str, text: str) -> Document:
    """``#`` and underlined headings become marks; fenced code holds no headings."""
    lines, headings, fence = split_lines(text), Headings(path), ""
    for number, line in enumerate(lines, 1):
        mark = _FENCE.match(line)
        if mark and (not fence or line.strip().startswith(fence)):
            fence = "" if fence else mark[1]
        if fence:
            continue
        if found := _ATX.match(line):
            headings.add(number, len(found[1]), found[2])
        elif number > 1 and re.match(r"(=+|--+)\s*$", line) and _is_title(lines[number - 2]):
            headings.add(number - 1, 1 if line[0] == "=" else 2, lines[number - 2])
    return Document(path, "markdown", tuple(lines), tuple(headings.marks))


def _is_title(line: str) -> bool:
    return bool(line.strip()) and line[0] not in " #>|-*" and len(line) <= 120


def read_rst(path: str, text: str) -> Document:
    """Underlined titles become marks, the level being the order in which the style first occurs."""
    lines, headings, styles = split_lines(text), Headings(path), list[str]()
    for index in range(1, len(lines)):
        rule, title = _UNDERLINE.match(lines[index]), lines[index - 1].strip()
        if not rule or not title or _UNDERLINE.match(title) or len(lines[index]) < len(title):
            continue
        above = index > 1 and lines[index - 2].strip() == lines[index].strip()
        style = rule[1] * (2 if above else 1)
        if style not in styles:
            styles.append(style)
        headings.add(index, styles.index(style) + 1, title)
    return Document(path, "rst", tuple(lines), tuple(headings.marks))


class _Stripper(HTMLParser):
    """Puts each piece of text on the line of the file it begins on."""

    def __init__(self, path: str, lines: int) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[list[str]] = [[] for _ in range(lines + 1)]
        self.headings = Headings(path)
        self.title = ""
        self._in_title = False
        self._silent = 0
        self._heading: tuple[int, int, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title" and not self.title
        if tag in _SILENT:
            self._silent += 1
        elif _HEADING.match(tag):
            self._heading = (self.getpos()[0], int(tag[1]), [])
        self._gap(tag)

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif self._heading and _HEADING.match(tag):
            line, level, words = self._heading
            self.headings.add(line, level, "".join(words))
            self._heading = None
        self._gap(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._gap(tag)

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._in_title:
            self.title += data
        if self._heading and len(self._heading[2]) < 50:
            self._heading[2].append(data)
        start = self.getpos()[0] - 1
        for offset, piece in enumerate(data.split("\n")):
            if start + offset < len(self.lines):
                self.lines[start + offset].append(piece)

    def _gap(self, tag: str) -> None:
        if tag not in ("a", "b", "i", "em", "strong", "code", "span", "tt", "u", "sub", "sup"):
            self.lines[min(self.getpos()[0] - 1, len(self.lines) - 1)].append(" ")


def _without(text: str, opening: str, closing: str) -> str:
    """Cut what stands between the two, keeping its line ends; one that never closes is a blank."""
    parts, at = list[str](), 0
    while (start := text.find(opening, at)) >= 0:
        end = text.find(closing, start + len(opening))
        if end < 0:
            return "".join([*parts, text[at:].replace(opening, " ")])
        parts += [text[at:start], "\n" * text.count("\n", start, end)]
        at = end + len(closing)
    return "".join([*parts, text[at:]])


def read_html(path: str, text: str) -> Document:
    """Tags stripped, scripts and styles dropped, character references resolved."""
    # html.parser takes time in the square of the number of what never closes: none of it gets there.
    text = _without("\n".join(split_lines(text)), "<!--", "-->")
    text = _without(text, "<![", "]>")
    closed = text.rfind(">") + 1
    text = text[:closed] + text[closed:].replace("<", " ")
    count = text.count("\n") + 1
    parser = _Stripper(path, count)
    try:
        parser.feed(text)
        parser.close()
    except (AssertionError, ValueError):  # html.parser gives up on some broken declarations
        plain = [_TAG.sub(" ", line) for line in text.split("\n")]
        return Document(path, "html", tuple(plain), tuple(Headings(path).marks))
    lines = tuple(" ".join("".join(pieces).split()) for pieces in parser.lines[:count])
    return Document(path, "html", lines, tuple(parser.headings.marks), one_line(parser.title))
