"""Readers of text: annotation lists, taxonomies, names, schedules, small JSON and CSV files."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from datasets import get_dataset
from datasets.cache.disk import read_normalization
from datasets.class_weights import read_class_weights
from datasets.images.dataset import ImageDataset
from datasets.images.files import FileImages
from datasets.images.normalization import Normalization
from datasets.names import DatasetName, parse_name
from datasets.readers.faces import NamedPairs, read_pairs
from embeddings.taxonomy.files import read_taxonomy
from embeddings.taxonomy.tree import Taxonomy
from reporting.page import Page, render
from reporting.runs import read_run
from tests import fake_data
from tests.fake_data import write_lines
from tests.hostile.reader import Reader
from training.callbacks.epoch_log import check_history
from training.learning_rates import StepSchedule, parse_step_schedule
from utils import UserError, read_lines


def write_dataset(kind: str, folder: Path) -> None:
    """Write two classes with three images for training and one for testing."""
    fake_data.WRITERS[kind](folder, 2, 3, 1)


def dataset_reader(name: str, files: tuple[str, ...], **more) -> Reader:
    """Return the reader of a data set's lists."""
    fields = {"write": partial(write_dataset, name), "check": check_dataset, "named": (name,)}
    return Reader(files=files, read=partial(get_dataset, name), **{**fields, **more})


def check_dataset(found: ImageDataset, valid: ImageDataset, folder: Path) -> None:
    """Check that image files are in the folder, and that every class has training images."""
    for split in (found.train, found.test):
        assert len(split) == len(split.labels) == len(split.names) > 0
        assert not any(".." in name for name in split.names)
        if isinstance(split.samples, FileImages):
            assert all((folder / name).exists() for name in split.names)
        assert min(split.labels) >= 0 and max(split.labels) < found.num_classes
    assert set(found.train.labels) == set(range(found.num_classes))
    assert len(found.labels) == len(set(map(str, found.labels))) == len(found.class_names)


def _check_split(found: ImageDataset, valid: ImageDataset, folder: Path) -> None:
    """Compare the splits with the lists, parsed in another way."""
    check_dataset(found, valid, folder)
    columns = []
    for file in ("images.txt", "image_class_labels.txt", "train_test_split.txt"):
        text = (folder / file).read_bytes().decode("utf-8-sig")
        rows = [row.strip().split(" ", 1) for row in text.replace("\r", "\n").split("\n")]
        columns.append({row[0]: row[1].strip() for row in rows if row[0]})
    paths, labels, flags = columns
    for split, flag in ((found.train, "1"), (found.test, "0")):
        ids = [i for i in paths if flags[i] == flag]
        assert split.names == tuple(str(PurePosixPath("images", paths[i])) for i in ids)
        wanted = [int(labels[i]) for i in ids]
        assert [found.labels[label] for label in split.labels] == wanted


def _write_subset(folder: Path) -> None:
    write_dataset("CUB", folder)
    rows = [line.split() for line in read_lines(folder / "train_test_split.txt")]
    write_lines(folder / "train_test_split_2.txt", (f"{i} 1" for i, flag in rows if flag == "1"))


def _write_folder(folder: Path) -> None:
    for part in ("train", "test"):
        names = [f"{label}/{part}{i}.png" for label in "ab" for i in range(2)]
        for name in names:
            fake_data.write_image(folder / name)
        write_lines(folder / f"{part}.txt", names)


def _argument(parse: Callable[[str], object], check: Callable, valid: str) -> Reader:
    """Return the reader of an argument of the command line, here the content of a file."""
    return Reader(
        lambda folder: (folder / "text").write_text(valid),
        ("text",),
        lambda folder: parse((folder / "text").read_bytes().decode("utf-8", "surrogateescape")),
        check,
        named=("",),
    )


