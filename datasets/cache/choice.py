"""Decoded images, kept so that they are not read and resized again in every epoch.

What is kept is the result of the first step of ``Preprocessing``: the whole image, resized where
the size is fixed. Resizing it again changes nothing, so everything after the cache goes on as
without it, and gets the same pixels bit by bit.
"""

import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets.base import ImageDataset, Selected, Split
from datasets.cache.disk import stored_images, stored_normalization
from datasets.cache.memory import available_memory
from datasets.images.files import FileImages, image_size
from datasets.images.normalization import Normalization
from datasets.images.resizing import resize, resized_shape
from utils import UsageError

logger = logging.getLogger(__name__)

AUTO, RAM, OFF = "auto", "ram", "off"
TRAIN, TEST, VALIDATION = "train", "test", "validation"

_AUTO_SHARE = 0.5  # of the available memory that may be taken without being asked to
_SAMPLE = 100  # image files from which the size of all is estimated
_SLAB = 2**25  # bytes
_GB = 1e9


@dataclass(frozen=True)
class _Plan:
    """One split of image files.

    Attributes:
        images: the files.
        positions: those of the split, ascending, without repetition.
        size: shorter side of the images that are kept; None: as they are.
    """

    images: FileImages
    positions: np.ndarray
    size: int | None

    def estimate(self) -> float:
        """About how many bytes the decoded images need."""
        step = max(1, len(self.positions) // _SAMPLE)
        sizes = [self._bytes(self.images.paths[i]) for i in self.positions[::step]]
        known = [size for size in sizes if size]
        return len(self.positions) * sum(known) / len(known) if known else 0.0

    def _bytes(self, path: Path) -> int | None:
        try:
            width, height = image_size(path)
        except Exception:  # a damaged file: reading it later says so
            return None
        if self.size:
            height, width = resized_shape(height, width, self.size)
        return height * width * self.images.channels


class ResizedImages(Sequence):
    """Images resized when they are asked for.

    Args:
        images: ``images[i]`` is uint8 (height, width, channels).
        size: pixels of the shorter side; None: as they are.
        empty: makes the arrays of the results, given their shape.
    """

    def __init__(
        self, images: Sequence, size: int | None, empty: Callable[[tuple], np.ndarray] | None = None
    ):
        self.images = images
        self.size = size
        self.empty = empty

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        image = self.images[index]
        shape = resized_shape(*image.shape[:2], self.size) if self.size else image.shape[:2]
        return resize(image, shape, self.empty and self.empty((*shape, image.shape[2])))


class Slabs:
    """Memory for images, taken from the system in large pieces.

    Memory that is new to the program costs the system more time, page by page, than resizing the
    image that is put there. Large pieces have large pages, where the system has such.
    """

    def __init__(self):
        self._rest = np.empty(0, np.uint8)
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """A new array of uint8, with any content. Several threads may ask at a time."""
        size = math.prod(shape)
        with self._lock:
            if size > len(self._rest):
                self._rest = np.empty(max(size, _SLAB), np.uint8)
            taken, self._rest = self._rest[:size], self._rest[size:]
        return taken.reshape(shape)


class CachedImages(Sequence):
    """Keeps in memory what was read once; any number of threads may read at a time.

    Args:
        images: the images to keep.
    """

    def __init__(self, images: Sequence):
        self.images = images
        self._kept: list[np.ndarray | None] = [None] * len(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        image = self._kept[index]
        if image is None:
            # Two threads at once may both read it: wasteful, rare and harmless.
            image = self.images[index]
            image.setflags(write=False)
            self._kept[index] = image
        return image


def with_cache(dataset: ImageDataset, where: str | Path, threads: int = 1) -> ImageDataset:
    """The same data set, whose decoded images are kept.

    Images in memory keep the time of the first epoch, in which they are read. A folder is filled
    before this returns, unless an earlier run did so.

    Args:
        dataset: of image files; others are in memory anyway and returned as they are.
        where: ``"auto"`` (memory if half of what is available suffices), ``"ram"``, ``"off"`` or a
            folder, which is created.
        threads: that fill the folder, at least 1.

    Raises:
        UsageError: the images do not fit into memory, or there is no such folder to write to.
        UserError: an image is damaged, or a file cannot be written or is damaged.
    """
    if not isinstance(_base(dataset.train.images), FileImages):
        if where not in (AUTO, OFF):
            logger.info("--cache %s: %s is in memory anyway", where, dataset.name)
        return dataset
    if where == OFF:
        return dataset
    sizes = dataset.preprocessing
    train_size = sizes.train_size if isinstance(sizes.train_size, int) else None
    plans = _plans(dataset, train_size, sizes.test_size)
    needed = sum(plan.estimate() for plan in plans.values())
    if where in (AUTO, RAM):
        return _in_memory(dataset, plans, where, needed)
    folder = Path(where)
    logger.info("Keeping decoded images in %s, about %.1f GB", folder, needed / _GB)
    return _on_disk(dataset, plans, folder, max(1, threads))


def _in_memory(
    dataset: ImageDataset, plans: dict[str, _Plan], where: str, needed: float
) -> ImageDataset:
    available = available_memory()
    if where == RAM and needed > available:
        raise UsageError(
            f"--cache ram: the decoded images need about {needed / _GB:.1f} GB, "
            f"but {available / _GB:.1f} GB of memory are available; give a folder, or off"
        )
    if where == AUTO and needed > _AUTO_SHARE * available:
        logger.info(
            "Not keeping decoded images: they need about %.1f GB of %.1f GB available memory "
            "(--cache)",
            *(needed / _GB, available / _GB),
        )
        return dataset
    logger.info("Keeping decoded images in memory, about %.1f GB (--cache)", needed / _GB)
    empty = Slabs().empty
    kept = {
        name: CachedImages(ResizedImages(plan.images, plan.size, empty))
        for name, plan in plans.items()
    }
    return _replaced(dataset, dataset.normalization, kept)


def _on_disk(
    dataset: ImageDataset, plans: dict[str, _Plan], folder: Path, threads: int
) -> ImageDataset:
    stored = {}
    for split, plan in plans.items():
        size = f"{plan.size}px" if plan.size else "full"
        name = f"{dataset.name}-{split}-{size}"
        images = ResizedImages(plan.images, plan.size)
        stored[split] = stored_images(
            folder, name, images, plan.images.paths, plan.positions, plan.estimate(), threads
        )
    paths = [plans[TRAIN].images.paths[i] for i in np.unique(_positions(dataset.train))]
    normalization = dataset.fixed_normalization or stored_normalization(
        folder, dataset.name, paths, lambda: dataset.normalization
    )
    return _replaced(dataset, normalization, stored)


def _replaced(
    dataset: ImageDataset, normalization: Normalization, kept: dict[str, Sequence]
) -> ImageDataset:
    """The data set with other images.

    Mean and standard deviation must stay those of the images before they were resized.
    """
    splits = {TRAIN: dataset.train, TEST: dataset.test}
    if dataset.validation is not None:
        splits[VALIDATION] = dataset.validation
    replaced = {
        name: replace(split, images=Selected(kept.get(name, kept[TRAIN]), _positions(split)))
        for name, split in splits.items()
    }
    return replace(dataset, **replaced, fixed_normalization=normalization)


def _plans(
    dataset: ImageDataset, train_size: int | None, test_size: int | None
) -> dict[str, _Plan]:
    """What is kept, by split; images for validation are among those for training if they can be.

    Those for training have them in any case, so that runs share a file whatever they hold out.
    """
    validation = [] if dataset.validation is None else [dataset.validation]
    plans = {
        TRAIN: _plan([dataset.train, *validation], train_size),
        TEST: _plan([dataset.test], test_size),
    }
    if validation and train_size != test_size:
        plans[VALIDATION] = _plan(validation, test_size)
    return plans


def _plan(splits: Sequence[Split], size: int | None) -> _Plan:
    positions = np.concatenate([_positions(split) for split in splits])
    return _Plan(_base(splits[0].images), np.unique(positions), size)


def _base(images: Sequence) -> Sequence:
    return images.images if isinstance(images, Selected) else images


def _positions(split: Split) -> np.ndarray:
    if isinstance(split.images, Selected):
        return split.images.positions
    return np.arange(len(split))
