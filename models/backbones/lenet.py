"""LeNet with six convolutions; lenet-2d has two features, which can be plotted.

Source: the synthetic experiments of Cevikalp and Saribas, https://arxiv.org/abs/2212.11747, after
Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition (ECCV 2016).
"""

from functools import partial

from keras import KerasTensor, initializers, layers

from models.layers.batch_normalization import PYTORCH, batch_normalization
from models.layers.convolution import conv2d
from models.layers.dense_maps import dense_on_map, torch_initializers
from models.layers.outputs import output_layer
from models.registry import BACKBONES

CHANNELS = (32, 64, 128)
SIDE = 4  # height and width of the last feature map of 32x32 images
DEFAULT_FEATURES = 128


def lenet(
    x: KerasTensor, num_outputs: int | None, classifier: bool, *, features: int | None
) -> KerasTensor:
    """Build three pairs of convolutions, each normalized after its activation; then the features.

    Args:
        x: normalized images.
        num_outputs: see ``models.registry``.
        classifier: see ``models.registry``.
        features: number of features; None: dimension of the embedding, or 128 for a classifier.
    """
    for stage, channels in enumerate(CHANNELS, start=1):
        for part in (1, 2):
            x = _convolution(x, channels, f"{stage}_{part}")
        # "same" changes nothing for 32x32 images, and also turns 28x28 images into 4x4 maps.
        x = layers.MaxPooling2D(2, padding="same", data_format="channels_last")(x)
    width = features or (not classifier and num_outputs) or DEFAULT_FEATURES
    x = _prelu("features", [1], dtype="float32")(dense_on_map(x, width, (SIDE, SIDE)))
    options = torch_initializers(width)
    return output_layer(x, num_outputs, classifier, features_fit=True, **options)


def _convolution(x: KerasTensor, channels: int, label: str) -> KerasTensor:
    options = torch_initializers(25 * x.shape[-1])
    x = conv2d(channels, 5, padding="same", name=f"conv{label}", **options)(x)
    # The only activation that is not a PReLU.
    leaky = label == "2_2"
    x = layers.LeakyReLU(0.1)(x) if leaky else _prelu(f"prelu{label}", [1, 2, 3])(x)
    return batch_normalization(f"bn{label}", **PYTORCH)(x)


def _prelu(name: str, shared_axes: list[int], **options: object) -> layers.Layer:
    """Return a PReLU with a single slope."""
    slope = initializers.Constant(0.25)
    return layers.PReLU(slope, shared_axes=shared_axes, name=name, **options)


BACKBONES.register("lenet-2d")(partial(lenet, features=2))
BACKBONES.register("lenet")(partial(lenet, features=None))
