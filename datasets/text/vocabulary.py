"""Split documents into words, and convert words to indices."""

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

PADDING, UNKNOWN, FIRST = 0, 1, 2
"""Indices of padding, of any unknown word, and of the first known one, as in TextVectorization."""

_SEPARATED = str.maketrans(dict.fromkeys(string.punctuation, " "))


def tokenize(text: str) -> list[str]:
    """Split a text at white space and ASCII punctuation; return the words in lower case.

    ``keras.layers.TextVectorization`` removes the same punctuation. Here, it separates words, so
    that "tree-killing" and "it's" are two words each, for which there are word vectors.
    """
    return text.lower().translate(_SEPARATED).split()


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words that a network knows, and the number of words that it reads.

    Attributes:
        words: distinct words; the first one has the index ``FIRST``.
        length: number of words per document; longer documents are cut, shorter ones padded.
    """

    words: tuple[str, ...]
    length: int

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, FIRST)}

    @property
    def size(self) -> int:
        """Number of word indices."""
        return FIRST + len(self.words)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the word indices of documents, int32 (documents, length), padded at the end.

        A document without words becomes one unknown word.
        """
        encoded = np.full((len(texts), self.length), PADDING, np.int32)
        for row, text in zip(encoded, texts, strict=True):
            numbers = self._known(tokenize(text)[: self.length])
            row[: len(numbers)] = numbers
        return encoded

    def _known(self, words: Iterable[str]) -> list[int]:
        return [self._numbers.get(word, UNKNOWN) for word in words] or [UNKNOWN]