def _check_schedule(found: StepSchedule, valid: StepSchedule, folder: Path) -> None:
    *pairs, total = (folder / "text").read_text().split(",")
    if ":" in total:  # the last pair's epoch is the total
        pairs, total = [*pairs, total], total.split(":")[0]
    assert found.epochs == int(total) > 0
    for (first, rate), pair in zip(found.steps, pairs, strict=True):
        assert first == int(pair.split(":")[0]) - 1 < found.epochs
        assert rate == float(pair.split(":")[1]) and 0 <= rate < math.inf
    starts = [first for first, _ in found.steps]
    assert starts == sorted(set(starts))


def _check_name(found: DatasetName, valid: DatasetName, folder: Path) -> None:
    """Compare with the parts between dashes, which may be in any order."""
    suffixes = [found.normalization, "large" if found.large else None]
    suffixes.append(None if found.per_class is None else f"sub{found.per_class}")
    text = (folder / "text").read_text().lower()
    assert text.startswith(found.base.lower())
    parts = text[len(found.base) :].split("-")[1:]
    normal = {f"sub{int(part[3:])}" if part.startswith("sub") else part for part in parts}
    assert normal == {suffix for suffix in suffixes if suffix}


def _taxonomy(*lines: str) -> Reader:
    return Reader(
        lambda folder: write_lines(folder / "tree.txt", lines),
        ("tree.txt",),
        lambda folder: read_taxonomy(folder / "tree.txt"),
        _check_taxonomy,
    )


def _check_taxonomy(found: Taxonomy, valid: Taxonomy, folder: Path) -> None:
    """Check that only the roots have no parents, and that every path ends at one."""
    assert [i for i, parents in enumerate(found.parents) if not parents] == list(found.roots)
    assert len(found) == len(found.labels)
    for node, parents in enumerate(found.parents):
        assert all(found.depths[parent] < found.depths[node] for parent in parents)
        assert all(found.heights[parent] > found.heights[node] for parent in parents)
    labels = found.leaf_labels
    if len(labels) < 100 and len(found.roots) == 1:  # of several, some have no common ancestor
        similar = found.similarities(labels)
        assert similar.shape == (len(labels),) * 2 and (similar >= 0).all() and (similar <= 1).all()


def _read_normalization(folder: Path) -> Normalization:
    found = read_normalization(folder / "values.json")
    if found is None:  # it is measured again then
        raise UserError(f"{folder}: damaged")
    return found


def _check_normalization(found: Normalization, valid: Normalization, folder: Path) -> None:
    assert len(found.mean) == len(found.std) in (1, 3)
    assert all(map(math.isfinite, (*found.mean, *found.std))) and min(found.std) > 0


def _write_run(folder: Path) -> None:
    write_lines(folder / "history.csv", ("epoch,loss,acc,val_acc", "1,2.5,0.25,", "2,1.5,0.5,0.25"))
    record = {
        "options": {"command_line": "python learn_classifier.py --dataset Digits"},
        "dataset": {"test_samples": 40},
        "final": {"acc": 0.25, "average_accuracy": 0.5},
        "versions": {"keras": "3"},
        "commit": None,
    }
    write_lines(folder / "history.csv.run.json", [json.dumps(record)])


def _render_run(folder: Path) -> str:
    return render(Page("a run", [read_run(folder)], []))


def _check_rendered(found: str, valid: str, folder: Path) -> None:
    """Check that a page of damaged numbers is still a page, without foreign markup."""
    assert found.count("<h2>") >= 1 and "<script" not in found


def _read_history(folder: Path) -> str:
    check_history(folder / "h.csv", [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.5}])
    return (folder / "h.csv").read_bytes().decode("utf-8-sig")


def _check_history(found: str, valid: str, folder: Path) -> None:
    assert "loss" in found or not found.strip()


def _check_lines(found: list[str], valid: list[str], folder: Path) -> None:
    text = (folder / "classes.txt").read_bytes().decode("utf-8-sig")
    assert "".join("".join(line.split()) for line in found) == "".join(text.split())


