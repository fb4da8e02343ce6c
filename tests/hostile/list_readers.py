"""Readers of text: annotation lists, taxonomies, names, schedules, small JSON and CSV files."""

import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from datasets import get_dataset
from datasets.cache.disk import read_normalization
from datasets.images.dataset import ImageDataset
from datasets.images.files import FileImages
from datasets.images.normalization import Normalization
from datasets.names import DatasetName, parse_name
from embeddings.taxonomy.files import read_taxonomy
from embeddings.taxonomy.tree import Taxonomy
from tests import fake_data
from tests.fake_data import write_lines
from tests.hostile.file_harms import endless, link, made, no_files, pipe
from tests.hostile.mutators import TEXT, json_value
from tests.hostile.readers import Reader
from training.learning_rates import StepSchedule, parse_step_schedule
from utils import UserError, read_lines


def read_dataset(name: str, folder: Path) -> ImageDataset:
    """The data set in a folder."""
    return get_dataset(name, folder)


def check_dataset(found: ImageDataset, valid: ImageDataset, folder: Path) -> None:
    """Every image that is a file is in the folder, and every class has one for training."""
    for split in (found.train, found.test):
        assert len(split) == len(split.labels) == len(split.names) > 0
        assert not any(".." in name for name in split.names)
        if isinstance(split.samples, FileImages):
            assert all((folder / name).exists() for name in split.names)
        assert min(split.labels) >= 0 and max(split.labels) < found.num_classes
    assert set(found.train.labels) == set(range(found.num_classes))
    assert len(found.labels) == len(set(map(str, found.labels))) == len(found.class_names)


def _same_split(found: ImageDataset, valid: ImageDataset, folder: Path) -> None:
    """And the split is what a look at the lists in another way says."""
    check_dataset(found, valid, folder)
    columns = []
    for file in ("images.txt", "image_class_labels.txt", "train_test_split.txt"):
        text = (folder / file).read_bytes().decode("utf-8-sig")
        rows = [row.strip().split(" ", 1) for row in text.replace("\r", "\n").split("\n")]
        columns.append({row[0]: row[1].strip() for row in rows if row[0]})
    paths, labels, flags = columns
    for split, flag in ((found.train, "1"), (found.test, "0")):
        if "train_test_split_2.txt" not in os.listdir(folder):
            assert split.names == tuple(f"images/{p}" for i, p in paths.items() if flags[i] == flag)
            wanted = [int(labels[i]) for i in paths if flags[i] == flag]
            assert [found.labels[label] for label in split.labels] == wanted


def _lists(kind: str, files: tuple[str, ...], check: Callable = check_dataset) -> Reader:
    prepare = small(kind)
    elsewhere = f"../{kind}.jpg" if kind in ("CUB", "NAB") else f"a/../../../{kind}.jpg"
    number = "1 " if kind == "CUB" else ""
    return Reader(
        prepare,
        files,
        partial(read_dataset, kind),
        check,
        TEXT,
        crafted={
            **no_files(files[0]),
            "only zeros": bytes(10_000),
            "a line without end": b"1 " + b"x" * 2_000_000,
            "images elsewhere": f"{number}{elsewhere}\n".encode(),
            "an absolute path": f"{number}/etc/hostname\n".encode(),
            "a zero byte in a name": f"{number}a\0/b.jpg\n".encode(),
        },
        named=(kind,),
        large={
            "a million lines": made(files[0], _million_lines),
            "only line ends": made(files[0], lambda: b"\n" * (2**27 + 1)),
            "one letter a line": made(files[0], lambda: b"a\n" * 2_900_000),
            "an endless file": partial(endless, files[0]),
        },
    )


def small(kind: str) -> Callable[[Path], None]:
    """Writes a data set of two classes, with three images for training and one for testing."""
    return lambda folder: fake_data.WRITERS[kind](folder, 2, 3, 1)


def _million_lines() -> bytes:
    return b"".join(b"%d a/b%d.jpg\n" % (i, i) for i in range(10**6))


def _write_subset(folder: Path) -> None:
    small("CUB")(folder)
    ids = [
        line.split()[0] for line in read_lines(folder / "train_test_split.txt") if line[-1] == "1"
    ]
    write_lines(folder / "train_test_split_2.txt", (f"{i} 1" for i in ids))


