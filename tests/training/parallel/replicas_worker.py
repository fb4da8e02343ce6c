"""Train with several replicas in a separate process: devices are fixed when a backend starts.

``python -m tests.training.parallel.replicas_worker FOLDER``, from the root, fills the folder.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import keras
import numpy as np

import learn_classifier
import learn_image_embeddings
from datasets.base import Split
from datasets.batches import Batches
from embeddings import onehot
from evaluation.classification.evaluator import Evaluator
from evaluation.features import feature_tensor
from models.layers.batch_normalization import batch_normalization
from models.layers.network import Network
from tests.commands.running import succeed
from training.callbacks.weight_copies import WeightAverage
from training.objectives.objective import embedding_objective
from training.optimizer import OPTIMIZERS, build_optimizer
from training.parallel import hosts, replicas
from training.parallel.group import Group

TENSORFLOW = keras.backend.backend() == "tensorflow"
DEVICES = 4
# Without batch normalization, and with a clip that acts on every step. 20 steps: of 15 images in
# batches of four, of which the last one is filled up.
LINEAR = (
    "--dataset Digits-sub5 --class_list classes.txt --repeats 1 --architecture tiny-linear "
    "--batch_size 4 --val_batch_size 448 --epochs 5 --clipgrad 0.1 --sgdr_max_lr 0.2 "
    "--device_type cpu"
)
# Two outputs, and whatever has a state of its own.
FULL = (
    "--dataset Digits-sub5 --repeats 1 --architecture tiny --batch_size 20 --val_batch_size 448 "
    "--embedding onehot --cls_weight 0.1 --nesterov --sgdr_base_len 1 --device_type cpu"
)
CLASSES = 3


def train(name: str, options: str, command=learn_classifier) -> None:
    """Train and write NAME.h5 and NAME.csv."""
    succeed(command, f"{options} --weight_dump {name}.h5 --history {name}.csv")


def train_linear() -> None:
    """Train first: the first command creates the devices for all."""
    Path("classes.txt").write_text("0\n1\n2\n")
    for number in (DEVICES, 2):
        train(f"{number}-merged", f"{LINEAR} --gpus {number} --gpu_merge")
        if TENSORFLOW:
            train(f"{number}", f"{LINEAR} --gpus {number}")
    # The same batches on one device.
    alone = mock.patch.object(replicas, "joined", lambda *given: nullcontext(Group(replicas=4)))
    with alone:
        train("one", LINEAR)
        if TENSORFLOW:
            train("one-unclipped", f"{LINEAR} --clipgrad 0 --epochs 1")


def train_full() -> None:
    """Train with batch normalization, then resume with other numbers of replicas."""
    precise = f"{FULL} --mixed_precision --gpus 2 --epochs 2 --model_dump"
    for name in ("first", "second") if TENSORFLOW else ("first",):
        train(name, f"{precise} {name}.keras --snapshot {name}.snapshot", learn_image_embeddings)
    for number in (1, 4) if TENSORFLOW else ():
        name = f"resumed-{number}"
        os.link("first.snapshot", f"{name}.snapshot")
        options = precise.replace("--gpus 2 --epochs 2", f"--gpus {number} --epochs 3")
        train(name, f"{options} {name}.keras --snapshot {name}.snapshot", learn_image_embeddings)
    fine = FULL.partition("--embedding")[0]
    train(
        "finetuned",
        f"{fine} --finetune first.h5 --finetune_init 1 --lr_schedule SGD --sgd_patience 1 "
        "--mixed_precision float16 --gpus 2 --epochs 3 --device_type cpu --model_dump fine.keras "
        "--feature_dump fine.npz",
    )


def evaluate_all_sizes() -> list[dict]:
    """The metrics of test sets of 1 to 9 images, for one, two and four replicas."""
    found = []
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 2, 2, 1), np.uint8)
    labels = rng.integers(0, CLASSES, 9)
    objective = embedding_objective(onehot(range(CLASSES)), cls_weight=0.1)
    for number in (1, 2, 4):
        with replicas.joined("cpu", number) as group:
            keras.utils.set_random_seed(1)
            model = _two_outputs()
            evaluator = Evaluator(
                model,
                objective.heads(model),
                feature_tensor(model),
                replicate=hosts.replicate,
                shard=hosts.shard_batch,
            )
            for size in range(1, 10):
                names = [str(i) for i in range(size)]
                batches = Batches(
                    Split.whole(images[:size], labels[:size], names),
                    lambda image, rng: image,
                    group.rounded_up(3),
                    multiple=group.replicas,
                )
                metrics = evaluator(batches)
                values = {**metrics.values, "average": metrics.average_accuracy}
                features = np.float64(metrics.features).tolist()
                found.append(
                    {"replicas": number, "size": size, "metrics": values, "features": features}
                )
                batches.close()
    return found


def _two_outputs() -> keras.Model:
    image = keras.Input((2, 2, 1))
    features = keras.layers.Dense(CLASSES, name="embedding")(keras.layers.Flatten()(image))
    vector = keras.layers.UnitNormalization(name="l2norm")(features)
    penalty = keras.regularizers.L2(0.01)
    prob = keras.layers.Dense(CLASSES, "softmax", kernel_regularizer=penalty, name="prob")
    return keras.Model(image, [vector, prob(vector)])


def statistics_of_shares() -> dict:
    """One step with two replicas: the moving statistics, and the loss of normalized images."""
    images = np.float32(np.random.default_rng(2).normal(1, 3, (8, 2, 2, 3)))
    with replicas.joined("cpu", 2):
        image = keras.Input((2, 2, 3))
        model = Network(image, keras.layers.Flatten()(batch_normalization("bn")(image)))
        model.compile(build_optimizer(1e-30), lambda _, outputs: keras.ops.mean(outputs**3, -1))
        average = WeightAverage(model, 0.5)
        options = {"batch_size": 8, "shuffle": False, "verbose": 0, "callbacks": [average]}
        history = model.fit(images, np.zeros(8), **options)
        replicas.average_statistics(model)
        layer = model.get_layer("bn")
        with average.in_place():
            averaged = [keras.ops.convert_to_numpy(w).tolist() for w in layer.non_trainable_weights]
        moving = [layer.moving_mean, layer.moving_variance]
        return {
            "images": np.float64(images).tolist(),
            "moving": [keras.ops.convert_to_numpy(v).tolist() for v in moving],
            "averaged": averaged,
            "loss": history.history["loss"][0],
        }


def optimizer_steps() -> list[dict]:
    """Steps on gradients that differ by replica, under TensorFlow."""
    rng = np.random.default_rng(3)
    gradients = np.float32(rng.normal(size=(4, 2, 3)) * [[[1], [5]]])  # step, replica, weight
    found = []
    for options in ((1.0, False, 0.0), (1.0, True, 0.25), (0.0, True, 0.0)):
        with replicas.joined("cpu", 2):
            optimizer = build_optimizer(0.05, *options)
            step, copies = _stepping(optimizer)
            for shares in gradients:
                step(shares)
            found.append(
                {
                    "options": options,
                    "gradients": np.float64(gradients.sum(axis=1)).tolist(),
                    "weights": copies(),
                    "steps": int(optimizer.iterations.numpy()),
                }
            )
    return found


def accumulated_steps() -> list[dict]:
    """Two steps of two batches each, on gradients that differ by replica, under TensorFlow."""
    gradients = np.float32(
        np.random.default_rng(4).normal(size=(4, 2, 3))
    )  # batch, replica, weight
    found = []
    for name in OPTIMIZERS:
        with replicas.joined("cpu", 2):
            optimizer = build_optimizer(0.05, 1.0, name=name, weight_decay=0.3, accumulate=2)
            step, copies = _stepping(optimizer)
            for shares in gradients:
                step(shares)
        totals = np.float64(gradients.sum(axis=1))
        found.append({"name": name, "gradients": totals.tolist(), "weights": copies()})
    return found


def overflow() -> dict:
    """A step in which the gradient of the second replica alone is infinite."""
    keras.config.set_dtype_policy("mixed_float16")
    with replicas.joined("cpu", 2):
        optimizer = build_optimizer(0.5)
        step, copies = _stepping(optimizer)
        step([[1.0] * 3, [np.inf] * 3])
        skipped, scale = copies(), float(keras.ops.convert_to_numpy(optimizer.dynamic_scale))
        step([[scale] * 3, [2 * scale] * 3])
    keras.config.set_dtype_policy("float32")
    return {"skipped": skipped, "scale": scale, "stepped": copies()}


def _stepping(optimizer: keras.optimizers.Optimizer) -> tuple[Callable, Callable]:
    """A function that steps by gradients (replica, weight), and one that tells the weights."""
    import tensorflow as tf

    weight = keras.Variable(np.ones(3, np.float32), dtype="float32")
    optimizer.build([weight])
    strategy = tf.distribute.get_strategy()

    def on_replica(shares: tf.Tensor) -> None:
        optimizer.apply([shares[0]], [weight])

    @tf.function(autograph=False)
    def step(shares: tf.Tensor) -> None:
        strategy.run(on_replica, (shares,))

    def copies() -> list:
        values = strategy.experimental_local_results(weight.value)
        return [np.float64(copy.numpy()).tolist() for copy in values]

    return lambda shares: step(tf.constant(shares, tf.float32)), copies


def main(folder: str) -> None:
    """Train and measure everything."""
    os.chdir(folder)
    train_linear()
    train_full()
    facts = {"evaluated": evaluate_all_sizes(), "statistics": statistics_of_shares()}
    if TENSORFLOW:
        facts |= {"steps": optimizer_steps(), "accumulated": accumulated_steps()}
        facts["overflow"] = overflow()
    with open("facts.json", "w") as file:
        json.dump(facts, file)


if __name__ == "__main__":
    main(sys.argv[1])
