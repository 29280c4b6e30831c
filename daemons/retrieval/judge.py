"""Is an answer borne by its sources, and does it address the question?

Groundedness: sentence by sentence, the share of its content terms that its cited sources hold
(a number must occur as it stands); a sentence that cites nothing is held against all sources
and counts half. A source that cannot be found at its place, or says something else there,
counts for what is left of it. Coverage: the share of the question's content terms, weighted as
in the corpus where the weights are known, that the answer or the titles of its sources take up.
It is a lexical measure: it catches invented content and false citations, not a false "not".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import readers
from .errors import ReaderError
from .records import CITATION, NOTHING_FOUND, Answer, Source
from .sentences import split_sentences
from .terms import term_set, terms

GROUNDED_MIN = 0.8
PARTIAL_MIN = 0.4
COVERAGE_MIN = 0.5  # an answer that leaves out more of the question than this is partial
UNCITED_WEIGHT = 0.5
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class SentenceVerdict:
    """One sentence of the answer: what it cites and how much of it those sources hold."""

    text: str
    citations: tuple[int, ...]
    support: float


@dataclass(frozen=True)
class SourceVerdict:
    """``exists``: the file has those lines. ``matches``: the share of the passage found there."""

    number: int
    place: str
    exists: bool
    matches: float
    reason: str = ""


@dataclass(frozen=True)
class Judgement:
    """``verdict`` is grounded, partial, ungrounded or nothing found; numbers are in [0, 1]."""

    verdict: str
    groundedness: float
    coverage: float
    sentences: tuple[SentenceVerdict, ...] = ()
    sources: tuple[SourceVerdict, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    answer: Answer,
    term_idf: Mapping[str, float] | None = None,
    check_files: bool = True,
) -> Judgement:
    """Judge an answer; ``term_idf`` as the search gave it, ``check_files`` reads the sources."""
    if not answer.found or not answer.text.strip() or answer.text.strip() == NOTHING_FOUND:
        return Judgement("nothing found", 0.0, 0.0)
    look = check_source if check_files else _trusted
    sources = tuple(look(source) for source in answer.sources)
    held = {source.number: term_set(f"{source.title} {source.text}") for source in answer.sources}
    numbers = {source.number: set(_NUMBER.findall(source.text)) for source in answer.sources}
    trust = {one.number: one.matches if one.exists else 0.0 for one in sources}
    sentences = tuple(
        _judge_sentence(text, cited, held, numbers, trust)
        for text, cited in _cited_sentences(answer.text)
        if term_set(text)
    )
    sizes = [len(term_set(one.text)) for one in sentences]
    weighed = sum(one.support * size for one, size in zip(sentences, sizes, strict=True))
    groundedness = weighed / sum(sizes) if sum(sizes) else 0.0
    coverage = _coverage(answer, term_idf)
    return Judgement(
        _verdict(groundedness, coverage), round(groundedness, 4), round(coverage, 4),
        sentences, sources,
    )  # fmt: skip


def _verdict(groundedness: float, coverage: float) -> str:
    if groundedness < PARTIAL_MIN:
        return "ungrounded"
    if groundedness < GROUNDED_MIN or coverage < COVERAGE_MIN:
        return "partial"
    return "grounded"


def _cited_sentences(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """Sentences with the citations that stand in them or right after them."""
    # "It waits. [1] Then ..." cites for the sentence before: bring the end behind the citation.
    text = re.sub(r"([.!?:])((?:\s*\[\d[\d,\s]*\])+)", r"\2\1", text)
    found: list[tuple[str, tuple[int, ...]]] = []
    for sentence in split_sentences(text):
        cited = {int(n) for one in CITATION.findall(sentence.text) for n in one.split(",")}
        bare = re.sub(r"\s+([.!?:,;])", r"\1", CITATION.sub("", sentence.text)).strip()
        if bare.strip(".!?:,; "):
            found.append((bare, tuple(sorted(cited))))
    return found


def _judge_sentence(
    text: str,
    cited: tuple[int, ...],
    held: Mapping[int, frozenset[str]],
    numbers: Mapping[int, set[str]],
    trust: Mapping[int, float],
) -> SentenceVerdict:
    wanted, figures = term_set(text), set(_NUMBER.findall(text))
    best: dict[str, float] = {}  # each term and figure by the most trusted source that holds it
    for number in cited or tuple(held):
        for item in (wanted & held.get(number, frozenset())) | (
            figures & numbers.get(number, set())
        ):
            best[item] = max(best.get(item, 0.0), trust.get(number, 0.0))
    items = {one for one in wanted if not one.isdigit()} | figures
    share = sum(best.get(item, 0.0) for item in items) / len(items) if items else 0.0
    if figures and any(figure not in best for figure in figures):
        share *= 0.5  # an invented figure is worse than an unknown word
    if cited and not all(number in held for number in cited):
        share *= sum(number in held for number in cited) / len(cited)
    return SentenceVerdict(text, cited, round(share * (1.0 if cited else UNCITED_WEIGHT), 4))


def _coverage(answer: Answer, term_idf: Mapping[str, float] | None) -> float:
    asked = dict.fromkeys(terms(answer.question), 1.0)
    if term_idf:
        asked = {term: term_idf.get(term, 1.0) for term in asked}
    total = sum(asked.values())
    if total <= 0:
        return 0.0
    titles = " ".join(source.title for source in answer.sources)
    said = term_set(f"{CITATION.sub('', answer.text)} {titles}")
    return sum(weight for term, weight in asked.items() if term in said) / total


def check_source(source: Source) -> SourceVerdict:
    """Read a source's file again and compare the lines it names with the text it claims."""
    if not 1 <= source.first_line <= source.last_line:
        return SourceVerdict(source.number, source.place, False, 0.0, "not a range of lines")
    try:
        lines = readers.read(source.path).lines
    except ReaderError as error:
        return SourceVerdict(source.number, source.place, False, 0.0, error.reason)
    if source.last_line > len(lines):
        reason = f"the file has {len(lines)} lines"
        return SourceVerdict(source.number, source.place, False, 0.0, reason)
    claimed = terms(source.text)
    there = term_set("\n".join(lines[source.first_line - 1 : source.last_line]))
    if not claimed:
        return SourceVerdict(source.number, source.place, True, 0.0, "it quotes nothing")
    matches = sum(term in there for term in claimed) / len(claimed)
    reason = "" if matches == 1.0 else "the file says something else there"
    return SourceVerdict(source.number, source.place, True, round(matches, 4), reason)


def _trusted(source: Source) -> SourceVerdict:
    return SourceVerdict(source.number, source.place, True, 1.0, "not checked")
