"""Harmonic blocks: convolutions whose kernels are weighted sums of fixed cosine waves.

Source: Ulicny et al., Harmonic Networks for Image Classification (BMVC 2019),
https://arxiv.org/abs/1905.00135; initialization and normalization as in their code.
"""

from collections.abc import Mapping, MutableMapping, Sequence

import keras
import numpy as np
from keras import KerasTensor, initializers, ops

from models.layers.batch_normalization import PYTORCH, batch_normalization
from models.layers.convolution import conv2d, convolve


def waves(size: int, level: int | None = None) -> np.ndarray:
    """Return the basis of the two-dimensional discrete cosine transform, float32.

    Args:
        size: height and width of the kernel.
        level: keep only waves whose two frequencies add up to less; None: all waves.

    Returns:
        Array of shape (waves, size, size), ordered by vertical, then horizontal frequency. The
        absolute values of each wave add up to 1.
    """
    frequencies = np.arange(size)
    cosines = np.cos(np.pi * np.outer(frequencies, frequencies + 0.5) / size)
    products = np.einsum("ix,jy->ijxy", cosines, cosines)
    if level is not None:
        products = products[np.add.outer(frequencies, frequencies) < level]
    products = products.reshape(-1, size, size)
    return (products / np.abs(products).sum(axis=(1, 2), keepdims=True)).astype(np.float32)


def initializer() -> initializers.Initializer:
    """Return He's normal initializer for the coefficients, whose fan-out is waves times filters."""
    return initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


class HarmonicConv2D(keras.layers.Conv2D):
    """Convolution without bias whose kernel is a weighted sum of waves with trained coefficients.

    The coefficients have the shape (waves, input channels, filters). The layer is as fast as an
    ordinary convolution. It is saved as one, with the resulting kernel, and can load any kernel by
    projecting it onto the waves.
    """

    plain = keras.layers.Conv2D

    def __init__(self, filters: int, size: int, *args, level: int | None = None, **options):
        super().__init__(filters, size, *args, use_bias=False, **options)
        self.waves = waves(size, level)
        self.coefficients_initializer = initializer()

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the coefficients in place of a kernel."""
        self.input_spec = keras.InputSpec(min_ndim=4, axes={-1: input_shape[-1]})
        self.coefficients = self.add_weight(
            name="coefficients",
            shape=(len(self.waves), input_shape[-1], self.filters),
            initializer=self.coefficients_initializer,
            regularizer=self.kernel_regularizer,
            autocast=False,  # compute the sum in float32
        )
        self.built = True

    def save_own_variables(self, store: MutableMapping[str, object]) -> None:
        """Save the coefficients, so that snapshots are exact; Keras would save the kernel."""
        store["0"] = self.coefficients

    def load_own_variables(self, store: Mapping[str, object]) -> None:
        """Load what ``save_own_variables`` saved."""
        self.coefficients.assign(store["0"])

    @property
    def kernel(self) -> KerasTensor:
        """The kernel, (height, width, input channels, filters), in the compute dtype."""
        kernel = ops.tensordot(self.waves.transpose(1, 2, 0), self.coefficients, 1)
        return ops.cast(kernel, self.compute_dtype)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Convolve with the weighted sum of waves."""
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        return convolve(inputs, self.kernel, self.strides, self.padding)

    @property
    def plain_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of ``plain_weights``."""
        return [(*self.kernel_size, *self.coefficients.shape[1:])]

    def plain_weights(self) -> list[np.ndarray]:
        """Return the weights of the ordinary convolution that computes the same."""
        coefficients = ops.convert_to_numpy(self.coefficients)
        return [np.tensordot(self.waves.transpose(1, 2, 0), coefficients, 1)]

    def set_plain_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Load the kernel of an ordinary convolution, projected onto the waves."""
        (kernel,) = weights
        squares = np.square(self.waves).sum(axis=(1, 2), dtype=np.float64)
        products = np.tensordot(self.waves, np.asarray(kernel, np.float64), 2)
        self.coefficients.assign(products / squares[:, None, None])  # waves are orthogonal


class _Waves(keras.layers.DepthwiseConv2D):
    """Convolve every channel with every wave; output channel c n + b is channel c by wave b of n.

    Saved as the plain layer.
    """

    plain = keras.layers.DepthwiseConv2D

    def __init__(self, size: int, strides: int, **options):
        super().__init__(
            size,
            strides,
            depth_multiplier=size**2,
            use_bias=False,
            depthwise_initializer="zeros",
            trainable=False,
            data_format="channels_last",
            **options,
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the kernel, all waves for each channel."""
        super().build(input_shape)
        basis = waves(self.kernel_size[0]).transpose(1, 2, 0)[:, :, None]
        self.kernel.assign(np.broadcast_to(basis, self.kernel.shape))


def normalized_block(
    x: KerasTensor, filters: int, size: int, stride: int, padding: str, name: str, **options: object
) -> KerasTensor:
    """Build a network's first layer: weighted sums of normalized responses to all waves.

    ``name`` and ``options`` are for the 1x1 convolution that computes the sums.
    """
    x = _Waves(size, stride, padding=padding, name=f"{name}_waves")(x)
    x = batch_normalization(f"{name}_waves_bn", center=False, scale=False, **PYTORCH)(x)
    options |= {"use_bias": False, "kernel_initializer": initializer()}
    return conv2d(filters, 1, padding="valid", name=name, **options)(x)
