"""How much does reading images hold training back? Epochs of a real command, and the steps alone.

Options are those of ``learn_classifier.py`` after ``--``. The network is trained in turns on an
epoch of the data as the command reads them and on as many copies of one batch that is in memory
already; both within one process and by the same compiled step.
"""

import argparse
import logging
import statistics
import sys
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

import learn_classifier
from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from cli.arguments import positive

results = logging.getLogger("results")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=3, metavar="N", help="of both")
    parser.add_argument("--steps", type=positive, metavar="N", help="of an epoch, from its start")
    add_output_options(parser)
    parser.add_argument("options", nargs="+", help="of learn_classifier.py, after --")
    return parser


def measure(args: argparse.Namespace) -> None:
    from training import loop

    options = learn_classifier.build_parser().parse_args(args.options)
    options.command_line = args.command_line
    with recorded(args) as report, mock.patch.object(loop, "train") as train:
        # The command does all but the training itself.
        train.side_effect = lambda run: report.update(_measure(run, args))
        learn_classifier.learn(options)


def _measure(run, args: argparse.Namespace) -> dict[str, object]:
    """Time epochs in turn: from the data set, and of one batch."""
    from training import loop

    training, *others = run.batches()
    loop.compile_model(run, 0.01)
    steps = min(args.steps or len(training), len(training))
    same = training[0]
    seconds: dict[str, list[float]] = {"command": [], "step alone": []}
    try:
        _epoch(run.model, _part(lambda index: same, 2))
        for epoch in range(args.rounds):
            training.set_epoch(epoch)
            seconds["command"].append(_epoch(run.model, _part(training.__getitem__, steps)))
            training.on_epoch_end()
            seconds["step alone"].append(_epoch(run.model, _part(lambda index: same, steps)))
    finally:
        training.close()
        for batches in others:
            batches.close()
    return _show(seconds, steps * run.options.batch_size)


def _part(batch, steps: int):
    """Return the first batches as data for Keras."""
    import keras

    class Part(keras.utils.PyDataset):
        """Data set of Keras whose batches a function returns."""

        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int):
            return batch(index)

    return Part()


def _epoch(model, data) -> float:
    """Return the seconds of wall time of an epoch."""
    from training.parallel import backend

    start = time.perf_counter()
    with backend.untuned_reading():
        model.fit(data, verbose=0, shuffle=False)
    return time.perf_counter() - start


def _show(seconds: dict[str, list[float]], images: int) -> dict[str, object]:
    shares = [
        alone / command
        for command, alone in zip(seconds["command"], seconds["step alone"], strict=True)
    ]
    results.info("| | images/s | to the step alone |\n|---|---:|---:|")
    names = ["command, first epoch", "command, later epochs", "step alone"]
    for name, rows, ratios in (
        (names[0], seconds["command"][:1], shares[:1]),
        (names[1], seconds["command"][1:], shares[1:]),
        (names[2], seconds["step alone"], [1.0]),
    ):
        if rows:
            speed = images / statistics.median(rows)
            results.info("| %s | %.1f | %.2f |", name, speed, statistics.median(ratios))
    return {"images": images, "seconds": seconds, "shares": shares}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv)


if __name__ == "__main__":
    sys.exit(main())
