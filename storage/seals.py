"""Digests in HDF5 files, by which a flipped bit is found out.

Checksums of HDF5's own cover arrays only and need them in chunks, which take longer to read.
"""

import hashlib

import h5py
import numpy as np

SEAL = "sha256"
"""Attribute of the file that has the digest of everything else in it."""


def seal(file: h5py.File) -> None:
    """Store the digest of all that has been written to a file.

    Raises:
        OSError: it cannot be written.
    """
    file.attrs[SEAL] = _digest(file)


def check_seal(file: h5py.File, required: bool = False) -> None:
    """Compare the content of a file with its digest.

    Args:
        file: opened by ``open_hdf5``, which has rehearsed reading all of it.
        required: whether a file without a digest is refused: others than this project have none.

    Raises:
        ValueError: something has changed since it was written.
        Exception: it is damaged; h5py raises almost anything.
    """
    if (required or SEAL in file.attrs) and file.attrs[SEAL] != _digest(file):
        raise ValueError("its content is not what was written")


def _digest(file: h5py.File) -> str:
    digest = hashlib.sha256()
    _add(digest, file)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", item: h5py.Group | h5py.Dataset) -> None:
    """Add an item with all below it, each part behind its kind, shape and name."""
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
    """Return arrays as lists, of which nothing is left out where they are written as text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
