"""Results of trials in one small file: what a report needs, without the trials' folders."""

import json
import logging
import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from storage.files import replacing
from storage.history import read_history
from studies.study import Part, Study
from sweeping.commands import RESERVED
from sweeping.grid import PAPER, VALIDATION, Trial
from sweeping.store import FAILED, FINISHED, SETTINGS, Store, read_settings
from utils import UsageError, UserError, list_folder, listing, read_text

logger = logging.getLogger(__name__)

STORED = Path(__file__).parent / "results"
"""Folder of the results that belong to the project, by study."""

FILE = "results.json"

STUDY = "study"
"""Setting of a folder of trials that names the study."""

PRECISION = "--mixed_precision"
FLOAT32 = "float32"
_FREE = {PRECISION, "--finetune", "--subset_seed"}  # in which trials of a part may differ, too

_PLACES = {"--data_root": "$DATA", "--finetune": "$WEIGHTS"}
_BOOKKEEPING = ("--history", "--snapshot", "--model_dump")  # options that name files of the trial


@dataclass(frozen=True)
class Run:
    """Trial that has ended, with a result or diverged.

    Attributes:
        folder: folder of its part in the study.
        name: name of the trial.
        status: see ``sweeping.store.Result``.
        seconds: duration of all attempts.
        command: the command without the files that it wrote; ``$DATA`` stands for the folder of the
            data, and ``$WEIGHTS`` for the weights that it started from.
        commit: commit of the code.
        versions: versions of the libraries.
        seed: ``--seed``.
        epochs: number of epochs.
        best: accuracy in the best epoch, in [0, 1], on the samples that epochs are evaluated on.
        best_epoch: number of that epoch.
        last: the same accuracy after the last epoch.
        test: accuracy on the test samples after the last epoch.
        training_curve: accuracy on the augmented training samples, by epoch.
        judged_curve: accuracy on these samples by epoch; None where it was not measured.
        evaluation: metrics of the network after the training, a row per score; empty: none.
    """

    folder: str
    name: str
    status: str
    seconds: float
    command: str
    commit: str | None
    versions: Mapping[str, str]
    seed: int
    epochs: int
    best: float | None = None
    best_epoch: int | None = None
    last: float | None = None
    test: float | None = None
    training_curve: tuple[float | None, ...] = ()
    judged_curve: tuple[float | None, ...] = ()
    evaluation: tuple[Mapping[str, object], ...] = ()


Runs = Mapping[str, Run]
"""Trials of one part by name."""


def runs_of(runs: Iterable[Run], part: Part) -> Runs:
    """Return the trials of a part: those in its folder that were trained with its options.

    The precision is free, unless the part sets it. Repetitions are all in the same one, though, and
    so are the candidates that choose a rate on held-out samples: in that of most of them, and in
    float32 if as many are in another.
    """
    of_part = [run for run in runs if run.folder == part.folder and _has_options(run, part)]
    counts: dict[str, Counter] = {}
    for run in sorted(of_part, key=lambda run: precision(run) != FLOAT32):
        counts.setdefault(_repeated(run.name), Counter())[precision(run)] += 1
    usual = {name: max(found, key=found.__getitem__) for name, found in counts.items()}
    return {run.name: run for run in of_part if precision(run) == usual[_repeated(run.name)]}


def _repeated(name: str) -> str:
    """Return the name of a trial without its seed, or without its rate if it chooses the rate."""
    return re.sub(r"_lr.*(?=_val$)|_seed\d+(_subset\d+)?", "", name)


def _has_options(run: Run, part: Part) -> bool:
    """Return whether the trial has the options of the part, and no others than single trials do."""
    expected = dict(_options(part.options))
    for key in _keys(run.name, part):
        expected |= _options(part.extra.get(key, ""))
    given = _options(run.command)
    return expected.items() <= given.items() and given.keys() <= {*expected, *RESERVED, *_FREE}


def _keys(name: str, part: Part) -> list[str | float]:
    """Return rate, loss, data set and protocol of a trial; none if it is not of the part."""
    for dataset, loss in part.trained():
        prefix = f"{dataset}_{loss}_lr"
        if name.startswith(prefix):
            rate = float(name.removeprefix(prefix).partition("_")[0])
            return [rate, loss, dataset, VALIDATION if name.endswith("_val") else PAPER]
    return []


@cache  # reports compare the same commands with each other many thousand times
def _options(command: str) -> Mapping[str, tuple[str, ...]]:
    """Return the values by option; of an option that is repeated, the last ones."""
    found: dict[str, tuple[str, ...]] = {}
    for words in f" {command}".split(" --")[1:]:
        first, *values = shlex.split(words)
        option, given, value = first.partition("=")
        found[f"--{option}"] = (value, *values) if given else tuple(values)
    return MappingProxyType(found)


def precision(run: Run) -> str:
    """Return the numbers' type in which a trial was trained, see ``--mixed_precision``."""
    return _options(run.command).get(PRECISION, (FLOAT32,))[0]


