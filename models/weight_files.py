"""Reads weights from the files that Keras 2 and Keras 3 write, layer by layer.

Only arrays are read: nothing that a file contains is executed, and no layer is made from it.
"""

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np

from utils import UserError

# What the libraries raise for files that are cut off or damaged.
DAMAGE = (
    OSError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    ValueError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


class Weight:
    """An array in a file, read when it is asked for.

    Args:
        dataset: where it is.

    Raises:
        ValueError: it lies in another file. A file that somebody else made must not decide which
            files of this machine are read.
    """

    def __init__(self, dataset: h5py.Dataset):
        if dataset.external or dataset.is_virtual:
            raise ValueError(f"{dataset.name} refers to another file")
        self._dataset = dataset
        self.shape = tuple(dataset.shape)

    def read(self) -> np.ndarray:
        """The numbers, in their own type."""
        value = self._dataset[()]
        if self._dataset.attrs.get("dtype") == "bfloat16":
            # HDF5 has no such type; Keras stores two opaque bytes.
            value = value.view(ml_dtypes.bfloat16)
        return value


@contextlib.contextmanager
def open_weights(path: str | Path) -> Iterator[dict[str, list[Weight]]]:
    """Opens a file that holds weights, whatever its name ends in.

    Known are the HDF5 files of Keras 2 (weights alone or a whole model), the weights files of
    Keras 3 and its ``.keras`` archives.

    Yields:
        The weights of each layer that has any, by layer name, in the order of the layer's own
        list.

    Raises:
        UserError: the file is missing, damaged or something else; also if the damage shows only
            when an array is read.
    """
    try:
        with _open_hdf5(path) as file:
            yield _layers(file, path)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"cannot read weights from {path}: {reason}") from error


def _open_hdf5(path: str | Path) -> h5py.File:
    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            return h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")
    if start != b"\x89HDF\r\n\x1a\n":
        raise UserError(f"{path} is neither an HDF5 file nor a .keras file")
    return h5py.File(path, "r")


def _layers(file: h5py.File, path: str | Path) -> dict[str, list[Weight]]:
    root = _child(file, "model_weights") if "model_weights" in file else file
    if _names(root, "layer_names"):
        return _keras_2_layers(root)
    if "layers" in file:
        return _keras_3_layers(file, path)
    raise UserError(f"{path} is an HDF5 file, but holds no weights of a Keras model")


def _keras_2_layers(root: h5py.Group) -> dict[str, list[Weight]]:
    layers = {}
    for name in _names(root, "layer_names"):
        group = _child(root, name)
        layers[name] = [Weight(_child(group, weight)) for weight in _names(group, "weight_names")]
    return {name: weights for name, weights in layers.items() if weights}


def _keras_3_layers(file: h5py.File, path: str | Path) -> dict[str, list[Weight]]:
    """Keras 3 names groups by class, conv2d_1; the layer's own name is an attribute."""
    layers = {}
    for key in _child(file, "layers"):
        variables = _child(file, f"layers/{key}/vars")
        if not len(variables):
            continue
        if "name" not in variables.attrs:
            raise UserError(f"{path} does not say which weights belong to which layer")
        layers[str(variables.attrs["name"])] = [
            Weight(_child(variables, str(index))) for index in range(len(variables))
        ]
    return layers


def _child(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """What lies below a group, without following links out of the file."""
    for name in filter(None, path.split("/")):
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            raise ValueError(f"{name} refers to another file")
        group = group[name]
    return group


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names, which Keras cuts into ``attribute0``, ``attribute1`` … if it is long."""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    names = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
