"""What comes before training: checks, seeds and the network."""

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import keras

from datasets.base import Dataset
from evaluation.feature_dumps import check_features_path
from models import build_backbone
from models.files.saved import check_model_path, check_weights_path
from storage.files import check_distinct, check_folder, check_writable, leftovers
from storage.records import record_path
from training.options import OutputOptions, TrainingOptions
from training.parallel import backend, hosts, precision, replicas
from training.parallel.group import Group
from training.record import folder_record
from training.snapshots.ownership import Owner
from utils import UsageError

logger = logging.getLogger(__name__)


@contextmanager
def begun(options: TrainingOptions) -> Iterator[Group]:
    """Refuses what cannot work before anything costs time, then seeds and sets the precision.

    Networks have to be built and trained within the ``with`` block.

    Raises:
        UsageError: a file cannot be written or exists, or the GPUs are not there.
        UserError: another machine was lost.
    """
    with _joined(options) as group:
        if group.writes:
            check_outputs(options.outputs, options.schedule.epochs)
        _check_options(options)
        group.check_batch_size(options.batch_size)
        backend.jit_compile(options.jit)
        backend.configure(options.seed, options.mixed_precision)
        if options.mixed_precision:
            precision.warn_if_emulated(options.mixed_precision, options.device_type)
        yield group


def _joined(options: TrainingOptions) -> AbstractContextManager[Group]:
    if hosts.present():
        return hosts.joined(options.device_type, options.gpus)
    return replicas.joined(options.device_type, options.gpus, options.gpu_merge)


def _check_options(options: TrainingOptions) -> None:
    if options.finetune and not os.path.isfile(options.finetune):
        raise UsageError(f"--finetune {options.finetune}: there is no such file")
    if options.schedule.sgd_schedule and options.schedule.lr_schedule != "SGD":
        logger.warning("--sgd_schedule has no effect without --lr_schedule SGD")
    if options.steps_per_execution > 1 and options.schedule.lr_schedule == "CLR":
        raise UsageError(
            f"--steps_per_execution {options.steps_per_execution}: --lr_schedule CLR sets the rate "
            "of each single step; give --steps_per_execution 1"
        )
    for name in ("snapshot_best", "snapshot_minutes"):
        if getattr(options, name) is not None and not options.outputs.snapshot:
            raise UsageError(f"--{name} needs --snapshot FILE")
    if options.snapshot_best and options.snapshot_minutes is not None:
        raise UsageError("--snapshot_best keeps epochs only; leave --snapshot_minutes out")


def check_outputs(outputs: OutputOptions, epochs: int | None = None) -> None:
    """Refuses outputs that could not be written at the end of the training.

    A run that goes on from its snapshot also goes on with its history and its logs, and writes
    once more what it wrote at its end.

    Args:
        outputs: all files.
        epochs: how many the command asks for.

    Raises:
        UsageError: see ``storage.files.check_writable``.
        UserError: the snapshot is damaged.
    """
    if outputs.model_dump:
        check_model_path(outputs.model_dump)
    if outputs.weight_dump:
        check_weights_path(outputs.weight_dump)
    if outputs.feature_dump:
        check_features_path("--feature_dump", outputs.feature_dump)
    names = ("model_dump", "weight_dump", "feature_dump", "history", "snapshot")
    paths = {f"--{name}": getattr(outputs, name) for name in names}
    check_distinct((option, path) for option, path in paths.items() if path)
    if outputs.snapshot:
        check_writable("--snapshot", outputs.snapshot, True)
    owner = Owner(outputs.snapshot, epochs)
    for name in ("model_dump", "weight_dump", "feature_dump"):
        path = getattr(outputs, name)
        if path:
            check_writable(f"--{name}", path, outputs.overwrite or owner.wrote(path))
    if path := outputs.history:
        check_writable("--history", path, outputs.overwrite or owner.began(record_path(path)))
    _check_log_dir(outputs, owner)


def _entries(folder: Path) -> set[Path]:
    try:
        return {*folder.iterdir()}
    except OSError as error:
        raise UsageError(f"--log_dir {folder}: cannot be read: {error.strerror}") from error


def _check_log_dir(outputs: OutputOptions, owner: Owner) -> None:
    folder = outputs.log_dir
    if folder is None:
        return
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UsageError(f"--log_dir {folder}: is a file, not a folder")
    record = folder_record(folder)
    may_exist = outputs.overwrite or owner.began(record)
    if os.path.isdir(folder) and not may_exist and _entries(folder) - {*leftovers(record)}:
        raise UsageError(
            f"--log_dir {folder}: has files in it already; give --overwrite to add to them"
        )
    for library in ("tensorflow", "tensorboard"):
        if importlib.util.find_spec(library) is None:
            raise UsageError(f"--log_dir {folder}: needs {library}, which is not installed")
    check_folder(f"--log_dir {folder}", folder if os.path.exists(folder) else folder.parent)


def build_network(
    architecture: str, dataset: Dataset, num_outputs: int, classifier: bool
) -> keras.Model:
    """The backbone for the images of a data set, normalization included.

    Raises:
        UsageError: the images are too small for it, or of sides that it cannot halve.
    """
    network = build_backbone(
        architecture, num_outputs, classifier=classifier, **dataset.input_options
    )
    try:
        network.compute_output_shape((1, *dataset.input_shape))
    except ValueError as error:
        height, width, _ = dataset.input_shape
        raise UsageError(f"images of {width}x{height} pixels do not fit {architecture}") from error
    return network
