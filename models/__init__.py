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
    "models.backbones.gru": ("gru",),
}
FOR_WORDS = ("gru",)
"""Architectures that take the vectors of words; all others take images."""


def architecture_names() -> list[str]:
    """Return the names that ``build_backbone`` accepts."""
    return [name for names in FAMILIES.values() for name in names]


def check_architecture(name: str) -> str:
    """Return the module that registers an architecture."""
    for module, names in FAMILIES.items():
        if name.lower() in (known.lower() for known in names):
            return module
    raise unknown_name("architecture", name, architecture_names())


def build_backbone(
    name: str,
    num_outputs: int | None,
    *,
    classifier: bool,
    **input_options: object,
) -> "keras.Model":
    """Build a network from raw images or word numbers to class probabilities or to an embedding.

    Its weights are drawn by Keras; ``models.initialization.initialize`` draws them from a seed.

    Args:
        name: one of ``architecture_names()``, upper or lower case.
        num_outputs: number of classes, or dimensions of the embedding; None: as many as the
            architecture has features, which then are the embedding.
        classifier: whether the network ends in the softmax layer ``prob``; otherwise it ends in
            the linear layer ``embedding`` or, where an architecture has none, in ``avg_pool``.
        input_options: arguments of ``models.layers.inputs.image_input`` or ``word_input``.

    Returns:
        A model with one input, (batch, height, width, channels) or (batch, words), and one float32
        output, (batch, num_outputs).

    Raises:
        UsageError: no architecture has that name, or it takes something else.
    """
    importlib.import_module(check_architecture(name))

    from models.layers.inputs import image_input, word_input
    from models.layers.network import Network
    from models.registry import BACKBONES

    takes_words, has_words = name.lower() in FOR_WORDS, "words" in input_options
    if takes_words != has_words:
        takes, has = ("documents", "images") if takes_words else ("images", "documents")
        raise UsageError(f"--architecture {name} is for {takes}; the data set has {has}")
    raw, x = (word_input if has_words else image_input)(**input_options)
    output = BACKBONES.get(name)(x, num_outputs, classifier)
    return Network(raw, output, name=name.lower())


def build_network(
    name: str, num_outputs: int | None, *, input_shape: Sequence[int], **options: object
) -> "keras.Model":
    """Return the backbone for samples of one shape: height, width, channels; or number of words.

    The other arguments are those of ``build_backbone``.

    Raises:
        UsageError: no architecture has that name, the images are too small for it, or have sides
            that it cannot halve.
    """
    network = build_backbone(name, num_outputs, **options)
    try:
        network.compute_output_shape((1, *input_shape))
    except ValueError as error:
        height, width, *_ = input_shape
        raise UsageError(f"images of {width}x{height} pixels do not fit {name}") from error
    return network
