"""The networks of the benchmark are the networks of this project."""

import importlib.util

import keras
import numpy as np
import pytest

from models import build_backbone
from models.initialization import initialize
from training.objectives.objective import cross_entropy_objective
from training.optimizer import build_optimizer

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("torch"), reason="PyTorch is not installed"
)

RNG = np.random.default_rng(2)
OPTIONS = {"classifier": True, "mean": [120] * 3, "std": [60] * 3}


def initialized(name):
    """A network whose batch normalizations are as after some training.

    With the values that they begin with, a mistaken order would go unseen.
    """
    network = build_backbone(name, 10, **OPTIONS)
    initialize(network, 0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([RNG.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return network


def weights(network):
    return {layer.name: layer.get_weights() for layer in network.layers}


@pytest.mark.parametrize(
    ("name", "size"), [("resnet-110-wfc", 16), ("resnet-50", 64), ("rn18", 64)]
)
def test_same_parameters_and_outputs(name, size):
    import torch

    from benchmarks.plain_torch import NETWORKS, copy_weights

    ours, theirs = initialized(name), NETWORKS[name](10)
    copy_weights(theirs, weights(ours))
    count = sum(p.numel() for p in theirs.parameters())
    assert count == sum(np.prod(w.shape) for w in ours.trainable_weights)
    images = RNG.integers(0, 256, (2, size, size, 3), np.uint8)
    with torch.no_grad():
        logits = theirs.eval()(torch.from_numpy(images))
    expected = keras.ops.convert_to_numpy(ours(images, training=False))
    np.testing.assert_allclose(torch.softmax(logits, 1).numpy(), expected, atol=1e-4)
    assert np.ptp(expected, axis=1).min() > 1e-2


def test_a_step_changes_the_weights_equally():
    from benchmarks.plain_torch import NETWORKS, copy_weights, training_step

    ours, theirs = build_backbone("resnet-32", 10, **OPTIONS), NETWORKS["resnet-32"](10)
    initialize(ours, 0)
    copy_weights(theirs, weights(ours))
    images = RNG.integers(0, 256, (20, 16, 16, 3), np.uint8)
    labels = RNG.integers(0, 10, 20)
    penalty = sum(float(keras.ops.convert_to_numpy(loss)) for loss in ours.losses)
    arguments = cross_entropy_objective(10).compile_arguments(())
    ours.compile(build_optimizer(0.1), jit_compile=False, **arguments)
    loss = ours.train_on_batch(images, labels)[0]
    assert training_step(theirs)(images, labels) == pytest.approx(loss - penalty, abs=1e-4)
    expected, found = NETWORKS["resnet-32"](10), dict(theirs.named_parameters())
    copy_weights(expected, weights(ours))
    for name, value in expected.named_parameters():
        theirs_now = found[name].detach().numpy()
        np.testing.assert_allclose(theirs_now, value.detach().numpy(), atol=1e-4, err_msg=name)
