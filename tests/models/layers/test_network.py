"""L2 penalties of whole networks, and a whole step of fused layers against plain ones."""

import keras
import numpy as np
import pytest
from keras import layers, regularizers

from models.heads import classifier_head
from models.layers.batch_normalization import batch_normalization
from models.layers.convolution import conv2d
from models.layers.network import Network, with_plain_layers
from training.optimizer import build_optimizer

RNG = np.random.default_rng(3)
IMAGES = RNG.normal(size=(12, 8, 8, 3)).astype("float32")
TARGETS = np.eye(4, dtype="float32")[RNG.integers(0, 4, 12)]


def network() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = conv2d(6, 3, padding="same", kernel_regularizer=regularizers.L2(0.01), name="a")(image)
    x = layers.ReLU()(batch_normalization("bn")(x))
    x = conv2d(5, 3, 2, kernel_regularizer=regularizers.L2(0.01), name="b")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(7, kernel_regularizer=regularizers.L1(0.02), name="d")(x)
    return classifier_head(Network(image, x), 4)


def penalty(model: keras.Model) -> float:
    """Compute the penalty with NumPy; the head's dense layer has the coefficient 5e-4."""
    kernels = {name: model.get_layer(name).get_weights()[0] for name in ("a", "b", "d", "prob")}
    squares = {name: (kernel.astype(float) ** 2).sum() for name, kernel in kernels.items()}
    return (
        0.01 * (squares["a"] + squares["b"])
        + 0.02 * np.abs(kernels["d"]).sum()
        + 5e-4 * squares["prob"]
    )


def total(model: keras.Model) -> float:
    return sum(float(keras.ops.convert_to_numpy(loss)) for loss in model.losses)


def test_losses_are_the_penalties_of_all_kernels():
    model = network()
    assert total(model) == pytest.approx(penalty(model), rel=1e-6)


def test_frozen_layers_have_no_penalty():
    model = network()
    kernel = model.get_layer("b").get_weights()[0]
    model.get_layer("b").trainable = False
    assert total(model) == pytest.approx(penalty(model) - 0.01 * (kernel**2).sum(), rel=1e-5)


class MeanPenalty(layers.Layer):
    """Layer that adds the mean of its input to the loss."""

    def call(self, x):
        self.add_loss(keras.ops.mean(x))
        return x


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Activation("linear", activity_regularizer=regularizers.L1(0.5)), 0.5 * 2 * 3),
        (MeanPenalty(), 2.0),
    ],
)
def test_layers_add_losses_of_their_own(layer, expected):
    x = keras.Input((3,))
    y = layers.Dense(2, use_bias=False, kernel_regularizer=regularizers.L2(0.1), name="d")(layer(x))
    model = Network(x, y)
    kernel = model.get_layer("d").get_weights()[0]
    model.compile(loss="mse", loss_weights=0.0)
    metrics = model.evaluate(np.full((4, 3), 2.0), np.zeros((4, 2)), verbose=0, return_dict=True)

    assert metrics["loss"] == pytest.approx(expected + 0.1 * (kernel**2).sum(), rel=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's losses")
def test_there_is_one_loss_per_coefficient():
    assert len(network().losses) == 3


def test_evaluation_reports_the_penalty_as_well():
    model = network()
    model.compile(loss=["mse", "categorical_crossentropy"], loss_weights=[0.0, 0.0])
    targets = [np.zeros((12, 7), "float32"), TARGETS]
    metrics = model.evaluate(IMAGES, targets, verbose=0, return_dict=True)
    assert metrics["loss"] == pytest.approx(penalty(model), rel=1e-5)


NORMALIZED = {"bn": 12 * 8 * 8, "prob_bn": 12}
"""Batch normalizations, and the values per channel that they see in a batch."""


def unbiased(moving_variance: np.ndarray, values: int) -> np.ndarray:
    """Return the moving variance after one step with unbiased variances, as in Keras 2."""
    return 0.99 + (moving_variance - 0.99) * values / (values - 1)


@pytest.mark.parametrize("clip", [10.0, 0.5])
def test_a_step_is_that_of_plain_layers_and_of_keras_optimizer(clip):
    model = network()
    plain = with_plain_layers(keras.Model(model.input, model.output))
    reference = keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=clip)
    for network_, optimizer in ((model, build_optimizer(0.1, clip)), (plain, reference)):
        network_.compile(optimizer, ["mse", "categorical_crossentropy"], loss_weights=[1.0, 0.3])
        network_.train_on_batch(IMAGES, [np.ones((12, 7), "float32"), TARGETS])
    for layer in filter(lambda layer: layer.weights, plain.layers):
        wanted = layer.get_weights()
        if layer.name in NORMALIZED and keras.backend.backend() == "tensorflow":
            wanted[3] = unbiased(wanted[3], NORMALIZED[layer.name])
        for one, other in zip(model.get_layer(layer.name).get_weights(), wanted, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=layer.name)


class Batches(keras.utils.PyDataset):
    """Three batches, the last one smaller."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(5 * index, 5 * index + 5)
        return IMAGES[part], (np.ones((len(IMAGES[part]), 7), "float32"), TARGETS[part])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="replaces TensorFlow's function"
)
def test_an_epoch_is_that_of_the_function_that_keras_makes():
    start = network().get_weights()
    results = []
    for own in (True, False):
        model = network()
        model.set_weights(start)
        model.compile(build_optimizer(0.1), ["mse", "categorical_crossentropy"])
        if not own:
            keras.Model.make_train_function(model)
        history = model.fit(Batches(), epochs=2, shuffle=False, verbose=0).history["loss"]
        results.append((model.get_weights(), history))
    (weights, history), (wanted, wanted_history) = results
    assert history == pytest.approx(wanted_history, rel=1e-6)
    assert not np.allclose(weights[0], start[0])
    for one, other in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
