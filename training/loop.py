"""The training run: the only place that compiles, fits, evaluates and saves."""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras

from datasets.background import BatchesWithBackground
from datasets.base import Dataset, Split
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
from training.objectives.objective import Objective
from training.optimizer import build_optimizer, decay_per_iteration, number_of_steps
from training.options import TrainingOptions
from training.outputs import HistoryRecord, begin_records
from training.parallel import backend, hosts
from training.parallel.group import ALONE, Group
from training.parallel.replicas import AveragedStatistics
from training.record import describe_model, finished_record, run_record
from training.saving import ResultFiles
from training.schedules import DEPEND_ON_EPOCHS, OF_PYTORCH, Steps, build_schedule
from training.snapshots.callback import Snapshot, explained
from training.snapshots.file import ALL_LAYERS, LAST_LAYERS, restore
from training.snapshots.identity import content_identity, options_identity
from training.snapshots.interruption import Interruption
from training.snapshots.resuming import (
    RestOfEpoch,
    ResumePoint,
    begin_or_resume,
    build_metrics,
    end_epoch,
    shorter_epoch_expected,
)
from utils import UsageError, UserError, unknown_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """Everything that a training run needs."""

    model: keras.Model  # not compiled, one output per term of the objective
    dataset: Dataset  # training and test split, optionally a validation split
    objective: Objective  # what is minimized
    options: TrainingOptions  # everything else
    command: dict[str, object]  # all options of the command by name, for the record
    # processes that train together; the model was built in their scope, see ``replicas.joined``
    group: Group = ALONE
    background: Split | None = None  # images without a class to add to every training batch


def train(run: Training) -> Metrics:
    """Train, report every epoch, evaluate on the test split and write the requested files.

    Epochs are evaluated on the validation split or, if there is none, on the test split, as
    published.

    Raises:
        UserError: data cannot be read, a file cannot be written, or the training diverged; all
            other outputs have been saved by then.
    """
    hosts.agree(run.group, lambda: content_identity(*_learned_from(run)))
    if len(run.dataset.labels) == 1 and run.group.writes:
        name = run.dataset.class_names[0]
        logger.warning("There is only one class, %s: every accuracy is 1 and means nothing", name)
    splits = training, validating, testing = _batches(run)
    if run.group.writes:
        _warn_of_last_batch(training)
    try:
        with hosts.outputs_of(run.options.outputs, run.group) as outputs:
            progress = run.options.progress and run.group.writes
            own = replace(run, options=replace(run.options, outputs=outputs, progress=progress))
            return _train(own, training, validating, testing)
    finally:
        for batches in splits:
            batches.close()


def _warn_of_last_batch(training: Batches) -> None:
    """Warn if batch normalization will take its statistics from few samples once a pass."""
    last = training.per_pass % training.batch_size
    if 0 < last <= training.batch_size // 8:
        logger.warning(
            "Of %d training samples, %d would be the last batch: too few for the statistics of "
            "batch normalization, which can spoil the training; another --batch_size avoids it",
            *(training.per_pass, last),
        )


def _train(run: Training, training: Batches, validating: Batches, testing: Batches) -> Metrics:
    options = run.options
    _check_metrics(run)
    schedule = build_schedule(options.schedule)
    point = begin_or_resume(
        *(options.outputs, _identity(run, schedule.epochs)),
        *(options.initial_epoch, bool(options.finetune)),
    )
    point.check_epochs(schedule.epochs)
    validation = Validation(_evaluator(run), validating, options.val_every, schedule.ends_cycle)
    if point.state.phase == LAST_LAYERS:
        point = _start_from_pretrained(run, training, validation, point)
    count = number_of_steps(schedule.epochs * len(training), options.accumulate)
    _compile(run, schedule.initial_lr, decay_per_iteration(options.max_decay, count))
    per_pass = training.per_pass // options.batch_size
    steps = Steps(len(training), per_pass, point.state.step, options.accumulate)
    rate = schedule.callback(steps)
    reporter = EpochReporter(schedule.epochs, point.state.records, options.outputs.history)
    averages, stoppings = _weight_copies(run, reporter, validation)
    copies = [*averages, *stoppings]
    snapshots = _snapshots(run, point, reporter, rate, copies)
    logs = [Logs(options.outputs.log_dir)] if options.outputs.log_dir else []
    logs += _feature_plots(run, validation)
    record = HistoryRecord(reporter, _open(run, point, snapshots))
    watching = [rate, *averages, reporter, record, *stoppings, *snapshots, *logs]
    _fit(run, training, validation, point, schedule.epochs, watching, snapshots)
    with explained(snapshots), copies[-1].in_place() if copies else nullcontext():
        reporter.complete()
        failures = [c.error for c in (reporter, *snapshots, *logs) if c.error]
        metrics, failed = _evaluate_and_save(run, point, validation.evaluator, testing, reporter)
        failures += failed
    if failures:
        raise failures[0]
    if metrics.diverged:
        raise UserError("the training diverged: the network's outputs are not finite numbers")
    return metrics


