"""The cache, which saves reading and resizing images again in every epoch.

It keeps the result of the first step of ``Preprocessing``: the whole image, resized if the size is
fixed. Resizing it again changes nothing, so all later steps work as without the cache, on
bit-identical pixels.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from datasets.base import Split
from datasets.cache.disk import StoredImages, stored_images, stored_normalization
from datasets.cache.memory import available_memory
from datasets.images.augmentation.preprocessing import ResizedImages
from datasets.images.dataset import ImageDataset, measured_normalization
from datasets.images.files import FileImages, image_size
from datasets.images.pixels.resizing import resized_shape
from utils import UsageError

logger = logging.getLogger(__name__)

AUTO, RAM, OFF = "auto", "ram", "off"
TRAIN, TEST, VALIDATION = "train", "test", "validation"

_AUTO_SHARE = 0.5  # share of the available memory that ``AUTO`` may take
_MB, _GB = 1e6, 1e9


@dataclass(frozen=True)
class _Selection:
    """Image files that are cached together."""

    images: FileImages
    positions: np.ndarray  # positions of the cached images, ascending, unique
    size: int | None  # shorter side of the cached images; None: unchanged

    def sizes(self) -> Iterator[int]:
        """Yield the bytes of each decoded image, given the size in the header of its file."""
        for position in self.positions:
            try:
                width, height = image_size(self.images.paths[position], self.images.channels)
            except Exception:  # a damaged file is reported when it is read
                continue
            if self.size:
                height, width = resized_shape(height, width, self.size)
            yield height * width * self.images.bytes_per_pixel


class CachedImages(Sequence):
    """Images that stay in memory once they have been read, by any number of threads."""

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


def with_normalization(dataset: ImageDataset, where: str | Path) -> ImageDataset:
    """Return the data set with mean and standard deviation, measured unless they are known.

    They are those of the original images: call this before ``with_cache``, which resizes them. A
    folder keeps the measured values for other runs.

    Raises:
        UsageError: the folder cannot be written to.
        UserError: an image is damaged, or a file cannot be written.
    """
    if dataset.normalization is not None:
        return dataset
    train, measured = dataset.train, partial(measured_normalization, dataset)
    if where in (AUTO, RAM, OFF) or not isinstance(train.samples, FileImages):
        return replace(dataset, normalization=measured())
    paths = [train.samples.paths[i] for i in np.unique(train.positions)]
    stored = stored_normalization(Path(where), dataset.name, paths, measured)
    return replace(dataset, normalization=stored)


def with_cache(dataset: ImageDataset, where: str | Path, threads: int = 1) -> ImageDataset:
    """Return the data set with its decoded images cached.

    Memory is filled during the first epoch, which takes as long as without the cache. A folder is
    filled before this function returns, unless an earlier run did so.

    Args:
        dataset: data set of image files; others are in memory anyway and returned unchanged.
        where: ``"auto"`` (memory if half of what is available suffices), ``"ram"``, ``"off"`` or a
            folder, which is created.
        threads: number of threads that fill the folder, at least 1.

    Raises:
        UsageError: the images do not fit into memory, or there is no such folder to write to.
        UserError: an image is damaged, or a file cannot be written or is damaged.
    """
    if not isinstance(dataset.train.samples, FileImages):
        if where not in (AUTO, OFF):
            logger.info("--cache %s: %s is in memory anyway", where, dataset.name)
        return dataset
    if where == OFF:
        return dataset
    selections = _selections(dataset)
    if where not in (AUTO, RAM):
        logger.info("Keeping decoded images in %s", where)
        keep = partial(_on_disk, dataset.name, Path(where), max(1, threads))
    elif _fit(selections.values(), where):
        keep = _in_memory
    else:
        return dataset
    kept = {split: keep(split, selection) for split, selection in selections.items()}
    return replace(
        dataset,
        **{
            name: replace(split, samples=kept.get(name, kept[TRAIN]))
            for name, split in dataset.splits.items()
            if name != TEST or TEST in kept
        },
    )


def _fit(selections: Iterable[_Selection], where: str) -> bool:
    available = available_memory()
    limit = available if where == RAM else _AUTO_SHARE * available
    needed = 0
    for size in chain.from_iterable(selection.sizes() for selection in selections):
        needed += size
        if needed > limit:  # millions of headers take minutes: no need to read the rest
            break
    if needed <= limit:
        logger.info("Keeping decoded images in memory, about %.0f MB (--cache)", needed / _MB)
        return True
    if where == RAM:
        raise UsageError(
            f"--cache ram: the decoded images need more than the {available / _GB:.1f} GB of "
            "available memory; give a folder, or off"
        )
    logger.info(
        "Not keeping decoded images: they need more than half of the %.1f GB of available memory "
        "(--cache)",
        available / _GB,
    )
    return False


def _in_memory(split: str, selection: _Selection) -> CachedImages:
    return CachedImages(ResizedImages(selection.images, selection.size))


def _on_disk(
    name: str, folder: Path, threads: int, split: str, selection: _Selection
) -> StoredImages:
    size = f"{selection.size}px" if selection.size else "full"
    return stored_images(
        folder,
        f"{name}-{split}-{size}",
        ResizedImages(selection.images, selection.size),
        selection.images.paths,
        selection.positions,
        lambda: sum(selection.sizes()),
        threads,
    )


def _selections(dataset: ImageDataset) -> dict[str, _Selection]:
    """Return what to cache, by split.

    Held-out images are cached with the training images, so that runs share a file whatever they
    hold out, and again as validation images if their size differs. Test images are not cached if
    there are validation images: they are read only once, and a damaged one must not end the run
    before it is trained.
    """
    sizes = dataset.preprocessing
    train_size = sizes.train_size if isinstance(sizes.train_size, int) else None
    validation = [] if dataset.validation is None else [dataset.validation]
    held_out = [split for split in validation if split.samples is dataset.train.samples]
    selections = {TRAIN: _selection([dataset.train, *held_out], train_size)}
    if not validation:
        selections[TEST] = _selection([dataset.test], sizes.test_size)
    elif not (held_out and train_size == sizes.test_size):
        selections[VALIDATION] = _selection(validation, sizes.test_size)
    return selections


def _selection(splits: Sequence[Split], size: int | None) -> _Selection:
    positions = np.concatenate([split.positions for split in splits])
    return _Selection(splits[0].samples, np.unique(positions), size)
