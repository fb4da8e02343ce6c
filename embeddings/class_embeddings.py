"""Load and save class embeddings, and match them with the classes of a data set."""

import logging
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from embeddings import shipped
from embeddings.taxonomy.tree import Label
from storage.files import replacing
from storage.npz import float_vectors, is_zip, read_npz
from storage.pickles import load_plain_pickle
from storage.rehearsal import rehearsed
from utils import UsageError, UserError, listing, open_regular

logger = logging.getLogger(__name__)

SUFFIXES = (".npz", ".pickle")
"""Suffixes of the files that ``save_class_embeddings`` writes."""

_LONGEST_LABEL = 1024  # bits; Python does not format numbers of more than 4,300 digits


@dataclass(frozen=True)
class ClassEmbeddings:
    """Target vectors of the classes (paper, Section 3: the mapping phi)."""

    vectors: np.ndarray  # float32 (classes, dimensions), row i belongs to ``labels[i]``
    labels: tuple[Label, ...]  # the original class labels, unique
    is_onehot: bool = False  # whether they are unit vectors along the axes, in this order

    @property
    def dimensions(self) -> int:
        """Dimension of the vectors."""
        return self.vectors.shape[1]

    def scaled(self, factor: float) -> "ClassEmbeddings":
        """Return the embeddings multiplied by a factor."""
        vectors = self.vectors * np.float32(factor)
        return replace(self, vectors=vectors, is_onehot=self.is_onehot and factor == 1)

    def restrict(self, labels: Sequence[Label]) -> "ClassEmbeddings":
        """Return the embeddings of ``labels``, in that order; labels are compared as text.

        Raises:
            UsageError: a label has no embedding.
        """
        position = {str(label): i for i, label in enumerate(self.labels)}
        missing = [str(label) for label in labels if str(label) not in position]
        if missing:
            raise UsageError(
                f"the class embeddings have no vector for {listing(missing)}; "
                f"they have {listing(self.labels)}"
            )
        rows = [position[str(label)] for label in labels]
        return ClassEmbeddings(self.vectors[rows], tuple(labels))

    def shared_labels(self, labels: Sequence[Label], dataset: str = "the data set") -> list[Label]:
        """Return the labels that these embeddings share with a data set, in the embeddings' order.

        A data set may have only some of the classes, such as a part of CUB. The number of classes
        left out on either side is logged.

        Raises:
            UsageError: neither set of labels contains the other.
        """
        ours = {str(label) for label in self.labels}
        theirs = {str(label): label for label in labels}
        shared = [theirs[str(label)] for label in self.labels if str(label) in theirs]
        if len(shared) < min(len(ours), len(theirs)):
            raise UsageError(
                f"the class embeddings are for other classes ({listing(self.labels)}) than the "
                f"data set has ({listing(labels)}): only {len(shared)} are shared"
            )
        _log_left_out(len(shared), len(ours), len(theirs), dataset)
        return shared


def onehot(labels: Sequence[Label]) -> ClassEmbeddings:
    """Return one unit vector per class (paper, Section 3.1)."""
    return ClassEmbeddings(np.eye(len(labels), dtype=np.float32), tuple(labels), is_onehot=True)


def save_class_embeddings(path: str | Path, vectors: np.ndarray, labels: Sequence[Label]) -> None:
    """Save class embeddings as ``embedding`` and ``ind2label``, in a pickle also ``label2ind``.

    Args:
        path: the file; ``.pickle`` selects the layout of the published code, any other suffix
            ``.npz``.
        vectors: shape (classes, dimensions), saved in their own precision.
        labels: label of each row, all numbers or all text.

    Raises:
        UserError: the file cannot be written, or a number has more than 64 bits.
    """
    array = _label_array(labels)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        if Path(path).suffix == ".pickle":
            ind2label = array.tolist()
            label2ind = {label: i for i, label in enumerate(ind2label)}
            content = {"embedding": vectors, "ind2label": ind2label, "label2ind": label2ind}
            pickle.dump(content, file, protocol=2)
        else:
            np.savez_compressed(file, embedding=vectors, ind2label=array)


