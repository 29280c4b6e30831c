"""A compound question to questions that can be searched one by one, and their answers to one.

Conservative: a question is split only where each part is a question (or a request) of its own;
anything doubtful stays whole, because a whole question still finds what it names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .records import CITATION, NOTHING_FOUND, Answer, Source
from .terms import terms

PARTS_MAX = 8
_ASKING = (
    r"(?:what|how|why|when|where|who|whom|whose|which|can|could|does|do|did|is|are|was|were|should"
    r"|will|would|explain|describe|list|show|tell|compare|find|give)"
)
_LIST_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+(?P<item>\S.*)$")
_INLINE_ITEM = re.compile(r"(?:^|\s)\(?([1-9])[.)]\s+")
_JOINT = re.compile(rf"[,;]?\s+(?:and|but|or)\s+(?:also\s+|then\s+)?(?={_ASKING}\b)", re.IGNORECASE)
_ASKS = re.compile(rf"^{_ASKING}\b", re.IGNORECASE)
_COMPARE = (
    re.compile(
        r"^(?:please\s+)?compare\s+(?P<a>.+?)\s+(?:with|to|and|against|vs\.?)\s+(?P<b>.+)$",
        re.I,
    ),
    re.compile(
        r"^what(?:'s| is| are)\s+the\s+differences?\s+between\s+(?P<a>.+?)\s+and\s+(?P<b>.+)$", re.I
    ),
    re.compile(r"^how\s+(?:does|do)\s+(?P<a>.+?)\s+differ\s+from\s+(?P<b>.+)$", re.I),
)  # fmt: skip
# "it" in a later part means what the first part asked about.
_PRONOUN = re.compile(r"\b(?:it|its|they|them|their|this|that|these|those)\b", re.IGNORECASE)


def split_question(question: str) -> list[str]:
    """The questions in a question, in order, at least one unless it is blank, at most PARTS_MAX."""
    whole = " ".join(question.split())
    if not whole:
        return []
    parts = _listed(question) or _inline(whole) or [whole]
    parts = [piece for part in parts for piece in _at_question_marks(part)]
    parts = [piece for part in parts for piece in _at_joints(part)]
    parts = [piece for part in parts for piece in _compared(part)]
    parts = list(dict.fromkeys(part for part in parts if terms(part)))
    if len(parts) > PARTS_MAX:
        parts = [*parts[: PARTS_MAX - 1], " ".join(parts[PARTS_MAX - 1 :])]
    return parts or [whole]


def _listed(question: str) -> list[str]:
    """Items of a numbered or bulleted list, one a line; further lines belong to their item."""
    items: list[str] = []
    for line in question.splitlines():
        if match := _LIST_ITEM.match(line):
            items.append(match["item"].strip())
        elif items and line.strip():
            items[-1] += " " + line.strip()
    return items if len(items) > 1 else []


def _inline(whole: str) -> list[str]:
    """``1. ... 2. ...`` in one line, when the numbers count up from 1."""
    marks = list(_INLINE_ITEM.finditer(whole))
    if len(marks) < 2 or [int(mark[1]) for mark in marks] != list(range(1, len(marks) + 1)):
        return []
    edges = [mark.end() for mark in marks]
    ends = [mark.start() for mark in marks[1:]] + [len(whole)]
    return [whole[a:b].strip() for a, b in zip(edges, ends, strict=True)]


def _at_question_marks(part: str) -> list[str]:
    """Cut after each ``?`` followed by more; a tail that asks nothing stays with the last."""
    pieces = [piece.strip() for piece in re.findall(r"[^?]+\?*|\?+", part) if piece.strip(" ?")]
    if len(pieces) > 1 and not pieces[-1].endswith("?") and not _ASKS.match(pieces[-1]):
        pieces[-2:] = [f"{pieces[-2]} {pieces[-1]}"]
    return _resolved(pieces) or [part]


def _at_joints(part: str) -> list[str]:
    """Cut at ", and how ..." when what stands on both sides asks by itself."""
    pieces = [piece.strip(" ,;") for piece in _JOINT.split(part)]
    if len(pieces) < 2 or not all(_ASKS.match(one) and len(one.split()) >= 3 for one in pieces):
        return [part]
    if not terms(pieces[0]) or not all(terms(one) or _PRONOUN.search(one) for one in pieces):
        return [part]
    mark = "?" if part.endswith("?") else ""
    return _resolved([one if one.endswith("?") else one + mark for one in pieces])


def _resolved(pieces: list[str]) -> list[str]:
    """A later piece that says "it" gets the first piece's words in brackets."""
    out: list[str] = []
    for piece in pieces:
        if out and _PRONOUN.search(piece) and len(terms(piece)) <= 3:
            piece = f"{piece.rstrip('?')} ({out[0].rstrip('?')})?"
        out.append(piece)
    return out


def _compared(part: str) -> list[str]:
    """Comparing A with B asks what A is, what B is, and the comparison itself."""
    bare = part.rstrip("?. ")
    for pattern in _COMPARE:
        if (match := pattern.match(bare)) and terms(match["a"]) and terms(match["b"]):
            return [f"what is {match['a']}?", f"what is {match['b']}?", part]
    return [part]


def merge(question: str, answers: Sequence[Answer]) -> Answer:
    """One answer from the parts': citations renumbered, equal sources given one number.

    Parts that found nothing are named in the text; when all found nothing, so does the whole.
    ``support`` is the mean over the parts.
    """
    bears = round(sum(one.support for one in answers) / len(answers), 4) if answers else 0.0
    if not any(one.found for one in answers):
        return Answer(question, NOTHING_FOUND, (), bears, False)
    sources: dict[tuple[str, int, int], Source] = {}
    texts: list[str] = []
    said: set[str] = set()
    for answer in answers:
        if not answer.found:
            texts.append(f"{answer.question.rstrip()} - {NOTHING_FOUND}.")
            continue
        text = _renumbered(answer, sources)
        if text not in said:
            said.add(text)
            texts.append(text)
    return Answer(question, "\n\n".join(texts), tuple(sources.values()), bears, True)


def _renumbered(answer: Answer, sources: dict[tuple[str, int, int], Source]) -> str:
    numbers: dict[int, int] = {}
    for one in answer.sources:
        place = (one.path, one.first_line, one.last_line)
        if place not in sources:
            number = len(sources) + 1
            sources[place] = Source(number, *place, one.title, one.text)
        numbers[one.number] = sources[place].number

    def renumber(match: re.Match[str]) -> str:
        cited = [numbers[int(one)] for one in match[1].split(",") if int(one) in numbers]
        return f"[{', '.join(map(str, cited))}]" if cited else ""

    return CITATION.sub(renumber, answer.text)
