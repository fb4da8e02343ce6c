"""The optimizer against NumPy: clipping by the global norm, momentum, decay."""

import keras
import numpy as np
import pytest

from training.optimizer import build_optimizer, decay_per_iteration


def numpy_steps(weights, gradients, lr, clip, nesterov=False, decay=0.0):
    """SGD with momentum 0.9 on a list of arrays, one list of gradients per step."""
    weights = [w.copy() for w in weights]
    velocity = [np.zeros_like(w) for w in weights]
    for step, grads in enumerate(gradients):
        norm = np.sqrt(sum((g**2).sum() for g in grads))
        scale = min(1.0, clip / norm) if clip else 1.0
        rate = lr / (1 + decay * step)
        for i, g in enumerate(grads):
            velocity[i] = 0.9 * velocity[i] - rate * scale * g
            weights[i] += 0.9 * velocity[i] - rate * scale * g if nesterov else velocity[i]
    return weights


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("clip", [10.0, 1.0, 0.0])
@pytest.mark.parametrize("decay", [0.0, 0.25])
def test_steps(clip, nesterov, decay):
    rng = np.random.default_rng(3)
    shapes = [(4, 3), (3,), (5,)]
    start = [rng.normal(size=s).astype("float32") for s in shapes]
    # One gradient is much larger than the others: clipping each by itself would change it alone.
    gradients = [
        [
            (rng.normal(size=s) * factor).astype("float32")
            for s, factor in zip(shapes, (9, 1, 0.1), strict=True)
        ]
        for _ in range(4)
    ]
    variables = [keras.Variable(w) for w in start]
    optimizer = build_optimizer(0.05, clip, nesterov, decay)
    for grads in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in grads], variables)
    expected = numpy_steps(start, gradients, 0.05, clip, nesterov, decay)
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), value, atol=2e-6)


def test_decay_reaches_the_wanted_factor_at_the_end():
    decay = decay_per_iteration(0.1, 500)
    assert 1 / (1 + decay * 500) == pytest.approx(0.1)
    assert decay_per_iteration(0, 500) == 0


def test_the_schedule_may_still_set_the_rate_of_a_decaying_optimizer():
    optimizer = build_optimizer(0.5, decay=0.1)
    optimizer.learning_rate = 0.25
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == 0.25
