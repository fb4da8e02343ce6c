"""Readers of arrays: MATLAB files, pickles, class embeddings, feature dumps."""

import collections
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datasets.text.word_vectors import WordVectors, read_word_vectors
from embeddings.class_embeddings import ClassEmbeddings, load_class_embeddings
from evaluation.feature_dumps import Features, read_features
from evaluation.verification.pairs import Pairs, read_bin
from storage.pickles import load_plain_pickle
from storage.rehearsal import rehearsed
from tests import fake_data
from tests.fake_data import write_lines
from tests.hostile.lists import dataset_reader
from tests.hostile.reader import Reader

VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)

_PLAIN = {
    "embedding": VECTORS,
    "big endian": np.arange(5, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "text": np.array(["ü", "long"]),
    "bytes": np.array([b"a", b"bc"]),
    "scalar": np.float64(0.25),
    "ind2label": [1, "two", 3.0, None, True, (1, 2), {4}],
    "label2ind": collections.OrderedDict(a=0, b=1),
}
_SCALARS = (bool, int, float, complex, str, bytes, bytearray, type(None))


def _npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _file(content: bytes, read: Callable, check: Callable, **more) -> Reader:
    return Reader(
        lambda folder: (folder / "a.file").write_bytes(content),
        ("a.file",),
        lambda folder: read(folder / "a.file"),
        check,
        **more,
    )


@rehearsed()
def _load_pickle(path: Path) -> object:
    return load_plain_pickle(path)


def _check_plain(found: object, valid: object, folder: Path) -> None:
    """Check that there is nothing but plain data, and that NumPy's own types are unchanged."""
    waiting = [found]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif isinstance(part, np.ndarray | np.generic):
            assert part.dtype.kind in "biufcSU"
        elif type(part).__module__ != "storage.pickles":  # what stands for a name in the file
            assert type(part) in _SCALARS
    assert np.zeros(3).tolist() == [0, 0, 0] and np.dtype("f8").isnative


def _check_embeddings(found: ClassEmbeddings, valid: ClassEmbeddings, folder: Path) -> None:
    assert found.vectors.ndim == 2 and found.vectors.dtype == np.float32 and found.vectors.size
    assert len(found.vectors) == len(set(map(str, found.labels))) > 0
    assert np.isfinite(found.vectors).all()
    assert all(type(label) in (int, str) for label in found.labels)


def _check_same_embeddings(found: ClassEmbeddings, valid: ClassEmbeddings, folder: Path) -> None:
    """Archives have checksums."""
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.labels == valid.labels


def _check_features(found: Features, valid: Features, folder: Path) -> None:
    assert len(found.vectors) == len(found.labels) == len(found.names) > 0
    assert found.vectors.dtype == np.float32 and np.isfinite(found.vectors).all()
    assert found.labels.dtype.kind in "iuU" and all(type(name) is str for name in found.names)


def _check_same_features(found: Features, valid: Features, folder: Path) -> None:
    """Archives have checksums, but their directories have none, so that names may be lost."""
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.labels.tolist() == valid.labels.tolist()
    assert found.names in (valid.names, ("0", "1", "2"))


def _check_pairs(found: tuple, valid: tuple, folder: Path) -> None:
    images, pairs = found
    assert all(type(content) is bytes for content in images.contents)
    assert len(images) == 2 * len(pairs.same) == len(pairs.first) + len(pairs.second) > 0
    assert isinstance(pairs, Pairs) and pairs.same.dtype == bool


def _check_words(found: WordVectors, valid: WordVectors, folder: Path) -> None:
    assert len(set(found.words)) == len(found.words) == len(found.vectors) > 0
    assert found.vectors.dtype == np.float32 and np.isfinite(found.vectors).all()


def _write_words(folder: Path) -> None:
    np.save(folder / "v.npy", VECTORS)
    write_lines(folder / "v.txt", ["the", "of", "war"])


_LABELS = np.array([3, 1, 7])
_NAMES = ["a.jpg", "b.jpg", "ü.jpg"]
_EMBEDDINGS = {"embedding": VECTORS, "ind2label": _LABELS.tolist()}
_DUMP = {"feat": VECTORS, "labels": _LABELS.tolist(), "names": _NAMES}
_FLOWERS = ("imagelabels.mat", "setid.mat")
_SVHN = ("train_32x32.mat", "test_32x32.mat")
_MNIST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz")

READERS = {
    "Cars .mat": dataset_reader("Cars", ("cars_annos.mat",)),
    "Flowers .mat": dataset_reader("Flowers", _FLOWERS),
    "compressed Flowers .mat": dataset_reader(
        "Flowers", _FLOWERS, write=fake_data.write_flowers_compressed
    ),
    "SVHN .mat": dataset_reader("SVHN", _SVHN),
    "word vectors as text": Reader(
        lambda folder: fake_data.write_word_vectors(folder / "glove.txt"),
        ("glove.txt",),
        lambda folder: read_word_vectors(folder / "glove.txt", 100),
        _check_words,
    ),
    "word vectors .npy": Reader(
        _write_words,
        ("v.npy", "v.txt"),
        lambda folder: read_word_vectors(folder / "v.npy", 100),
        _check_words,
    ),
    "MNIST idx": dataset_reader("MNIST", _MNIST),
    # Few of them are still right.
    "CIFAR-10 pickles": dataset_reader(
        "CIFAR-10", ("data_batch_1", "test_batch", "batches.meta"), examples=150
    ),
    "CIFAR-100 pickles": dataset_reader("CIFAR-100", ("train", "test", "meta"), examples=150),
    **{
        f"pickle, protocol {protocol}": _file(
            pickle.dumps(_PLAIN, protocol), _load_pickle, _check_plain
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    **{
        f"embeddings .pickle, protocol {protocol}": _file(
            pickle.dumps(_EMBEDDINGS, protocol), load_class_embeddings, _check_embeddings
        )
        for protocol in (0, 2, 4)
    },
    "embeddings .npz, numbers": _file(
        _npz(embedding=VECTORS, ind2label=_LABELS), load_class_embeddings, _check_same_embeddings
    ),
    "embeddings .npz, texts": _file(
        _npz(embedding=VECTORS, ind2label=np.array(["c", "ä", "b"])),
        load_class_embeddings,
        _check_same_embeddings,
    ),
    "pairs .bin": _file(
        pickle.dumps(([b"a", b"bc", b"d", b"ef"], [True, False]), 2),
        read_bin,
        _check_pairs,
    ),
    "features .pickle": _file(pickle.dumps(_DUMP, 4), read_features, _check_features),
    "features .npz": _file(
        _npz(features=VECTORS, labels=_LABELS, names=np.array(_NAMES)),
        read_features,
        _check_same_features,
    ),
}
