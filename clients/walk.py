"""Which files a path means: directories opened up, by name only; nothing is read.

Left out of a directory (never of what is named itself): hidden names, what is a cache or a copy of
something else, and what the caller excludes. Links to directories are not followed: they may run in circles.

Owns: the choice of names. Knows nothing of what is in them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

SKIPPED_DIRECTORIES = frozenset({
    "__pycache__", "__pypackages__", "node_modules", "venv", "CVS", "RCS", "SCCS", "_darcs",
})  # fmt: skip
SKIPPED_PATTERNS = ("*.pyc", "*.pyo", "*~", "*.swp", "*.orig", "*.rej", "*.o", "*.so", "*.a")


class Found(NamedTuple):
    """A file, or with a ``reason`` something that was asked for and cannot be had.

    ``named``: it stood on the command line itself.
    """

    path: str
    reason: str = ""
    named: bool = False


def walk(paths: Sequence[str], exclude: Sequence[str] = ()) -> Iterator[Found]:
    """Every file of ``paths``, absolute, in order of names, each once.

    ``exclude``: patterns (``*.log``, ``build``) of names of files and directories.
    """
    seen: set[str] = set()
    for path in paths:
        for found in _named(os.path.abspath(path), tuple(exclude)):
            if found.path not in seen:
                seen.add(found.path)
                yield found


def _named(path: str, exclude: tuple[str, ...]) -> Iterator[Found]:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        yield Found(path, _words(error), named=True)
        return
    if stat.S_ISDIR(mode):
        yield from _directory(path, exclude)
    elif stat.S_ISREG(mode):
        yield Found(path, named=True)
    else:
        yield Found(path, "not a regular file", named=True)


def _directory(top: str, exclude: tuple[str, ...]) -> Iterator[Found]:
    """Depth first; a stack of our own, for trees deeper than Python's."""
    stack = [top]
    while stack:
        directory = stack.pop()
        try:
            with os.scandir(directory) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield Found(directory, _words(error))
            continue
        below = []
        for entry in listed:
            if is_left_out(entry.name, exclude):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED_DIRECTORIES:
                        below.append(entry.path)
                elif entry.is_file():
                    yield Found(entry.path)
            except OSError as error:  # a link that runs in a circle
                yield Found(entry.path, _words(error))
        stack.extend(reversed(below))


def is_left_out(name: str, exclude: Sequence[str] = ()) -> bool:
    """Whether a name inside a directory is not meant by naming the directory.

    >>> is_left_out(".git"), is_left_out("a.pyc"), is_left_out("a.py"), is_left_out("a.py", ["*.py"])
    (True, True, False, True)
    """
    patterns = (*SKIPPED_PATTERNS, *exclude)
    return name.startswith(".") or any(fnmatchcase(name, pattern) for pattern in patterns)


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