def _write_folder(folder: Path) -> None:
    for part in ("train", "test"):
        names = [f"{label}/{part}{i}.png" for label in "ab" for i in range(2)]
        for name in names:
            fake_data.write_image(folder / name)
        write_lines(folder / f"{part}.txt", names)


def _text_reader(read: Callable[[str], object], check: Callable, valid: str, **more) -> Reader:
    """A reader of arguments of the command line, which are the content of a file here."""

    def text(folder: Path) -> object:
        return read((folder / "text").read_bytes().decode("utf-8", "surrogateescape"))

    def prepare(folder: Path) -> None:
        (folder / "text").write_text(valid)

    return Reader(prepare, ("text",), text, check, TEXT, named=("",), **more)


def _check_schedule(found: StepSchedule, valid: StepSchedule, folder: Path) -> None:
    """Read again by cutting the text at every mark."""
    *pairs, total = (folder / "text").read_text().split(",")
    assert found.epochs == int(total) > 0
    assert found.steps[0][0] == 0
    for (first, rate), pair in zip(found.steps, pairs, strict=True):
        assert first == int(pair.split(":")[0]) - 1 < found.epochs
        assert rate == float(pair.split(":")[1]) and 0 <= rate < math.inf
    starts = [first for first, _ in found.steps]
    assert starts == sorted(set(starts))


def _check_name(found: DatasetName, valid: DatasetName, folder: Path) -> None:
    """The parts make up the name, in any order."""
    suffixes = [found.normalization, "large" if found.large else None]
    suffixes.append(None if found.per_class is None else f"sub{found.per_class}")
    wanted = {found.base.lower(), *(suffix for suffix in suffixes if suffix)}
    text = (folder / "text").read_text().lower()
    assert text.startswith(found.base.lower())
    rest = text[len(found.base) :].split("-")[1:]
    normal = {f"sub{int(part[3:])}" if part.startswith("sub") else part for part in rest}
    assert {found.base.lower(), *normal} == wanted


def _check_taxonomy(found: Taxonomy, valid: Taxonomy, folder: Path) -> None:
    """A graph in which every node but one has parents, and every way ends at that one."""
    roots = [i for i, parents in enumerate(found.parents) if not parents]
    assert roots == [found.root] and len(found) == len(found.labels)
    for node, parents in enumerate(found.parents):
        assert all(found.depths[parent] < found.depths[node] for parent in parents)
        assert all(found.heights[parent] > found.heights[node] for parent in parents)
    labels = found.leaf_labels
    if len(labels) < 100:
        similar = found.similarities(labels)
        assert similar.shape == (len(labels),) * 2 and (similar >= 0).all() and (similar <= 1).all()


def _write_pairs(folder: Path) -> None:
    write_lines(folder / "tree.txt", ["1 2", "1 3", "2 4", "2 5", "3 6", "3 7", "7 8"])


def _write_outline(folder: Path) -> None:
    rows = ["#taxonomy", "birds", "  water", "    [1] duck", "    [2] swan", "  [3] crow"]
    write_lines(folder / "tree.txt", rows)


def _pairs(edges) -> bytes:
    return b"".join(b"%d %d\n" % edge for edge in edges)


def _deep_outline(levels: int) -> bytes:
    rows = [f"{'  ' * i}{'[x] y' if i == levels - 1 else f'n{i}'}" for i in range(levels)]
    return "\n".join(["#taxonomy", *rows]).encode()


