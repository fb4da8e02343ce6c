"""The training run: the one place that compiles, fits, evaluates and saves."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras

from datasets.base import ImageDataset
from datasets.pipeline import Batches, SetEpoch
from evaluation.feature_dumps import of_test_split, write_features
from models.saved import save_model, save_weights
from provenance import commit
from training import distribution
from training.final import Judgement, judge
from training.finetuning import frozen, load_pretrained
from training.objective import Objectives
from training.optimizer import build_optimizer, decay_per_iteration
from training.options import TrainingOptions
from training.record import describe_dataset, describe_model, write_records
from training.reporting import (
    EpochReporter,
    FirstStep,
    accuracy_name,
    best_epoch,
    check_history,
    format_figures,
)
from training.schedules import Schedule, build_schedule
from training.snapshots import RunState, Snapshot, plateau_of, read_snapshot, restore
from utils import UsageError, UserError, unknown_name

logger = logging.getLogger(__name__)
results = logging.getLogger("results")


@dataclass(frozen=True)
class Training:
    """What is trained on what, how, and under which name.

    Attributes:
        model: not compiled, one output per objective.
        dataset: train and test split.
        objectives: what is minimized.
        options: everything else.
        command: all options of the command by name, for the record.
        identity: what a snapshot must agree in.
    """

    model: keras.Model
    dataset: ImageDataset
    objectives: Objectives
    options: TrainingOptions
    command: dict[str, object]
    identity: dict[str, object]


def train(run: Training) -> Judgement:
    """Trains, reports every epoch, evaluates on the test split and writes what is wanted.

    Raises:
        UserError: data cannot be read or a file cannot be written; whatever else was to be saved
            has been saved.
    """
    training, testing = _batches(run)
    try:
        return _train(run, training, testing)
    finally:
        training.close()
        testing.close()


def _train(run: Training, training: Batches, testing: Batches) -> Judgement:
    options = run.options
    _check_metric(run)
    schedule = build_schedule(options.schedule, len(training))
    state = _resume_from(run)
    if options.finetune and state is None:
        _start_from_pretrained(run, training, testing)
    _compile(run, schedule.initial_lr, _decay(options, schedule, training))
    if state:
        restore(options.outputs.snapshot, run.model)
    reporter = EpochReporter(
        schedule.epochs, state.records if state else [], options.outputs.history
    )
    write_records(options.outputs, _record(run))
    snapshots = _snapshots(run, schedule, reporter, state)
    _fit(
        run,
        training,
        testing,
        epochs=schedule.epochs,
        initial_epoch=state.epoch if state else options.initial_epoch,
        callbacks=[*schedule.callbacks, reporter, *snapshots, *_log_dir(options)],
    )
    judgement = _judge(run, testing)
    best = _report(judgement, reporter)
    failures = [c.error for c in (reporter, *snapshots) if c.error]
    _save(run, judgement, best, failures)
    return judgement


def _batches(run: Training) -> tuple[Batches, Batches]:
    """Training batches in a new random order every epoch, and test batches in order."""
    options, dataset = run.options, run.dataset
    loading = {"workers": options.read_workers, "max_queue_size": options.queue_size}
    encode = run.objectives.encode
    prepare = dataset.preprocessing
    training = Batches(
        dataset.train,
        prepare.train,
        encode,
        options.batch_size,
        seed=options.seed,
        shuffle=True,
        **loading,
    )
    val_batch_size = options.val_batch_size or options.batch_size
    return training, Batches(dataset.test, prepare.test, encode, val_batch_size, **loading)


def _resume_from(run: Training) -> RunState | None:
    """The state in the snapshot file, if there is one."""
    path = run.options.outputs.snapshot
    if path is None or not path.exists():
        return None
    state = read_snapshot(path, run.identity)
    outputs, wanted = run.options.outputs, run.options.initial_epoch
    if wanted not in (0, state.epoch):
        raise UsageError(
            f"--initial_epoch {wanted}: {path} goes on after epoch {state.epoch}; leave it out"
        )
    if outputs.history and not outputs.overwrite:
        check_history(outputs.history, state.records)
    logger.info("Going on from %s after epoch %d", path, state.epoch)
    return state


def _start_from_pretrained(run: Training, training: Batches, testing: Batches) -> None:
    """Loads the weights and trains the layers that they do not fill."""
    options = run.options
    loaded = load_pretrained(run.model, options.finetune)
    if options.finetune_init < 1:
        return
    with frozen(run.model, loaded):
        if not run.model.trainable_variables:
            logger.info("%s fills every layer: nothing to train first", options.finetune)
            return
        _compile(run, options.schedule.sgd_lr)
        reporter = EpochReporter(options.finetune_init, title="New layers, epoch")
        _fit(run, training, testing, epochs=options.finetune_init, callbacks=[reporter])


def _compile(run: Training, learning_rate: float, decay: float = 0.0) -> None:
    """Compiles, and builds the optimizer at once.

    An optimizer that creates its variables in the first step has TensorFlow trace the step twice.
    """
    options = run.options
    run.model.compile(
        optimizer=build_optimizer(learning_rate, options.clipgrad, options.nesterov, decay),
        jit_compile=distribution.jit_compile(options.jit),
        steps_per_execution=options.steps_per_execution,
        **run.objectives.compile_arguments(options.top_k_acc),
    )
    run.model.optimizer.build(run.model.trainable_variables)


def _decay(options: TrainingOptions, schedule: Schedule, training: Batches) -> float:
    return decay_per_iteration(options.max_decay, schedule.epochs * len(training))


def _snapshots(
    run: Training, schedule: Schedule, reporter: EpochReporter, state: RunState | None
) -> list[Snapshot]:
    path = run.options.outputs.snapshot
    if path is None:
        return []
    return [
        Snapshot(
            path,
            run.identity,
            reporter,
            plateau_of(schedule.callbacks),
            run.options.snapshot_best,
            state,
        )
    ]


def _check_metric(run: Training) -> None:
    """Refuses a metric for ``--snapshot_best`` that no epoch would have."""
    metric = run.options.snapshot_best
    known = run.objectives.figure_names(run.model.output_names, run.options.top_k_acc)
    known += [f"val_{name}" for name in known]
    if metric is not None and metric not in known:
        raise unknown_name("metric for --snapshot_best", metric, known)


def _log_dir(options: TrainingOptions) -> list[keras.callbacks.Callback]:
    folder = options.outputs.log_dir
    return [keras.callbacks.TensorBoard(str(folder))] if folder else []


def _fit(
    run: Training,
    training: Batches,
    testing: Batches,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
    initial_epoch: int = 0,
) -> None:
    def fit() -> None:
        run.model.fit(
            training,
            validation_data=testing,
            epochs=epochs,
            initial_epoch=initial_epoch,
            callbacks=[SetEpoch(training), FirstStep(), *callbacks],
            # The batches come in random order already; Keras would shuffle them once more, by a
            # generator that is not seeded with the epoch.
            shuffle=False,
            verbose=int(run.options.progress),
        )

    start = time.perf_counter()
    _reading((training, testing), fit)
    logger.info("Trained for %.0f s", time.perf_counter() - start)


def _judge(run: Training, testing: Batches) -> Judgement:
    return _reading(
        (testing,),
        lambda: judge(
            run.model,
            run.objectives,
            testing,
            run.dataset.test.labels,
            run.options.top_k_acc,
            int(run.options.progress),
        ),
    )


def _reading(batches: tuple[Batches, ...], work: Callable) -> object:
    """Does the work; what went wrong while reading data is told as it was.

    Backends wrap an error of the reading threads into one of their own.
    """
    try:
        return work()
    except Exception as error:
        cause = next((b.error for b in batches if b.error is not None), None)
        if cause is None or cause is error:
            raise
        raise cause from error


def _report(judgement: Judgement, reporter: EpochReporter) -> dict[str, float] | None:
    """Says how good the final network is, and which epoch was the best."""
    results.info("Final evaluation - %s", format_figures(judgement.figures))
    results.info("Average Accuracy: %.4f", judgement.average_accuracy)
    best = best_epoch(reporter.records)
    if best:
        name = accuracy_name(best)
        results.info(
            "Best epoch: %d/%d - %s: %.4f", best["epoch"], reporter.epochs, name, best[name]
        )
    return best


def _record(run: Training, **results_so_far: object) -> dict[str, object]:
    return {
        "options": run.command,
        "commit": commit(),
        "versions": distribution.versions(),
        "dataset": describe_dataset(run.dataset),
        "parameters": run.model.count_params(),
        **results_so_far,
    }


def _save(
    run: Training,
    judgement: Judgement,
    best: dict[str, float] | None,
    failures: list[UserError],
) -> None:
    """Writes every wanted file; one that fails does not keep the others from being written.

    Raises:
        UserError: the first failure, now or during training.
    """
    outputs = run.options.outputs
    record = _record(
        run,
        final={**judgement.figures, "average_accuracy": judgement.average_accuracy},
        best_epoch=best,
    )
    description = describe_model(run.model, run.dataset, run.objectives)
    features = of_test_split(judgement.features, run.dataset)
    steps = [
        (outputs.model_dump, lambda path: save_model(run.model, path, description)),
        (outputs.weight_dump, lambda path: save_weights(run.model, path)),
        (outputs.feature_dump, lambda path: write_features(path, features)),
        (outputs, lambda outputs: write_records(outputs, record)),
    ]
    for target, write in steps:
        if target is None:
            continue
        try:
            write(target)
        except UserError as error:
            logger.error("%s", error)
            failures.append(error)
    if failures:
        raise failures[0]
