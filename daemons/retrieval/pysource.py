"""Python source to its prose: docstrings, comments, signatures and constants, line for line.

Everything else of a program says how, not what; it becomes an empty line, so that line
numbers hold. A file that does not parse is read as plain lines.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import PurePath

from .document import Document, Mark, one_line, split_lines
from .markup import read_text

_QUOTE = re.compile(r"""^(\s*)[rRbBuUfF]{0,2}(\"\"\"|'''|"|')""")
_TRIPLE = re.compile(r"\"{3}|'{3}")
_SIGNATURE_LINES_MAX = 12
_TOP = frozenset({"src", "lib", "usr", "home", "tmp", "opt", "var", "root"})
_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def module_name(path: str) -> str:
    """A dotted name from the path alone (at most two packages), such as ``email.mime.text``.

    From the path alone, because a title that looked at neighbouring files would change
    without the file changing.
    """
    pure = PurePath(path)
    names = [] if pure.stem == "__init__" else [pure.stem]
    for parent in list(pure.parts[:-1])[::-1][:2]:
        if not parent.isidentifier() or parent in _TOP:
            break
        names.insert(0, parent)
    return ".".join(names) or pure.stem


def read_python(path: str, text: str) -> Document:
    """The prose of a Python file; every class and function is a mark with its qualified name."""
    lines = split_lines(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in somebody else's file
            tree = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return read_text(path, text, "code")
    view = _View(lines)
    module = module_name(path)
    marks = [Mark(1, module)]
    view.docstring(tree)
    try:
        _walk(tree, module, view, marks)
        view.comments(tree)
    except RecursionError:
        return read_text(path, text, "code")
    marks.sort(key=lambda mark: mark.line)
    return Document(path, "python", tuple(view.out), tuple(marks), _summary(tree, view.out))


_NOT_A_SUMMARY = re.compile(r"copyright|licen[cs]e|-\*-|coding[:=]|^/usr|rights reserved", re.I)


def _summary(tree: ast.Module, shown: list[str]) -> str:
    """The first line of the docstring that has words, else of the comments on top."""
    first = tree.body[0].lineno if tree.body else len(shown) + 1
    doc = ast.get_docstring(tree, clean=False)
    top = doc.split("\n") if doc else shown[: first - 1]
    for line in top:
        if len(line.split()) > 1 and not _NOT_A_SUMMARY.search(line):
            return one_line(line)
    return ""


def _walk(node: ast.AST, name: str, view: _View, marks: list[Mark]) -> None:
    for child in _statements(node):
        if isinstance(child, _Definition):
            qualified = f"{name}.{child.name}"
            first = min([child.lineno, *(one.lineno for one in child.decorator_list)])
            marks.append(Mark(first, qualified))
            view.signature(child)
            view.docstring(child)
            _walk(child, qualified, view, marks)
            marks.append(Mark((child.end_lineno or child.lineno) + 1, name))
        elif isinstance(child, (ast.Assign, ast.AnnAssign)):
            if isinstance(node, (ast.Module, ast.ClassDef)):
                view.constant(child)
        elif not isinstance(child, ast.Expr):
            _walk(child, name, view, marks)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements directly inside a node, whichever of its fields they stand in."""
    for part in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(node, part, ()):
            if isinstance(child, ast.stmt):
                yield child
            elif isinstance(child, ast.AST):  # an except handler or a match case
                yield from _statements(child)


class _View:
    """The lines that are shown; the rest stay empty."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.out = [""] * len(lines)

    def keep(self, first: int, last: int) -> None:
        self.out[first - 1 : last] = self.lines[first - 1 : last]

    def signature(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        last = max(node.lineno, min(node.body[0].lineno - 1, node.lineno + _SIGNATURE_LINES_MAX))
        ends = [node.lineno]
        if not isinstance(node, ast.ClassDef):
            ends += [one.end_lineno or 0 for one in ast.walk(node.args) if isinstance(one, ast.arg)]
        self.keep(node.lineno, min(last, max(ends)))

    def constant(self, node: ast.Assign | ast.AnnAssign) -> None:
        """Show the first line, or all of a text in triple quotes (usage, help, a template)."""
        self.keep(node.lineno, node.lineno)
        value, last = node.value, node.end_lineno or node.lineno
        mark = _TRIPLE.search(self.lines[node.lineno - 1])
        if mark and isinstance(value, ast.Constant) and isinstance(value.value, str):
            self.keep(node.lineno, last)
            for line in {node.lineno, last}:
                self.out[line - 1] = self.out[line - 1].replace(mark[0], "")

    def docstring(self, node: ast.Module | ast.stmt) -> None:
        body = getattr(node, "body", ())
        if not body or not isinstance(body[0], ast.Expr):
            return
        value = body[0].value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            self.string(value.lineno, value.end_lineno or value.lineno)

    def string(self, first: int, last: int) -> None:
        """Show a string literal without its quotes."""
        shown = self.lines[first - 1 : last]
        if opening := _QUOTE.match(shown[0]):
            shown[0] = opening[1] + shown[0][opening.end() :]
            end = shown[-1].rfind(opening[2])
            shown[-1] = shown[-1][:end] if end >= 0 else shown[-1]
        self.out[first - 1 : last] = shown

    def comments(self, tree: ast.Module) -> None:
        """Show whole-line comments; a ``#`` inside a string of several lines is none."""
        inside: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, (ast.Constant, ast.JoinedStr)):
                last = node.end_lineno or node.lineno
                if last > node.lineno:
                    inside.update(range(node.lineno, last + 1))
        for number, line in enumerate(self.lines, 1):
            if number not in inside and line.lstrip().startswith("#"):
                bare = line.lstrip().lstrip("#!")
                self.out[number - 1] = bare[1:] if bare.startswith(" ") else bare