_TREES = {
    "a pipe": partial(pipe, "tree.txt"),
    "zeros without end": partial(link, "tree.txt", "/dev/zero"),
    "a cycle": _pairs([(0, 1), (1, 2), (2, 1)]),
    "a cycle of all": _pairs([(i, (i + 1) % 1000) for i in range(1000)]),
    "its own parent": _pairs([(1, 1)]),
    "many roots": _pairs([(i, i + 10_000) for i in range(10_000)]),
    "only zeros": bytes(100_000),
}
_LARGE_TREES = {
    "a million leaves": made("tree.txt", lambda: _pairs((0, i) for i in range(1, 10**6))),
    "a binary tree of a million": made(
        "tree.txt", lambda: _pairs((i // 2, i) for i in range(2, 10**6))
    ),
    "a million below each other": made(
        "tree.txt", lambda: _pairs((i, i + 1) for i in range(10**6))
    ),
    "many parents": made(
        "tree.txt", lambda: _pairs((i, j) for i in range(1000) for j in range(i + 1, 1000))
    ),
    "a deep outline": made("tree.txt", lambda: _deep_outline(5000)),
    "an endless file": partial(endless, "tree.txt"),
}


def _read_normalization(folder: Path) -> Normalization:
    found = read_normalization(folder / "values.json")
    if found is None:  # it is measured anew then
        raise UserError(f"{folder}: damaged")
    return found


def _write_normalization(folder: Path) -> None:
    write_lines(folder / "values.json", ['{"mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]}'])


def _check_normalization(found: Normalization, valid: Normalization, folder: Path) -> None:
    assert len(found.mean) == len(found.std) in (1, 3)
    assert all(map(math.isfinite, (*found.mean, *found.std))) and min(found.std) > 0


def _read_history(folder: Path) -> str:
    from training.callbacks.epoch_log import check_history

    check_history(folder / "h.csv", [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.5}])
    return (folder / "h.csv").read_bytes().decode("utf-8-sig")


def _write_history(folder: Path) -> None:
    write_lines(folder / "h.csv", ["epoch,lr,loss", "1,0.1,2.5", "2,0.1,1.5"])


def _check_history(found: str, valid: str, folder: Path) -> None:
    assert "loss" in found or not found.strip()


def _lines_read(folder: Path) -> list[str]:
    return read_lines(folder / "classes.txt")


def _check_lines(found: list[str], valid: list[str], folder: Path) -> None:
    text = (folder / "classes.txt").read_bytes().decode("utf-8-sig")
    assert "".join("".join(line.split()) for line in found) == "".join(text.split())


_IDS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")

READERS: dict[str, Reader] = {
    "CUB lists": _lists("CUB", _IDS, _same_split),
    "NAB lists": _lists("NAB", _IDS, _same_split),
    "CUB-sub2 list": Reader(
        _write_subset,
        ("train_test_split_2.txt", *_IDS),
        partial(read_dataset, "CUB-sub2"),
        check_dataset,
        TEXT,
        named=("CUB-sub2",),
    ),
    "MIT67 lists": _lists("MIT67Scenes", ("TrainImages.txt", "TestImages.txt")),
    "Folder lists": Reader(
        _write_folder,
        ("train.txt", "test.txt"),
        partial(read_dataset, "Folder"),
        check_dataset,
        TEXT,
        named=("Folder",),
    ),
    "class list": Reader(
        lambda folder: write_lines(folder / "classes.txt", ["3 three", "", "17 seventeen"]),
        ("classes.txt",),
        _lines_read,
        _check_lines,
        TEXT,
        no_files("classes.txt"),
    ),
    "taxonomy of pairs": Reader(
        _write_pairs,
        ("tree.txt",),
        lambda folder: read_taxonomy(folder / "tree.txt"),
        _check_taxonomy,
        TEXT,
        _TREES,
        large=_LARGE_TREES,
    ),
    "taxonomy as outline": Reader(
        _write_outline,
        ("tree.txt",),
        lambda folder: read_taxonomy(folder / "tree.txt"),
        _check_taxonomy,
        TEXT,
        _TREES,
        large=_LARGE_TREES,
    ),
    "--sgd_schedule": _text_reader(
        parse_step_schedule,
        _check_schedule,
        "1:0.1,31:0.01,41:0.001,50",
        crafted={
            "infinite": b"1:inf,50",
            "too large": b"1:1e999,50",
            "no number": b"1:nan,50",
            "negative": b"1:-0.1,50",
            "no epochs": b"1:0.1,0",
            "far too many epochs": b"1:0.1," + b"9" * 100,
            "endless digits": b"1:0.1," + b"9" * 10_000,
            "endless": b"1:0.1," * 100_000,
        },
    ),
    "name of a data set": _text_reader(
        parse_name,
        _check_name,
        "CIFAR-100-sub5-caffe",
        crafted={
            "endless digits": b"CUB-sub" + b"9" * 10_000,
            "endless suffixes": b"CUB" + b"-sub1" * 50_000,
            "endless dashes": b"CUB" + b"-" * 100_000,
            "a path": b"../CUB",
            "a zero byte": b"CUB\0",
        },
    ),
    "stored mean": Reader(
        _write_normalization,
        ("values.json",),
        _read_normalization,
        _check_normalization,
        (*TEXT, json_value, json_value),
    ),
    "history": Reader(_write_history, ("h.csv",), _read_history, _check_history, TEXT, keras=True),
}
