"""Flowers-102: https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"""

from datasets.base import DATASETS, ReaderArgs, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.published import PUBLISHED
from datasets.readers.annotations import file_split
from storage.matlab import load_mat, whole_numbers
from utils import UserError, listing

_LABELS, _SPLIT = "imagelabels.mat", "setid.mat"
_PARTS = "trnid", "valid", "tstid"


@DATASETS.register("Flowers")
def read_flowers(args: ReaderArgs) -> RawImageDataset:
    """Read Flowers-102; its validation images are added to the training images."""
    root = require_root(args, "Flowers", _LABELS, _SPLIT)
    (labels,) = load_mat(root / _LABELS, "labels")
    labels = whole_numbers(root / _LABELS, "labels", labels)
    train, validation, test = (
        whole_numbers(root / _SPLIT, name, values)
        for name, values in zip(_PARTS, load_mat(root / _SPLIT, *_PARTS), strict=True)
    )
    splits = []
    for ids in (train + validation, test):
        unlabeled = [i for i in ids if not 1 <= i <= len(labels)]
        if unlabeled:
            raise UserError(f"{root / _LABELS} has no label for images {listing(unlabeled)}")
        files = [f"image_{i:05d}.jpg" for i in ids]
        splits.append(file_split(root, files, [labels[i - 1] for i in ids], "jpg"))
    return RawImageDataset(
        *splits,
        **PUBLISHED["Flowers"]._asdict(),
    )
