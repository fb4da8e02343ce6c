"""ILSVRC 2012, the ImageNet challenge: https://image-net.org/challenges/LSVRC/2012/

Both splits are folders of one subfolder per synset.
"""

from pathlib import Path

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.normalization import BY_SUFFIX
from datasets.images.preprocessing import Preprocessing
from datasets.readers.annotations import file_split
from utils import UserError, list_folder

_FOLDERS = ("ILSVRC2012_img_train", "ILSVRC2012_img_val")
_SUFFIXES = (".jpeg", ".jpg")


@DATASETS.register("ILSVRC")
def read_ilsvrc(args: ReaderArgs) -> RawImageDataset:
    """Read the folders of ILSVRC 2012; class labels are the synsets, like ``n01440764``."""
    root = require_root(args, "ILSVRC")
    return RawImageDataset(
        *(_read_folder(root, folder) for folder in _FOLDERS),
        preprocessing=Preprocessing((256, 480), 256, 224),
        normalization=BY_SUFFIX["ilsvrcmean"],
    )


def _read_folder(root: Path, folder: str) -> RawSplit:
    if not (root / folder).is_dir():
        raise UserError(f"{root} does not contain ILSVRC: there is no folder {folder}")
    names, labels = [], []
    for synset in filter(Path.is_dir, list_folder(root / folder)):
        files = [p.name for p in list_folder(synset) if p.suffix.lower() in _SUFFIXES]
        names += [f"{synset.name}/{file}" for file in files]
        labels += [synset.name] * len(files)
    return file_split(root, names, labels, folder)
