"""Stand in for a training command in searches: an accuracy per epoch that depends on the rate.

It takes the options of the learn commands, trains nothing and imports no backend. A rate above
``HIGHEST`` fails; the others reach the accuracy that ``accuracy`` says, classifiers a lower one, so
that one of the two trials that a search begins with is always behind the other.
"""

import argparse
import csv
import sys
from pathlib import Path

HIGHEST = 0.5
BEHIND = "learn_classifier.py"


def accuracy(command: str, rate: float, epoch: int) -> float:
    """The accuracy after an epoch."""
    return round(1 - abs(rate - 0.05) - 0.5 / epoch - 0.1 * (command == BEHIND), 4)


def main() -> int:
    """Write the history epoch by epoch, after the existing lines."""
    parser = argparse.ArgumentParser()
    for name in ("--cosine_max_lr", "--epochs", "--history"):
        parser.add_argument(name)
    args, _ = parser.parse_known_args()
    rate, path = float(args.cosine_max_lr), Path(args.history)
    if rate > HIGHEST:
        print("boom")
        return 1
    command = Path(sys.argv[0]).name
    done = len(path.read_text().splitlines()) - 1 if path.exists() else 0
    print(f"from epoch {done + 1}", flush=True)  # a signal would lose it
    for last in range(done + 1, int(args.epochs) + 1):
        rows = [{"epoch": e, "val_acc": accuracy(command, rate, e)} for e in range(1, last + 1)]
        new = path.with_suffix(".new")
        with open(new, "w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", "val_acc"])
            writer.writeheader()
            writer.writerows(rows)
        new.replace(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
