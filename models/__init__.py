"""Backbones by name.

To add a backbone, register a function in a file of ``models/backbones`` (see ``models.registry``)
and list its names in ``FAMILIES``, which repeats them so that ``--help`` does not import Keras.
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
        "resnet-32",
        "resnet-110",
        "resnet-110-fc",
        "resnet-110-wfc",
        "resnet-32-selu",
        "resnet-110-selu",
        "resnet-110-fc-selu",
        "resnet-110-wfc-selu",
    ),
    "models.backbones.wide_resnet": ("wrn-28-10", "wrn-16-8"),
    "models.backbones.densenet": ("densenet-100-12", "densenet-100-24", "densenet-bc-190-40"),
    "models.backbones.pyramidnet": ("pyramidnet-272-200", "pyramidnet-110-270"),
    "models.backbones.resnet": ("resnet-50", "resnet-101", "resnet-152"),
    "models.backbones.imagenet_resnet": (
        "rn18",
        "rn34",
        "rn50",
        "rn101",
        "rn152",
        "rn200",
        "resnet-50-v1.5",
    ),
    "models.backbones.nasnet": ("nasnet-a",),
    "models.backbones.cifar_resnet_18": ("cifar-resnet-18",),
    "models.backbones.lenet": ("lenet-2d", "lenet"),
    "models.backbones.classifier32": ("classifier32",),
    "models.backbones.iresnet": ("iresnet-50", "iresnet-100"),
    "models.backbones.gru": ("gru",),
}
FOR_WORDS = ("gru",)
"""Architectures that take word vectors; all others take images."""

RESIDUAL = tuple(
    f"models.backbones.{name}"
    for name in (
        "cifar_resnet",
        "wide_resnet",
        "pyramidnet",
        "resnet",
        "imagenet_resnet",
        "cifar_resnet_18",
        "iresnet",
    )
)
"""Modules whose backbones take a ``models.layers.convolver.Convolver``."""

HARMONIC_LEVELS = 5
"""Number of levels of a 3x3 kernel; the highest keeps all waves."""


def architecture_names() -> list[str]:
    """Return the names that ``build_backbone`` accepts."""
    return [name for names in FAMILIES.values() for name in names]


def check_architecture(name: str) -> str:
    """Return the module that registers an architecture.

    Raises:
        UsageError: there is no such architecture.
    """
    for module, names in FAMILIES.items():
        if name.lower() in (known.lower() for known in names):
            return module
    raise unknown_name("architecture", name, architecture_names())


def check_convolutions(name: str, fconv: bool, harmonic: bool, harmonic_level: int | None) -> None:
    """Check that an architecture supports the requested kinds of convolution.

    Raises:
        UsageError: it does not, or the harmonic level is out of range or has no effect.
    """
    module = check_architecture(name)
    for option, wanted in (("fconv", fconv), ("harmonic", harmonic)):
        if wanted and module not in RESIDUAL:
            raise UsageError(f"--{option}: {name} is not a residual network")
    if fconv and module.endswith(".iresnet"):
        raise UsageError(f"--fconv: {name} needs a last feature map of fixed size")
    if harmonic_level is not None and not harmonic:
        raise UsageError(f"--harmonic_level {harmonic_level} needs --harmonic")
    if harmonic_level is not None and not 1 <= harmonic_level <= HARMONIC_LEVELS:
        raise UsageError(f"--harmonic_level {harmonic_level}: levels are 1 to {HARMONIC_LEVELS}")


def build_backbone(
    name: str,
    num_outputs: int | None,
    *,
    classifier: bool,
    fconv: bool = False,
    harmonic: bool = False,
    harmonic_level: int | None = None,
    **input_options: object,
) -> "keras.Model":
    """Build a network that maps raw images or word indices to class probabilities or an embedding.

    Keras initializes the weights; ``models.initialization.initialize`` redraws them from a seed.

    Args:
        name: one of ``architecture_names()``, case-insensitive.
        num_outputs: number of classes, or dimension of the embedding; None: use the features of the
            architecture as the embedding.
        classifier: whether the network ends in the softmax layer ``prob``; otherwise it ends in
            the linear layer ``embedding`` or, in architectures without one, in ``avg_pool``.
        fconv: whether to use full convolutions, see ``models.layers.convolver``.
        harmonic: whether to use harmonic convolutions, see ``models.layers.harmonic``.
        harmonic_level: level of their waves in all layers but the first; None: all waves.
        input_options: arguments of ``models.layers.inputs.image_input`` or ``word_input``.

    Returns:
        A model with one input, (batch, height, width, channels) or (batch, words), and one float32
        output, (batch, num_outputs).

    Raises:
        UsageError: the name is unknown, or the architecture does not support this kind of input or
            convolution.
    """
    check_convolutions(name, fconv, harmonic, harmonic_level)
    importlib.import_module(check_architecture(name))

    from models.layers.convolver import Convolver
    from models.layers.inputs import image_input, word_input
    from models.layers.network import Network
    from models.registry import BACKBONES

    takes_words, has_words = name.lower() in FOR_WORDS, "words" in input_options
    if takes_words != has_words:
        takes, has = ("documents", "images") if takes_words else ("images", "documents")
        raise UsageError(f"--architecture {name} is for {takes}; the data set has {has}")
    raw, x = (word_input if has_words else image_input)(**input_options)
    convolutions = [Convolver(fconv, harmonic, harmonic_level)] if fconv or harmonic else []
    output = BACKBONES.get(name)(x, num_outputs, classifier, *convolutions)
    return Network(raw, output, name=name.lower())


def build_network(
    name: str, num_outputs: int | None, *, input_shape: Sequence[int], **options: object
) -> "keras.Model":
    """Build a backbone and check that it accepts samples of a given shape.

    Args:
        name: see ``build_backbone``.
        num_outputs: see ``build_backbone``.
        input_shape: (height, width, channels), or (words,).
        options: further arguments of ``build_backbone``.

    Raises:
        UsageError: the name is unknown, or the architecture does not support images of this height
            and width.
    """
    network = build_backbone(name, num_outputs, **options)
    try:
        network.compute_output_shape((1, *input_shape))
    except ValueError as error:
        height, width, *_ = input_shape
        raise UsageError(f"images of {width}x{height} pixels do not fit {name}") from error
    return network
