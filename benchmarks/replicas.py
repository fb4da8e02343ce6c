"""How far do several replicas end from one device, and how long is a step? One row per case.

``python benchmarks/replicas.py --output FILE.json``. A convolutional network without batch
normalization takes 20 steps, with a clip that acts on each, in a process for each case. CPU devices
share the cores of this machine: that shows that the sums are right, not how fast GPUs are.
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
sys.path.insert(0, str(ROOT))

STEPS, BATCH, SIZE, CLASSES = 20, 64, 32, 10
MERGES = {"tensorflow": ("cpu", "device"), "jax": ("device",)}


def main() -> int:
    """Runs all cases, prints the table and stores the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax"])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--device_type", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--output", type=Path, help="JSON file (default: none)")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        take_steps(**json.loads(args.case))
        return 0

    from benchmarks.machine import describe
    from provenance import versions

    rows = [row for backend in args.backends for row in compare(backend, args)]
    print(table(rows))
    if args.output:
        command = " ".join(["python", "benchmarks/replicas.py", *sys.argv[1:]])
        record = {**describe(command), "versions": versions(), "seed": 0, "cases": rows}
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(record, indent=2) + "\n")
    return 0


def compare(backend: str, args: argparse.Namespace) -> list[dict]:
    """The cases of one backend; the first of them is the yardstick of the others."""
    rows, expected = [], None
    with tempfile.TemporaryDirectory() as folder:
        for number in args.replicas:
            for merge in MERGES[backend] if number > 1 else ("none",):
                file = Path(folder, f"{number}-{merge}.npz")
                case = {"number": number, "merge": merge == "device", "file": str(file)}
                case["device_type"] = args.device_type
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
                        "replicas": number,
                        "merge": merge,
                        "largest_difference": max(
                            float(np.abs(found[name] - expected[name]).max()) for name in expected
                        ),
                        "step_seconds": statistics.median(seconds.tolist()),
                    }
                )
    return rows


def take_steps(number: int, merge: bool, file: str, device_type: str) -> None:
    """Trains one case and stores its weights and the times of its steps."""
    import console
    from training import devices

    console.import_backend(lambda: devices.choose(device_type, number))
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
        model = network()
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


def network():
    """Three convolutions and a dense layer, with L2 penalties."""
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
        x = keras.layers.ReLU()(x)
    return Network(image, output_layer(average_pool(x), CLASSES, classifier=True, decay=1e-3))


def table(rows: list[dict]) -> str:
    """One line per case."""
    head = f"{'backend':>12}{'replicas':>10}{'merged on':>11}{'difference':>12}{'ms/step':>9}"
    return "\n".join(
        [head]
        + [
            f"{r['backend']:>12}{r['replicas']:>10}{r['merge']:>11}"
            f"{r['largest_difference']:>12.1e}{1000 * r['step_seconds']:>9.0f}"
            for r in rows
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
