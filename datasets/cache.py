"""Decoded images, kept so that they are not read and resized again in every epoch.

What is kept is the result of the first step of ``Preprocessing``: the whole image, resized where
the size is fixed. Resizing it again changes nothing, so everything after the cache goes on as
without it, and gets the same pixels bit by bit.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets.base import ImageDataset, Selected, Split
from datasets.disk_cache import stored_images, stored_normalization
from datasets.images import FileImages, image_size
from datasets.memory import available_memory
from datasets.resizing import resize, resized_shape
from utils import UsageError

logger = logging.getLogger(__name__)

AUTO, RAM, OFF = "auto", "ram", "off"

_AUTO_SHARE = 0.5  # of the available memory that may be taken without being asked to
_SAMPLE = 100  # image files from which the size of all is estimated
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
    """

    def __init__(self, images: Sequence, size: int | None):
        self.images = images
        self.size = size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        image = self.images[index]
        if self.size is None:
            return image
        return resize(image, resized_shape(*image.shape[:2], self.size))


class KeptImages(Sequence):
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
    plans = _plan(dataset.train, train_size), _plan(dataset.test, sizes.test_size)
    needed = sum(plan.estimate() for plan in plans)
    if where in (AUTO, RAM):
        return _in_memory(dataset, plans, where, needed)
    folder = Path(where)
    logger.info("Keeping decoded images in %s, about %.1f GB", folder, needed / _GB)
    return _on_disk(dataset, plans, folder, max(1, threads))


def _in_memory(dataset: ImageDataset, plans, where: str, needed: float) -> ImageDataset:
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
    kept = [KeptImages(ResizedImages(plan.images, plan.size)) for plan in plans]
    return _replaced(dataset, dataset.normalization, kept)


def _on_disk(dataset: ImageDataset, plans, folder: Path, threads: int) -> ImageDataset:
    stored = []
    for plan, split in zip(plans, ("train", "test"), strict=True):
        size = f"{plan.size}px" if plan.size else "full"
        name = f"{dataset.name}-{split}-{size}"
        images = ResizedImages(plan.images, plan.size)
        stored.append(
            stored_images(
                folder, name, images, plan.images.paths, plan.positions, plan.estimate(), threads
            )
        )
    paths = [plans[0].images.paths[i] for i in plans[0].positions]
    normalization = dataset.fixed_normalization or stored_normalization(
        folder, dataset.name, paths, lambda: dataset.normalization
    )
    return _replaced(dataset, normalization, stored)


def _replaced(dataset: ImageDataset, normalization, images: Sequence[Sequence]) -> ImageDataset:
    """The data set with other images.

    Mean and standard deviation must stay those of the images before they were resized.
    """
    train, test = (
        replace(split, images=Selected(kept, _positions(split)))
        for split, kept in zip((dataset.train, dataset.test), images, strict=True)
    )
    return replace(dataset, train=train, test=test, fixed_normalization=normalization)


def _plan(split: Split, size: int | None) -> _Plan:
    return _Plan(_base(split.images), np.unique(_positions(split)), size)


def _base(images: Sequence) -> Sequence:
    return images.images if isinstance(images, Selected) else images


def _positions(split: Split) -> np.ndarray:
    if isinstance(split.images, Selected):
        return split.images.positions
    return np.arange(len(split))
