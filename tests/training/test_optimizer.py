"""The optimizer against NumPy: clipping by the global norm, momentum, decay."""

import json

import h5py
import keras
import numpy as np
import pytest

import learn_classifier
from tests.commands.running import TINY, succeed
from training import loop
from training.optimizer import OPTIMIZERS, SGD, build_optimizer, decay_per_iteration
from training.options import OPTIMIZERS as NAMES
from training.parallel import fused_steps, replicas
from utils import UsageError

# What the fused step does not do, and how its warning names it.
UNUSUAL = [
    ({"clipnorm": 0.1}, "clipnorm"),
    ({"clipvalue": 0.1}, "clipvalue"),
    ({"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}, "use_ema"),
    ({"loss_scale_factor": 4.0}, "loss_scale_factor"),
    ({"momentum": 0.0}, "no momentum"),
]


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


def pytorch_steps(w, gradients, rates, clip, nesterov=False, penalty=0.0):
    """SGD with momentum 0.9 as PyTorch documents it: the rate scales the whole velocity."""
    w, velocity = w.astype(float), 0.0
    for gradient, rate in zip(gradients, rates, strict=True):
        norm = np.sqrt((gradient.astype(float) ** 2).sum())
        gradient = min(1.0, clip / norm) * gradient + penalty * w
        velocity = 0.9 * velocity + gradient
        w = w - rate * (0.9 * velocity + gradient if nesterov else velocity)
    return w


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("clip", [100.0, 1.0])
def test_momentum_of_gradients_follows_the_rate_at_once(clip, penalty, nesterov, fused, caplog):
    rng = np.random.default_rng(6)
    w, *gradients = rng.normal(size=(7, 4, 3)).astype("float32")
    rates = [0.1, 0.1, 0.1, 0.01, 0.01, 0.2]
    variable = keras.Variable(w)
    options = {"nesterov": nesterov, "weight_decay": penalty, "momentum_of_gradients": True}
    optimizer = build_optimizer(0.1, clip, **options)
    if not fused:
        optimizer.clipvalue = 1e9  # never reached, but only Keras' own steps have it
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    expected = pytorch_steps(w, gradients, rates, clip, nesterov, penalty)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), expected, atol=2e-6)
    assert ("slower" in caplog.text) == (not fused and fused_steps.available())


@pytest.mark.parametrize(
    ("schedule", "of_gradients"),
    [("SGDR", False), ("SGD", False), ("CLR", False), ("Step", True), ("Cosine", True)],
)
def test_recipes_of_pytorch_have_its_momentum(schedule, of_gradients, monkeypatch, tmp_path):
    built = []

    def build(*args, **options):
        built.append(build_optimizer(*args, **options))
        return built[-1]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "build_optimizer", build)
    succeed(learn_classifier, f"{TINY} --lr_schedule {schedule} --epochs 1 --snapshot s.h5")
    (optimizer,) = built
    assert optimizer.of_gradients == of_gradients
    with h5py.File("s.h5") as file:
        identity = json.loads(file["run_state"][()])["identity"]
    assert identity.get("momentum") == ("of gradients" if of_gradients else None)


def numpy_optimizer(name, w, gradients, lr, clip, weight_decay, decay=0.0):
    """Steps of SGD with momentum, Adam or AdamW on one array, as PyTorch documents them."""
    w, velocity, mean, square = w.astype(float), 0.0, 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        norm = np.sqrt((gradient.astype(float) ** 2).sum())
        gradient = (min(1, clip / norm) if clip else 1) * gradient
        rate = lr / (1 + decay * (step - 1))
        if name == "adamw":
            w = w - lr * weight_decay * w
        else:
            gradient = gradient + weight_decay * w
        if name == "sgd":
            velocity = 0.9 * velocity - rate * gradient
            w = w + velocity
        else:
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            unbiased = mean / (1 - 0.9**step), square / (1 - 0.999**step)
            w = w - rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    return w


@pytest.mark.parametrize("clip", [10.0, 1.0, 0.0])
@pytest.mark.parametrize("name", NAMES)
def test_weight_decay_joins_the_clipped_gradient_or_stands_beside_it(name, clip, caplog):
    rng = np.random.default_rng(4)
    w, *gradients = rng.normal(size=(6, 4, 3)).astype("float32")
    variable = keras.Variable(w)
    optimizer = build_optimizer(0.05, clip, decay=0.1, name=name, weight_decay=0.3)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    expected = numpy_optimizer(name, w, gradients, 0.05, clip, 0.3, decay=0.1)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), expected, atol=3e-6)
    assert not caplog.records  # the fused step


