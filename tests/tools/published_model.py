"""Write a model file like those of the published code, for tests of reading them.

Run with tf_keras (Keras 2) in an environment of its own::

    python -m venv keras2 && keras2/bin/pip install tensorflow tf_keras
    keras2/bin/python tests/tools/published_model.py tests/data

It writes ``published-resnet-32.h5.xz`` (network, weights, a Lambda layer and a custom layer, as the
published ``--model_dump`` did), the class embeddings it was made for, as the published pickle, and
``published-resnet-32.npz`` with normalized images and the outputs of the network for them.
Weights are multiples of 1/16, so that the compressed file is small.
"""

import lzma
import os
import pickle
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

CLASSES = 5
DIMENSIONS = 64
BLOCKS = 5  # of each unit: resnet-32


class ChannelPadding(layers.Layer):
    """Zero channels before and after the input's."""

    def __init__(self, padding, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.padding, self.axis = padding, axis

    def call(self, inputs):
        return tf.pad(inputs, [[0, 0], [0, 0], [0, 0], list(self.padding)])

    def get_config(self):
        return {**super().get_config(), "padding": self.padding, "axis": self.axis}


def convolution(x, filters, name, stride=1):
    """A 3x3 convolution with bias and L2 penalty, followed by batch normalization."""
    x = layers.Conv2D(
        filters,
        3,
        strides=stride,
        padding="same",
        kernel_regularizer=keras.regularizers.l2(2e-4),
        name=name,
    )(x)
    return layers.BatchNormalization(name=name.replace("conv", "bn").replace("res", "bn"))(x)


def block(x, filters, name, stride):
    """Two convolutions and a shortcut without parameters."""
    y = layers.ReLU()(convolution(x, filters, f"{name}x", stride))
    y = convolution(y, filters, f"{name}y")
    if stride > 1:
        x = layers.AveragePooling2D(stride, padding="same")(x)
        missing = filters - x.shape[-1]
        x = ChannelPadding((missing // 2, missing - missing // 2))(x)
    return layers.ReLU()(layers.Add()([x, y]))


def network():
    """resnet-32 for embeddings with the cosine + cross-entropy head."""
    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolution(image, 16, "conv0"))
    for unit, filters in enumerate((16, 32, 64), 1):
        for k in range(1, BLOCKS + 1):
            x = block(x, filters, f"res{unit}-{k}", 2 if unit > 1 and k == 1 else 1)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    embedding = layers.Lambda(lambda v: tf.math.l2_normalize(v, axis=-1), name="l2norm")(x)
    y = layers.BatchNormalization(name="batch_normalization_1")(layers.ReLU()(embedding))
    prob = layers.Dense(
        CLASSES,
        activation="softmax",
        kernel_regularizer=keras.regularizers.l2(5e-4),
        name="prob",
    )(y)
    return keras.Model(image, [embedding, prob])


def draw(model, rng, images):
    """Weights as of a trained network: nothing is left at its initial value.

    The moving statistics of batch normalization are those of some images, so that the network
    tells images apart.
    """
    normalizations = [x for x in model.layers if isinstance(x, layers.BatchNormalization)]
    for layer in model.layers:
        if layer in normalizations:
            size = layer.gamma.shape[0]
            values = [rng.uniform(0.5, 1.5, size), rng.normal(0, 0.3, size)]
            values += [np.zeros(size), np.ones(size)]
        else:
            values = [
                rng.normal(0, (2 / max(1, np.prod(w.shape[:-1]))) ** 0.5, w.shape)
                for w in layer.weights
            ]
        layer.set_weights([rounded(v, 16) for v in values])
    for layer in normalizations:
        layer.momentum = 0.0
    model(images, training=True)
    for layer in normalizations:
        layer.momentum = 0.99
        *trained, mean, variance = layer.get_weights()
        layer.set_weights([*trained, rounded(mean, 64), np.maximum(rounded(variance, 64), 1 / 64)])


def rounded(values, steps):
    """Values as multiples of ``1 / steps``."""
    return (np.round(values * steps) / steps).astype(np.float32)


def compress(path):
    """Replace the file by ``FILE.xz``."""
    path.with_name(f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
    path.unlink()


def main(folder):
    """Write the three files."""
    rng = np.random.default_rng(0)
    model = network()
    draw(model, rng, rng.normal(0, 1, (64, 32, 32, 3)))
    model.compile("sgd", ["mse", "categorical_crossentropy"])
    path = folder / "published-resnet-32.h5"
    model.save(path, include_optimizer=False)
    compress(path)
    images = rounded(rng.normal(0, 1, (4, 32, 32, 3)), 16)
    embedding, prob = model.predict(images, verbose=0)
    np.savez_compressed(path.with_suffix(".npz"), images=images, l2norm=embedding, prob=prob)
    vectors = rng.normal(0, 1, (CLASSES, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = list(range(CLASSES))
    content = {
        "embedding": vectors,
        "ind2label": labels,
        "label2ind": {label: i for i, label in enumerate(labels)},
    }
    with open(path.with_suffix(".embedding.pickle"), "wb") as file:
        pickle.dump(content, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