def _weight_copies(
    run: Training, reporter: EpochReporter, validation: Validation
) -> tuple[list[WeightAverage], list[EarlyStopping]]:
    """Return the callbacks that keep copies of the weights; make validation use the average."""
    options = run.options
    averages = [WeightAverage(run.model, options.ema)] if options.ema else []
    for average in averages:
        validation.weights = average.in_place
    if not options.early_stopping:
        return averages, []
    patience = options.early_stopping
    return averages, [EarlyStopping(run.model, reporter, patience, validation.weights)]


def _batches(run: Training) -> tuple[Batches, Batches, Batches]:
    """Return training batches (reshuffled every epoch), validation and test batches (in order)."""
    options, dataset, background = run.options, run.dataset, run.background
    loading = {
        "workers": options.read_workers,
        "max_queue_size": options.queue_size,
        "multiple": run.group.replicas,
        "num_outputs": len(run.objective.terms),
        "part": (run.group.rank, run.group.processes),
    }
    kind = Batches if background is None else partial(BatchesWithBackground, background=background)
    training = kind(
        *(dataset.train, dataset.train_transform, options.batch_size),
        seed=options.seed,
        shuffle=True,
        repeats=dataset.repeats,
        mixing=dataset.mixing,
        oversample=options.oversample,
        **loading,
    )
    size = run.group.rounded_up(options.val_batch_size or options.batch_size)
    in_order = partial(Batches, transform=dataset.test_transform, batch_size=size, **loading)
    testing = in_order(dataset.test)
    if dataset.validation is None:
        return training, testing, testing
    return training, in_order(dataset.validation), testing


def _evaluator(run: Training) -> Evaluator:
    return Evaluator(
        run.model,
        run.objective.heads(run.model),
        feature_tensor(run.model),
        run.options.top_k_acc,
        backend.jit_compile(run.options.jit),
        hosts.replicate,
        hosts.shard_batch,
    )


def _identity(run: Training, epochs: int) -> dict[str, str]:
    if run.options.outputs.snapshot is None:
        return {}
    # The learning rates of these depend on the total number of epochs.
    whole = run.options.max_decay or run.options.schedule.lr_schedule in DEPEND_ON_EPOCHS
    more = {"epochs": str(epochs)} if whole else {}
    more |= {"momentum": "of gradients"} if _has_momentum_of_gradients(run.options) else {}
    content = content_identity(*_learned_from(run), run.background)
    if run.dataset.validation is not None:
        del content[f"test {run.dataset.noun}"]  # they do not influence the training
    return options_identity(run.command) | more | content


def _has_momentum_of_gradients(options: TrainingOptions) -> bool:
    return options.optimizer == "sgd" and options.schedule.lr_schedule in OF_PYTORCH


def _learned_from(run: Training) -> tuple[Dataset, Objective, Path | None]:
    return run.dataset, run.objective, run.options.finetune


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
            snapshots = _snapshots(run, point, reporter)
            _open(run, point, snapshots)
            watching = [reporter, *snapshots]
            _fit(run, training, validation, point, options.finetune_init, watching, snapshots)
    validation.evaluator.forget_trainability()
    return point.with_all_layers()