@pytest.mark.parametrize("name", NAMES)
def test_accumulated_gradients_make_one_step_with_their_mean(name, caplog):
    rng = np.random.default_rng(5)
    w, *gradients = rng.normal(size=(9, 4, 3)).astype("float32")
    variable = keras.Variable(w)
    optimizer = build_optimizer(0.05, 1.0, name=name, decay=0.1, weight_decay=0.3, accumulate=3)
    found = []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        found.append(keras.ops.convert_to_numpy(variable).copy())
    means = [np.mean(gradients[i : i + 3], axis=0) for i in (0, 3)]  # two are left over
    one, two = (numpy_optimizer(name, w, means[:n], 0.05, 1.0, 0.3, decay=0.1) for n in (1, 2))
    for value, expected in zip(found, [w, w, one, one, one, two, two, two], strict=True):
        np.testing.assert_allclose(value, expected, atol=2e-6)
    assert int(optimizer.iterations) == 2 and not caplog.records


def test_the_names_are_those_that_commands_list():
    assert tuple(OPTIMIZERS) == NAMES


def test_decay_reaches_the_wanted_factor_at_the_end():
    decay = decay_per_iteration(0.1, 500)
    assert 1 / (1 + decay * 500) == pytest.approx(0.1)
    assert decay_per_iteration(0, 500) == 0


def test_the_schedule_may_still_set_the_rate_of_a_decaying_optimizer():
    optimizer = build_optimizer(0.5, decay=0.1)
    optimizer.learning_rate = 0.25
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == 0.25


def four_steps(optimizer, variable):
    rng = np.random.default_rng(3)
    for _ in range(4):
        gradient = keras.ops.convert_to_tensor(rng.normal(size=variable.shape).astype("float32"))
        optimizer.apply([gradient], [variable])
    return keras.ops.convert_to_numpy(variable)


@pytest.mark.parametrize(("options", "named"), UNUSUAL)
def test_unsupported_options_fall_back_to_keras_with_a_warning(options, named, caplog):
    options = {"learning_rate": 0.05, "momentum": 0.9, **options}
    start = np.float32([[1, 2], [3, -4]])
    expected = four_steps(keras.optimizers.SGD(**options), keras.Variable(start))
    found = four_steps(SGD(**options), keras.Variable(start))
    np.testing.assert_array_equal(found, expected)
    plain = four_steps(SGD(learning_rate=0.05, momentum=0.9), keras.Variable(start))
    assert not np.allclose(found, plain)
    if keras.backend.backend() == "tensorflow":
        (record,) = caplog.records
        assert record.getMessage().startswith(f"{named}:")


def test_constraints_are_kept(caplog):
    class Positive(keras.constraints.Constraint):
        def __call__(self, w):
            return keras.ops.maximum(w, 0.0)

    layer = keras.layers.Dense(2, kernel_constraint=Positive())
    layer.build((None, 2))
    assert four_steps(SGD(learning_rate=1.0, momentum=0.9), layer.kernel).min() == 0


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only there steps are fused")
def test_sparse_gradients_of_embeddings(caplog):
    def train(optimizer):
        keras.utils.set_random_seed(0)
        words = keras.Input((3,), dtype="int32")
        x = keras.layers.Embedding(5, 4)(words)
        model = keras.Model(words, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
        model.compile(optimizer, "mse", jit_compile=False)
        for _ in range(2):
            model.train_on_batch(np.array([[0, 1, 1], [3, 4, 0]]), np.ones((2, 1)))
        return model.get_weights()

    options = {"learning_rate": 0.1, "momentum": 0.9}
    expected = train(keras.optimizers.SGD(**options))
    for found, weights in zip(train(SGD(**options)), expected, strict=True):
        np.testing.assert_array_equal(found, weights)
    assert "sparse gradients" in caplog.text


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only there steps are fused")
def test_several_replicas_refuse_what_the_fused_step_does_not_do(monkeypatch):
    monkeypatch.setattr(replicas, "several", lambda: True)
    with pytest.raises(UsageError, match="clipvalue"):
        four_steps(SGD(clipvalue=0.1, momentum=0.9), keras.Variable(np.ones((2, 2))))
