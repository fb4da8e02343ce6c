"""Trains on few digits with the two commands: accuracies, curves and both models, side by side."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

from storage.plots import save_plot
from storage.records import record_path
from studies.choice import Outcome, outcome
from studies.reports.accuracies import accuracy
from studies.reports.comparison import SIGNIFICANT, welch
from studies.reports.figures import draw_curves, first_runs
from studies.results import STORED, Run, read_run, read_runs, runs_of
from studies.study import TITLES, load
from sweeping.grid import PAPER
from sweeping.results.plot import new_figure
from sweeping.store import FINISHED

FOLDER = Path("demo")
DATA = "Digits-sub10"
# Options of the study ``digits``, and the learning rate at which each loss is best there.
COMMON = f"--dataset {DATA} --architecture resnet-32 --epochs 36 --seed 0 --no_progress --overwrite"
RUNS = {
    "xent": f"learn_classifier.py --sgdr_max_lr 0.01 {COMMON}",
    "cosine+xent": "learn_image_embeddings.py --embedding onehot --cls_weight 0.1 "
    f"--sgdr_max_lr 0.05 {COMMON}",
}
ELSEWHERE = "cub50"
"""Study whose stored curves are shown beside those of the demo."""


def main() -> int:
    """Train both, and return the exit status of the first that fails, or 0."""
    FOLDER.mkdir(exist_ok=True)
    runs: dict[str, Run] = {}
    for loss, command in RUNS.items():
        model = FOLDER / f"{loss}.keras"
        history = model.with_suffix(".csv")
        command += f" --model_dump {model} --history {history}"
        print(f"\n$ python {command}\n", flush=True)
        status = subprocess.run([sys.executable, *shlex.split(command)]).returncode
        if status:
            return status
        record = json.loads(record_path(history).read_text())
        facts = {"folder": "", "name": loss, "seconds": 0, "command": command, "seed": 0}
        runs[loss] = read_run(history, record, status=FINISHED, **facts)
    draw(FOLDER / "curves.png", runs)
    print("\n".join([*table(runs), "", *meaning()]))
    return 0


def draw(path: Path, runs: dict[str, Run]) -> None:
    """Draw the curves of the demo, and stored ones of a study beside them."""
    part = load(ELSEWHERE).reduced[0]
    stored = first_runs(part, runs_of(read_runs(STORED / ELSEWHERE), part))
    panels = {
        f"This demo: {DATA}": runs,
        f"Stored results: {load(ELSEWHERE).title}": {loss: stored[loss] for loss in runs},
    }
    figure = new_figure(len(panels))
    axes = figure.subplots(1, len(panels))
    for axis, (title, shown) in zip(axes, panels.items(), strict=True):
        draw_curves(axis, shown, title)
    save_plot(figure, path, dpi=120)


def table(runs: dict[str, Run]) -> list[str]:
    """Return the accuracies as text."""
    lines = [f"\n{DATA}: accuracy on the test images", f"{'loss':38}{'final':>8}{'best':>8}  model"]
    return lines + [
        f"{TITLES[loss]:38}{run.test:8.4f}{run.best:8.4f}  {FOLDER / loss}.keras"
        for loss, run in runs.items()
    ]


def meaning() -> list[str]:
    """Say what the demo shows, and what it does not, by the stored results."""
    digits, of_digits = reached("digits")
    elsewhere, of_elsewhere = reached(ELSEWHERE)
    apart = welch(*(side.values for side in of_digits)) < SIGNIFICANT
    return [
        f"Both losses train, and both models load with Keras. Curves: {FOLDER / 'curves.png'}.",
        f"Single runs say little. Over {len(of_digits[0].values)} seeds, the digits reach {digits};"
        f" the two losses {'differ' if apart else 'do not differ'} significantly.",
        f"For comparison, {load(ELSEWHERE).title}, with the published learning rates: {elsewhere} "
        f"({' and '.join(str(len(side.values)) for side in of_elsewhere)} stored runs).",
    ]


def reached(study: str) -> tuple[str, list[Outcome]]:
    """Return what a study stores about both losses, in words and as outcomes."""
    part = load(study).reduced[0]
    runs = runs_of(read_runs(STORED / study), part)
    found = {loss: outcome(part, (part.datasets[0], loss), PAPER, runs) for loss in RUNS}
    shown = [f"{TITLES[loss]} {accuracy(side)} %" for loss, side in found.items()]
    return f"{' and '.join(shown)} in the best epoch", list(found.values())


if __name__ == "__main__":
    sys.exit(main())
