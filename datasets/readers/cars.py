"""Stanford Cars, whose page is gone; on copies: https://github.com/pytorch/vision/issues/7545"""

from datasets.base import DATASETS, ReaderArgs, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.published import PUBLISHED
from datasets.readers.annotations import file_split
from storage.matlab import load_mat
from utils import UserError

_ANNOTATIONS = "cars_annos.mat"


@DATASETS.register("Cars")
def read_cars(args: ReaderArgs) -> RawImageDataset:
    """Read Stanford Cars from its list of all images."""
    root = require_root(args, "Cars", _ANNOTATIONS)
    annotations, names = load_mat(root / _ANNOTATIONS, "annotations", optional="class_names")
    try:
        rows = [
            (str(path), int(label), bool(test))
            for path, label, test in annotations[["relative_im_path", "class", "test"]]
        ]
    except (IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(
            f"the annotations of {root / _ANNOTATIONS} lack relative_im_path, class or test"
        ) from error
    splits = (
        file_split(
            root,
            [path for path, _, test in rows if test is wanted],
            [label for _, label, test in rows if test is wanted],
        )
        for wanted in (False, True)
    )
    return RawImageDataset(
        *splits,
        **PUBLISHED["Cars"]._asdict(),
        class_names={label: str(name) for label, name in enumerate(names, start=1)},
    )
