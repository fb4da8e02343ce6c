"""Projections of a backbone's features to an embedding of much higher dimension.

Source: Cevikalp and Saribas, https://arxiv.org/abs/2212.11747. A simplex of N classes needs at
least N - 1 dimensions.
"""

import math
from collections.abc import Callable, Sequence

import keras
from keras import KerasTensor, initializers, layers

from models.layers.batch_normalization import PYTORCH, batch_normalization
from models.layers.dense_maps import DENSE_ON_MAP, dense_on_map, torch_initializers
from models.layers.network import Network
from utils import UsageError


def project(
    backbone: keras.Model, kind: str, dimensions: int, depth: int, input_shape: Sequence[int]
) -> keras.Model:
    """Add a projection to a backbone that outputs features.

    Args:
        backbone: network from ``models.build_network`` with ``num_outputs=None``.
        kind: a key of ``PROJECTIONS``.
        dimensions: dimension of the embedding.
        depth: number of hidden layers, for ``"dam"``.
        input_shape: (height, width, channels) of the images.

    Raises:
        UsageError: the backbone lacks a feature map that the projection needs.
    """
    embedding = PROJECTIONS[kind](backbone, dimensions, depth, input_shape)
    return Network(backbone.input, embedding, name=backbone.name)


def _dam(backbone: keras.Model, dimensions: int, depth: int, _: Sequence[int]) -> KerasTensor:
    """Build the dimension augmentation module: hidden layers of growing width, a dense layer."""
    x = backbone.output
    for number, width in enumerate(dam_widths(x.shape[-1], dimensions, depth), start=1):
        x = _dense(x, width, f"dam{number}")
        slope = initializers.Constant(0.25)
        x = layers.PReLU(slope, shared_axes=[1], dtype="float32", name=f"dam{number}_prelu")(x)
        x = batch_normalization(f"dam{number}_bn", dtype="float32", **PYTORCH)(x)
    return _dense(x, dimensions, "embedding")


def dam_widths(features: int, dimensions: int, depth: int) -> list[int]:
    """Return the widths of the hidden layers, which grow geometrically up to ``dimensions``.

    Args:
        features: dimension of the input.
        dimensions: dimension of the embedding.
        depth: number of hidden layers.
    """
    widths, width = [], features
    ratio = max(dimensions / features, features / dimensions) ** (1 / max(depth, 1))
    for _ in range(depth):
        width = dimensions if width * ratio > dimensions else math.ceil(width * ratio)
        widths.append(width)
    return widths


def _dense(x: KerasTensor, units: int, name: str) -> KerasTensor:
    options = torch_initializers(x.shape[-1])
    return layers.Dense(units, dtype="float32", name=name, **options)(x)


def _linear(
    backbone: keras.Model, dimensions: int, _: int, input_shape: Sequence[int]
) -> KerasTensor:
    """Replace everything after the last feature map with a dense layer on the entire map."""
    names = [layer.name for layer in backbone.layers]
    if DENSE_ON_MAP in names:
        x = backbone.get_layer(DENSE_ON_MAP).input
    else:
        maps = [layer.output for layer in backbone.layers if len(layer.output.shape) == 4]
        if len(maps) < 2:  # the first is the image
            raise UsageError(f"--projection linear: {backbone.name} has no feature maps")
        x = maps[-1]
    sides = keras.Model(backbone.input, x).compute_output_shape((1, *input_shape))[1:3]
    return dense_on_map(x, dimensions, sides, "embedding")


PROJECTIONS: dict[str, Callable[[keras.Model, int, int, Sequence[int]], KerasTensor]] = {
    "dam": _dam,
    "linear": _linear,
}
