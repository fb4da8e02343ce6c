"""Heads on top of a backbone: normalization of the embedding, and a classifier."""

import difflib

import keras
from keras import KerasTensor, layers

from models.layers.batch_normalization import batch_normalization
from models.layers.inputs import IMAGE_LAYERS
from models.layers.network import Network
from models.layers.unit_normalization import UnitNormalization
from utils import UsageError

NORMALIZATIONS = {"l2norm": UnitNormalization, "softmax": layers.Softmax}
"""Layers that can normalize embeddings, by layer name."""

CLASSIFIER_DECAY = 5e-4

PROB_BN = "prob_bn"
"""Name of the classifier's batch normalization."""


def embedding_head(backbone: keras.Model, normalization: str | None) -> keras.Model:
    """Normalize the embedding that a backbone outputs, (batch, dimensions).

    ``normalization`` is a key of ``NORMALIZATIONS``; None leaves the embedding unchanged.
    """
    if normalization is None:
        return backbone
    layer = NORMALIZATIONS[normalization](axis=-1, dtype="float32", name=normalization)
    output = layer(backbone.output)
    return Network(backbone.input, output, name=backbone.name)


def classifier_head(model: keras.Model, num_classes: int, base: str | None = None) -> keras.Model:
    """Add a softmax classifier to a model whose only output is the embedding.

    Args:
        model: the network.
        num_classes: number of classes.
        base: name or index of the layer whose output the classifier takes, see ``layer_output``.
            By default the embedding.

    Returns:
        A model with two outputs: the embedding and, from the layer ``prob``, the probabilities,
        (batch, num_classes).
    """
    x = model.output if base is None else layer_output(model, base)
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name="prob_pool")(x)
    x = layers.ReLU(name="prob_relu")(x)
    x = batch_normalization(PROB_BN)(x)
    prob = layers.Dense(
        num_classes,
        activation="softmax",
        kernel_regularizer=keras.regularizers.L2(CLASSIFIER_DECAY),
        dtype="float32",
        name="prob",
    )(x)
    return Network(model.input, [model.output, prob], name=model.name)


def layer_output(model: keras.Model, base: str) -> KerasTensor:
    """Return the output of a layer, given its name or its index as text.

    The input has index 0, pixel normalization does not count, and negative indices count from the
    end.

    Raises:
        UsageError: there is no such layer.
    """
    by_name = {layer.name: layer for layer in model.layers}
    if base in by_name:
        return by_name[base].output
    counted = _counted(model)
    try:
        return counted[int(base)].output
    except IndexError:
        count = len(counted)
        raise UsageError(
            f"there is no layer {base}: the network has layers 0 to {count - 1} (or -{count} to -1)"
        ) from None
    except ValueError:
        near = difflib.get_close_matches(base, by_name, n=4, cutoff=0)
        raise UsageError(
            f"the network has no layer {base!r}; similar names: {', '.join(near)}"
        ) from None


def _counted(model: keras.Model) -> list[keras.Layer]:
    """Return all layers but pixel normalization, which published models lack."""
    names = [layer.name for layer in model.layers]
    first = 1 + max((names.index(name) for name in IMAGE_LAYERS if name in names), default=0)
    return [model.layers[0], *model.layers[first:]]
