"""Read weights from Keras 2 and Keras 3 files, layer by layer.

Arrays and names are read; nothing in a file is executed, and no layers are built from it.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np

from storage.hdf5 import is_hdf5, open_hdf5, text, text_list
from storage.npz import is_zip
from storage.seals import check_seal
from utils import UserError, one_line

_WEIGHTS = "model.weights.h5"


class Weight:
    """An array in a file, read on demand."""

    def __init__(self, dataset: h5py.Dataset):
        self._dataset = dataset
        self.shape = tuple(dataset.shape)

    def read(self) -> np.ndarray:
        """Return the array in its stored type."""
        value = self._dataset[()]
        if value.dtype.kind == "V" and value.dtype.itemsize == 2:
            # HDF5 has no bfloat16; Keras stores two opaque bytes:
            # https://github.com/keras-team/keras/pull/19091
            value = value.view(ml_dtypes.bfloat16)
        if value.dtype.kind not in "biuf" and value.dtype != ml_dtypes.bfloat16:
            raise ValueError(f"{self._dataset.name} is an array of {value.dtype}")
        return value


@contextlib.contextmanager
def open_weights(path: str | Path) -> Iterator[dict[str, list[Weight]]]:
    """Open a file of weights, regardless of its suffix.

    Supported are HDF5 files of Keras 2 (weights or whole models), and weights files and ``.keras``
    archives of Keras 3.

    Yields:
        The weights of each layer that has any, by layer name, in the order of ``layer.weights``.

    Raises:
        UserError: the file is missing, damaged or in another format; also if an array turns out to
            be damaged when it is read in the ``with`` block.
    """
    with _open(path) as file:
        yield _layers(file, path)


def layer_names(path: str | Path) -> set[str]:
    """Return the names of all layers in a Keras 2 file, including those without weights.

    Raises:
        UserError: the file is missing, damaged or of another format.
    """
    with _open(path) as file:
        root = file.get("model_weights", file)
        if not _attributes(root, "layer_names"):
            raise UserError(f"{path} is not a model file of Keras 2")
        return set(_names(root, "layer_names"))


def layer_graph(path: str | Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return the inputs of each layer in a model file of Keras 2, and the network's outputs.

    All are names of layers. A file with weights alone has none.

    Raises:
        UserError: the file is missing, damaged or of another format.
    """
    with _open(path) as file:
        if "model_config" not in file.attrs:
            return {}, []
        network = json.loads(text(file, "model_config"))["config"]
        nodes = {layer["name"]: layer["inbound_nodes"] for layer in network["layers"]}
        inputs = {name: [x[0] for x in node[0]] if node else [] for name, node in nodes.items()}
        return inputs, [name for name, *_ in network["output_layers"]]


@contextlib.contextmanager
def _open(path: str | Path) -> Iterator[h5py.File]:
    """Open the HDF5 file, and turn all errors in the ``with`` block into UserErrors."""
    try:
        with open_hdf5(path, _member(path)) as file:
            check_seal(file)
            yield file
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except UserError:
        raise
    except Exception as error:  # h5py and zipfile raise almost anything for damaged files
        raise UserError(f"cannot read weights from {path}: {one_line(error)}") from error


def _member(path: str | Path) -> str | None:
    """Return the HDF5 member of an archive, or None if the file itself is HDF5."""
    if is_hdf5(path):
        return None
    if not is_zip(path):
        raise UserError(f"{path} is neither an HDF5 file nor a .keras file")
    return _WEIGHTS


def _layers(file: h5py.File, path: str | Path) -> dict[str, list[Weight]]:
    root = file.get("model_weights", file)
    if _attributes(root, "layer_names"):
        return _keras_2_layers(root)
    if "layers" in file:
        return _keras_3_layers(file, path)
    raise UserError(f"{path} is an HDF5 file, but has no weights of a Keras model")


def _keras_2_layers(root: h5py.Group) -> dict[str, list[Weight]]:
    layers = {}
    for name in _names(root, "layer_names"):
        group = root[name]
        layers[name] = [Weight(group[weight]) for weight in _names(group, "weight_names")]
    return {name: weights for name, weights in layers.items() if weights}


def _keras_3_layers(file: h5py.File, path: str | Path) -> dict[str, list[Weight]]:
    """Keras 3 names groups after classes, e.g. conv2d_1; the layer's name is an attribute."""
    layers = {}
    for key in file["layers"]:
        own = variables = file[f"layers/{key}/vars"]
        if f"layers/{key}/cell" in file:  # recurrent layers have their weights in the cell
            variables = file[f"layers/{key}/cell/vars"]
        if not len(variables):
            continue
        if "name" not in own.attrs:
            raise UserError(f"{path} does not say which weights belong to which layer")
        layers[text(own, "name")] = [
            Weight(variables[str(index)]) for index in range(len(variables))
        ]
    return layers


def _names(group: h5py.Group, attribute: str) -> list[str]:
    return [name for part in _attributes(group, attribute) for name in text_list(group, part)]


def _attributes(group: h5py.Group, attribute: str) -> list[str]:
    """Return the attributes that hold a list; Keras splits long lists into ``attribute0`` …"""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    return parts
