"""Tiny-ImageNet: 200 classes of ImageNet in 64x64 pixels.

http://cs231n.stanford.edu/tiny-imagenet-200.zip
"""

from collections.abc import Sequence
from pathlib import Path

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import RawImageDataset
from datasets.readers.annotations import file_split, numbered_lines
from utils import UserError, list_folder, read_lines

_SYNSETS, _NAMES, _VALIDATION = "wnids.txt", "words.txt", "val/val_annotations.txt"
_SIDE = 64  # pixels


@DATASETS.register("Tiny-ImageNet")
def read_tiny_imagenet(args: ReaderArgs) -> RawImageDataset:
    """Read Tiny-ImageNet; its validation images are for testing, as its test images lack labels.

    Class labels are the synsets, like ``n01443537``. Gray images are converted to RGB.
    """
    root = require_root(args, "Tiny-ImageNet", _SYNSETS, _VALIDATION)
    synsets = read_lines(root / _SYNSETS)
    return RawImageDataset(
        _train(root, synsets),
        _validation(root),
        preprocessing=Preprocessing(_SIDE, _SIDE, _SIDE, shift=0.15),
        class_names=_class_names(root / _NAMES, synsets),
    )


def _train(root: Path, synsets: Sequence[str]) -> RawSplit:
    folders = [f"{synset}/images" for synset in synsets]
    files = [[path.name for path in list_folder(root / "train" / folder)] for folder in folders]
    names = [f"{folder}/{name}" for folder, f in zip(folders, files, strict=True) for name in f]
    return file_split(root, names, [name.split("/")[0] for name in names], "train")


def _validation(root: Path) -> RawSplit:
    """Read lines of image, synset and bounding box."""
    path, names, labels = root / _VALIDATION, [], []
    for number, line in numbered_lines(path):
        name, *others = line.split()
        if not others or "/" in name:
            raise UserError(f"{path}:{number}: expected an image and its synset, found {line!r}")
        names.append(name)
        labels.append(others[0])
    return file_split(root, names, labels, "val/images")


def _class_names(path: Path, synsets: Sequence[str]) -> dict[str, str]:
    """Return the first name of each synset, or nothing if the file is missing."""
    if not path.is_file():
        return {}
    wanted = frozenset(synsets)
    rows = (line.partition("\t") for line in read_lines(path))
    return {synset: names.split(",")[0].strip() for synset, _, names in rows if synset in wanted}