def _check_weights(found: np.ndarray, valid: np.ndarray, folder: Path) -> None:
    assert found.shape == (3,) and found.dtype == np.float32
    assert (found > 0).all() and np.isfinite(found).all()


def _check_pairs(found: NamedPairs, valid: NamedPairs, folder: Path) -> None:
    assert found.pairs and (found.folds is None or len(found.pairs) % (2 * found.folds) == 0)
    for pair in found.pairs:
        assert all("/" not in person and number >= 0 for person, number in pair)


_IDS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
_TINY_IMAGENET = ("wnids.txt", "words.txt", "val/val_annotations.txt")
_NORMALIZATION = '{"mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]}'
_OUTLINE = ("#taxonomy", "birds", "  water", "    [1] duck", "    [2] swan", "  [3] crow")

READERS = {
    "CUB lists": dataset_reader("CUB", _IDS, check=_check_split),
    "NAB lists": dataset_reader("NAB", _IDS, check=_check_split),
    "CUB-sub2 list": dataset_reader(
        "CUB-sub2", ("train_test_split_2.txt", *_IDS), write=_write_subset
    ),
    "MIT67 lists": dataset_reader("MIT67Scenes", ("TrainImages.txt", "TestImages.txt")),
    "Tiny-ImageNet lists": dataset_reader("Tiny-ImageNet", _TINY_IMAGENET),
    "VIPriors lists": dataset_reader("VIPriors", ("train.txt", "val.txt", "test.txt")),
    "GEM lists": dataset_reader("GEM-CUB", ("trainval0.txt", "test0.txt")),
    "Folder lists": dataset_reader("Folder", ("train.txt", "test.txt"), write=_write_folder),
    "AG-News lists": Reader(
        lambda folder: fake_data.write_ag_news(folder, 3, 1),
        ("train.csv", "test.csv", "classes.txt"),
        lambda folder: get_dataset("AG-News", folder),
        check_dataset,
        named=("AG-News",),
    ),
    "class list": Reader(
        lambda folder: write_lines(folder / "classes.txt", ["3 three", "", "17 seventeen"]),
        ("classes.txt",),
        lambda folder: read_lines(folder / "classes.txt"),
        _check_lines,
    ),
    "class weights": Reader(
        lambda folder: write_lines(folder / "w.csv", ["class,weight", "a b,2", '"c",0.25', "d,1"]),
        ("w.csv",),
        lambda folder: read_class_weights(folder / "w.csv", ("a b", "c", "d")),
        _check_weights,
        named=("--class_weights",),
    ),
    "pairs.txt": Reader(
        lambda folder: write_lines(folder / "pairs.txt", ["2 1", *["A 1 2", "A 2 B 1"] * 2]),
        ("pairs.txt",),
        lambda folder: read_pairs(folder / "pairs.txt"),
        _check_pairs,
    ),
    "taxonomy of pairs": _taxonomy("1 2", "1 3", "2 4", "2 5", "3 6", "3 7", "7 8"),
    "taxonomy as outline": _taxonomy(*_OUTLINE),
    "--sgd_schedule": _argument(parse_step_schedule, _check_schedule, "1:0.1,31:0.01,41:0.001,50"),
    "name of a data set": _argument(parse_name, _check_name, "CIFAR-100-sub5-caffe"),
    "stored mean": Reader(
        lambda folder: write_lines(folder / "values.json", [_NORMALIZATION]),
        ("values.json",),
        _read_normalization,
        _check_normalization,
    ),
    "finished run": Reader(
        _write_run,
        ("history.csv", "history.csv.run.json"),
        _render_run,
        _check_rendered,
        examples=25,
    ),
    "history": Reader(
        lambda folder: write_lines(folder / "h.csv", ["epoch,lr,loss", "1,0.1,2.5", "2,0.1,1.5"]),
        ("h.csv",),
        _read_history,
        _check_history,
    ),
}
