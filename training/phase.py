"""A phase of training: from its starting point through ``fit`` to the end of its last epoch."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from datasets.batches import Batches, SetEpoch
from training.callbacks.early_stopping import EarlyStopping
from training.callbacks.epoch_log import EpochReporter, FirstStep
from training.callbacks.garbage import GarbageOfEpochs
from training.callbacks.validation import Validation
from training.callbacks.weight_copies import WeightAverage
from training.outputs import begin_records
from training.parallel import backend, hosts
from training.parallel.replicas import AveragedStatistics
from training.record import run_record
from training.run import Training
from training.snapshots.callback import Snapshot, explained
from training.snapshots.file import ALL_LAYERS, restore
from training.snapshots.interruption import Interruption
from training.snapshots.resuming import (
    RestOfEpoch,
    ResumePoint,
    build_metrics,
    end_epoch,
    shorter_epoch_expected,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Phase:
    """Training of all layers or, before fine-tuning, of the last ones."""

    run: Training  # its model is compiled
    training: Batches
    validation: Validation
    point: ResumePoint  # where this phase starts
    reporter: EpochReporter  # knows the last epoch
    snapshot: Snapshot | None

    def open(self) -> dict[str, object]:
        """Restore the snapshot, or write the first one; then write and return the run's record.

        The first snapshot has the run ID, by which a resumed run recognizes its other files.
        """
        model, snapshot = self.run.model, self.snapshot
        if snapshot:
            snapshot.set_model(model)
            if self.point.resumed:
                restore(snapshot.path, model, snapshot.copies)
            elif not snapshot.path.exists():
                snapshot.write()
        record = run_record(model, self.run.dataset, self.run.command, run=self.point.state.run)
        begin_records(self.run.options.outputs, record)
        return record

    def fit(self, watching: Sequence[keras.callbacks.Callback | None]) -> None:
        """Train to the end of the last epoch, watched by the given callbacks.

        Raises:
            Interrupted: a signal ended the training.
            UserError: data cannot be read.
        """
        interruption = Interruption(hosts.all_reduce_max if self.snapshot else int)
        self.validation.check = interruption.check
        if self.point.sums:
            build_metrics(self.run.model, self.run.objective.label_shape)
        callbacks = [
            SetEpoch(self.training, self.point.state.step),
            RestOfEpoch(self.point.state, self.point.sums),
            FirstStep(),
            AveragedStatistics(),
            self.validation,
            *filter(None, watching),
            GarbageOfEpochs(),
            interruption,
        ]
        ending = (
            interruption.after_a_step(self._keep) if self.snapshot else interruption.immediate()
        )
        start = time.perf_counter()
        with (
            explained(self.snapshot),
            ending,
            shorter_epoch_expected(),
            backend.untuned_reading(),
            self.training.original_errors(),
        ):
            self._run_epochs(callbacks)
        logger.info("Trained for %.0f s", time.perf_counter() - start)

    def _run_epochs(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Finish the snapshot's epoch if all of its steps are done; then run Keras' ``fit``."""
        state, epochs = self.point.state, self.reporter.epochs
        first = state.epoch
        if state.step == len(self.training):
            end_epoch(self.run.model, callbacks, state, epochs)
            first += 1
        if any(isinstance(callback, EarlyStopping) and callback.over for callback in callbacks):
            return
        self.run.model.fit(
            self.training,
            epochs=epochs,
            initial_epoch=first,
            callbacks=callbacks,
            # Batches are already in random order; Keras would shuffle them again, in an order that
            # does not depend on seed and epoch alone.
            shuffle=False,
            verbose=int(self.run.options.progress),
        )

    def _keep(self) -> None:
        self.snapshot.keep()
        hosts.barrier()


def build_snapshot(
    run: Training,
    point: ResumePoint,
    reporter: EpochReporter,
    rate: keras.callbacks.Callback | None = None,
    copies: Sequence[WeightAverage | EarlyStopping] = (),
) -> Snapshot | None:
    """Return the callback that writes ``--snapshot``, or None without this option."""
    options = run.options
    if options.outputs.snapshot is None:
        return None
    best = options.snapshot_best if point.state.phase == ALL_LAYERS else None
    return Snapshot(
        options.outputs.snapshot,
        point.state,
        reporter,
        rate,
        metric=best,
        minutes=options.snapshot_minutes,
        group=run.group,
        copies=[variable for copy in copies for variable in copy.variables],
    )
