"""The training run: the only place that compiles, fits, evaluates and saves."""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import keras

from datasets.batches import Batches, SetEpoch
from evaluation.classification.evaluator import Evaluator, Metrics
from evaluation.feature_dumps import of_test_split
from evaluation.features import feature_tensor, has_embedding
from training.callbacks.early_stopping import EarlyStopping
from training.callbacks.epoch_log import EpochReporter, FirstStep
from training.callbacks.feature_plots import FeaturePlots
from training.callbacks.garbage import GarbageOfEpochs
from training.callbacks.tensorboard import Logs
from training.callbacks.validation import Validation
from training.callbacks.weight_copies import WeightAverage
from training.finetuning import last_layers, load_pretrained, training_only
from training.optimizer import build_optimizer, decay_per_iteration, number_of_steps
from training.outputs import HistoryRecord, begin_records
from training.parallel import backend, hosts
from training.parallel.replicas import AveragedStatistics
from training.record import describe_model, finished_record, run_record
from training.run import Training
from training.saving import ResultFiles
from training.schedules import Schedule, build_schedule
from training.snapshots.callback import Snapshot, explained
from training.snapshots.file import ALL_LAYERS, LAST_LAYERS, restore
from training.snapshots.interruption import Interruption
from training.snapshots.resuming import (
    RestOfEpoch,
    ResumePoint,
    begin_or_resume,
    build_metrics,
    end_epoch,
    shorter_epoch_expected,
)
from training.step_rates import StepRates, Steps
from utils import UsageError, UserError

logger = logging.getLogger(__name__)


def train(run: Training) -> Metrics:
    """Train, report every epoch, evaluate on the test split and write the requested files.

    Epochs are evaluated on the validation split or, if there is none, on the test split, as
    published.

    Raises:
        UserError: data cannot be read, a file cannot be written, or the training diverged; all
            other outputs have been saved by then.
    """
    hosts.agree(run.group, run.shared_content)
    splits = training, validating, testing = run.batches()
    if run.group.writes:
        run.warn_of_data(training)
    try:
        with hosts.outputs_of(run.options.outputs, run.group) as outputs:
            progress = run.options.progress and run.group.writes
            own = replace(run, options=replace(run.options, outputs=outputs, progress=progress))
            return _train(own, training, validating, testing)
    finally:
        for batches in splits:
            batches.close()


def _train(run: Training, training: Batches, validating: Batches, testing: Batches) -> Metrics:
    options = run.options
    run.check_metrics()
    schedule = build_schedule(options.schedule)
    point = begin_or_resume(
        options.outputs,
        run.identity(schedule.epochs),
        options.initial_epoch,
        bool(options.finetune),
    )
    point.check_epochs(schedule.epochs)
    validation = Validation(run.evaluator(), validating, options.val_every, schedule.ends_cycle)
    if point.state.phase == LAST_LAYERS:
        point = _start_from_pretrained(run, training, validation, point)
    count = number_of_steps(schedule.epochs * len(training), options.accumulate)
    decay = decay_per_iteration(options.max_decay, count)
    rates = _step_rates(run, training, schedule, point)
    _compile(run, rates or schedule.initial_lr, decay)
    reporter = EpochReporter(
        schedule.epochs,
        point.state.records,
        options.outputs.history,
        rate=rates.of_epoch if rates else None,
    )
    average, stopping = _weight_copies(run, reporter, validation)
    copies = [copy for copy in (average, stopping) if copy]
    snapshot = _snapshot(run, point, reporter, schedule.callback, copies)
    logs = Logs(options.outputs.log_dir) if options.outputs.log_dir else None
    plots = _feature_plots(run, validation)
    record = HistoryRecord(reporter, _open(run, point, snapshot))
    watching = [schedule.callback, average, reporter, record, stopping, snapshot, logs, plots]
    _fit(run, training, validation, point, schedule.epochs, watching, snapshot)
    with explained(snapshot), copies[-1].in_place() if copies else nullcontext():
        reporter.complete()
        failures = [c.error for c in (reporter, snapshot, logs, plots) if c and c.error]
        metrics, failed = _evaluate_and_save(run, point, validation.evaluator, testing, reporter)
        failures += failed
    if failures:
        raise failures[0]
    if metrics.diverged:
        raise UserError("the training diverged: the network's outputs are not finite numbers")
    return metrics


def _step_rates(
    run: Training, training: Batches, schedule: Schedule, point: ResumePoint
) -> StepRates | None:
    """Return the learning rates of each step if the schedule has them."""
    if schedule.step_rates is None:
        return None
    per_pass = training.per_pass // run.options.batch_size
    began = point.state.began
    return schedule.step_rates(Steps(len(training), per_pass, began, run.options.accumulate))


def _weight_copies(
    run: Training, reporter: EpochReporter, validation: Validation
) -> tuple[WeightAverage | None, EarlyStopping | None]:
    """Return the callbacks that keep copies of the weights; make validation use the average."""
    average = stopping = None
    if run.options.ema:
        average = WeightAverage(run.model, run.options.ema)
        validation.weights = average.in_place
    if patience := run.options.early_stopping:
        stopping = EarlyStopping(run.model, reporter, patience, validation.weights)
    return average, stopping


