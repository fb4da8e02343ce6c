"""Parts of a folder of images for a search: test images, and held-out ones among the others.

The training runs of a search get folders of links to images, so that they cannot see test images.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.holdout import first_by_name, fold_indices
from datasets.images.dataset import ImageDataset
from datasets.readers.duplicates import shared_contents
from evaluation.tables import write_csv
from storage.files import write_errors
from sweeping.search.trials import Plan
from utils import UsageError, UserError, listing, open_regular

TEST, TRAIN, HELD_OUT, LEFT_OUT = "test", "train", "held out", "left out"


@dataclass(frozen=True)
class Member:
    """An image with its part."""

    file: str  # path relative to the folder
    label: str  # class
    part: str  # TEST, TRAIN, HELD_OUT, "fold I" or LEFT_OUT
    reason: str = ""  # why it is left out


@dataclass(frozen=True)
class Parts:
    """All images of a folder with their parts."""

    root: Path
    members: tuple[Member, ...]

    def of(self, *parts: str) -> list[Member]:
        """Return the images of some parts."""
        return [member for member in self.members if member.part in parts]

    @property
    def folds(self) -> tuple[str, ...]:
        """The parts that are held out once each: the folds, or a single part."""
        found = {member.part for member in self.members} - {TEST, TRAIN, LEFT_OUT}
        return tuple(sorted(found, key=lambda name: (len(name), name)))

    @property
    def summary(self) -> str:
        """Line with the numbers of images."""
        training, test = len(self.of(TRAIN, *self.folds)), len(self.of(TEST))
        left_out = len(self.of(LEFT_OUT))
        return f"{training} to train on, {test} to test on, {left_out} left out"

    def for_search(self, fold: str) -> dict[str, list[Member]]:
        """Return training images and, as test images, those that are held out."""
        others = [name for name in self.folds if name != fold]
        return {"train": self.of(TRAIN, *others), "test": self.of(fold)}

    def for_winner(self) -> dict[str, list[Member]]:
        """Return all training images, and the test images."""
        return {"train": self.of(TRAIN, *self.folds), "test": self.of(TEST)}


def divide(
    dataset: ImageDataset,
    root: Path,
    damaged: Collection[str],
    folds: int | None,
    fraction: float,
    seed: int,
) -> Parts:
    """Assign each image to a part; damaged files and copies are left out.

    Args:
        dataset: the images with their test split, and a validation split if the folder has one.
        root: the folder.
        damaged: names of the files that cannot be read.
        folds: number of parts to hold out once each; None: hold out the validation split or, if
            there is none, ``fraction``.
        fraction: fraction of the training images of each class to hold out, in (0, 1).
        seed: seed of the random choice, non-negative.

    Raises:
        UsageError: there are more folds than images of a class.
        UserError: there are too few images.
    """
    labels = {kind: _labels_of(dataset, kind) for kind in ("train", "validation", "test")}
    reasons = dict.fromkeys(damaged, "damaged") | _copies(root, dataset, damaged)
    own = labels["validation"]
    every = labels["train"] | own | labels["test"]
    usable = {name: label for name, label in every.items() if name not in reasons}
    test = {name: usable[name] for name in usable.keys() & labels["test"].keys()}
    training = {name: label for name, label in usable.items() if name not in test}
    _check(root, dataset.labels, training, test)
    part = dict.fromkeys(test, TEST)
    if folds:
        part |= _fold_of(training, folds, seed)
    elif own:
        part |= {name: HELD_OUT if name in own else TRAIN for name in training}
    else:
        part |= _held_out(training, fraction, seed)
    part |= dict.fromkeys(reasons, LEFT_OUT)
    facts = ((n, label, part[n], reasons.get(n, "")) for n, label in every.items())
    return Parts(root, tuple(Member(*each) for each in sorted(facts)))


def _labels_of(dataset: ImageDataset, kind: str) -> dict[str, str]:
    """Return the label of each image of a split, by name; empty if there is no such split."""
    split = dataset.splits.get(kind)
    if split is None:
        return {}
    return {n: str(dataset.labels[i]) for n, i in zip(split.names, split.labels, strict=True)}


def _copies(root: Path, dataset: ImageDataset, damaged: Collection[str]) -> dict[str, str]:
    """Return which training images are copies, and of what; test images always stay."""
    splits = dataset.splits
    ordered = [splits["test"], *(splits[k] for k in ("validation", "train") if k in splits)]
    names = [name for split in ordered for name in split.names if name not in damaged]
    stays = frozenset(dataset.test.names)
    first: dict[bytes, str] = {}
    found = {}
    contents = shared_contents([root / name for name in names])
    for name, content in zip(names, contents, strict=True):
        if content is not None and first.setdefault(content, name) != name and name not in stays:
            found[name] = f"copy of {first[content]}"
    return found


def _check(
    root: Path, labels: Sequence, training: Mapping[str, str], test: Mapping[str, str]
) -> None:
    """Refuse data that cannot be divided into training, held-out and test images."""
    if not training and not test:
        raise UserError(f"{root}: none of its images can be read")
    if len(labels) < 2:
        raise UserError(f"{root} has a single class, {labels[0]}: at least two are required")
    count, tested = Counter(training.values()), Counter(test.values())
    small = [str(label) for label in labels if count[label] < 2 or not tested[label]]
    if small:
        raise UserError(
            f"{root}: {len(small)} of {len(labels)} classes have too few usable images, "
            f"{listing(small)}: a class needs three, to train on, to choose by and to test on"
        )


def _by_class(labels: Mapping[str, str]) -> dict[str, list[str]]:
    names = defaultdict(list)
    for name, label in labels.items():
        names[label].append(name)
    return names


def _held_out(labels: Mapping[str, str], fraction: float, seed: int) -> dict[str, str]:
    part = {}
    for names in _by_class(labels).values():
        count = min(max(1, round(fraction * len(names))), len(names) - 1)
        chosen = first_by_name("validation", seed, names, count)
        part |= {name: HELD_OUT if name in chosen else TRAIN for name in names}
    return part


def _fold_of(labels: Mapping[str, str], folds: int, seed: int) -> dict[str, str]:
    """Return the fold of each image, see ``datasets.holdout``."""
    by_class = _by_class(labels)
    smallest = min(by_class, key=lambda label: len(by_class[label]))
    if folds > len(by_class[smallest]):
        raise UsageError(
            f"--folds {folds}: class {smallest} has only {len(by_class[smallest])} training images"
        )
    names, (_, classes) = [*labels], np.unique([*labels.values()], return_inverse=True)
    return {
        names[i]: f"fold {fold + 1}"
        for fold in range(folds)
        for i in fold_indices(classes, names, folds, fold, seed)
    }


def digest(parts: Parts) -> str:
    """Return a digest of the parts, and of the content of the images in them.

    Raises:
        UserError: an image cannot be read any more.
    """
    total = hashlib.sha256()
    for member in parts.members:
        total.update(repr(member).encode(errors="surrogateescape"))
        if member.part == LEFT_OUT:
            continue
        try:
            with open_regular(parts.root / member.file) as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"cannot read {parts.root / member.file}: {error.strerror}") from error
    return total.hexdigest()[:12]


def write_parts(plan: Plan, parts: Parts) -> None:
    """Write the part of each image as ``parts.csv``, and the folders of links to the images.

    Raises:
        UserError: a file cannot be written, or a link not created.
    """
    rows = [(m.file, m.label, m.part, m.reason) for m in parts.members]
    write_csv(plan.out / "parts.csv", ("file", "class", "part", "reason"), rows)
    for fold, folder in zip(parts.folds, plan.parts, strict=True):
        write_links(folder, parts.root, parts.for_search(fold))
    write_links(plan.all_images, parts.root, parts.for_winner())


def write_links(folder: Path, root: Path, parts: Mapping[str, Iterable[Member]]) -> None:
    """Create a folder ``PART/CLASS/…`` of links to images; their own paths follow the class.

    Raises:
        UserError: a link cannot be created.
    """
    with write_errors(folder):
        for part, members in parts.items():
            for member in members:
                link = folder / part / member.label / member.file
                link.parent.mkdir(parents=True, exist_ok=True)
                if not os.path.lexists(link):
                    link.symlink_to(os.path.realpath(root / member.file))
