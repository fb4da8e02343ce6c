"""The training images of the subsets CUB-subX of CUB-200-2011.

``CUB-splits/training_images.txt`` lists them for all 200 classes, see the README there. They were
drawn by the rule of ``subsets``, given the images of each class in the order of their paths. So
there is a subset for every X and seed, and the listed ones stay the same even if NumPy changes the
stream of its generators.
"""

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from datasets.subsets import subset_indices
from utils import UserError, listing, read_lines

PUBLISHED = (1, 2, 5, 10, 15, 20, 25)
"""Training images per class of the published subsets."""

LIST = Path(__file__).parents[2] / "CUB-splits" / "training_images.txt"
"""Paths of training images: the first 200 lines are CUB-sub1, the first 400 CUB-sub2, …"""

LISTED = 25  # images of each class in the list
LISTED_SEED = 0

_CLASSES = 200


def listed_images(training: Collection[str], per_class: int) -> set[str]:
    """Return the shipped subset, restricted to the classes in ``training``.

    Args:
        training: paths ``CLASS/FILE`` of the official training images.
        per_class: number of images of each class, from 1 to ``LISTED``.

    Raises:
        UserError: the training images are not those of CUB, or the list cannot be read.
    """
    classes = {_class(path) for path in training}
    kept = {p for p in read_lines(LIST)[: _CLASSES * per_class] if _class(p) in classes}
    unlisted = classes - {_class(path) for path in kept}
    if unlisted:
        raise UserError(f"{LIST.name} in CUB-splits lacks classes: {listing(sorted(unlisted))}")
    missing = kept - set(training)
    if missing:
        raise UserError(
            f"{LIST.name} in CUB-splits lists images that are not for training here: "
            f"{listing(sorted(missing))}"
        )
    return kept


def drawn_images(training: Mapping[str, int], per_class: int, seed: int) -> set[str]:
    """Draw a subset by the general rule, each class in the order of its paths.

    The order of ``images.txt`` does not matter, so the same images can be drawn without that file.

    Args:
        training: original label by path of the official training images.
        per_class: number of images to keep of each class; smaller classes keep all.
        seed: non-negative.
    """
    paths = np.array(sorted(training))
    labels = np.array([training[path] for path in paths])
    originals, positions = np.unique(labels, return_inverse=True)
    return set(paths[subset_indices(positions, tuple(originals), per_class, seed)].tolist())


def _class(path: str) -> str:
    return PurePosixPath(path).parent.name
