"""Weights drawn from a seed: distributions and independence."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import initializers

import models
from models.initialization import draw, initialize


# Keras asks its variables for arrays in a way that NumPy 2 warns of.
def network(num_outputs=10):
    return models.build_backbone("resnet-32", num_outputs, classifier=True)


def same_weights(one, other):
    return [
        np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    ]


def test_two_builds_of_one_seed_are_equal():
    keras.utils.set_random_seed(1)
    one = network()
    keras.utils.set_random_seed(2)
    other = network()
    assert not all(same_weights(one, other))

    initialize(one, 7)
    initialize(other, 7)

    assert all(same_weights(one, other))


def test_seeds_differ_in_every_kernel():
    one, other = network(), network()
    initialize(one, 0)
    initialize(other, 1)

    for a, b in zip(one.layers, other.layers, strict=True):
        if hasattr(a, "kernel"):
            close = np.isclose(a.get_weights()[0], b.get_weights()[0], rtol=1e-4)
            assert close.mean() < 0.01, a.name


def test_common_layers_get_the_same_weights_whatever_else_there_is():
    one, other = network(10), network(20)
    initialize(one, 3)
    initialize(other, 3)

    assert same_weights(one, other)[:-2] == [True] * (len(one.weights) - 2)


def test_layers_of_the_same_shape_differ():
    model = network()
    initialize(model, 0)
    one, other = (model.get_layer(name).get_weights()[0] for name in ("res1-1x", "res1-1y"))

    assert not np.array_equal(one, other)


def test_biases_and_batch_normalization_stay():
    model = network()
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.beta.assign(np.full(layer.beta.shape, 0.25))
    model.get_layer("conv0").bias.assign(np.full(16, 0.5))
    initialize(model, 0)

    assert (model.get_layer("bn2-1x").get_weights()[1] == 0.25).all()
    assert (model.get_layer("conv0").get_weights()[1] == 0.5).all()


def test_known_numbers():
    """Pin the numbers: a seed in a report must stand for one network."""
    model = network()
    initialize(model, 0)

    kernel = model.get_layer("conv0").get_weights()[0]
    expected = [0.12183953, -0.0704161, 0.1105713]
    np.testing.assert_allclose(kernel[0, 0, 0, :3], expected, rtol=1e-6)


SHAPE = (3, 3, 50, 200)
FAN_IN, FAN_OUT = 450, 1800


def sample(initializer):
    return draw(initializer, SHAPE, np.random.default_rng(0))


def test_glorot_uniform():
    values = sample(initializers.GlorotUniform())

    limit = np.sqrt(6 / (FAN_IN + FAN_OUT))
    assert values.dtype == np.float32
    assert np.abs(values).max() <= limit
    assert np.abs(values).max() == pytest.approx(limit, rel=1e-3)
    assert values.mean() == pytest.approx(0, abs=limit / 100)
    assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)


def test_he_normal_is_truncated_and_has_the_right_deviation():
    values = sample(initializers.HeNormal())

    std = np.sqrt(2 / FAN_IN)
    assert values.std() == pytest.approx(std, rel=0.01)
    assert np.abs(values).max() <= 2 * std / 0.8796 * 1.0001
    assert np.abs(values).max() == pytest.approx(2 * std / 0.8796, rel=0.01)
    assert values.mean() == pytest.approx(0, abs=std / 50)


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (initializers.HeUniform(), 2 / FAN_IN),
        (initializers.GlorotNormal(), 2 / (FAN_IN + FAN_OUT)),
        (initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal"), 3 / FAN_OUT),
    ],
)
def test_other_members_of_the_family(initializer, variance):
    assert sample(initializer).var() == pytest.approx(variance, rel=0.02)


def test_dense_kernels():
    values = draw(initializers.HeNormal(), (400, 500), np.random.default_rng(0))

    assert values.std() == pytest.approx(np.sqrt(2 / 400), rel=0.01)


def dense_model(initializer):
    image = keras.Input((3,))
    return keras.Model(
        image, keras.layers.Dense(2, kernel_initializer=initializer, name="odd")(image)
    )


def test_constant_kernels_stay():
    model = dense_model("ones")
    initialize(model, 0)

    assert (model.get_weights()[0] == 1).all()


def test_unknown_initializer_names_the_layer():
    with pytest.raises(ValueError, match=r"kernel of layer 'odd'.*TruncatedNormal"):
        initialize(dense_model("truncated_normal"), 0)


class Scale(keras.layers.Layer):
    """Layer with a weight that keeps no initializer."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="uniform", name="scale")

    def call(self, x):
        return x * self.scale


def test_weight_without_known_initializer_names_the_layer():
    image = keras.Input((3,))
    with pytest.raises(ValueError, match=r"scale of layer 'odd'"):
        initialize(keras.Model(image, Scale(name="odd")(image)), 0)


def recurrent():
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(50, 8, name="words")(tokens)
    x = keras.layers.Bidirectional(keras.layers.GRU(4), name="gru")(x)
    return keras.Model(tokens, keras.layers.Dense(3, name="prob")(x))


def depthwise():
    image = keras.Input((9, 9, 4))
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(image)
    x = keras.layers.SeparableConv2D(6, 3, name="separable")(x)
    return keras.Model(image, x)


NETWORKS = (recurrent, depthwise)


def drawn(build):
    model = build()
    initialize(model, 5)
    return model.get_weights()


@pytest.mark.parametrize("build", NETWORKS)
def test_no_weight_depends_on_what_keras_drew(build):
    keras.utils.set_random_seed(1)
    one = drawn(build)
    keras.utils.set_random_seed(2)
    other = drawn(build)

    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_every_backend_gets_the_same_weights(backend, tmp_path):
    if keras.backend.backend() == backend:
        pytest.skip("this is the backend of the other tests")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    code = """
import sys
import numpy as np
from tests.models.test_initialization import NETWORKS, drawn
np.savez(sys.argv[1], *(weight for build in NETWORKS for weight in drawn(build)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "weights.npz"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "weights.npz") as found:
        theirs = list(found.values())
    ours = [weight for build in NETWORKS for weight in drawn(build)]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_embeddings_are_uniform_and_recurrent_kernels_orthogonal():
    embeddings, _, recurrent_kernel, *_ = drawn(recurrent)

    assert np.abs(embeddings).max() == pytest.approx(0.05, rel=0.02)
    assert embeddings.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.1)
    np.testing.assert_allclose(recurrent_kernel @ recurrent_kernel.T, np.eye(4), atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 3, 2, 5), (2, 7)])
def test_orthogonal_kernels_have_the_gain(shape):
    values = draw(initializers.Orthogonal(2.0), shape, np.random.default_rng(0))

    matrix = values.reshape(-1, shape[-1])
    products = matrix.T @ matrix if len(matrix) > shape[-1] else matrix @ matrix.T
    np.testing.assert_allclose(products, 4 * np.eye(len(products)), atol=1e-5)