def check_study(study: Study, out: Path) -> None:
    """Refuse a folder with the results of another study.

    Raises:
        UsageError: it has them.
        UserError: its settings are damaged.
    """
    for folder in (out, *(list_folder(out) if os.path.isdir(out) else ())):
        file = folder / SETTINGS
        found = read_settings(file).get(STUDY) if os.path.exists(file) else None
        if found not in (None, study.name):
            raise UsageError(
                f"--out {out}: has results of the study {found}, not of {study.name}; "
                "give another folder"
            )


def read_trials(out: Path, study: Study) -> list[Run]:
    """Read the trials of a study that have ended.

    Args:
        out: folder of the study.
        study: study to which the trials belong; others in the folder are left out.

    Raises:
        UsageError: the folder has the results of another study.
    """
    check_study(study, out)
    parts: dict[str, list[Part]] = {}
    for part in (*study.paper, *study.reduced):
        parts.setdefault(part.folder, []).append(part)
    runs, failed = [], []
    for folder, of_folder in parts.items():
        store, trained = Store(out / folder), set().union(*(part.trained() for part in of_folder))
        for trial in store.trials():
            if (trial.point.dataset, trial.point.loss) in trained:
                result = store.result(trial)
                runs += [run_of(store, trial, folder)] if result.final else []
                failed += [trial.name] if result.status == FAILED else []
    if failed:
        logger.warning("%s: left out because they failed: %s", out, listing(failed))
    found = [run for run in runs if any(_has_options(run, part) for part in parts[run.folder])]
    if len(found) < len(runs):
        count = f"{len(runs) - len(found)} of {len(runs)}"
        logger.warning("%s: %s trials have other options than those of %s", out, count, study.name)
    return found


def run_of(store: Store, trial: Trial, folder: str) -> Run:
    """Return what a report needs of a trial that has ended."""
    result = store.result(trial)
    return read_run(
        store.folder(trial) / "history.csv",
        result.record,
        folder=folder,
        name=trial.name,
        status=result.status,
        seconds=round(result.seconds),
        command=public_command(str(store.facts(trial).get("command", ""))),
        seed=trial.point.seed,
        chooses_epoch=trial.protocol == PAPER,
        evaluation=tuple(map(_short, result.evaluation)),
    )


def _short(row: Mapping[str, object]) -> dict[str, object]:
    """Round metrics, and leave out the name of the model."""

    def rounded(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: rounded(part) for key, part in value.items()}
        if isinstance(value, list):
            return [rounded(part) for part in value]
        return round(value, 5) if isinstance(value, float) else value

    return {name: rounded(value) for name, value in row.items() if name != "model"}


def read_run(history: Path, record: Mapping, chooses_epoch: bool = True, **known: object) -> Run:
    """Return what a report needs of a training.

    Args:
        history: metrics of its epochs.
        record: beside it, see ``training.record.run_record``.
        chooses_epoch: whether the best epoch by the test samples counts.
        **known: fields of ``Run`` that do not follow from these.
    """
    name = record.get("epochs_judged_by")
    known |= {"commit": record.get("commit"), "versions": record.get("versions", {})}
    known["epochs"] = int(record["last_epoch"]["epoch"])
    if known["status"] != FINISHED or name is None:
        return Run(**known)
    epochs = read_history(history)
    return Run(
        **known,
        best=record["best_epoch"][name] if chooses_epoch else None,
        best_epoch=int(record["best_epoch"]["epoch"]),
        last=record["last_epoch"][name],
        test=round(record["final"][name.removeprefix("val_")], 7),
        training_curve=_curve(epochs, name.removeprefix("val_")),
        judged_curve=_curve(epochs, name),
    )


def _curve(epochs: Iterable[Mapping[str, float]], name: str) -> tuple[float | None, ...]:
    values = (epoch.get(name, math.nan) for epoch in epochs)
    return tuple(None if math.isnan(value) else round(value, 5) for value in values)


def public_command(command: str) -> str:
    """Leave out of a command what is of one machine: the files that it wrote, and the folders."""
    words, kept = iter(shlex.split(command)), []
    for word in words:
        if word in _BOOKKEEPING:
            next(words, None)
        elif word in _PLACES:
            kept += [word, _PLACES[word]]
            next(words, None)
        elif word != "--overwrite":
            kept.append(shlex.quote(word))
    return " ".join(kept)


def write_runs(folder: Path, runs: Iterable[Run]) -> None:
    """Write the results, one trial a line, so that differences can be read.

    Raises:
        UserError: the file cannot be written.
    """
    lines = [
        json.dumps(asdict(run)) for run in sorted(runs, key=lambda r: (r.folder, r.name, r.command))
    ]
    with replacing(folder / FILE) as temporary:
        temporary.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def read_runs(folder: Path) -> list[Run]:
    """Read results; none if there is no file.

    Raises:
        UserError: the file is damaged.
    """
    file = folder / FILE
    if not file.exists():
        return []
    try:
        return [Run(**entry) for entry in json.loads(read_text(file))]
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {file}: it is damaged") from error


def merged(stored: Iterable[Run], new: Iterable[Run]) -> list[Run]:
    """Return both; of a trial that both have, with the same options, the new one."""
    return list({_training(run): run for run in (*stored, *new)}.values())


def _training(run: Run) -> tuple[str, str, frozenset]:
    return run.folder, run.name, frozenset(_options(run.command).items())
