"""The training run, from compiling to the saved files; ``training.phase`` has the fitting."""

import logging
from contextlib import nullcontext
from dataclasses import replace

from datasets.batches import Batches
from evaluation.classification.evaluator import Evaluator, Metrics
from evaluation.feature_dumps import of_test_split
from evaluation.features import feature_tensor, has_embedding
from training.callbacks.early_stopping import EarlyStopping
from training.callbacks.epoch_log import EpochReporter
from training.callbacks.feature_plots import FeaturePlots
from training.callbacks.tensorboard import Logs
from training.callbacks.validation import Validation
from training.callbacks.weight_copies import WeightAverage
from training.finetuning import last_layers, load_pretrained, training_only
from training.optimizer import build_optimizer, decay_per_iteration, number_of_steps
from training.outputs import HistoryRecord
from training.parallel import backend, hosts
from training.phase import Phase, build_snapshot
from training.record import describe_model, finished_record
from training.run import Training
from training.saving import ResultFiles
from training.schedules import Schedule, build_schedule
from training.snapshots.callback import explained
from training.snapshots.file import LAST_LAYERS
from training.snapshots.resuming import ResumePoint, begin_or_resume
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
    compile_model(run, rates or schedule.initial_lr, decay)
    reporter = EpochReporter(
        schedule.epochs,
        point.state.records,
        options.outputs.history,
        rate=rates.of_epoch if rates else None,
    )
    average, stopping = _weight_copies(run, reporter, validation)
    copies = [copy for copy in (average, stopping) if copy]
    snapshot = build_snapshot(run, point, reporter, schedule.callback, copies)
    logs = Logs(options.outputs.log_dir) if options.outputs.log_dir else None
    plots = _feature_plots(run, validation)
    phase = Phase(run, training, validation, point, reporter, snapshot)
    record = HistoryRecord(reporter, phase.open())
    phase.fit([schedule.callback, average, reporter, record, stopping, snapshot, logs, plots])
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
            compile_model(run, options.schedule.sgd_lr)
            reporter = EpochReporter(
                options.finetune_init, point.state.records, title="Last layers, epoch"
            )
            snapshot = build_snapshot(run, point, reporter)
            phase = Phase(run, training, validation, point, reporter, snapshot)
            phase.open()
            phase.fit([reporter, snapshot])
    validation.evaluator.forget_trainability()
    return point.with_all_layers()


def compile_model(run: Training, learning_rate: float | StepRates, decay: float = 0.0) -> None:
    """Compile the run's network with its optimizer, losses and metrics."""
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


def _feature_plots(run: Training, validation: Validation) -> FeaturePlots | None:
    if (folder := run.options.outputs.plot_features) is None:
        return None
    if (dimensions := feature_tensor(run.model).shape[-1]) < 2:
        raise UsageError(f"--plot_features {folder}: the network has {dimensions} feature")
    every = run.options.plot_every or run.options.val_every
    targets = run.objective.terms[0].class_vectors if has_embedding(run.model) else None
    return FeaturePlots(folder, every, validation, run.dataset.class_names, targets)


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
