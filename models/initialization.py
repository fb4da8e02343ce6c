"""Weight initialization that depends only on a seed and the names of the layers.

Keras' initializers give different numbers under TensorFlow, JAX and PyTorch, and depend on the
number of layers created before.
"""

import math
import zlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import initializers

from utils import generator

# Standard deviation of a standard normal distribution truncated at -2 and 2.
TRUNCATED_STD = 0.87962566103423978

CONSTANT = (initializers.Zeros, initializers.Ones, initializers.Constant)


def initialize(model: keras.Model, seed: int, given: Sequence[np.ndarray] = ()) -> None:
    """Redraw all weights from their initializers' distributions; keep constant ones.

    Each weight has its own random generator, which depends on the seed, the name of its layer and
    its position there, so two networks have equal weights in the layers that they share. The random
    states of dropout are drawn in the same way.

    ``given`` are weights, such as word vectors, for the first layer that has weights.

    Raises:
        ValueError: the initializer of a weight is not supported.
    """
    for layer in model.layers:
        for position, (weight, initializer) in enumerate(_initializers(layer)):
            if isinstance(initializer, CONSTANT):
                continue
            rng = generator("weights", seed, zlib.crc32(layer.name.encode()), position)
            try:
                weight.assign(draw(initializer, tuple(weight.shape), rng))
            except TypeError as error:
                raise ValueError(f"{weight.name} of layer {layer.name!r}: {error}") from error

    for state, name in random_states(model):
        rng = generator("dropout", seed, zlib.crc32(name.encode()))
        state.assign(rng.integers(2**32, size=tuple(state.shape), dtype=np.uint32))
    if given:
        next(layer for layer in model.layers if layer.weights).set_weights(given)


def random_states(model: keras.Model) -> Iterator[tuple[keras.Variable, str]]:
    """Yield random states, which Keras does not count as weights, and the names of their layers."""
    for layer in model.layers:
        weights = {id(weight) for weight in layer.weights}
        for variable in layer.variables:
            if id(variable) not in weights:
                yield variable, layer.name


def _initializers(layer: keras.Layer) -> Iterator[tuple[keras.Variable, object]]:
    """Yield the weights of a layer and its sublayers, each with its initializer or None."""
    # Keras has no public API for sublayers such as the cell of a GRU.
    owners = {id(weight): part for part in layer._flatten_layers() for weight in part.weights}
    for weight in layer.weights:
        owner = owners[id(weight)]
        # Exceptions in Keras' naming: recurrent_initializer is for recurrent_kernel, and
        # depthwise_initializer for the kernel of DepthwiseConv2D.
        name = f"{weight.name.removesuffix('_kernel')}_initializer"
        yield weight, getattr(owner, name, getattr(owner, "depthwise_initializer", None))


def draw(
    initializer: initializers.Initializer, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """Draw a float32 array from the distribution of ``initializer``.

    Args:
        initializer: ``RandomUniform``, ``RandomNormal``, ``Orthogonal`` or one of the
            ``VarianceScaling`` family, e.g. ``HeNormal``.
        shape: shape of the weight; the last two axes of a kernel are input and output channels.
        rng: source of random numbers.

    Raises:
        TypeError: the initializer is not supported.
    """
    if isinstance(initializer, initializers.RandomUniform):
        return rng.uniform(initializer.minval, initializer.maxval, shape).astype(np.float32)
    if isinstance(initializer, initializers.RandomNormal):
        return rng.normal(initializer.mean, initializer.stddev, shape).astype(np.float32)
    if isinstance(initializer, initializers.Orthogonal):
        return _orthogonal(rng, shape, initializer.gain)
    if not isinstance(initializer, initializers.VarianceScaling):
        raise TypeError(f"initialize() cannot draw from the initializer {initializer!r}")
    receptive = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * receptive, shape[-1] * receptive
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    variance = initializer.scale / max(1.0, fan[initializer.mode])
    return DISTRIBUTIONS[initializer.distribution](rng, shape, math.sqrt(variance))


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """Saxe et al., https://arxiv.org/abs/1312.6120; the signs of R make Q uniformly distributed."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(np.float32)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    return (2 * rng.random(shape, np.float32) - 1) * np.float32(math.sqrt(3) * std)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    return rng.standard_normal(shape, np.float32) * np.float32(std)


def _truncated_normal(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    values = rng.standard_normal(math.prod(shape), np.float32)
    outside = np.flatnonzero(np.abs(values) > 2)
    while outside.size:
        values[outside] = rng.standard_normal(outside.size, np.float32)
        outside = outside[np.abs(values[outside]) > 2]
    return values.reshape(shape) * np.float32(std / TRUNCATED_STD)


DISTRIBUTIONS = {
    "uniform": _uniform,
    "untruncated_normal": _normal,
    "truncated_normal": _truncated_normal,
}
