"""Digests in HDF5 files, which detect flipped bits.

HDF5's own checksums only cover arrays, and require chunks, which are slower to read.
"""

import hashlib

import h5py
import numpy as np

SEAL = "sha256"
"""File attribute with the digest of everything else in the file."""


def seal(file: h5py.File) -> None:
    """Store the digest of everything in a file.

    Raises:
        OSError: the file cannot be written.
    """
    file.attrs[SEAL] = _digest(file)


def check_seal(file: h5py.File, required: bool = False) -> None:
    """Compare the content of a file with its digest.

    Args:
        file: opened by ``open_hdf5``, which has rehearsed reading all of it.
        required: whether to refuse files without a digest, which other programs write.

    Raises:
        ValueError: the content has changed since it was written.
        Exception: the file is damaged; h5py raises almost anything.
    """
    if (required or SEAL in file.attrs) and file.attrs[SEAL] != _digest(file):
        raise ValueError("its content is not what was written")


def _digest(file: h5py.File) -> str:
    digest = hashlib.sha256()
    _add(digest, file)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", item: h5py.Group | h5py.Dataset) -> None:
    """Add an item and everything below it, each preceded by its name, type and shape."""
    for name in sorted(item.attrs):
        if (name, item.name) != (SEAL, "/"):
            digest.update(repr((item.name, name, _plain(item.attrs[name]))).encode())
    if isinstance(item, h5py.Group):
        digest.update(repr((item.name, len(item))).encode())
        for name in sorted(item):
            _add(digest, item[name])
        return
    digest.update(repr((item.name, item.dtype.str, item.shape)).encode())
    if item.dtype.kind == "O":
        digest.update(repr(_plain(item[()])).encode())
    else:
        digest.update(np.ascontiguousarray(item[()]).reshape(-1).view(np.uint8))


def _plain(value: object) -> object:
    """Convert arrays to lists, whose text, unlike that of long arrays, is never abbreviated."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
