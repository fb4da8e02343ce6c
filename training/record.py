"""The record next to the output files of a run: options, versions and results, as JSON."""

from collections.abc import Mapping
from pathlib import Path

import keras

from datasets.base import Dataset
from models.decisions import DECISIONS
from models.files.description import ModelDescription, Output
from storage.files import write_errors
from storage.history import accuracy_name
from storage.records import provenance, record_path, write_record
from training.callbacks.epoch_log import Record, best_epoch
from training.objectives.objective import Objective
from training.options import OutputOptions


def record_paths(outputs: OutputOptions) -> list[Path]:
    """Return the paths of the record: ``FILE.run.json`` next to files, ``run.json`` in folders."""
    files = (
        outputs.model_dump,
        outputs.weight_dump,
        outputs.feature_dump,
        outputs.history,
        outputs.snapshot,
    )
    folders = (outputs.log_dir, outputs.plot_features)
    return [record_path(path) for path in files if path] + [
        folder_record(folder) for folder in folders if folder
    ]


def folder_record(folder: Path) -> Path:
    """Return the path of the record in a folder of logs or plots."""
    return folder / "run.json"


def write_run_record(path: Path, record: Mapping[str, object]) -> None:
    """Write a record, creating its folder if necessary.

    Raises:
        UserError: the file cannot be written.
    """
    with write_errors(path):
        path.parent.mkdir(exist_ok=True)
    write_record(path, record)


def run_record(
    model: keras.Model, dataset: Dataset, command: dict[str, object], **results_so_far: object
) -> dict[str, object]:
    """Build the record of a run: all options of the command, versions, data, and results so far."""
    return {
        **provenance(command),
        "dataset": {
            "name": dataset.name,
            "train_samples": len(dataset.train),
            "validation_samples": 0 if dataset.validation is None else len(dataset.validation),
            "test_samples": len(dataset.test),
            "labels": list(dataset.labels),
            "class_names": list(dataset.class_names),
            **dataset.input_options,
        },
        "parameters": model.count_params(),
        **results_so_far,
    }


def finished_record(
    model: keras.Model,
    dataset: Dataset,
    command: dict[str, object],
    epochs: list[Record],
    **results_so_far: object,
) -> dict[str, object]:
    """Build the record of a run after its last epoch, given the metrics of all ``epochs``."""
    best = best_epoch(epochs)
    return run_record(
        model,
        dataset,
        command,
        **results_so_far,
        epochs_judged_on="test" if dataset.validation is None else "validation",
        epochs_judged_by=accuracy_name(best) if best else None,
        best_epoch=best,
        last_epoch=epochs[-1] if epochs else None,
    )


def describe_model(model: keras.Model, dataset: Dataset, objective: Objective) -> ModelDescription:
    """Collect what a saved model must know about its training in order to classify images."""
    return ModelDescription(
        dataset.name,
        dataset.labels,
        dataset.class_names,
        **dataset.inference_options,
        outputs=tuple(
            Output(
                name,
                term.decision,
                term.class_vectors if DECISIONS[term.decision].compares else None,
            )
            for name, term in zip(model.output_names, objective.terms, strict=True)
        ),
    )
