"""Passages to an answer with citations, without a language model: the best sentences as they are.

Support: the share of the question's terms, weighted by their IDF in the corpus, that the best
passage holds (its title and its file's summary included). Terms the corpus never uses weigh most,
so a question about something else has little support. A long question in other words than the
corpus's has little support too, but hardly a term the corpus does not know; so the answer is
"nothing found" below SUPPORT_MIN, and below SUPPORT_SURE when too much of the question is foreign.
bench/retrieval.py --support shows both shares for our questions and for out-of-domain ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from .records import CITATION, NOTHING_FOUND, Answer, Hit, SearchResult, Source
from .sentences import Sentence, split_sentences
from .terms import STOP_WORDS, term_set, words

SUPPORT_MIN = 0.33
SUPPORT_SURE = 0.5
FOREIGN_MAX = 0.35
FOREIGN_RATE = 1 / 2000  # a term in fewer passages than this share of all is foreign
SENTENCES_MAX = 4
HITS_MAX = 6  # passages looked at
GAP_LINES_MAX = 3  # sentences further apart get sources of their own
_CODE_SIGNS = "=(){}[]<>_|\\/#$%^*~"


@dataclass(frozen=True)
class _Candidate:
    hit: Hit
    order: int
    sentence: Sentence
    terms: frozenset[str]
    score: float


def support(result: SearchResult) -> float:
    """How much of the question the best passage bears, in [0, 1]."""
    weights = result.term_idf
    total = sum(weights.values())
    if not result.hits or total <= 0:
        return 0.0
    return max(covered(weights, _terms(hit)) for hit in result.hits) / total


def _terms(hit: Hit) -> frozenset[str]:
    return term_set(f"{hit.title} {hit.context} {hit.text}")


def foreign(result: SearchResult) -> float:
    """How much of the question the corpus does not know at all, in [0, 1]."""
    total = sum(result.term_idf.values())
    if total <= 0:
        return 0.0
    # idf = log(1 + (n - df + 0.5) / (df + 0.5)), solved for the df of the rate
    df = result.chunks * FOREIGN_RATE
    limit = log(1 + (result.chunks - df + 0.5) / (df + 0.5))
    return sum(idf for idf in result.term_idf.values() if idf >= limit) / total


def supported(result: SearchResult, least: float = SUPPORT_MIN) -> bool:
    """Whether the corpus has anything to say on the question."""
    bears = support(result)
    return bears >= least and (bears >= SUPPORT_SURE or foreign(result) <= FOREIGN_MAX)


def covered(weights: Mapping[str, float], present: frozenset[str]) -> float:
    """The weight of the terms that are present."""
    return sum(weight for term, weight in weights.items() if term in present)


def nothing_found(question: str, bears: float = 0.0) -> Answer:
    return Answer(question, NOTHING_FOUND, (), round(bears, 4), False)


def synthesize(
    result: SearchResult,
    sentences_max: int = SENTENCES_MAX,
    support_min: float = SUPPORT_MIN,
) -> Answer:
    """The sentences that say most about the question, each followed by its ``[n]``."""
    bears = support(result)
    if not supported(result, support_min):
        return nothing_found(result.query, bears)
    chosen = _choose(_candidates(result), result.term_idf, sentences_max)
    if not chosen:
        return nothing_found(result.query, bears)
    sources: list[Source] = []
    parts: list[str] = []
    title = ""
    for hit, group in _by_place(chosen):
        first = min(one.sentence.first_line for one in group)
        last = max(one.sentence.last_line for one in group)
        lines = hit.text.split("\n")[first - hit.first_line : last - hit.first_line + 1]
        number = len(sources) + 1
        sources.append(Source(number, hit.path, first, last, hit.title, "\n".join(lines)))
        said = [f"{_ended(one.sentence.text)} [{number}]" for one in group]
        if hit.title != title:  # whose sentence it is, which the sentence rarely says
            title = hit.title
            said[0] = f"{title}: {said[0]}"
        parts.extend(said)
    return Answer(result.query, " ".join(parts), tuple(sources), round(bears, 4), True)


def _candidates(result: SearchResult) -> list[_Candidate]:
    """Sentences of the first passages with what each is worth."""
    weights = result.term_idf
    total = sum(weights.values()) or 1.0
    found: list[_Candidate] = []
    most = support(result)
    for order, hit in enumerate(result.hits[:HITS_MAX]):
        title = term_set(f"{hit.title} {hit.context}")
        bears = covered(weights, _terms(hit)) / total
        if bears < 0.5 * most:  # it is here for how it is like the question, not for its words
            continue
        sentences = split_sentences(hit.text, hit.first_line)
        for place, sentence in enumerate(sentences):
            if not 4 <= words(sentence.text) <= 80:
                continue
            present = term_set(sentence.text)
            own = covered(weights, present) / total
            # What the title says, the sentence takes for granted, so it counts a part.
            lent = covered(weights, title - present) / total
            lead = 0.1 / (1 + place)  # a passage tends to open with what it is about
            worth = own + 0.4 * lent + 0.4 * bears / (1 + 0.5 * order) + lead
            found.append(_Candidate(hit, order, sentence, present, worth * _prose(sentence.text)))
    return found


def _prose(text: str) -> float:
    """1 for a sentence of plain words, less for code and tables: people asked in words."""
    signs = sum(text.count(sign) for sign in _CODE_SIGNS) / max(1, len(text))
    glue = sum(word.strip(".,;:()").lower() in STOP_WORDS for word in text.split())
    share = glue / max(1, len(text.split()))
    announces = 0.6 if text.endswith(":") else 1.0  # what comes after it is the answer
    return max(0.2, 1.0 - 6 * signs) * (0.6 + min(0.4, 1.6 * share)) * announces


def _choose(
    candidates: Sequence[_Candidate], weights: Mapping[str, float], limit: int
) -> list[_Candidate]:
    """Greedy by worth, less what the sentences chosen before already say."""
    chosen: list[_Candidate] = []
    left = sorted(candidates, key=lambda one: (-one.score, one.order, one.sentence.first_line))
    floor = 0.5 * left[0].score if left else 0.0
    while left and len(chosen) < limit:
        best = max(left, key=lambda one: one.score - 0.5 * _overlap(one, chosen) * one.score)
        if best.score < floor:
            break
        chosen.append(best)
        left = [one for one in left if _overlap(one, chosen) < 0.75]
    return chosen


def _overlap(one: _Candidate, chosen: Sequence[_Candidate]) -> float:
    """The largest share of its terms that one chosen sentence has too."""
    return max((len(one.terms & two.terms) / (len(one.terms) or 1) for two in chosen), default=0.0)


def _by_place(chosen: Sequence[_Candidate]) -> list[tuple[Hit, list[_Candidate]]]:
    """Sentences of one passage that stand together share a source; in order of rank and line."""
    groups: list[tuple[Hit, list[_Candidate]]] = []
    for one in sorted(chosen, key=lambda one: (one.order, one.sentence.first_line)):
        if groups:
            hit, group = groups[-1]
            gap = one.sentence.first_line - group[-1].sentence.last_line
            if hit.chunk_id == one.hit.chunk_id and gap <= GAP_LINES_MAX:
                group.append(one)
                continue
        groups.append((one.hit, [one]))
    return groups


def _ended(text: str) -> str:
    """A sentence with an end, and with no ``[1]`` of its own that would read as a citation."""
    text = CITATION.sub(r"(\1)", text)
    return text if text.rstrip("\"')]")[-1:] in ".!?:" else f"{text}."
