"""Backbones by name.

A new backbone is one file in ``models/backbones`` with a registered function (see
``models.registry``) and one line in ``FAMILIES``, which repeats the names so that ``--help`` does
not import Keras.
"""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils import UsageError, unknown_name

if TYPE_CHECKING:
    import keras

FAMILIES = {
    "models.backbones.plain": ("simple",),
    "models.backbones.cifar_resnet": (
        *("resnet-32", "resnet-110", "resnet-110-fc", "resnet-110-wfc"),
        *("resnet-32-selu", "resnet-110-selu", "resnet-110-fc-selu", "resnet-110-wfc-selu"),
    ),
    "models.backbones.wide_resnet": ("wrn-28-10",),
    "models.backbones.densenet": ("densenet-100-12", "densenet-100-24", "densenet-bc-190-40"),
    "models.backbones.pyramidnet": ("pyramidnet-272-200", "pyramidnet-110-270"),
    "models.backbones.resnet": ("resnet-50", "resnet-101", "resnet-152"),
    "models.backbones.imagenet_resnet": ("rn18", "rn34", "rn50", "rn101", "rn152", "rn200"),
    "models.backbones.nasnet": ("nasnet-a",),
    "models.backbones.cifar_resnet_18": ("cifar-resnet-18",),
    "models.backbones.lenet": ("lenet-2d", "lenet"),
    "models.backbones.classifier32": ("classifier32",),
    "models.backbones.iresnet": ("iresnet-50", "iresnet-100"),
}


def architecture_names() -> list[str]:
    """Return the names that ``build_backbone`` accepts."""
    return [name for names in FAMILIES.values() for name in names]


def check_architecture(name: str) -> str:
    """Return the module that registers an architecture.

    Raises:
        UsageError: no architecture has that name.
    """
    for module, names in FAMILIES.items():
        if name.lower() in (known.lower() for known in names):
            return module
    raise unknown_name("architecture", name, architecture_names())


def build_backbone(
    name: str,
    num_outputs: int | None,
    *,
    classifier: bool,
    channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bgr: bool = False,
) -> "keras.Model":
    """Build a network from raw images of any size to class probabilities or to an embedding.

    Its weights are drawn by Keras; ``models.initialization.initialize`` draws them from a seed.

    Args:
        name: one of ``architecture_names()``, upper or lower case.
        num_outputs: number of classes, or dimensions of the embedding; None: as many as the
            architecture has features, which then are the embedding.
        classifier: whether the network ends in the softmax layer ``prob``; otherwise it ends in
            the linear layer ``embedding`` or, where an architecture has none, in ``avg_pool``.
        channels: channels of the images, whose values are 0..255.
        mean: per channel, subtracted from the images; in RGB order whatever ``bgr`` says.
        std: per channel, divides the images; in RGB order too.
        bgr: whether the backbone sees the channels in reverse order, as Caffe's networks do.

    Returns:
        A model with one input, (batch, height, width, channels), and one float32 output,
        (batch, num_outputs).

    Raises:
        UsageError: no architecture has that name.
    """
    importlib.import_module(check_architecture(name))

    from models.layers.inputs import image_input
    from models.layers.network import Network
    from models.registry import BACKBONES

    image, x = image_input(channels, mean, std, bgr)
    output = BACKBONES.get(name)(x, num_outputs, classifier)
    return Network(image, output, name=name.lower())


def build_network(
    name: str,
    num_outputs: int | None,
    *,
    classifier: bool,
    input_shape: Sequence[int],
    **input_options: object,
) -> "keras.Model":
    """Return the backbone for images of one shape; see ``build_backbone``.

    Args:
        name: one of ``architecture_names()``, upper or lower case.
        num_outputs: number of classes, or dimensions of the embedding; None: as the features.
        classifier: whether the network ends in the softmax layer ``prob``.
        input_shape: height, width and channels.
        input_options: of the first layer: ``channels``, ``mean``, ``std``, ``bgr``.

    Raises:
        UsageError: no architecture has that name, the images are too small for it, or have sides
            that it cannot halve.
    """
    network = build_backbone(name, num_outputs, classifier=classifier, **input_options)
    try:
        network.compute_output_shape((1, *input_shape))
    except ValueError as error:
        height, width, _ = input_shape
        raise UsageError(f"images of {width}x{height} pixels do not fit {name}") from error
    return network
