"""How much does a short training lose to the moving averages of batch normalization?

They follow the statistics of the batches, with a memory of about a hundred steps. This script runs
a training command and tests its network twice: as it is, and after it has taken the averages anew,
from batches of the training samples, with the weights unchanged.
"""

import argparse
import importlib
import logging
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console, data_options
from cli.arguments import positive
from utils import UserError

if TYPE_CHECKING:
    import keras

    from datasets.batches import Batches

results = logging.getLogger("results")

_COMMANDS = ("learn_classifier.py", "learn_image_embeddings.py")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    add = parser.add_argument
    add("--passes", type=positive, default=20, help="passes over the training samples")
    add_output_options(parser)
    add("command", choices=_COMMANDS, help="training command")
    add("options", nargs="*", help="its options, after --")
    return parser


def measure(args: argparse.Namespace) -> None:
    """Train, and compare the accuracies on the test samples.

    Raises:
        UserError: the training fails.
    """
    trainer = importlib.import_module(args.command.removesuffix(".py")).build_parser()
    options = trainer.parse_args(args.options)
    with recorded(args) as report, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        command = [sys.executable, str(ROOT / args.command), *args.options, "--model_dump", file]
        if status := subprocess.run(command).returncode:
            raise UserError(f"{args.command} ended with status {status}")
        report |= _compare(options, file, args.passes)
    results.info("moving averages: %.4f; taken anew: %.4f", report["moving"], report["anew"])


def _compare(options: argparse.Namespace, file: Path, passes: int) -> dict[str, float]:
    """Return both accuracies, in [0, 1]."""
    from datasets.batches import Batches
    from evaluation.classification.classifiers import MethodArgs
    from evaluation.classification.matching import matched, with_input_of
    from evaluation.classification.models import evaluate_model
    from evaluation.loading import LoaderOptions
    from models.files.saved import load_model

    model, description = load_model(file)
    dataset = matched(data_options.open_dataset(options), {file: description}, None)
    dataset = with_input_of(dataset, description, options.target_size, options.crop_size)
    method = MethodArgs(model, description, dataset.labels)

    def accuracy() -> float:
        found = evaluate_model("", file, "own", method, dataset, {}, LoaderOptions())
        return found.metrics["accuracy"]

    moving = accuracy()
    batches = Batches(
        dataset.train,
        dataset.train_transform,
        options.batch_size,
        seed=options.seed,
        shuffle=True,
    )
    with closing(batches):
        take_anew(model, batches, range(options.epochs, options.epochs + passes))
    return {"moving": moving, "anew": accuracy()}


def take_anew(model: "keras.Model", batches: "Batches", epochs: range) -> None:
    """Replace the moving averages of batch normalization by the means over all given batches.

    Args:
        model: whose weights stay as they are.
        batches: batches of training samples, as in the training.
        epochs: that determine order and augmentation.
    """
    import keras

    kind = keras.layers.BatchNormalization
    layers = [layer for layer in model.layers if isinstance(layer, kind)]
    count = 0
    for epoch in epochs:
        batches.set_epoch(epoch)
        for i in range(len(batches)):
            for layer in layers:
                layer.momentum = count / (count + 1)  # a cumulative mean
            model(batches[i][0], training=True)
            count += 1


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv)


if __name__ == "__main__":
    console.end_process(main)
