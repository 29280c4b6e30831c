"""Text to index terms: the one analyzer that BM25, LSA, answers and judgements share.

A word is lower-cased and stemmed; an identifier gives its parts and, when it has more than
one, itself: ``parse_args`` -> ``parse``, ``arg``, ``parse_args``; ``HTTPServer`` ->
``http``, ``server``, ``httpserver``. Dots only separate. Change VERSION with any change of
what comes out: stored indexes and fitted models are rebuilt then.
"""

from __future__ import annotations

import re
from functools import lru_cache

VERSION = 3

RUN = re.compile(r"\w+(?:['\u2019](?:s|t|re|ve|ll|d|m)\b)?")
HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
WORD_CHARS_MAX = 64  # longer runs are data (base64, hashes), not words

STOP_WORDS = frozenset(
    """a about above after again against all also am an and any are as at be because been
    before being below between both but by can cannot could did do does doing down during each
    either etc few for from further get give given go had has have having he her here hers him
    his how however i if in into is it its itself just let like made make makes may me might
    more most much must my need no nor not now of off on once one only or other our out over own
    per please rather same shall she should show since so some such tell than that the their
    them then there these they this those through thus to too under until up upon us use used
    uses using very via want was way ways we were what when where whether which while who whom
    whose why will with within without would yes yet you your explain describe something someone
    somehow anything thing things""".split()  # noqa: SIM905
)

# Suffix rules, longest first, as (suffix, replacement, letters that must stay in front).
# A light stemmer in the manner of Porter (1980): it only has to map a word's everyday forms
# to one string, not to a dictionary word.
_RULES = (
    ("izations", "iz", 3), ("ization", "iz", 3), ("ations", "at", 3), ("ation", "at", 3),
    ("ibilities", "ibl", 3), ("ibility", "ibl", 3), ("abilities", "abl", 3), ("ability", "abl", 3),
    ("fulness", "ful", 3), ("iveness", "iv", 3), ("ments", "ment", 3), ("nesses", "", 4),
    ("izers", "iz", 3), ("izer", "iz", 3), ("izing", "iz", 3), ("ized", "iz", 3),
    ("izes", "iz", 3), ("ize", "iz", 3), ("ators", "at", 3), ("ator", "at", 3),
    ("ating", "at", 3), ("ated", "at", 3), ("ates", "at", 3), ("ate", "at", 3),
    ("sses", "ss", 1), ("ness", "", 4), ("ions", "", 5), ("ion", "", 5),
    ("ingly", "", 4), ("edly", "", 4), ("ings", "", 3), ("ing", "", 3), ("ies", "y", 2),
    ("ied", "y", 2), ("ers", "", 4), ("er", "", 4), ("ors", "", 5), ("or", "", 5),
    ("ely", "", 4), ("ly", "", 4), ("ed", "", 3), ("es", "", 3), ("e", "", 3),
)  # fmt: skip
_VOWEL = re.compile("[aeiouy]")


@lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """The stem of one lower-case word; words of other alphabets or with digits stay as they are."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("s") and not word.endswith(("ss", "us", "is", "es")):
        word = word[:-1]
    for suffix, replacement, keep in _RULES:
        if word.endswith(suffix):
            base = word[: len(word) - len(suffix)]
            if len(base) >= keep and _VOWEL.search(base):
                return _tidy(base + replacement)
    return _tidy(word)


def _tidy(base: str) -> str:
    """Undouble a final consonant (``running`` -> ``run``) and let ``y`` be ``i``."""
    if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "aeioulsz":
        return base[:-1]
    if len(base) > 3 and base[-1] == "y":
        return base[:-1] + "i"
    return base


@lru_cache(maxsize=1 << 17)
def _split(run: str) -> tuple[str, ...]:
    """The terms of one run of word characters, stop words left out."""
    run, _, tail = run.replace("\u2019", "'").partition("'")
    run = run.strip("_")
    if tail == "t":  # only auxiliaries are negated so
        return ()
    if not run or len(run) > WORD_CHARS_MAX:
        return ()
    low = run.lower()
    if low == run and "_" not in run and (run.isalpha() or run.isdigit()):
        return () if low in STOP_WORDS or (len(low) == 1 and low.isascii()) else (stem(low),)
    if run.istitle() and run.isalpha():
        return () if low in STOP_WORDS or len(low) == 1 else (stem(low),)
    parts = [part.lower() for part in HUMP.findall(run)]
    kept = [stem(part) for part in parts if part not in STOP_WORDS and len(part) > 1]
    if len(parts) == 1:
        return tuple(kept)
    return (*kept, low)


def terms(text: str) -> list[str]:
    """Every index term of a text, in order, repeated as often as it occurs."""
    found: list[str] = []
    for run in RUN.findall(text):
        found.extend(_split(run))
    return found


def term_set(text: str) -> frozenset[str]:
    """The distinct index terms of a text."""
    return frozenset(terms(text))


def words(text: str) -> int:
    """How many words a text has, as chunk sizes are counted."""
    return len(RUN.findall(text))
