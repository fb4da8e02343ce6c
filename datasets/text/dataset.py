"""Data sets of documents."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.base import Dataset, RawDataset, Transform, numbered
from datasets.names import DatasetName
from datasets.text.vocabulary import FIRST, Vocabulary
from datasets.text.word_vectors import read_word_vectors
from utils import UsageError


@dataclass(frozen=True, kw_only=True)
class RawTextDataset(RawDataset):
    """Return value of a reader of documents; samples are texts."""


@dataclass(frozen=True)
class Encoding(Transform):
    """Convert documents to word indices, deterministically even in training."""

    vocabulary: Vocabulary

    def __call__(self, text: str, rng: np.random.Generator | None = None) -> np.ndarray:
        return self.vocabulary.encode([text])[0]

    def batch(self, texts: Sequence[str], generators: Iterable[np.random.Generator]) -> np.ndarray:
        return self.vocabulary.encode(texts)


@dataclass(frozen=True, eq=False, kw_only=True)
class TextDataset(Dataset):
    """A data set for the classification of documents; samples are texts.

    Attributes:
        vocabulary: the words that the network knows, or None if not yet determined.
        vectors: float32 (words, dimensions), vectors of these words, or None if a model has them.
    """

    noun = "documents"
    vocabulary: Vocabulary | None = None
    vectors: np.ndarray | None = None

    @property
    def train_transform(self) -> Encoding:
        return Encoding(self.vocabulary)

    test_transform = train_transform

    @property
    def input_shape(self) -> tuple[int]:
        return (self._known_words.length,)

    @property
    def input_options(self) -> dict[str, object]:
        return {"words": self._known_words.size, "dimensions": int(self.vectors.shape[1])}

    @property
    def input_weights(self) -> list[np.ndarray]:
        """The vectors of all word indices: zeros for padding and unknown words."""
        return [np.pad(self.vectors, ((FIRST, 0), (0, 0)))]

    @property
    def inference_options(self) -> dict[str, object]:
        return {"words": self._known_words.words, "length": self._known_words.length}

    @property
    def _known_words(self) -> Vocabulary:
        if self.vocabulary is None:
            raise UsageError(
                f"{self.name} has documents, whose words need vectors: give --word_vectors FILE"
            )
        return self.vocabulary


def text_dataset(
    name: str,
    parsed: DatasetName,
    raw: RawTextDataset,
    word_vectors: str | Path | None,
    max_words: int,
    max_length: int,
) -> TextDataset:
    """Return the data set of the documents that a reader found.

    Args:
        name: name with suffixes, as given by the user.
        parsed: parts of the name.
        raw: documents that the reader found.
        word_vectors: see ``read_word_vectors``; None: no vocabulary yet.
        max_words: size of the vocabulary.
        max_length: maximum number of words that are read of a document.

    Raises:
        UsageError: the name has a suffix for images.
        UserError: the word vectors cannot be read.
    """
    if parsed.large or parsed.normalization:
        raise UsageError(f"{name}: only images have sizes and normalizations")
    if word_vectors is None:
        return TextDataset(**numbered(name, raw))
    words, vectors = read_word_vectors(word_vectors, max_words)
    vocabulary = Vocabulary(words, max_length)
    return TextDataset(**numbered(name, raw), vocabulary=vocabulary, vectors=vectors)
