"""What comes before training: checks, seeds and the network."""

import importlib.util
import logging
import os
from pathlib import Path

import keras

from datasets.base import ImageDataset
from evaluation.feature_dumps import check_features_path
from files import check_folder, check_writable
from models import build_backbone
from models.saved import check_model_path, check_weights_path
from training import distribution
from training.options import OutputOptions, TrainingOptions
from utils import UsageError

logger = logging.getLogger(__name__)


def begin(options: TrainingOptions) -> None:
    """Refuses what cannot work before anything costs time, then seeds and sets the precision.

    Raises:
        UsageError: a file cannot be written or exists, or the GPUs are not there.
    """
    check_outputs(options.outputs)
    if options.finetune and not options.finetune.is_file():
        raise UsageError(f"--finetune {options.finetune}: there is no such file")
    if options.schedule.sgd_schedule and options.schedule.lr_schedule != "SGD":
        logger.warning("--sgd_schedule has no effect without --lr_schedule SGD")
    if options.steps_per_execution > 1 and options.schedule.lr_schedule == "CLR":
        raise UsageError(
            f"--steps_per_execution {options.steps_per_execution}: --lr_schedule CLR sets the rate "
            "of each single step; give --steps_per_execution 1"
        )
    if options.snapshot_best and not options.outputs.snapshot:
        raise UsageError("--snapshot_best needs --snapshot FILE")
    distribution.check_gpus(options.gpus)
    distribution.configure(options.seed, options.mixed_precision)


def check_outputs(outputs: OutputOptions) -> None:
    """Refuses outputs that could not be written at the end of the training.

    A run that goes on from its snapshot also goes on with its history and its logs.

    Raises:
        UsageError: see ``files.check_writable``.
    """
    if outputs.model_dump:
        check_model_path(outputs.model_dump)
    if outputs.weight_dump:
        check_weights_path(outputs.weight_dump)
    if outputs.feature_dump:
        check_features_path("--feature_dump", outputs.feature_dump)
    _check_distinct(outputs)
    resuming = bool(outputs.snapshot and os.path.exists(outputs.snapshot))
    for name, may_exist in (
        ("model_dump", outputs.overwrite),
        ("weight_dump", outputs.overwrite),
        ("feature_dump", outputs.overwrite),
        ("history", outputs.overwrite or resuming),
        ("snapshot", True),
    ):
        path = getattr(outputs, name)
        if path:
            check_writable(f"--{name}", path, may_exist)
    _check_log_dir(outputs, outputs.overwrite or resuming)


def _check_distinct(outputs: OutputOptions) -> None:
    """Refuses one file for two outputs, of which the later would replace the earlier."""
    seen: dict[Path, str] = {}
    for name in ("model_dump", "weight_dump", "feature_dump", "history", "snapshot"):
        path = getattr(outputs, name)
        if path is None:
            continue
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise UsageError(f"--{other} and --{name} name the same file, {path}")


def _check_log_dir(outputs: OutputOptions, may_exist: bool) -> None:
    folder = outputs.log_dir
    if folder is None:
        return
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UsageError(f"--log_dir {folder}: is a file, not a folder")
    if os.path.isdir(folder) and any(folder.iterdir()) and not may_exist:
        raise UsageError(
            f"--log_dir {folder}: has files in it already; give --overwrite to add to them"
        )
    for library in ("tensorflow", "tensorboard"):
        if importlib.util.find_spec(library) is None:
            raise UsageError(f"--log_dir {folder}: needs {library}, which is not installed")
    check_folder(f"--log_dir {folder}", folder if os.path.exists(folder) else folder.parent)


def build_network(
    architecture: str, dataset: ImageDataset, num_outputs: int, classifier: bool
) -> keras.Model:
    """The backbone for the images of a data set, normalization included.

    Raises:
        UsageError: the images are too small for it.
    """
    normalization = dataset.normalization
    network = build_backbone(
        architecture,
        num_outputs,
        classifier=classifier,
        channels=dataset.channels,
        mean=normalization.mean,
        std=normalization.std,
        bgr=normalization.bgr,
    )
    try:
        network.compute_output_shape((1, *dataset.input_shape))
    except ValueError as error:
        height, width, _ = dataset.input_shape
        raise UsageError(
            f"images of {width}x{height} pixels are too small for {architecture}"
        ) from error
    return network