def _compile(run: Training, learning_rate: float, decay: float = 0.0) -> None:
    options = run.options
    run.model.compile(
        optimizer=build_optimizer(
            *(learning_rate, options.clipgrad, options.nesterov, decay),
            *(options.optimizer, options.weight_decay, options.accumulate),
            momentum_of_gradients=_has_momentum_of_gradients(options),
        ),
        jit_compile=backend.jit_compile(options.jit),
        steps_per_execution=options.steps_per_execution,
        **run.objective.compile_arguments(options.top_k_acc),
    )
    # TensorFlow traces the step twice if the optimizer creates its variables in it.
    run.model.optimizer.build(run.model.trainable_variables)


def _snapshots(
    run: Training,
    point: ResumePoint,
    reporter: EpochReporter,
    rate: keras.callbacks.Callback | None = None,
    copies: Sequence[WeightAverage | EarlyStopping] = (),
) -> list[Snapshot]:
    options = run.options
    if options.outputs.snapshot is None:
        return []
    best = options.snapshot_best if point.state.phase == ALL_LAYERS else None
    return [
        Snapshot(
            *(options.outputs.snapshot, point.state, reporter, rate, best),
            *(options.snapshot_minutes, run.group),
            [variable for copy in copies for variable in copy.variables],
        )
    ]


def _feature_plots(run: Training, validation: Validation) -> list[FeaturePlots]:
    if (folder := run.options.outputs.plot_features) is None:
        return []
    if (dimensions := feature_tensor(run.model).shape[-1]) < 2:
        raise UsageError(f"--plot_features {folder}: the network has {dimensions} feature")
    every = run.options.plot_every or run.options.val_every
    targets = run.objective.terms[0].class_vectors if has_embedding(run.model) else None
    return [FeaturePlots(folder, every, validation, run.dataset.class_names, targets)]


def _open(run: Training, point: ResumePoint, snapshots: list[Snapshot]) -> dict[str, object]:
    """Restore the snapshot, or write the first one; then write and return the record of the run.

    The first snapshot has the run ID, by which a resumed run recognizes its other files.
    """
    for snapshot in snapshots:
        snapshot.set_model(run.model)
        if point.resumed:
            restore(snapshot.path, run.model, snapshot.copies)
        elif not snapshot.path.exists():
            snapshot.write()
    record = run_record(run.model, run.dataset, run.command, run=point.state.run)
    begin_records(run.options.outputs, record)
    return record


def _check_metrics(run: Training) -> None:
    """Refuse early stopping on test images, and unknown metrics for ``--snapshot_best``."""
    if run.options.early_stopping and run.dataset.validation is None:
        noun = run.dataset.noun
        raise UsageError(
            f"--early_stopping {run.options.early_stopping}: would choose an epoch by the test "
            f"{noun}; hold out training {noun} with --val_fraction or --folds"
        )
    metric = run.options.snapshot_best
    known = run.objective.metric_names(run.model.output_names, run.options.top_k_acc)
    if metric is not None and metric not in known:
        raise unknown_name("metric for --snapshot_best", metric, known)


def _fit(
    run: Training,
    training: Batches,
    validation: Validation,
    point: ResumePoint,
    epochs: int,
    watching: list[keras.callbacks.Callback],
    snapshots: list[Snapshot],
) -> None:
    """Train from the starting point to the end of the last epoch."""
    interruption = Interruption(hosts.all_reduce_max if snapshots else int)
    validation.check = interruption.check
    if point.sums:
        build_metrics(run.model, run.objective.label_shape)
    callbacks = [
        SetEpoch(training, point.state.step),
        RestOfEpoch(point.state, point.sums),
        *(FirstStep(), AveragedStatistics(), validation),
        *(*watching, GarbageOfEpochs(), interruption),
    ]

    keep = partial(_keep, snapshots)
    ending = interruption.after_a_step(keep) if snapshots else interruption.immediate()
    start = time.perf_counter()
    with (
        explained(snapshots),
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


def _keep(snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
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
        *(run.model, run.dataset, run.command, reporter.records), run=point.state.run
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
