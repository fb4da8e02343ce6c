"""The output files of a finished run: model, weights, features, and the record next to each."""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import keras

from evaluation.feature_dumps import Features, write_features
from models.files.description import ModelDescription
from models.files.saved import save_model, save_weights
from storage.outputs import announce
from storage.records import DIGEST, digest, record_path
from training.options import OutputOptions
from training.outputs import records_to_write, result_paths
from training.parallel import hosts
from training.record import write_run_record
from utils import UserError

logger = logging.getLogger(__name__)


class ResultFiles:
    """The results of a run to write; if one fails, the others are still written.

    Args:
        outputs: the requested files.
        record: the record of the run.
        written: results that the run has already written.

    Attributes:
        failures: errors of files that could not be written, which have been logged.
    """

    def __init__(
        self,
        outputs: OutputOptions,
        record: Mapping[str, object],
        written: Iterable[Path | None] = (),
    ):
        self.failures: list[UserError] = []
        self._outputs = outputs
        self._record = record
        self._digests: dict[Path, dict[str, str]] = {}
        self._unchanged = set(result_paths(outputs)) - {*written}

    def save_network(self, model: keras.Model, description: ModelDescription) -> None:
        """Write model and weights if requested."""
        self._save(self._outputs.model_dump, lambda path: save_model(model, path, description))
        self._save(self._outputs.weight_dump, lambda path: save_weights(model, path))

    def save_features(self, features: Features) -> None:
        """Write the features if requested."""
        self._save(self._outputs.feature_dump, lambda path: write_features(path, features))

    def write_records(self, record: Mapping[str, object]) -> None:
        """Write the record next to all outputs; results of other runs keep their records."""
        self._record = record
        for path in records_to_write(self._outputs, record, self._unchanged):
            self._write_record(path)

    def _write_record(self, path: Path) -> None:
        self._succeeds(write_run_record, path, {**self._record, **self._digests.get(path, {})})

    def _save(self, path: Path | None, write: Callable[[Path], None]) -> None:
        if not path:
            return

        def tell(new: Path) -> None:
            self._digests[record_path(path)] = {DIGEST: digest(new)}
            self._write_record(record_path(path))

        announce(path, tell)
        if self._succeeds(write, path):
            self._unchanged.discard(path)

    def _succeeds(self, write: Callable[..., None], *arguments: object) -> bool:
        try:
            with hosts.on_its_own():
                write(*arguments)
            return True
        except UserError as error:
            logger.error("%s", error)
            self.failures.append(error)
            return False
