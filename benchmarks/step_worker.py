"""One configuration of ``train_step.py`` in a process of its own.

Started with the configuration as JSON. Takes the first step, answers with one line of JSON, and
then trains as many steps as each line on standard input says.
"""

import json
import resource
import sys
import time

STARTED = time.monotonic()

from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

CLASSES = 100


def main(configuration: dict[str, object]) -> None:
    """Answer requests until standard input ends."""
    make = pytorch if configuration["backend"] is None else keras_network
    train, versions = make(configuration, *batch(configuration))
    train(1)
    answer({"first_step": time.monotonic() - STARTED, "versions": versions})
    for line in sys.stdin:
        cpu = time.process_time()
        wall = train(int(line))
        answer({"wall": wall, "cpu": time.process_time() - cpu})


def batch(configuration: dict[str, object]) -> tuple[np.ndarray, np.ndarray]:
    """Draw random images, uint8, and class positions."""
    rng = np.random.default_rng(0)
    count, size = configuration["batch_size"], configuration["size"]
    images = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    return images, rng.integers(0, CLASSES, count)


def answer(figures: dict[str, object]) -> None:
    """Write one line, with the peak memory of the process so far in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures | {"peak_mib": peak}), flush=True)


Work = tuple[Callable[[int], float], dict[str, str]]
"""A function that trains so many steps and returns the seconds of wall time; versions."""


def pytorch(configuration: dict, images: np.ndarray, labels: np.ndarray) -> Work:
    """Return the training function of the network in plain PyTorch."""
    import torch

    from benchmarks.plain_torch import NETWORKS, training_step

    step = training_step(
        NETWORKS[configuration["architecture"]](CLASSES),
        configuration["mixed_precision"],
        configuration["jit"] == "on",
    )

    def train(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step(images, labels)
        return time.perf_counter() - start

    return train, {"torch": torch.__version__}


def keras_network(configuration: dict, images: np.ndarray, labels: np.ndarray) -> Work:
    """Return the training function of the network as the commands build, compile and fit it."""

    from training.parallel.startup import import_backend

    import_backend()
    import keras

    from models import build_backbone
    from models.initialization import initialize
    from storage.records import versions
    from training.objectives.objective import cross_entropy_objective
    from training.optimizer import build_optimizer
    from training.parallel import backend

    backend.configure(0, configuration["mixed_precision"])
    model = build_backbone(
        configuration["architecture"], CLASSES, classifier=True, mean=[120] * 3, std=[60] * 3
    )
    initialize(model, 0)
    model.compile(
        optimizer=build_optimizer(0.1),
        jit_compile=backend.jit_compile(configuration["jit"]),
        **cross_entropy_objective(CLASSES).compile_arguments(()),
    )
    model.optimizer.build(model.trainable_variables)

    class Same(keras.utils.PyDataset):
        """One batch, again and again."""

        def __init__(self, count: int):
            super().__init__()
            self.count = count

        def __len__(self) -> int:
            return self.count

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            return images, labels

    class Clock(keras.callbacks.Callback):
        """Clock that starts with the first step, after the preparations of ``fit``."""

        def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
            if batch == 0:
                self.start = time.perf_counter()

    def train(count: int) -> float:
        clock = Clock()
        # What fit returns are numbers, so even asynchronous steps are done.
        with backend.untuned_reading():
            model.fit(Same(count), callbacks=[clock], verbose=0, shuffle=False)
        return time.perf_counter() - clock.start

    return train, versions()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
