"""Draws the weights of a network from a seed alone.

Keras' own initializers give other numbers under TensorFlow than under JAX or PyTorch, and they
depend on how many layers were made before. These do not.
"""

import math
import zlib

import keras
import numpy as np
from keras import initializers

from utils import generator

# Standard deviation of a standard normal distribution cut off at -2 and 2.
TRUNCATED_STD = 0.87962566103423978

CONSTANT = (initializers.Zeros, initializers.Ones, initializers.Constant)


def initialize(model: keras.Model, seed: int) -> None:
    """Draws every kernel anew, as its own initializer prescribes; all else stays.

    Each layer has a random generator of its own that depends on the seed and the layer's name, so
    two networks share the weights of the layers that they have in common.

    Args:
        model: the network, changed in place.
        seed: a non-negative integer.

    Raises:
        ValueError: a kernel has an initializer that is not known here.
    """
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None or isinstance(layer.kernel_initializer, CONSTANT):
            continue
        rng = generator("weights", seed, zlib.crc32(layer.name.encode()))
        try:
            kernel.assign(draw(layer.kernel_initializer, tuple(kernel.shape), rng))
        except TypeError as error:
            raise ValueError(f"layer {layer.name!r}: {error}") from error


def draw(
    initializer: initializers.Initializer, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """A float32 array that is distributed as ``initializer`` says.

    Args:
        initializer: one of the ``VarianceScaling`` family, e.g. ``HeNormal``.
        shape: of a kernel: the last two axes are the input and the output channels.
        rng: what draws.

    Raises:
        TypeError: the initializer is of another family.
    """
    if not isinstance(initializer, initializers.VarianceScaling):
        raise TypeError(f"initialize() cannot draw from the initializer {initializer!r}")
    receptive = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * receptive, shape[-1] * receptive
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    variance = initializer.scale / max(1.0, fan[initializer.mode])
    return DISTRIBUTIONS[initializer.distribution](rng, shape, math.sqrt(variance))


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
