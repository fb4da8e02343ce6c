"""Export networks to ONNX and TensorFlow SavedModel.

The input ``image`` of an exported network takes raw pixels, (batch, height, width, channels), with
fixed height and width and any batch size.
"""

import contextlib
import importlib.util
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from storage.files import replacing
from storage.outputs import check_folder, claim, hold, note
from utils import UsageError, UserError, one_line

if TYPE_CHECKING:
    import onnx

INPUT, WORD_INPUT = "image", "words"
ABOUT = Path("assets.extra", "model.json")
"""File in a SavedModel with facts about the network; TensorFlow ignores its folder."""

SAVED_MODEL_FILES = (
    "saved_model.pb",
    "fingerprint.pb",
    "keras_metadata.pb",
    "variables/variables.index",
    "variables/variables.data-?????-of-?????",
    str(ABOUT),
)
"""Files that an export writes and may therefore replace."""

REQUIREMENTS = "requirements-export.txt"

Run = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Function that maps images to all outputs of an exported network, by name."""


def exportable(model: keras.Model, length: int | None = None) -> keras.Model:
    """Copy a network to float32, with layers that all formats support.

    Args:
        model: the network.
        length: words per document; None: the network takes images.
    """
    # A recurrent layer can only be unrolled over a fixed number of words.
    words = keras.Input((length,), dtype="int32", name=WORD_INPUT) if length else None
    clone = keras.models.clone_model(model, words, clone_function=_exportable_layer)
    clone.set_weights(model.get_weights())
    return clone


def _exportable_layer(layer: keras.Operation) -> keras.Operation:
    if isinstance(layer, layers.Normalization) and layer.input_mean is not None:
        # Mean and variance are tensors outside the graph, which tf2onnx 1.17 turns into inputs; no
        # issue is known.
        mean, std = np.asarray(layer.input_mean), np.sqrt(np.asarray(layer.input_variance))
        scale, offset = (1 / std).tolist(), (-mean / std).tolist()
        return layers.Rescaling(scale, offset, name=layer.name, dtype="float32")
    if not isinstance(layer, keras.Layer):  # the operation that computes a mask
        return type(layer).from_config(layer.get_config())
    # Not all runtimes support loops; the length is fixed anyway.
    unrolled = {"unroll": True} if isinstance(layer, layers.RNN) else {}
    return type(layer).from_config(layer.get_config() | {"dtype": "float32"} | unrolled)


def is_half_precision(model: keras.Model) -> bool:
    """Return whether any layer computes in a type other than float32."""
    return any(layer.compute_dtype != "float32" for layer in model.layers)


def with_pixel_input(
    image: KerasTensor, outputs: Mapping[str, KerasTensor], size: int, dtype: str = "uint8"
) -> keras.Model:
    """Build a network that maps raw pixels of fixed size to named outputs.

    Args:
        image: the float32 input of a network.
        outputs: tensors computed from it, by name.
        size: height and width of the images.
        dtype: type of the pixels, ``"uint8"`` or ``"float32"``.
    """
    pixels = keras.Input((size, size, image.shape[-1]), dtype=dtype, name=INPUT)
    network = keras.Model(image, dict(outputs))
    return keras.Model(pixels, network(ops.cast(pixels, "float32")))


class Format(NamedTuple):
    """An export format: the libraries it needs, and functions to claim, write and load it."""

    libraries: tuple[str, ...]
    claim: Callable[[str, Path, bool], None]
    write: Callable[[keras.Model, Path, Mapping[str, object], int], None]
    load: Callable[[Path], Run]


def check_export(kind: str, option: str, path: Path, overwrite: bool) -> None:
    """Claim the path of an export, and check everything that does not need the model.

    ``kind`` is a key of ``FORMATS``; see ``storage.outputs.claim`` for the other arguments.

    Raises:
        UsageError: the path cannot be written, a library is missing, or the backend is not
            TensorFlow.
    """
    chosen = FORMATS[kind]
    chosen.claim(option, path, overwrite)
    missing = [name for name in chosen.libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--format {kind} needs {', '.join(missing)}: pip install -r {REQUIREMENTS}"
        )
    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"--format {kind} needs the TensorFlow backend, not {keras.backend.backend()}: "
            "set KERAS_BACKEND=tensorflow"
        )


def export(
    kind: str,
    model: keras.Model,
    path: Path,
    facts: Mapping[str, object],
    opset: int,
    check: Callable[[Run], object],
) -> None:
    """Write a network, and keep the result only if ``check`` accepts it.

    Args:
        kind: a key of ``FORMATS``.
        model: network from ``with_pixel_input``, or a text network with named outputs.
        path: file or folder to write.
        facts: JSON values about the network to store with it.
        opset: version of the ONNX operator set, 13 to 18.
        check: raises UserError if the result is not accurate enough.

    Raises:
        UserError: the network cannot be converted, ``check`` refuses the result, or the file cannot
            be written.
    """
    chosen = FORMATS[kind]
    with replacing(path.absolute()) as temporary, _quiet():
        try:
            chosen.write(model, temporary, facts, opset)
            run = chosen.load(temporary)
        except OSError:
            raise  # the disk, not the network
        except Exception as error:  # converters raise almost anything
            reason = one_line(error)[:300]
            raise UserError(f"cannot convert the model to {kind}: {reason}") from error
        check(run)


def _write_onnx(model: keras.Model, path: Path, facts: Mapping[str, object], opset: int) -> None:
    import onnx

    pixels = model.input
    spec = keras.InputSpec(shape=pixels.shape, dtype=pixels.dtype, name=pixels.name)
    model.export(path, format="onnx", verbose=False, input_signature=[spec], opset_version=opset)
    proto = onnx.load(path)
    _name_outputs(proto.graph, list(model.output))
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in facts.items()}
    onnx.helper.set_model_props(proto, texts)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def _name_outputs(graph: "onnx.GraphProto", names: list[str]) -> None:
    """Rename and reorder the outputs: TensorFlow sorts dictionaries by key, see ``tf.nest``."""
    new = {output.name: name for output, name in zip(graph.output, sorted(names), strict=True)}
    graph.output.sort(key=lambda output: names.index(new[output.name]))
    for output in graph.output:
        output.name = new[output.name]
        output.type.tensor_type.shape.dim[0].dim_param = "batch"
    for node in graph.node:
        for names_of in (node.input, node.output):
            names_of[:] = [new.get(name, name) for name in names_of]


_ONNX_TYPES = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
}


def _load_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    dtype = _ONNX_TYPES[source.type]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        found = session.run(names, {source.name: images.astype(dtype)})
        return dict(zip(names, found, strict=True))

    return run


def _write_saved_model(
    model: keras.Model, path: Path, facts: Mapping[str, object], opset: int
) -> None:
    model.export(path, format="tf_saved_model", verbose=False)
    about = path / ABOUT
    about.parent.mkdir()
    about.write_text(json.dumps(dict(facts), indent=2, ensure_ascii=False) + "\n", "utf-8")


def _load_saved_model(path: Path) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # kept alive by the function: it owns the weights
    serve = loaded.signatures["serving_default"]
    (dtype,) = (spec.dtype for spec in serve.structured_input_signature[1].values())

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        found = loaded.signatures["serving_default"](tf.constant(images, dtype))
        return {name: value.numpy() for name, value in found.items()}

    return run


def _claim_saved_model(option: str, path: Path, overwrite: bool) -> None:
    """Claim an unused path, an empty folder or, with ``overwrite``, a SavedModel."""
    path = path.absolute()
    if os.path.exists(path) and not os.path.isdir(path):
        raise UsageError(f"{option} {path}: is a file, but a SavedModel is a folder")
    try:
        filled = any(path.iterdir())
    except FileNotFoundError:
        filled = False
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from error
    if filled:
        if not overwrite:
            raise UsageError(f"{option} {path}: exists already; give --overwrite to replace it")
        if not (path / "saved_model.pb").is_file():
            raise UsageError(f"{option} {path}: is a folder with something else in it")
        if foreign := _not_of_a_saved_model(path):
            raise UsageError(
                f"{option} {path}: has files that do not belong to a SavedModel, like "
                f"{foreign[0]}; move them away or choose another folder"
            )
    check_folder(option, path.parent)
    hold(option, path)
    note(path)


def _not_of_a_saved_model(path: Path) -> list[str]:
    """Return the files in a folder, relative to it, that do not belong to a SavedModel."""
    found = (item for item in path.rglob("*") if item.is_symlink() or not item.is_dir())
    names = sorted(str(item.relative_to(path)) for item in found)
    return [name for name in names if not any(fnmatch(name, own) for own in SAVED_MODEL_FILES)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of the converters, and TensorFlow's about retracing during the check."""
    levels = {logger: logger.level for logger in map(logging.getLogger, ("tf2onnx", "tensorflow"))}
    try:
        with warnings.catch_warnings(action="ignore"):
            for logger in levels:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


FORMATS = {
    "onnx": Format(("onnx", "onnxruntime", "tf2onnx"), claim, _write_onnx, _load_onnx),
    "saved_model": Format((), _claim_saved_model, _write_saved_model, _load_saved_model),
}
