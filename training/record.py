"""What a run leaves beside its files: options, versions and results, as JSON."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import keras

from datasets.base import ImageDataset
from files import replacing
from models.description import ModelDescription, Output
from training.objective import Objectives
from training.options import OutputOptions


def record_paths(outputs: OutputOptions) -> list[Path]:
    """Where the record goes: ``FILE.run.json`` beside each file, ``run.json`` in the log folder."""
    files = (
        *(outputs.model_dump, outputs.weight_dump, outputs.feature_dump),
        *(outputs.history, outputs.snapshot),
    )
    paths = [path.with_name(path.name + ".run.json") for path in files if path]
    if outputs.log_dir:
        paths.append(outputs.log_dir / "run.json")
    return paths


def write_record(outputs: OutputOptions, record: Mapping[str, object]) -> None:
    """Writes the record beside everything that the run saves.

    Raises:
        UserError: a file cannot be written.
    """
    for path in record_paths(outputs):
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(record, indent=2, default=str) + "\n")


def commit() -> str | None:
    """The version of this project's code, with ``+`` where files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40"]
    try:
        # Exclude tags: the bare hash is what identifies the code.
        found = subprocess.run([*git, "--dirty=+", "--exclude=*"], capture_output=True, text=True)
    except OSError:
        return None
    return found.stdout.strip() or None


def describe_dataset(dataset: ImageDataset) -> dict[str, object]:
    """What a reader of a model needs to know of its data: classes, sizes, normalization."""
    return {
        "name": dataset.name,
        "train_samples": len(dataset.train.labels),
        "test_samples": len(dataset.test.labels),
        "labels": list(dataset.labels),
        "class_names": list(dataset.class_names),
        "channels": dataset.channels,
        "mean": list(dataset.normalization.mean),
        "std": list(dataset.normalization.std),
        "bgr": dataset.normalization.bgr,
    }


def describe_model(
    model: keras.Model, dataset: ImageDataset, objectives: Objectives
) -> ModelDescription:
    """What a saved model needs to know of its training in order to classify images.

    Data sets of small images, which are neither resized nor cropped, ask for images of that size.
    """
    sizes, side = dataset.preprocessing, min(dataset.input_shape[:2])
    return ModelDescription(
        dataset.name,
        dataset.labels,
        dataset.class_names,
        dataset.channels,
        target_size=sizes.test_size or side,
        crop_size=sizes.crop_size or side,
        outputs=tuple(
            Output(name, goal.decision, None if goal.decision == "output" else goal.class_vectors)
            for name, goal in zip(model.output_names, objectives.outputs, strict=True)
        ),
    )
