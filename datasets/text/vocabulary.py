"""How a document is cut into words, and the numbers of words."""

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

PADDING, UNKNOWN, FIRST = 0, 1, 2
"""Number of no word, of any unknown word, and of the first known one; as in TextVectorization."""

_SEPARATED = str.maketrans(dict.fromkeys(string.punctuation, " "))


def tokenize(text: str) -> list[str]:
    """Return the words of a text in lower case: what white space and ASCII punctuation separate.

    ``keras.layers.TextVectorization`` removes the same punctuation. Here it separates, so that
    "tree-killing" and "it's" are two words each, which word vectors know.
    """
    return text.lower().translate(_SEPARATED).split()


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words that a network knows, and how many of a document it reads.

    Attributes:
        words: all different; the first one has the number ``FIRST``.
        length: words of a document that are read; the others are cut off.
    """

    words: tuple[str, ...]
    length: int

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, FIRST)}

    @property
    def size(self) -> int:
        """Number of word numbers."""
        return FIRST + len(self.words)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the words of documents as numbers, int32 (documents, length), padded at the end.

        A document without words is one unknown word.
        """
        encoded = np.full((len(texts), self.length), PADDING, np.int32)
        for row, text in zip(encoded, texts, strict=True):
            numbers = self._known(tokenize(text)[: self.length])
            row[: len(numbers)] = numbers
        return encoded

    def _known(self, words: Iterable[str]) -> list[int]:
        return [self._numbers.get(word, UNKNOWN) for word in words] or [UNKNOWN]
