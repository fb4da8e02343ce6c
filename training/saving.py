"""What a run leaves behind: models, weights, features, and the record beside each of them."""

import logging

import keras

from datasets.base import ImageDataset
from evaluation.feature_dumps import of_test_split, write_features
from models.saved import save_model, save_weights
from provenance import commit
from training import distribution, hosts
from training.judging import Judgement
from training.objective import Objectives
from training.options import OutputOptions
from training.record import describe_dataset, describe_model, write_records
from utils import UserError

logger = logging.getLogger(__name__)


def run_record(
    model: keras.Model, dataset: ImageDataset, command: dict[str, object], **results_so_far: object
) -> dict[str, object]:
    """What a run was: its options, versions and data, and what it reached so far.

    Args:
        model: the network.
        dataset: what it is trained on.
        command: all options of the command by name.
        **results_so_far: further entries.
    """
    return {
        "options": command,
        "commit": commit(),
        "versions": distribution.versions(),
        "dataset": describe_dataset(dataset),
        "parameters": model.count_params(),
        **results_so_far,
    }


def save_outputs(
    outputs: OutputOptions,
    model: keras.Model,
    dataset: ImageDataset,
    objectives: Objectives,
    judgement: Judgement,
    record: dict[str, object],
) -> list[UserError]:
    """Writes every wanted file; one that fails does not keep the others from being written.

    Returns:
        What failed; each failure has been logged.
    """
    description = describe_model(model, dataset, objectives)
    features = of_test_split(judgement.features, dataset)
    steps = [
        (outputs.model_dump, lambda path: save_model(model, path, description)),
        (outputs.weight_dump, lambda path: save_weights(model, path)),
        (outputs.feature_dump, lambda path: write_features(path, features)),
        (outputs, lambda outputs: write_records(outputs, record)),
    ]
    failures = []
    for target, write in steps:
        if target is None:
            continue
        try:
            with hosts.on_its_own():
                write(target)
        except UserError as error:
            logger.error("%s", error)
            failures.append(error)
    return failures
