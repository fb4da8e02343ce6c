"""Open HDF5 files that may be damaged or malicious.

For damaged strings of variable length, the library allocates gigabytes or loops forever
(https://github.com/h5py/h5py/issues/2088), and a file may refer to other files. Therefore, a
rehearsal reads the entire file first.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from storage.npz import read_member
from storage.rehearsal import rehearse
from utils import UserError, one_line, open_regular

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: str | Path) -> bool:
    """Return whether a file begins with the signature of HDF5."""
    with open_regular(path) as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


@contextlib.contextmanager
def open_hdf5(path: str | Path, member: str | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 file, or the member of a zip archive that is one, for reading.

    Raises:
        UserError: it refers to other files, is damaged, or has far more content than bytes.
        Exception: an item is missing or of another kind; h5py raises almost anything.
    """
    rehearse(read_all, path, member)
    with _opened(path, member) as file:
        yield file


def text_list(group: h5py.Group, name: str) -> list[str]:
    """Return an attribute that is a list of strings; raise ValueError for anything else."""
    values = np.asarray(group.attrs[name])
    texts = [one.decode() if isinstance(one, bytes) else one for one in values.ravel().tolist()]
    if values.ndim != 1 or not all(isinstance(one, str) for one in texts):
        raise ValueError(f"{name} is not a list of names")
    return texts


def text(group: h5py.Group, name: str) -> str:
    """Return an attribute that is a string; raise ValueError for anything else."""
    value = group.attrs[name]
    if not isinstance(value, str | bytes):
        raise ValueError(f"{name} is not text")
    return value.decode() if isinstance(value, bytes) else value


@contextlib.contextmanager
def _opened(path: str | Path, member: str | None) -> Iterator[h5py.File]:
    with contextlib.ExitStack() as stack:
        if member:
            content = read_member(path, member)
            if content is None:
                raise UserError(f"{path} is an archive, but has no {member}")
            source = io.BytesIO(content)
        else:
            source = stack.enter_context(open_regular(path))
        yield stack.enter_context(h5py.File(source, "r"))


def read_all(path: str, member: str | None) -> None:
    """Read all arrays and attributes of an HDF5 file, as its later readers may.

    Raises:
        UserError: something refers to another file, or the file is damaged.
    """
    try:
        with _opened(path, member) as file:
            kept: list[object] = [dict(file.attrs)]
            waiting: list[h5py.Group] = [file]
            while waiting:
                group = waiting.pop()
                for name in group:
                    link = group.get(name, getlink=True)
                    if not isinstance(link, h5py.HardLink):
                        where = "file" if isinstance(link, h5py.ExternalLink) else "place"
                        raise ValueError(f"{name} refers to another {where}")
                    item = group[name]
                    kept.append(dict(item.attrs))
                    if isinstance(item, h5py.Group):
                        waiting.append(item)
                    elif isinstance(item, h5py.Dataset):
                        kept.append(_content(item))
    except UserError:
        raise
    except Exception as error:  # h5py raises almost anything for damaged files
        raise UserError(f"cannot read {path}: {one_line(error)}") from error


def _content(dataset: h5py.Dataset) -> np.ndarray:
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} refers to another file")
    return dataset[()]
