"""Feature dumps: the features of images with their labels and names, as ``.npz`` or pickle.

Both hold the same three entries:

========  ====================  ==================================================================
``.npz``  ``.pickle``, a dict   content
========  ====================  ==================================================================
features  feat                  float32 (images, dimensions); in a pickle {index: float32 vector}
labels    labels (a list)       original class labels by index, all int or all str
names     names (a list)        file names by index, or indices as text
========  ====================  ==================================================================

The published code writes and reads only ``feat``, so labels for such a dump must come from the data
set. In a pickle to read, ``feat`` may also be an array, a list of vectors or, together with
``names``, a dictionary from image names to vectors.
"""

import os
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets.base import Dataset
from storage.files import replacing
from storage.npz import float_vectors, is_dense, is_zip, read_npz
from storage.pickles import load_plain_pickle
from storage.rehearsal import rehearse
from utils import UserError, open_regular

SUFFIXES = (".npz", ".pickle")


@dataclass(frozen=True, eq=False)
class Features:
    """Features of images."""

    vectors: np.ndarray  # float32 (images, dimensions), finite
    labels: np.ndarray  # (images,) original class labels, all int or all str
    names: tuple[str, ...]  # file name or index of each image


def of_test_split(vectors: np.ndarray, dataset: Dataset) -> Features:
    """Combine feature vectors of the test images, in their order, with labels and names."""
    return Features(vectors, test_labels(dataset), tuple(dataset.test.names))


def test_labels(dataset: Dataset) -> np.ndarray:
    """Return the original class labels of the test images, (images,)."""
    labels = np.asarray(dataset.labels)
    if labels.dtype.kind not in "iuU":  # numbers beyond 64 bits
        labels = np.array([str(label) for label in dataset.labels])
    return labels[dataset.test.labels]


def write_features(path: Path, features: Features) -> None:
    """Write a dump in the layout of the file's suffix."""
    write = _write_pickle if path.suffix == ".pickle" else _write_npz
    with replacing(path) as temporary, open(temporary, "wb") as file:
        write(file, features)


def _write_npz(file, features: Features) -> None:
    np.savez_compressed(
        file, features=features.vectors, labels=features.labels, names=np.asarray(features.names)
    )


def _write_pickle(file, features: Features) -> None:
    content = {
        "feat": dict(enumerate(np.asarray(features.vectors, dtype=np.float32))),
        "labels": features.labels.tolist(),
        "names": list(features.names),
    }
    pickle.dump(content, file, protocol=4)


def read_features(path: str | Path, labels: np.ndarray | None = None) -> Features:
    """Read a dump in either layout; nothing in the file is executed.

    ``labels`` are the original class labels of the images by index, for dumps without labels.

    Raises:
        UserError: the file is missing or damaged, lacks features or labels, has labels other than
            ``labels``, or values that are not finite.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise UserError(f"there is no feature dump {path}")
    if not is_dense(path):
        rehearse(_read, path)
    features = _read(path)
    if features.labels is None:
        if labels is None:
            raise UserError(f"{path} lacks labels: name the data set of its images with --dataset")
        features = replace(features, labels=labels)
    _check(path, features)
    if labels is not None and features.labels.astype(str).tolist() != labels.astype(str).tolist():
        raise UserError(f"{path} has other labels than the test images of --dataset")
    return features


def _read(path: Path) -> Features:
    content = _content(path)
    if content.get("features") is None:
        raise UserError(f"{path} lacks features: not a feature dump")
    try:
        return _features(content)
    except (TypeError, ValueError) as error:
        raise UserError(f"cannot read the features in {path}: {error}") from error


def _content(path: Path) -> dict[str, object]:
    try:
        if not is_zip(path):
            return _pickle_content(path)
        with open_regular(path) as file:
            return read_npz(file, ("features", "labels", "names"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} cannot be read as .npz: {error}") from error


def _pickle_content(path: Path) -> dict[str, object]:
    content = load_plain_pickle(path)
    if not isinstance(content, Mapping):
        raise UserError(f"{path} contains {type(content).__name__}, not a dictionary with 'feat'")
    return {"features": content.get("feat"), **{k: content.get(k) for k in ("labels", "names")}}


def _features(content: Mapping[str, object]) -> Features:
    vectors, names = content["features"], content.get("names")
    if isinstance(vectors, Mapping):
        vectors = _in_order(vectors, names)
    vectors = float_vectors(vectors)
    if vectors.ndim != 2 or not vectors.size:
        raise ValueError(f"their shape must be (images, dimensions), not {vectors.shape}")
    names = range(len(vectors)) if names is None else names
    labels = content.get("labels")
    labels = None if labels is None else np.asarray(labels)
    return Features(vectors, labels, tuple(str(name) for name in names))


def _in_order(vectors: Mapping, names: Iterable | None) -> list:
    """Return the vectors of a dictionary in the order of the labels and names."""
    by_key = {str(key): vector for key, vector in vectors.items()}
    indices = [str(i) for i in range(len(vectors))]
    names = None if names is None else [str(name) for name in names]
    if len(by_key) < len(vectors):
        raise ValueError("a key of the dictionary of features occurs as number and as text")
    is_named = names is not None and sorted(names) == sorted(by_key)
    is_numbered = set(indices) == set(by_key)
    if is_named and is_numbered and names != indices:
        raise ValueError(
            "the keys of the dictionary of features are ambiguous: both indices and names, but in "
            "different order"
        )
    if not (is_named or is_numbered):
        raise ValueError(
            "the keys of the dictionary of features must be the names of the images or their "
            f"indices from 0 to {len(vectors) - 1}"
        )
    return [by_key[key] for key in (names if is_named else indices)]


def _check(path: Path, features: Features) -> None:
    vectors, labels = features.vectors, features.labels
    if labels.shape != vectors.shape[:1] or len(features.names) != len(vectors):
        raise UserError(
            f"{path}: {len(vectors)} features, but labels of shape {labels.shape} and "
            f"{len(features.names)} names"
        )
    if labels.dtype.kind not in "iuU":
        raise UserError(f"{path}: labels must be whole numbers or text, not {labels.dtype}")
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise UserError(
            f"{path}: the features of {len(broken)} images have values that are not finite, "
            f"the first is {features.names[broken[0]]}"
        )
