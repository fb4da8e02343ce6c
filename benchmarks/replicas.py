"""How far do several replicas end from one device, and how long is a step? One row per case.

``python benchmarks/replicas.py --output FILE.json``. A convolutional network without batch
normalization takes 20 steps, with a clip that acts on each, in a process for each case. CPU devices
share the cores of this machine: that shows that the sums are right, not how fast GPUs are.

The slope of ReLU jumps at zero, that of ELU does not: where a sum is zero up to rounding, rounding
decides whether a network with ReLU learns from it, and the difference grows at once.
"""

import argparse
import json
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

import cli  # noqa: E402
import console  # noqa: E402
from benchmarks.report import add_output_options, recorded  # noqa: E402

STEPS, BATCH, SIZE, CLASSES = 20, 64, 32, 10
MERGES = {"tensorflow": ("cpu", "device"), "jax": ("device",)}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = cli.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--backends", nargs="+", choices=MERGES, default=list(MERGES))
    parser.add_argument("--activations", nargs="+", default=["relu", "elu"], metavar="NAME")
    parser.add_argument("--replicas", type=cli.positive, nargs="+", default=[1, 2, 4], metavar="N")
    parser.add_argument("--device_type", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    add_output_options(parser)
    return parser


def measure(args: argparse.Namespace) -> None:
    """Runs all cases, prints the table and stores the figures."""
    if args.case:
        take_steps(**json.loads(args.case))
        return
    with recorded(args) as report:
        cases = [
            row
            for backend in args.backends
            for activation in args.activations
            for row in compare(backend, activation, args)
        ]
        report |= {"seed": 0, "cases": cases}
        print(table(cases))


def compare(backend: str, activation: str, args: argparse.Namespace) -> list[dict]:
    """The cases of one backend and network; the first is the yardstick of the others."""
    rows, expected = [], None
    with tempfile.TemporaryDirectory() as folder:
        for number in args.replicas:
            for merge in MERGES[backend] if number > 1 else ("none",):
                file = Path(folder, f"{number}-{merge}.npz")
                case = {"number": number, "merge": merge == "device", "file": str(file)}
                case |= {"device_type": args.device_type, "activation": activation}
                subprocess.run(
                    [sys.executable, __file__, "--case", json.dumps(case)],
                    env=os.environ | {"KERAS_BACKEND": backend},
                    check=True,
                )
                with np.load(file) as stored:
                    found = {name: stored[name] for name in stored.files}
                seconds = found.pop("seconds")
                expected = expected or found
                rows.append(
                    {
                        "backend": backend,
                        "activation": activation,
                        "replicas": number,
                        "merge": merge,
                        "largest_difference": max(
                            float(np.abs(found[name] - expected[name]).max()) for name in expected
                        ),
                        "step_seconds": statistics.median(seconds.tolist()),
                    }
                )
    return rows


def take_steps(number: int, merge: bool, file: str, device_type: str, activation: str) -> None:
    """Trains one case and stores its weights and the times of its steps."""

    def choose() -> None:
        from training import devices

        devices.choose(device_type, number)

    console.import_backend(choose)
    import keras

    from datasets.base import Split
    from datasets.pipeline import Batches
    from models.initialization import initialize
    from training import distribution, objective, replicas
    from training.optimizer import build_optimizer

    rng = np.random.default_rng(0)
    count = STEPS * BATCH
    images = rng.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    split = Split(images, rng.integers(0, CLASSES, count), [str(i) for i in range(count)])
    goal = objective.cross_entropy(CLASSES)
    batches = Batches(split, lambda image, rng: image, goal.encode, BATCH, multiple=number)
    ends = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs=None: ends.append(time.time())
    )
    with replicas.joined(device_type, number, merge):
        distribution.configure(0, None)
        model = network(activation)
        initialize(model, 0)
        model.compile(
            build_optimizer(0.1, clip_norm=0.1),
            jit_compile=distribution.jit_compile("auto"),
            **goal.compile_arguments(()),
        )
        model.optimizer.build(model.trainable_variables)
        model.fit(batches, callbacks=[clock], verbose=0, shuffle=False)
        weights = model.get_weights()
    batches.close()
    np.savez(file, *weights, seconds=np.diff(ends[1:]))


def network(activation: str):
    """Three convolutions with an activation, and a dense layer; all with L2 penalties."""
    import keras

    from models.convolution import conv2d
    from models.layers import average_pool, image_input, output_layer
    from models.network import Network

    image, x = image_input(3, [120] * 3, [60] * 3)
    for i, filters in enumerate((32, 64, 128)):
        penalty = keras.regularizers.L2(1e-3)
        x = conv2d(
            filters, 3, 1 + (i > 0), padding="same", kernel_regularizer=penalty, name=f"conv{i}"
        )(x)
        x = keras.layers.Activation(activation)(x)
    return Network(image, output_layer(average_pool(x), CLASSES, classifier=True, decay=1e-3))


def table(rows: list[dict]) -> str:
    """One line per case."""
    lines = ["| backend | network | replicas | merged on | largest difference | ms per step |"]
    lines.append("|---|---|---:|---|---:|---:|")
    for row in rows:
        *names, difference, seconds = row.values()
        cells = [*map(str, names), f"{difference:.1e}", f"{1000 * seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
