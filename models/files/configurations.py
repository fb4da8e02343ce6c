"""Check the architecture in a model file before Keras builds layers from it.

Keras would build objects of any class and size that a file names. Here, only harmless classes are
allowed, and sizes are checked with a symbolic network that takes no memory.
"""

import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras

from storage.hdf5 import open_hdf5, text
from storage.npz import is_zip, read_member
from utils import UserError

LAYERS = frozenset(
    """
    Activation Add Average AveragePooling2D BatchNormalization Concatenate Conv2D Conv2DTranspose
    Cropping2D Dense DepthwiseConv2D Dropout ELU Embedding Flatten GRU GaussianDropout GaussianNoise
    GlobalAveragePooling2D GlobalMaxPooling2D GroupNormalization InputLayer LayerNormalization
    LeakyReLU MaxPooling2D Maximum Minimum Multiply Normalization PReLU RMSNormalization ReLU
    Rescaling Reshape SeparableConv2D Softmax SpatialDropout2D Subtract UnitNormalization
    UpSampling2D ZeroPadding2D
    """.split()
)
"""Keras layers allowed in a model; a new backbone may need more."""

OPERATIONS = frozenset(("NotEqual",))
"""Operations between layers; Keras uses this one for the mask of an ``Embedding``."""

_OTHERS = {
    "keras": ("DTypePolicy",),
    "keras.initializers": (
        "Constant",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "LecunNormal",
        "LecunUniform",
        "Ones",
        "Orthogonal",
        "RandomNormal",
        "RandomUniform",
        "TruncatedNormal",
        "VarianceScaling",
        "Zeros",
    ),
    "keras.regularizers": ("L1", "L1L2", "L2"),
    "keras.constraints": ("MaxNorm", "NonNeg", "UnitNorm"),
}
_MODULES = {
    **dict.fromkeys(LAYERS, "keras.layers"),
    **dict.fromkeys(OPERATIONS, "keras.src.ops.numpy"),
    **{name: module for module, names in _OTHERS.items() for name in names},
}
_MODELS = ("Functional", "Model")
_TENSOR = "__keras_tensor__"
_ADDRESS = "shared_object_id"  # memory address of an object

_CONFIG = "config.json"
_LARGEST = 2**23  # bytes of JSON; 200 layers have 0.7 MB
_MOST_LAYERS = 2000
_LARGEST_NUMBER = 2**31 - 1  # strides, for example, are 32-bit integers
_LARGEST_SIDE = 4096  # pixels
_LARGEST_OUTPUT = 2**28  # values of a layer per image; wrn-28-10 at 448 pixels has 2**25


def read_configuration(path: str | Path) -> dict:
    """Return the configuration of the network in a model file.

    Raises:
        ValueError: it is damaged, or contains something that no network of this project does.
        Exception: the file is damaged; h5py raises almost anything.
    """
    plain = json.loads(_content(path))
    if not isinstance(plain, dict) or plain.get("class_name") not in _MODELS:
        raise ValueError("its network is not a Keras functional model")
    network = plain.get("config")
    if not isinstance(network, dict):
        raise ValueError("it has no network configuration")
    kept = ("name", "trainable", "layers", "input_layers", "output_layers")
    network = {name: network[name] for name in kept}
    network["layers"] = _checked_layers(network["layers"])
    return network


