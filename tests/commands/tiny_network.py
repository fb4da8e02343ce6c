"""Networks that trace and train in about a second, for tests of what surrounds the network."""

from collections.abc import Iterator
from contextlib import contextmanager

from keras import KerasTensor, layers, regularizers

import models
from models.backbones import cifar_resnet
from models.layers.batch_normalization import batch_normalization
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES


def _body(x: KerasTensor, channels: int) -> KerasTensor:
    x = layers.Conv2D(channels, 3, data_format="channels_last", name="conv0")(x)
    return average_pool(layers.ReLU(name="relu0")(batch_normalization("bn0")(x)))


@BACKBONES.register("tiny")
def tiny(x: KerasTensor, num_outputs: int, classifier: bool) -> KerasTensor:
    """One convolution with 8 channels, batch normalization, pooling, a dense layer."""
    return output_layer(_body(x, 8), num_outputs, classifier)


@BACKBONES.register("tiny-wide")
def tiny_wide(x: KerasTensor, num_outputs: int, classifier: bool) -> KerasTensor:
    """The same with 12 channels."""
    return output_layer(_body(x, 12), num_outputs, classifier)


@BACKBONES.register("tiny-linear")
def tiny_linear(x: KerasTensor, num_outputs: int, classifier: bool) -> KerasTensor:
    """Without batch normalization: what it computes for an image depends on no other."""
    penalty = regularizers.L2(0.01)
    x = layers.Conv2D(8, 3, kernel_regularizer=penalty, name="conv0")(x)
    return output_layer(average_pool(layers.ReLU(name="relu0")(x)), num_outputs, classifier, 0.01)


@BACKBONES.register("pooled")
def pooled(x: KerasTensor, num_outputs: int, classifier: bool) -> KerasTensor:
    """Pooled features without a dense layer, as an embedding of 8 dimensions."""
    return _body(x, num_outputs)


@BACKBONES.register("tiny-residual")
def tiny_residual(x: KerasTensor, num_outputs: int, classifier: bool) -> KerasTensor:
    """The residual network with one block in each unit instead of five as resnet-32 has."""
    variant = cifar_resnet.VARIANTS["resnet-32"]._replace(blocks=1)
    return cifar_resnet.cifar_resnet(x, num_outputs, classifier, variant=variant)


@contextmanager
def registered() -> Iterator[None]:
    """Let ``--architecture`` accept the names above within the block."""
    models.FAMILIES[__name__] = ("tiny", "tiny-wide", "tiny-linear", "tiny-residual", "pooled")
    try:
        yield
    finally:
        del models.FAMILIES[__name__]
