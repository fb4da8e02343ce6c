"""Readers of arrays: MATLAB files, pickles, class embeddings, feature dumps."""

import collections
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from embeddings.class_embeddings import ClassEmbeddings, load_class_embeddings
from evaluation.feature_dumps import Features, read_features
from storage.pickles import load_plain_pickle
from tests import fake_data
from tests.hostile.archives import ARCHIVES
from tests.hostile.file_harms import endless, made, no_files
from tests.hostile.list_readers import check_dataset, read_dataset, small
from tests.hostile.mat_harms import mat_harms
from tests.hostile.mutators import BYTES, deflated, opcodes
from tests.hostile.npz_harms import crafted_npz, npz, zeros
from tests.hostile.pickle_harms import PICKLES, pickle_harms
from tests.hostile.readers import Reader

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


def _check_plain(found: object, valid: object, folder: Path) -> None:
    """Plain data only, wherever one looks."""
    waiting = [found]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif isinstance(part, np.ndarray | np.generic):
            assert part.dtype.kind in "biufcSU"
        else:
            assert (
                part is None
                or type(part) in (bool, int, float, complex, str, bytes, bytearray)
                or isinstance(part, np.dtype | type(_PLAIN))
            )
    assert np.zeros(3).tolist() == [0, 0, 0] and np.dtype("f8").isnative  # NumPy is as it was


def _plain(protocol: int) -> Reader:
    return Reader(
        lambda folder: (folder / "a.pickle").write_bytes(pickle.dumps(_PLAIN, protocol)),
        ("a.pickle",),
        lambda folder: load_plain_pickle(folder / "a.pickle"),
        _check_plain,
        (*BYTES, *[opcodes] * 3),
        crafted={k: v for k, v in PICKLES.items() if k not in ("10,000 digits",)},
        **{"large": pickle_harms("a.pickle")["large"]} if protocol == 4 else {},
    )


def _check_embeddings(found: ClassEmbeddings, valid: ClassEmbeddings, folder: Path) -> None:
    assert found.vectors.ndim == 2 and found.vectors.dtype == np.float32 and found.vectors.size
    assert len(found.vectors) == len(set(map(str, found.labels))) > 0
    assert np.isfinite(found.vectors).all()
    assert all(type(label) in (int, str) for label in found.labels)


def _same_embeddings(found: ClassEmbeddings, valid: ClassEmbeddings, folder: Path) -> None:
    """Of an archive, which has checksums, the vectors that were written; its directory has none."""
    _check_embeddings(found, valid, folder)
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.labels == valid.labels


def _check_features(found: Features, valid: Features, folder: Path) -> None:
    assert len(found.vectors) == len(found.labels) == len(found.names) > 0
    assert found.vectors.dtype == np.float32 and np.isfinite(found.vectors).all()
    assert found.labels.dtype.kind in "iuU" and all(type(name) is str for name in found.names)


def _same_features(found: Features, valid: Features, folder: Path) -> None:
    """Those of an archive, which has checksums; without an entry in its directory, names lack."""
    _check_features(found, valid, folder)
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.labels.tolist() == valid.labels.tolist()
    assert found.names in (valid.names, ("0", "1", "2"))


def _file_reader(
    file: str, content: bytes, read: Callable, check: Callable, *mutators, **more
) -> Reader:
    return Reader(
        lambda folder: (folder / file).write_bytes(content),
        (file,),
        lambda folder: read(folder / file),
        check,
        (*BYTES, *mutators),
        **more,
    )


def _dataset(name: str, *files: str, mutators: tuple, harms: dict) -> Reader:
    read = partial(read_dataset, name)
    return Reader(small(name), files, read, check_dataset, mutators, named=(name,), **harms)


_EMBEDDINGS = {"embedding": VECTORS, "ind2label": [3, 1, 7]}
_FEATURES = {"feat": VECTORS, "labels": [3, 1, 7], "names": ["a.jpg", "b.jpg", "ü.jpg"]}
_TEXTS = np.array(["c", "ä", "b"])

