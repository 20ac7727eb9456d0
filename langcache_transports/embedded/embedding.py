"""How alike two prompts are: a lexical embedding, with no model, no dependency and the same result everywhere.

A prompt becomes a vector of length one: a feature for each word's stem, and smaller ones for the word's parts, three
characters each, which bring its other forms nearer. Words that questions are made of ("how do I") weigh little, and
numbers and symbols more than other words: a question about another year, or about C# and not C, is another question.

It sees words, not meaning. What it cannot do:

- Synonyms look unrelated ("purchase a car", "buy an automobile"), irregular forms nearly so ("wrote", "writer"), and
  a misspelled word in a short prompt is another word.
- Opposites look alike where one word among many makes the difference, and so does any other word that is replaced in
  a long prompt: of two prompts that share four words out of five, one may be served the other's answer.
- The order of words is not seen: "miles to kilometres" is the same as "kilometres to miles".
- The light words are English ones, and scripts without spaces match only where the prompts are nearly equal.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

DEFAULT_THRESHOLD = 0.89
"""The least similarity of a hit where a search does not say.

It lies between the rewordings and the different questions of the table in the tests: one word more beside two that
are shared stays above it, one word that is replaced among four stays below it.
"""

Vector = dict[str, float]
"""A sparse vector of length one: the weights of its features."""

_LIGHT_WORDS_TEXT = """
    a about an and any are as at be been but by can could describe did do does doing explain for from get give had
    has have he her his how i if in into is it its just know let like make many may me might much must my need of on
    one or our please possible shall she should show so some tell than that the their them there these they this
    those to us want was way we were what when where which who whom whose why will with would you your
"""
_LIGHT_WORDS = frozenset(_LIGHT_WORDS_TEXT.split())
_LIGHT = 0.15
_NUMBER_OR_SYMBOL = 1.5
_PARTS = 0.4
"""How much the parts of a word weigh together, for a word that weighs 1."""

_PART_LENGTH = 3
_SHORTEST_STEM = 3
_SUFFIXES = ("ing", "ies", "ed", "es", "s", "ly", "y", "e")

_CONTRACTIONS = (
    (re.compile(r"\bcan['\u2019]t\b"), "can not"),
    (re.compile(r"n['\u2019]t\b"), " not"),
    (re.compile(r"['\u2019]s\b"), ""),
)
_SYMBOLS_AMONG_PUNCTUATION = "#%&@"  # Unicode counts these as punctuation, but "C#" is not "C"


def embed(text: str) -> Vector:
    """Return the vector of a prompt."""
    normal = _normal(text)
    weights: defaultdict[str, float] = defaultdict(float)
    for word in _words(normal):
        weight = _weight(word)
        weights[f"word:{_stem(word)}"] += weight
        parts = list(_parts(word))
        for part in parts:
            weights[f"part:{part}"] += weight * _PARTS / math.sqrt(len(parts))
    if not weights:  # nothing but punctuation and white space, which then is all there is to compare
        return {f"text:{normal}": 1.0}
    length = math.sqrt(math.fsum(weight * weight for weight in weights.values()))
    return {feature: weight / length for feature, weight in weights.items()}


def similarity(one: Vector, other: Vector) -> float:
    """Return how alike two prompts are, given their vectors: (1 + cosine) / 2, which is 1 for equal vectors.

    Weights are never negative, so prompts that have nothing in common come to 0.5, and nothing to less.
    """
    if one == other:
        return 1.0  # the sum below may miss it by a rounding
    # fsum rounds once, whatever the order, so that the result is the same both ways.
    cosine = math.fsum(one[feature] * other[feature] for feature in one.keys() & other.keys())
    return min((1 + cosine) / 2, 1.0)


def _normal(text: str) -> str:
    # Folding the case can undo the normal form (The Unicode Standard, section 3.13), hence twice.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    for contraction, words in _CONTRACTIONS:
        folded = contraction.sub(words, folded)
    return folded


def _words(normal: str) -> list[str]:
    """Split into words; punctuation only divides them, and a symbol is a word of its own."""
    return "".join(map(_spaced, normal)).split()


def _spaced(character: str) -> str:
    if character.isalnum():
        return character
    kind = unicodedata.category(character)[0]
    if kind == "S" or character in _SYMBOLS_AMONG_PUNCTUATION:
        return f" {character} "
    return " " if kind == "P" else character


def _weight(word: str) -> float:
    if word in _LIGHT_WORDS:
        return _LIGHT
    return _NUMBER_OR_SYMBOL if any(map(str.isdigit, word)) or not any(map(str.isalnum, word)) else 1.0


def _stem(word: str) -> str:
    """Strip one ending, and a consonant's doubling before it: "caching" and "caches" have one stem."""
    suffix = next((end for end in _SUFFIXES if word.endswith(end) and len(word) - len(end) >= _SHORTEST_STEM), "")
    stem = word.removesuffix(suffix)
    return stem[:-1] if len(stem) > _SHORTEST_STEM and stem[-1] == stem[-2] else stem


def _parts(word: str) -> Iterator[str]:
    """Give the word's runs of three characters, with its ends marked by a space."""
    marked = f" {word} "
    return (marked[start : start + _PART_LENGTH] for start in range(len(marked) - _PART_LENGTH + 1))
