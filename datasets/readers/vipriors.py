"""VIPriors image classification: 100 images per class of ILSVRC 2012, https://vipriors.github.io

The lists of the challenge's toolkit name images by ``SYNSET/FILE``. Test images are from the
validation split of ILSVRC.
"""

from datasets.base import DATASETS, ReaderArgs, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.published import PUBLISHED
from datasets.readers.annotations import file_split, read_files_by_class
from datasets.readers.ilsvrc import FOLDERS
from utils import UsageError

_LISTS = ("train.txt", "val.txt", "test.txt")


@DATASETS.register("VIPriors")
def read_vipriors(args: ReaderArgs, part: str | None = None) -> RawImageDataset:
    """Read 50 images per class for training and 50 for validation; ``trainval`` trains on both."""
    if part not in (None, "trainval"):
        raise UsageError(f"VIPriors_{part}: there are VIPriors and VIPriors_trainval")
    train, validation, test = _LISTS
    root = require_root(args, "VIPriors", *_LISTS)
    images, for_test = FOLDERS
    names, labels = read_files_by_class(root / train)
    more = read_files_by_class(root / validation)
    if part == "trainval":
        names, labels, more = names + more[0], labels + more[1], None
    return RawImageDataset(
        file_split(root, names, labels, images),
        file_split(root, *read_files_by_class(root / test), for_test),
        validation=more and file_split(root, *more, images),
        **PUBLISHED["ILSVRC"]._asdict(),
    )