READERS = {
    "Cars .mat": _dataset(
        "Cars", "cars_annos.mat", mutators=BYTES, harms=mat_harms("cars_annos.mat")
    ),
    "Flowers .mat": _dataset(
        "Flowers",
        "imagelabels.mat",
        "setid.mat",
        mutators=BYTES,
        harms=mat_harms("imagelabels.mat"),
    ),
    "compressed Flowers .mat": Reader(
        fake_data.write_flowers_compressed,
        ("imagelabels.mat", "setid.mat"),
        partial(read_dataset, "Flowers"),
        check_dataset,
        (*BYTES, *[deflated] * 10),
        named=("Flowers",),
    ),
    "CIFAR-10 pickles": _dataset(
        "CIFAR-10",
        *("data_batch_1", "test_batch", "batches.meta"),
        mutators=(*BYTES, *[opcodes] * 3),
        harms=pickle_harms("data_batch_1"),
    ),
    "CIFAR-100 pickles": _dataset(
        "CIFAR-100",
        *("train", "test", "meta"),
        mutators=(*BYTES, *[opcodes] * 3),
        harms=pickle_harms("train"),
    ),
    **{f"pickle, protocol {protocol}": _plain(protocol) for protocol in range(6)},
    **{
        f"embeddings .npz, {title}": _file_reader(
            "e.npz",
            content,
            load_class_embeddings,
            _same_embeddings,
            crafted={**no_files("e.npz"), **crafted_npz("embedding", "ind2label")},
            large={
                "zeros of 1 GB": made("e.npz", lambda: zeros("embedding", "ind2label")),
                "268 million labels": made(
                    "e.npz", lambda: zeros("embedding", "ind2label", kind="u1")
                ),
                "an endless file": partial(endless, "e.npz"),
            },
        )
        for title, content in {
            "numbers": npz(embedding=VECTORS, ind2label=np.array([3, 1, 7])),
            "texts": npz(embedding=VECTORS, ind2label=_TEXTS),
        }.items()
    },
    **{
        f"embeddings .pickle, protocol {protocol}": _file_reader(
            "e.pickle",
            pickle.dumps(_EMBEDDINGS, protocol),
            load_class_embeddings,
            _check_embeddings,
            opcodes,
            **pickle_harms("e.pickle"),
        )
        for protocol in (0, 2, 4)
    },
    "features .npz": _file_reader(
        "f.npz",
        npz(features=VECTORS, labels=np.array([3, 1, 7]), names=np.array(_FEATURES["names"])),
        read_features,
        _same_features,
        crafted={**no_files("f.npz"), **crafted_npz("features", "labels")},
        large={
            "zeros of 1 GB": made("f.npz", lambda: zeros("features", "labels")),
            "268 million names": made(
                "f.npz", lambda: zeros("features", "labels", "names", kind="u1", shape=(2**26, 1))
            ),
            "20 million images": made(
                "f.npz", lambda: zeros("features", "labels", kind="u1", shape=(20_000_000, 1))
            ),
            "an endless file": partial(endless, "f.npz"),
        },
    ),
    "embeddings .npz, made anew": Reader(
        lambda folder: (folder / "e.npz").write_bytes(npz(**_EMBEDDINGS)),
        ("e.npz",),
        lambda folder: load_class_embeddings(folder / "e.npz"),
        _check_embeddings,
        ARCHIVES,
    ),
    "features .npz, made anew": Reader(
        lambda folder: (folder / "f.npz").write_bytes(npz(features=VECTORS, labels=_TEXTS)),
        ("f.npz",),
        lambda folder: read_features(folder / "f.npz"),
        _check_features,
        ARCHIVES,
    ),
    "features .pickle": _file_reader(
        "f.pickle",
        pickle.dumps(_FEATURES, 4),
        read_features,
        _check_features,
        opcodes,
        **pickle_harms("f.pickle"),
    ),
}
