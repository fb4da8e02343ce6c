"""The epoch log: one printed line per epoch, and the same metrics as CSV."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras

from evaluation.classification.evaluator import Metrics
from storage.history import accuracy_name, read_history, write_history
from training.callbacks.failures import survived
from utils import STARTED, UsageError, UserError

# Goes to standard output, see ``cli.console``.
results = logging.getLogger("results")
logger = logging.getLogger(__name__)

Record = dict[str, float]


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Return ``name: value`` pairs, metrics with four decimals and never an exponent.

    Scripts find the best epoch with ``grep`` and ``sort -n``, which read 5.0000e-04 as five.
    """
    return " - ".join(f"{name}: {_format(name, value)}" for name, value in metrics.items())


def _format(name: str, value: float) -> str:
    return f"{value:.6g}" if name in ("lr", "seconds") else f"{value:.4f}"


def best_epoch(records: list[Record]) -> Record | None:
    """Return the first record with the highest accuracy, or None if no accuracy is finite."""
    name = accuracy_name({name for record in records for name in record})
    if name is None:
        return None
    return max(
        (record for record in records if math.isfinite(record.get(name, math.nan))),
        key=lambda record: record[name],
        default=None,
    )


class FirstStep(keras.callbacks.Callback):
    """Log the time from the start of the command to the end of the first step."""

    def __init__(self):
        super().__init__()
        self.logged = False

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if not self.logged:
            self.logged = True
            logger.info("First training step done after %.1f s", time.monotonic() - STARTED)


class EpochReporter(keras.callbacks.Callback):
    """Log a line after each epoch and record its metrics.

    Args:
        epochs: the number of the last epoch.
        records: metrics of earlier epochs, if the run is resumed.
        history: CSV file to write the records to after every epoch, or None.
        title: start of the logged line.
        rate: learning rate at the beginning of an epoch, from 0; None: ask the optimizer, which
            within an epoch that a resumed run finishes may have another one.
    """

    def __init__(
        self,
        epochs: int,
        records: list[Record] | None = None,
        history: Path | None = None,
        title: str = "Epoch",
        rate: Callable[[int], float] | None = None,
    ):
        super().__init__()
        self.epochs = epochs
        self.records = list(records or [])
        self.history = history
        self.title = title
        self.rate = rate
        self.lr = math.nan
        self.error: UserError | None = None
        self.written = False  # whether the history has the metrics of this run

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self.rate:
            self.lr = self.rate(epoch)
        else:
            self.lr = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        metrics = {k: float(v) for k, v in (logs or {}).items() if k != "learning_rate"}
        record = {"lr": self.lr, **_ordered(metrics)}
        # A float32 has no more than seven significant digits.
        rounded = {name: float(f"{value:.7g}") for name, value in record.items()}
        self.records.append({"epoch": epoch + 1, **rounded})
        line = format_metrics({k: v for k, v in self.records[-1].items() if k != "epoch"})
        results.info("%s %d/%d - %s", self.title, epoch + 1, self.epochs, line)
        if self.history:
            self._write()

    def complete(self) -> None:
        """Write the history unless it was written after an epoch."""
        if self.history and self.records and not (self.written or self.error):
            self._write()

    def conclude(self, metrics: Metrics, held_out: str | None) -> None:
        """Log the metrics of the final network and the best epoch.

        ``held_out`` is what epochs were evaluated on, such as images, or None for the test split.
        """
        results.info("Final evaluation - %s", format_metrics(metrics.values))
        if metrics.diverged:
            results.info("Diverged: the outputs are not finite numbers, so nothing is classified")
        else:
            results.info("Average Accuracy: %.4f", metrics.average_accuracy)
        best = best_epoch(self.records)
        if best:
            name = accuracy_name(best)
            where = f" (of the {held_out} held out for validation)" if held_out else ""
            found = best["epoch"], self.epochs, name, best[name], where
            results.info("Best epoch: %d/%d - %s: %.4f%s", *found)

    def _write(self) -> None:
        with survived(self):  # the next epoch tries again
            write_history(self.history, self.records)
            self.written = True


def _ordered(metrics: Record) -> Record:
    """Sort training before validation metrics, and in each total loss, other losses, accuracies."""

    def rank(name: str) -> tuple[bool, bool, bool]:
        return name.startswith("val_"), not name.endswith("loss"), name not in ("loss", "val_loss")

    return dict(sorted(metrics.items(), key=lambda item: rank(item[0])))


def check_history(path: Path, records: list[Record]) -> None:
    """Refuse to overwrite a history of another run than the one with these records.

    The file may have more or fewer epochs, as a run can end between writing two files.

    Raises:
        UsageError: the file has other epochs.
    """
    if not path.exists():
        return
    try:
        # As text, since NaN differs from itself.
        losses = [str(epoch["loss"]) for epoch in read_history(path)]
    except (UserError, KeyError):
        losses = None
    own = [str(record["loss"]) for record in records]
    if losses is None or any(one != other for one, other in zip(losses, own, strict=False)):
        raise UsageError(
            f"--history {path}: is not the history of this run; give --overwrite to replace it"
        )
