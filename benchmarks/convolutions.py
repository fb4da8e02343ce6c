"""Networks without batch normalization, in single and double precision, for comparing devices.

The slope of ReLU jumps at zero, that of ELU does not: where a sum is zero up to rounding, rounding
decides whether a network with ReLU learns from it, and two runs that round differently part at
once. In double precision, what is rounding is as much smaller as its precision is higher.
"""

from functools import partial

from keras import KerasTensor, layers, regularizers

from models.registry import BACKBONES


def body(
    x: KerasTensor, num_outputs: int, classifier: bool, activation: str, dtype: str
) -> KerasTensor:
    """Build three convolutions with an activation, and a dense layer; all with L2 penalties.

    Args:
        x: the normalized images.
        num_outputs: size of the dense layer.
        classifier: whether that has softmax.
        activation: activation after each convolution.
        dtype: type of all numbers.
    """
    penalty = partial(regularizers.L2, 1e-3)
    for i, filters in enumerate((32, 64, 128)):
        x = layers.Conv2D(
            filters,
            3,
            strides=1 + (i > 0),
            padding="same",
            data_format="channels_last",
            activation=activation,
            kernel_regularizer=penalty(),
            dtype=dtype,
            name=f"conv{i}",
        )(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_last", dtype=dtype)(x)
    return layers.Dense(
        num_outputs,
        activation="softmax" if classifier else None,
        kernel_regularizer=penalty(),
        dtype=dtype,
        name="dense",
    )(x)


for activation in ("relu", "elu"):
    for dtype in ("float32", "float64"):
        BACKBONES.register(f"{activation}-{dtype}")(
            partial(body, activation=activation, dtype=dtype)
        )
