"""Man pages (man and mdoc macros) to plain text, line for line. Not a typesetter.

Every input line gives one output line, so that line numbers hold; requests that only shape
the page give an empty one.
"""

from __future__ import annotations

import re
import shlex

from .document import SEPARATOR, Document, Headings, one_line, split_lines

_IS_MAN = re.compile(r"^[.'][ \t]*(TH|SH|Dd|Dt|Sh)\b", re.MULTILINE)
_ESCAPE = re.compile(
    r"\\(?:f(?:\[[^\]]*\]|\(..|.)|s(?:[+-]?\d{1,2}|\[[^\]]*\])|m\[[^\]]*\]"
    r"|[hvwlLDXNbBxZo]'[^']*'|\*\((..)|\*\[([^\]]*)\]|\*(.)|\((..)|\[([^\]]*)\]|(.)|$)"
)
_GLYPHS = {
    "em": "-", "en": "-", "hy": "-", "mi": "-", "bu": "*", "co": "(c)", "rg": "(r)", "aq": "'",
    "dq": '"', "lq": '"', "rq": '"', "oq": "'", "cq": "'", "ti": "~", "ha": "^", "rs": "\\",
    "at": "@", "sh": "#", "Do": "$", "la": "<", "ra": ">", "<=": "<=", ">=": ">=", "->": "->",
    "Lq": '"', "Rq": '"', "Aq": "'", "bv": "|", "ba": "|", "pl": "+", "eq": "=",
}  # fmt: skip
_PLAIN = {
    "-": "-",
    "e": "\\",
    "\\": "\\",
    " ": " ",
    "~": " ",
    "t": " ",
    "'": "'",
    "`": "`",
    ".": ".",
}
_TEXT_MACROS = frozenset(
    """Ac Ad An Ao Aq Ar At B BI BR Bq Brq Bx Cd Cm D1 Dc Dl Do Dq Dv Em Er Ev Fa Fl Fn Fo Ft HP I
    IB IP IR Ic It LP Li Lk MT Ms Mt Nd Nm No Ns OP Oc Oo Op PP Pa Pc Po Pq Qc Ql Qo Qq R RB RI
    Rv SB SH SM SS Sc Sh So Sq Ss St Sy TP Tn UR Ux Va Vt Xr""".split()  # noqa: SIM905
)
_MDOC_WORDS = frozenset(
    """Ac Ad An Ao Aq Ar Bq Brq Cm Dq Dv Em Er Ev Fa Fn Ic Li Nm No Ns Oc Oo Op Pa Pc Po Pq Ql Qq
    Sq Sy Va Vt Xr""".split()  # noqa: SIM905
)


def looks_like_man(text: str) -> bool:
    """Whether the first 32,000 characters hold a page or section heading request."""
    return bool(_IS_MAN.search(text[:32_000]))


def read_man(path: str, text: str) -> Document:
    """A man page as text; sections and subsections become marks."""
    headings, out, until, name = Headings(path), list[str](), "", ""
    pending = 0  # level of a heading request whose words follow on the next line
    for number, line in enumerate(split_lines(text), 1):
        if until:  # inside a macro definition, an ignored block or a table's format
            until = "" if _ends(until, line) else until
            out.append("")
            continue
        macro, words = _parse(line)
        if macro == "Nm":  # without words: the name that the page documents
            words = words or name
            name = name or words
        until = {"de": "..", "ig": "..", "TS": "."}.get(macro, "")
        plain = "" if until else words
        if macro in ("SH", "Sh", "SS", "Ss"):
            level = 1 if macro in ("SH", "Sh") else 2
            headings.add(number, level, plain)
            pending = 0 if plain else level
        elif pending and plain:
            headings.add(number, pending, plain)
            pending = 0
        out.append(plain)
    return Document(path, "man", tuple(out), tuple(headings.marks), _summary(headings, out))


def _summary(headings: Headings, out: list[str]) -> str:
    """The NAME section, such as ``ls - list directory contents``."""
    marks = headings.marks
    for index, mark in enumerate(marks):
        if mark.title.upper().endswith(f"{SEPARATOR}NAME"):
            end = marks[index + 1].line if index + 1 < len(marks) else len(out) + 1
            return one_line(" ".join(out[mark.line : end - 1]))
    return ""


def _ends(until: str, line: str) -> bool:
    return line.rstrip().endswith(".") if until == "." else line.rstrip() in ("..", ".TE")


def _parse(line: str) -> tuple[str, str]:
    """(request, its text): the request is empty for a text line."""
    if not line.startswith((".", "'")):
        return "", unescape(line)
    found = re.match(r"[.'][ \t]*([A-Za-z0-9]*)[ \t]*(.*)$", line)
    if not found or found[2].startswith('\\"') or not found[1]:
        return (found[1] if found else ""), ""
    macro, rest = found[1], found[2]
    if macro not in _TEXT_MACROS:
        return macro, ""
    try:
        words = shlex.split(rest.replace("\\", "\\\\").replace("'", "\\'"), posix=True)
    except ValueError:  # an unclosed quote
        words = rest.split()
    if macro in ("IP", "HP", "TP", "LP", "PP"):
        words = words[:1] if macro == "IP" else []
    if macro == "Fl":
        words = ["-" + word if word not in _MDOC_WORDS else word for word in words] or ["-"]
    if macro[0].isupper() and len(macro) == 2 and macro[1].islower():
        words = _mdoc(words)
    joined = ("" if macro in ("BR", "RB", "BI", "IB", "IR", "RI") else " ").join(words)
    return macro, unescape(joined)


def _mdoc(words: list[str]) -> list[str]:
    """mdoc macros may be called within a line: drop their names, turn ``Fl x`` into ``-x``."""
    out: list[str] = []
    dash = False
    for word in words:
        if word == "Fl":
            dash = True
        elif word not in _MDOC_WORDS:
            out.append("-" + word if dash else word)
            dash = False
    return out


def unescape(text: str) -> str:
    """Resolve roff escapes: fonts and sizes vanish, glyphs become characters."""
    if "\\" not in text:
        return text
    comment = text.find('\\"')
    if comment >= 0:
        text = text[:comment]
    return _ESCAPE.sub(_one, text).strip()


def _one(match: re.Match[str]) -> str:
    for name in match.group(1, 2, 4, 5):
        if name:
            if re.fullmatch(r"u[0-9A-Fa-f]{4,5}", name):
                return chr(int(name[1:], 16))
            return _GLYPHS.get(name, "")
    return _PLAIN.get(match[6] or "", "")
