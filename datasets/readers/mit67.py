"""MIT Indoor Scenes: https://web.mit.edu/torralba/www/indoor.html"""

from datasets.base import DATASETS, ReaderArgs, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.published import PUBLISHED
from datasets.readers.annotations import file_split, read_files_by_class

_LISTS = ("TrainImages.txt", "TestImages.txt")


@DATASETS.register("MIT67Scenes")
def read_mit67(args: ReaderArgs) -> RawImageDataset:
    """Read the published lists of MIT Indoor Scenes."""
    root = require_root(args, "MIT67Scenes", *_LISTS)
    splits = (file_split(root, *read_files_by_class(root / file), "Images") for file in _LISTS)
    return RawImageDataset(
        *splits,
        **PUBLISHED["MIT67Scenes"]._asdict(),
    )
