"""The files of a finished run: models, weights, features, and the record beside each of them."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from datasets.base import Dataset
from evaluation.classification.evaluator import Metrics
from evaluation.feature_dumps import of_test_split, write_features
from models.files.saved import save_model, save_weights
from storage.records import commit
from training.objectives.objective import Objective
from training.options import OutputOptions
from training.outputs import records_to_write
from training.parallel import backend, hosts
from training.record import describe_dataset, describe_model, write_run_record
from utils import UserError

logger = logging.getLogger(__name__)


def run_record(
    model: keras.Model, dataset: Dataset, command: dict[str, object], **results_so_far: object
) -> dict[str, object]:
    """Return the record of a run: options, versions, data, and results so far.

    Args:
        model: the network.
        dataset: what it is trained on.
        command: all options of the command by name.
        **results_so_far: further entries.
    """
    return {
        "options": command,
        "commit": commit(),
        "versions": backend.versions(),
        "dataset": describe_dataset(dataset),
        "parameters": model.count_params(),
        **results_so_far,
    }


def save_outputs(
    outputs: OutputOptions,
    model: keras.Model,
    dataset: Dataset,
    objective: Objective,
    metrics: Metrics,
    record: dict[str, object],
    kept: Sequence[Path | None] = (),
) -> list[UserError]:
    """Write every wanted file; a failure does not keep the others from being written.

    Args:
        outputs: which.
        model: the trained network.
        dataset: what it was trained on.
        objective: what it was trained for.
        metrics: of the test split.
        record: what is written beside each file.
        kept: results that the run has not replaced; those of other runs keep their record.

    Returns:
        What failed; each failure has been logged.
    """
    description = describe_model(model, dataset, objective)
    features = of_test_split(metrics.features, dataset)
    dumps = [
        (outputs.model_dump, lambda path: save_model(model, path, description)),
        (outputs.weight_dump, lambda path: save_weights(model, path)),
        (outputs.feature_dump, lambda path: write_features(path, features)),
    ]
    failures: list[UserError] = []

    def succeeds(write: Callable[..., None], *arguments: object) -> bool:
        try:
            with hosts.on_its_own():
                write(*arguments)
            return True
        except UserError as error:
            logger.error("%s", error)
            failures.append(error)
            return False

    kept = [*kept, *(path for path, write in dumps if path and not succeeds(write, path))]
    for path in records_to_write(outputs, record, kept):
        succeeds(write_run_record, path, record)
    return failures
