"""Save and load models and weights; weights are matched by layer name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import h5py
import keras
import numpy as np

from models.files.configurations import outline, read_configuration
from models.files.description import ModelDescription, attach, read_description
from models.files.weights import Weight, open_weights
from models.heads import PROB_BN
from models.layers.network import with_plain_layers
from storage.files import replacing
from storage.outputs import check_suffix
from storage.seals import seal
from utils import UserError, one_line, without_log

_NUMBERED = re.compile(r"batch_normalization_(\d{1,9})")

Shape = tuple[int, ...] | None


@dataclass
class LoadReport:
    """Outcome of loading weights, by layer name."""

    loaded: list[str] = field(default_factory=list)  # layers whose weights were loaded
    # Layers with weights that are not in the file
    missing: list[str] = field(default_factory=list)
    # Layers whose weights have another shape in the file: name, and the first pair of shapes that
    # differ, in model and file; None if one has fewer arrays
    mismatched: list[tuple[str, Shape, Shape]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)  # layers that only the file has

    @property
    def unfilled(self) -> list[str]:
        """Layers whose weights were not loaded."""
        return [*self.missing, *(name for name, *_ in self.mismatched)]


def load_weights(model: keras.Model, path: str | Path) -> LoadReport:
    """Load weights into the layers whose names are in a file.

    Layers that are missing in the file or have another shape there keep their weights; if the file
    is damaged, all layers do. See ``models.files.weights.open_weights`` for the formats. In files
    of the published code, the classifier's batch normalization is unnamed, see ``_with_prob_bn``.

    Raises:
        UserError: the file cannot be read, has no weights, or its training diverged.
    """
    with open_weights(path) as stored:
        stored = _with_prob_bn(model, stored)
        report = _compared(model, stored)
        values = {name: [weight.read() for weight in stored[name]] for name in report.loaded}
    for name, arrays in values.items():
        if not all(np.isfinite(array).all() for array in arrays):
            raise UserError(
                f"{path} has weights of the layer {name} that are not finite: its training diverged"
            )
    for name, arrays in values.items():
        layer = model.get_layer(name)
        getattr(layer, "set_plain_weights", layer.set_weights)(arrays)
    return report


def compare_weights(model: keras.Model, path: str | Path) -> LoadReport:
    """Return the outcome that ``load_weights`` would have; no weights are read."""
    with open_weights(path) as stored:
        return _compared(model, _with_prob_bn(model, stored))


def _compared(model: keras.Model, stored: Mapping[str, list[Weight]]) -> LoadReport:
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    report = LoadReport(unused=[name for name in stored if name not in layers])
    for name, layer in layers.items():
        if name not in stored:
            report.missing.append(name)
        elif difference := _first_difference(layer, stored[name]):
            report.mismatched.append((name, *difference))
        else:
            report.loaded.append(name)
    return report


def _with_prob_bn(model: keras.Model, stored: dict[str, list[Weight]]) -> dict[str, list[Weight]]:
    """Rename the classifier's batch normalization in a Keras 2 file to its name here.

    Keras 2 numbers unnamed layers in order of creation: ``batch_normalization_1`` if all layers of
    the backbone are named, ``batch_normalization_100`` after the 99 of a DenseNet, and higher if
    the same process built another network before.
    """
    names = {layer.name for layer in model.layers}
    if PROB_BN not in names or PROB_BN in stored or "prob" not in stored:
        return stored
    layer = model.get_layer(PROB_BN)
    numbers = {
        int(found[1]): name
        for name, weights in stored.items()
        if name not in names
        and (found := _NUMBERED.fullmatch(name))
        and not _first_difference(layer, weights)
    }
    if not numbers:
        return stored
    last = numbers[max(numbers)]
    return {PROB_BN if name == last else name: weights for name, weights in stored.items()}


def _first_difference(layer: keras.Layer, stored: list[Weight]) -> tuple[Shape, Shape] | None:
    own = [tuple(variable.shape) for variable in layer.weights]
    here = getattr(layer, "plain_shapes", own)
    there = [weight.shape for weight in stored]
    return next((pair for pair in zip_longest(here, there) if pair[0] != pair[1]), None)


def check_model_path(path: str | Path) -> None:
    """Raise UsageError unless ``save_model`` supports the suffix."""
    check_suffix("cannot save a model as", path, (".keras", ".h5"))


def check_weights_path(path: str | Path) -> None:
    """Raise UsageError unless ``save_weights`` supports the suffix."""
    check_suffix("cannot save weights as", path, (".h5",))


def save_model(
    model: keras.Model, path: str | Path, description: ModelDescription | None = None
) -> None:
    """Save architecture and weights, so that ``keras.models.load_model`` can load them anywhere.

    Optimizer, loss and metrics are left out, as they may not exist where the model is loaded. The
    path ends in ``.keras`` or, for the old HDF5 format, ``.h5``, from which Keras cannot load
    networks for text. The description is for this project's ``load_model``.
    """
    check_model_path(path)
    # Keras warns that .h5 is a legacy format, which the user asked for.
    with replacing(path) as temporary, without_log("absl", "legacy"):
        with_plain_layers(uncompiled(model)).save(temporary)
        if description:
            attach(description, temporary)
        if temporary.suffix == ".h5":  # .keras archives have their own checksums
            _seal(temporary)


def load_model(path: str | Path) -> tuple[keras.Model, ModelDescription]:
    """Load a model that ``save_model`` wrote with a description.

    Nothing in the file is executed, and no network is built that has more weights than the file.

    Raises:
        UserError: the file is missing, damaged, or has no description.
    """
    description = read_description(path)
    try:
        network = read_configuration(path)
        _check_fit(outline(network, description.input_shape), description, path)
        model = keras.Model.from_config(network)
        load_weights(model, path)
    except UserError:
        raise
    except Exception as error:  # Keras raises almost anything for damaged files
        reason = one_line(error)[:300]
        raise UserError(f"{path} is not a model that can be loaded: {reason}") from error
    return model, description


def _check_fit(model: keras.Model, description: ModelDescription, path: str | Path) -> None:
    if len(model.outputs) != len(description.outputs):
        raise UserError(
            f"{path} describes {len(description.outputs)} outputs but has {len(model.outputs)}"
        )
    for tensor, output in zip(model.outputs, description.outputs, strict=True):
        vectors = output.class_vectors
        size = len(description.labels) if vectors is None else vectors.shape[1]
        if tuple(tensor.shape) != (1, size):
            raise UserError(
                f"{path}: its output {output.name!r} has the shape {tensor.shape[1:]}, "
                f"its description needs {size} numbers"
            )
    if description.words is not None:
        _check_words(model, description, path)
    with open_weights(path) as stored:
        report = _compared(model, stored)
    if wrong := [*report.unfilled, *report.unused]:
        raise UserError(f"{path}: its weights do not fit its layers {', '.join(wrong[:5])}")


def _check_words(model: keras.Model, description: ModelDescription, path: str | Path) -> None:
    """Raise UserError unless there is a word vector for each word number."""
    behind = next((layer for layer in model.layers if layer.weights), None)
    rows = len(description.words) + 2  # two more for padding and unknown words
    if not isinstance(behind, keras.layers.Embedding) or behind.input_dim != rows:
        raise UserError(f"{path} does not have vectors for the {rows - 2} words it describes")


def save_weights(model: keras.Model, path: str | Path) -> None:
    """Save the weights in Keras 3 format to a file whose name ends in ``.h5``."""
    check_weights_path(path)
    # Keras requires the suffix .weights.h5, so the file is renamed afterwards.
    with replacing(path, ".weights.h5") as temporary:
        with_plain_layers(uncompiled(model)).save_weights(temporary)
        _seal(temporary)


def _seal(path: Path) -> None:
    with h5py.File(path, "a") as file:
        seal(file)


def uncompiled(model: keras.Model) -> keras.Model:
    """Return the same layers in a model that is not compiled.

    Each time Keras saves or loads the weights of a compiled model, it leaks 70 kB (seen in Keras
    3.15 with TensorFlow 2.21; not reported upstream). Cloning one would clone its optimizer, too:
    https://github.com/keras-team/keras/pull/20888
    """
    return keras.Model(model.input, model.output, name=model.name)
