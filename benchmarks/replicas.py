"""How far do several replicas end from one device, and how long is a step? One row per case.

``python benchmarks/replicas.py --output FILE.json``. A convolutional network without batch
normalization takes 20 steps, with a clip that acts on each, in a process for each case. CPU devices
share the cores of this machine: that shows that the sums are right, not how fast GPUs are.
Why two networks and two precisions: see ``convolutions.py``.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from cli.arguments import positive

results = logging.getLogger("results")

STEPS, BATCH, SIZE, CLASSES = 20, 64, 32, 10
MERGES = {"tensorflow": ("cpu", "device"), "jax": ("device",)}


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--backends", nargs="+", choices=MERGES, default=list(MERGES))
    parser.add_argument("--activations", nargs="+", default=["relu", "elu"], metavar="NAME")
    parser.add_argument(
        "--dtypes", nargs="+", choices=("float32", "float64"), default=["float32", "float64"]
    )
    parser.add_argument("--replicas", type=positive, nargs="+", default=[1, 2, 4], metavar="N")
    parser.add_argument("--device_type", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    add_output_options(parser)
    return parser


def measure(args: argparse.Namespace) -> None:
    """Run all cases, print their table and store the measurements."""
    if args.case:
        take_steps(**json.loads(args.case))
        return
    with recorded(args) as report:
        results.info(
            "| backend | network | dtype | replicas | merged on | largest difference | s per step "
            "|\n|---|---|---|---:|---|---:|---:|"
        )
        cases = [
            row
            for backend in args.backends
            for activation in args.activations
            for dtype in args.dtypes
            for row in compare(backend, activation, dtype, args)
        ]
        report |= {"seed": 0, "cases": cases}


def compare(backend: str, activation: str, dtype: str, args: argparse.Namespace) -> list[dict]:
    """Compare the cases of one backend and network with the first of them."""
    environment = {"KERAS_BACKEND": backend, "JAX_ENABLE_X64": str(dtype == "float64")}
    rows, expected = [], None
    with tempfile.TemporaryDirectory() as folder:
        for number in args.replicas:
            for merge in MERGES[backend] if number > 1 else ("none",):
                file = Path(folder, f"{number}-{merge}.npz")
                case = {"number": number, "merge": merge == "device", "file": str(file)}
                case |= {"device_type": args.device_type, "activation": activation, "dtype": dtype}
                subprocess.run(
                    [sys.executable, __file__, "--case", json.dumps(case)],
                    env=os.environ | environment,
                    check=True,
                )
                with np.load(file) as stored:
                    found = {name: stored[name] for name in stored.files}
                seconds = found.pop("seconds")
                expected = expected or found
                row = {
                    "backend": backend,
                    "activation": activation,
                    "dtype": dtype,
                    "replicas": number,
                    "merge": merge,
                    "largest_difference": max(
                        float(np.abs(found[name] - expected[name]).max()) for name in expected
                    ),
                    "step_seconds": statistics.median(seconds.tolist()),
                }
                rows.append(row)
                results.info("| %s | %s | %s | %d | %s | %.1e | %.2g |", *row.values())
    return rows


def take_steps(
    number: int, merge: bool, file: str, device_type: str, activation: str, dtype: str
) -> None:
    """Train one case; store its weights and the times of its steps."""

    def choose() -> None:
        from training.parallel import devices

        devices.choose(device_type, number)

    from training.parallel.startup import import_backend

    import_backend(choose)
    import keras

    keras.config.set_floatx(dtype)  # of the loss and of what sums it up

    from benchmarks.convolutions import body
    from datasets.base import Split
    from datasets.batches import Batches
    from models.initialization import initialize
    from models.layers.inputs import image_input
    from models.layers.network import Network
    from training.objectives.objective import cross_entropy_objective
    from training.optimizer import build_optimizer
    from training.parallel import backend, replicas

    rng = np.random.default_rng(0)
    count = STEPS * BATCH
    images = rng.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    split = Split.whole(images, rng.integers(0, CLASSES, count), [str(i) for i in range(count)])
    objective = cross_entropy_objective(CLASSES)
    batches = Batches(split, lambda image, rng: image, BATCH, multiple=number)
    ends = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs=None: ends.append(time.time())
    )
    with replicas.joined(device_type, number, merge):
        backend.configure(0, None)
        image, x = image_input(3, [120] * 3, [60] * 3)
        model = Network(image, body(x, CLASSES, True, activation, dtype))
        initialize(model, 0)
        model.compile(
            build_optimizer(0.1, clip_norm=0.1),
            jit_compile=backend.jit_compile("auto"),
            **objective.compile_arguments(()),
        )
        model.optimizer.build(model.trainable_variables)
        model.fit(batches, callbacks=[clock], verbose=0, shuffle=False)
        weights = model.get_weights()
    batches.close()
    np.savez(file, *weights, seconds=np.diff(ends[1:]))


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