def load_class_embeddings(source: str | Path) -> ClassEmbeddings:
    """Load class embeddings from a file, or shipped ones by name, such as ``cub_deep``.

    Files are ``.npz`` or published pickles with ``embedding``, an array of shape (classes,
    dimensions), and ``ind2label``, the label of each row. Nothing in them is executed.

    Raises:
        UserError: the file is missing, damaged, or lacks one of these entries.
    """
    return _load(shipped.embedding_path(source))


@rehearsed()
def _load(path: Path) -> ClassEmbeddings:
    content = _read(path)
    try:
        vectors = float_vectors(content["embedding"])
        labels = _labels(content["ind2label"])
    except KeyError as error:
        raise UserError(f"{path} lacks {error}: not a file of class embeddings") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"cannot read the class embeddings in {path}: {error}") from error
    if vectors.ndim != 2 or len(vectors) != len(labels) or not vectors.size:
        raise UserError(
            f"{path}: {len(labels)} labels do not fit embeddings of shape {vectors.shape}"
        )
    if not np.isfinite(vectors).all():
        raise UserError(f"{path}: the embeddings contain values that are not finite")
    if len({str(label) for label in labels}) < len(labels):
        raise UserError(f"{path}: a class label occurs twice")
    return ClassEmbeddings(vectors, labels)


def _read(path: Path) -> Mapping:
    """Return the content of an embedding file with its keys as text."""
    try:
        zipped = is_zip(path)
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder, not a file of class embeddings") from error
    except FileNotFoundError as error:
        raise UserError(
            f"there is no file of class embeddings {path}, and none of that name is shipped; "
            f"choose from: {', '.join(shipped.embedding_names())}"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    content = _read_npz(path) if zipped else load_plain_pickle(path)
    if not isinstance(content, Mapping):
        raise UserError(f"{path} contains {type(content).__name__}, not class embeddings")
    return {k.decode() if isinstance(k, bytes) else k: v for k, v in content.items()}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open_regular(path) as file:
            return read_npz(file, ("embedding", "ind2label"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as .npz: {error}") from error


def _labels(ind2label: object) -> tuple[Label, ...]:
    """Return labels in the order of their index, as plain Python numbers or text."""
    if isinstance(ind2label, Mapping):
        ind2label = [ind2label[i] for i in range(len(ind2label))]
    if isinstance(ind2label, np.ndarray):
        ind2label = ind2label.tolist()
    if not isinstance(ind2label, list | tuple):
        raise ValueError(f"the labels are not a list, but {type(ind2label).__name__}")
    return tuple(_plain(label) for label in ind2label)


def _plain(label: object) -> Label:
    label = label.item() if isinstance(label, np.generic) else label
    if isinstance(label, bytes):
        return label.decode()
    if isinstance(label, int | str) and not isinstance(label, bool):
        if isinstance(label, int) and label.bit_length() > _LONGEST_LABEL:
            raise ValueError("a label is far too large a number")
        return label
    raise ValueError(f"a label must be a number or text, not {type(label).__name__}")


def _label_array(labels: Sequence[Label]) -> np.ndarray:
    """Return labels as an array that NumPy stores without a pickle."""
    if all(isinstance(label, str) for label in labels):
        return np.array(labels, dtype=np.str_)
    numbers = [int(label) for label in labels]
    for dtype in (np.int64, np.uint64):
        if np.iinfo(dtype).min <= min(numbers) and max(numbers) <= np.iinfo(dtype).max:
            return np.array(numbers, dtype=dtype)
    raise UserError(
        f"class ids beyond 64 bits, such as {max(numbers, key=abs)}, cannot be stored as numbers; "
        "give --str_ids"
    )


def _log_left_out(shared: int, ours: int, theirs: int, dataset: str) -> None:
    if shared < ours:
        logger.info(
            "%d of the %d class embeddings are left out: %s does not have their classes",
            ours - shared,
            ours,
            dataset,
        )
    if shared < theirs:
        logger.info(
            "%d of the %d classes of %s are left out: they have no class embedding",
            theirs - shared,
            theirs,
            dataset,
        )