def input_side(path: str | Path) -> int | None:
    """Return the height and width of a Keras 2 network's square images, or None if unknown.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        network = json.loads(_content(path))["config"]["layers"][0]["config"]
        _, height, width, _ = network["batch_input_shape"]
    except FileNotFoundError as error:
        raise UserError(f"there is no model file {path}") from error
    except Exception as error:  # h5py raises almost anything for damaged files
        raise UserError(f"{path} is not a model file of Keras 2, or is damaged") from error
    is_square = type(height) is int and height == width
    return height if is_square and 0 < height <= _LARGEST_SIDE else None


def outline(network: Mapping, shape: tuple[int, ...]) -> keras.Model:
    """Build the network for a batch of one sample, with weights that take no memory.

    Args:
        network: see ``read_configuration``.
        shape: shape of the sample, (height, width, channels) or (words,).

    Raises:
        ValueError: the output of a layer is too large, or the network takes another shape.
        Exception: the layers do not fit together; Keras raises almost anything.
    """
    return without_values(lambda: _outline(network, shape))


def without_values(build: Callable[[], keras.Model]) -> keras.Model:
    """Call a function that builds a network, with weights that take no memory."""

    def work() -> keras.Model:
        with keras.StatelessScope(initialize_variables=False):
            return build()

    # In a thread of its own: Keras 3.15 lists uninitialized variables per thread, and the thread's
    # next ``StatelessScope`` would initialize them all at its end; no issue is known.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def _outline(network: Mapping, sample: tuple[int, ...]) -> keras.Model:
    network = json.loads(json.dumps(network))  # a copy, as from_config changes its argument
    inputs = [layer for layer in network["layers"] if layer["class_name"] == "InputLayer"]
    if len(inputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs")
    shape = inputs[0]["config"].get("batch_shape")
    # The size of the images may be variable, but not their number of channels.
    allowed = [(None,), *((None, n) for n in sample[:2]), *((n,) for n in sample[2:])]
    taken = shape if isinstance(shape, list) else []
    if len(taken) != len(allowed) or any(n not in ns for n, ns in zip(taken, allowed, strict=True)):
        raise ValueError(f"it takes an input of shape {shape}, not of {sample}, as described")
    inputs[0]["config"]["batch_shape"] = [1, *sample]
    model = keras.Model.from_config(network)
    for layer in model.layers:
        if math.prod(layer.output.shape) > _LARGEST_OUTPUT:
            raise ValueError(f"the output of the layer {layer.name} is far too large")
    return model


def _content(path: str | Path) -> str:
    if is_zip(path):
        content = read_member(path, _CONFIG)
        if content is None:
            raise ValueError(f"it has no {_CONFIG}")
        content = content.decode()
    else:
        with open_hdf5(path) as file:
            content = text(file, "model_config")
    if len(content) > _LARGEST:
        raise ValueError("its configuration is far too large")
    return content


def _checked_layers(layers: object) -> list[dict]:
    """Return the layers without entries from which Keras would build or compile other objects.

    Raises:
        ValueError: a layer is of an unknown kind, or layers are not in the order of their calls, in
            which Keras writes them; it reads any other order in quadratic time.
    """
    if not isinstance(layers, list) or not 0 < len(layers) <= _MOST_LAYERS:
        raise ValueError("it has no layers, or far too many")
    wanted = ("module", "class_name", "config", "registered_name", "name", "inbound_nodes")
    calls: dict[str, int] = {}
    for layer in layers:
        name, nodes = layer.get("name"), layer.get("inbound_nodes")
        if not isinstance(name, str) or not isinstance(nodes, list) or name in calls:
            raise ValueError(f"a layer is damaged: {str(name)[:50]!r}")
        if layer.get("class_name") not in LAYERS | OPERATIONS:
            raise ValueError(f"it has a layer {str(layer.get('class_name'))[:50]!r}")
        _check_objects(layer, calls)
        calls[name] = max(1, len(nodes))
    return [{key: layer[key] for key in wanted if key in layer} for layer in layers]


def _check_objects(value: object, calls: Mapping[str, int]) -> None:
    """Check all numbers, and that all objects that Keras would build are allowed."""
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        raise ValueError(f"a layer has the number {str(value)[:20]}, too large for any backend")
    if isinstance(value, Mapping):
        if "class_name" in value:
            _check_object(value, calls)
        elif value.keys() & {"module", "registered_name"}:
            raise ValueError("it has an object without a class")
        value = [part for name, part in value.items() if name != _ADDRESS]
    if isinstance(value, list):
        for part in value:
            _check_objects(part, calls)


def _check_object(value: Mapping, calls: Mapping[str, int]) -> None:
    kind = value["class_name"]
    if kind == _TENSOR:
        layer, call, output = value["config"]["keras_history"]
        if not (isinstance(call, int) and 0 <= call < calls.get(layer, 0)) or output != 0:
            raise ValueError(f"a layer takes its input from no earlier layer: {str(layer)[:50]!r}")
        return
    if not isinstance(kind, str) or kind not in _MODULES:
        raise ValueError(f"it asks for {str(kind)[:50]!r}, which no network here contains")
    # Files in the old format do not name the modules of layers.
    registered = kind if kind in OPERATIONS else None
    if value.get("module", _MODULES[kind]) != _MODULES[kind] or (
        value.get("registered_name") not in (None, registered)
    ):
        raise ValueError(f"it asks for {str(kind)[:50]!r} from outside of Keras")
    if not isinstance(value.get("config"), Mapping):
        raise ValueError(f"{kind} has no configuration")