def _start_from_pretrained(
    run: Training, training: Batches, validation: Validation, point: ResumePoint
) -> ResumePoint:
    """Load pre-trained weights and train the last layers; return the start of the main phase."""
    options = run.options
    load_pretrained(run.model, options.finetune)
    with training_only(run.model, last_layers(run.model)):
        if options.finetune_init and not run.model.trainable_variables:
            logger.info(
                "%s has no weights in its last layers, so they are not trained separately first",
                run.model.name,
            )
        elif options.finetune_init:
            _compile(run, options.schedule.sgd_lr)
            reporter = EpochReporter(
                options.finetune_init, point.state.records, title="Last layers, epoch"
            )
            snapshot = _snapshot(run, point, reporter)
            _open(run, point, snapshot)
            watching = [reporter, snapshot]
            _fit(run, training, validation, point, options.finetune_init, watching, snapshot)
    validation.evaluator.forget_trainability()
    return point.with_all_layers()


def _compile(run: Training, learning_rate: float | StepRates, decay: float = 0.0) -> None:
    options = run.options
    run.model.compile(
        optimizer=build_optimizer(
            learning_rate,
            clip_norm=options.clipgrad,
            nesterov=options.nesterov,
            decay=decay,
            name=options.optimizer,
            weight_decay=options.weight_decay,
            accumulate=options.accumulate,
            momentum_of_gradients=run.has_momentum_of_gradients,
        ),
        jit_compile=backend.jit_compile(options.jit),
        steps_per_execution=options.steps_per_execution,
        **run.objective.compile_arguments(options.top_k_acc),
    )
    # TensorFlow traces the step twice if the optimizer creates its variables in it.
    run.model.optimizer.build(run.model.trainable_variables)


def _snapshot(
    run: Training,
    point: ResumePoint,
    reporter: EpochReporter,
    rate: keras.callbacks.Callback | None = None,
    copies: Sequence[WeightAverage | EarlyStopping] = (),
) -> Snapshot | None:
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


def _feature_plots(run: Training, validation: Validation) -> FeaturePlots | None:
    if (folder := run.options.outputs.plot_features) is None:
        return None
    if (dimensions := feature_tensor(run.model).shape[-1]) < 2:
        raise UsageError(f"--plot_features {folder}: the network has {dimensions} feature")
    every = run.options.plot_every or run.options.val_every
    targets = run.objective.terms[0].class_vectors if has_embedding(run.model) else None
    return FeaturePlots(folder, every, validation, run.dataset.class_names, targets)


def _open(run: Training, point: ResumePoint, snapshot: Snapshot | None) -> dict[str, object]:
    """Restore the snapshot, or write the first one; then write and return the record of the run.

    The first snapshot has the run ID, by which a resumed run recognizes its other files.
    """
    if snapshot:
        snapshot.set_model(run.model)
        if point.resumed:
            restore(snapshot.path, run.model, snapshot.copies)
        elif not snapshot.path.exists():
            snapshot.write()
    record = run_record(run.model, run.dataset, run.command, run=point.state.run)
    begin_records(run.options.outputs, record)
    return record


def _fit(
    run: Training,
    training: Batches,
    validation: Validation,
    point: ResumePoint,
    epochs: int,
    watching: Sequence[keras.callbacks.Callback | None],
    snapshot: Snapshot | None,
) -> None:
    """Train from the starting point to the end of the last epoch."""
    interruption = Interruption(hosts.all_reduce_max if snapshot else int)
    validation.check = interruption.check
    if point.sums:
        build_metrics(run.model, run.objective.label_shape)
    callbacks = [
        SetEpoch(training, point.state.step),
        RestOfEpoch(point.state, point.sums),
        FirstStep(),
        AveragedStatistics(),
        validation,
        *filter(None, watching),
        GarbageOfEpochs(),
        interruption,
    ]
    keep = partial(_keep, snapshot)
    ending = interruption.after_a_step(keep) if snapshot else interruption.immediate()
    start = time.perf_counter()
    with (
        explained(snapshot),
        ending,
        shorter_epoch_expected(),
        backend.untuned_reading(),
        training.original_errors(),
    ):
        _run_epochs(run, training, point, epochs, callbacks)
    logger.info("Trained for %.0f s", time.perf_counter() - start)


def _run_epochs(
    run: Training,
    training: Batches,
    point: ResumePoint,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Finish the snapshot's epoch if all of its steps are done; then run ``fit``."""
    first = point.state.epoch
    if point.state.step == len(training):
        end_epoch(run.model, callbacks, point.state, epochs)
        first += 1
    if any(isinstance(callback, EarlyStopping) and callback.over for callback in callbacks):
        return
    run.model.fit(
        training,
        epochs=epochs,
        initial_epoch=first,
        callbacks=callbacks,
        # Batches are already in random order; Keras would shuffle them again, in an order that
        # does not depend on seed and epoch alone.
        shuffle=False,
        verbose=int(run.options.progress),
    )


def _keep(snapshot: Snapshot) -> None:
    snapshot.keep()
    hosts.barrier()


def _evaluate_and_save(
    run: Training,
    point: ResumePoint,
    evaluator: Evaluator,
    testing: Batches,
    reporter: EpochReporter,
) -> tuple[Metrics, list[UserError]]:
    """Save the network, evaluate it, save the rest; return the metrics and the failures.

    The network is saved first because a single damaged test image ends the evaluation.
    """
    facts = finished_record(
        run.model, run.dataset, run.command, reporter.records, run=point.state.run
    )
    files = ResultFiles(run.options.outputs, facts, [reporter.history] if reporter.written else [])
    files.save_network(run.model, describe_model(run.model, run.dataset, run.objective))
    files.write_records(facts)
    metrics = evaluator(testing, int(run.options.progress))
    held_out = None if run.dataset.validation is None else run.dataset.noun
    reporter.conclude(metrics, held_out)
    files.save_features(of_test_split(metrics.features, run.dataset))
    final = {**metrics.values, "average_accuracy": metrics.average_accuracy}
    files.write_records(facts | {"diverged": metrics.diverged, "final": final})
    return metrics, files.failures
