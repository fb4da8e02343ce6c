"""Trains on few digits with the two commands and prints what they reached, side by side."""

import csv
import subprocess
import sys
from pathlib import Path

OUT = Path("demo")
COMMON = (
    ["--dataset", "Digits-sub10", "--architecture", "resnet-32", "--batch_size", "50"]
    + ["--epochs", "36", "--seed", "0", "--overwrite"]
)
RUNS = {
    "cross-entropy": ["learn_classifier.py", "--sgdr_max_lr", "0.1"],
    "cosine + cross-entropy": [
        *["learn_image_embeddings.py", "--embedding", "onehot", "--cls_weight", "0.1"],
        *["--sgdr_max_lr", "0.1"],
    ],
}


def main() -> int:
    OUT.mkdir(exist_ok=True)
    for name, command in RUNS.items():
        arguments = [*command, *COMMON]
        files = ["--history", str(history(name)), "--model_dump", str(model(name))]
        print(f"\n$ python {' '.join([*arguments, *files])}", flush=True)
        status = subprocess.run([sys.executable, *arguments, *files]).returncode
        if status:
            return status
    return 0
