"""ILSVRC 2012, the ImageNet challenge: https://image-net.org/challenges/LSVRC/2012/

Both splits are folders of one subfolder per synset.
"""

from datasets.base import DATASETS, ReaderArgs, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.published import PUBLISHED
from datasets.readers.folder import folder_split
from utils import UserError

FOLDERS = ("ILSVRC2012_img_train", "ILSVRC2012_img_val")
"""Folders of training and test images."""


@DATASETS.register("ILSVRC")
def read_ilsvrc(args: ReaderArgs) -> RawImageDataset:
    """Read the folders of ILSVRC 2012; class labels are the synsets, like ``n01440764``."""
    root = require_root(args, "ILSVRC")
    missing = [folder for folder in FOLDERS if not (root / folder).is_dir()]
    if missing:
        raise UserError(f"{root} does not contain ILSVRC: there is no folder {missing[0]}")
    return RawImageDataset(
        *(folder_split(root, folder) for folder in FOLDERS),
        **PUBLISHED["ILSVRC"]._asdict(),
    )
