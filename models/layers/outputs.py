"""Global average pooling and the last dense layer."""

import keras
from keras import KerasTensor, layers


def average_pool(x: KerasTensor, name: str = "avg_pool") -> KerasTensor:
    """Return the mean over all positions, always in float32."""
    return layers.GlobalAveragePooling2D(data_format="channels_last", dtype="float32", name=name)(x)


def output_layer(
    x: KerasTensor,
    num_outputs: int | None,
    classifier: bool,
    decay: float = 0.0,
    name: str | None = None,
    features_fit: bool = False,
    **options: object,
) -> KerasTensor:
    """Apply the last dense layer, in float32: ``prob`` with softmax or a linear ``embedding``.

    Args:
        x: features, (batch, dimensions).
        num_outputs: number of classes or dimensions of the embedding; None: the features are the
            embedding, and there is no dense layer.
        classifier: whether to build ``prob``.
        decay: coefficient of the L2 penalty.
        name: name of the layer, if the published network uses another one.
        features_fit: whether features of the right dimension are used as the embedding.
        **options: further options of ``keras.layers.Dense``.
    """
    if num_outputs is None or (features_fit and not classifier and num_outputs == x.shape[-1]):
        in_float32 = x.dtype == "float32"
        return x if in_float32 else layers.Activation("linear", dtype="float32", name="features")(x)
    return layers.Dense(
        num_outputs,
        activation="softmax" if classifier else None,
        kernel_regularizer=keras.regularizers.L2(decay) if decay else None,
        dtype="float32",
        name=name or ("prob" if classifier else "embedding"),
        **options,
    )(x)
