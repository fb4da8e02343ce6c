"""Unlabeled image files: finding them in folders, reading them ahead in batches."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datasets.images.files import IMAGE_SUFFIXES, MAX_PIXELS, load_image
from datasets.images.preprocessing import Preprocessing
from utils import UsageError, UserError


@dataclass
class Found:
    """Image files to classify.

    Attributes:
        files: the images, in the order in which they were asked for.
        skipped: number of files in folders that are hidden or no images.
        unreadable: folders that cannot be listed or entered, as errors to show.
    """

    files: list[Path] = field(default_factory=list)
    skipped: int = 0
    unreadable: list[UserError] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """Images that could be read, and errors of those that could not.

    Attributes:
        paths: one for each image.
        images: uint8 (images, crop_size, crop_size, channels).
        damaged: one error for each file that was met on the way.
    """

    paths: list[Path]
    images: np.ndarray
    damaged: list[UserError]


def find_images(paths: Sequence[Path]) -> Found:
    """Find image files by name, and those in folders and their subfolders.

    A file given by name is taken whatever it is called. In folders, files count as images by their
    suffix; of each folder the files come first, then the folders in it, both by name. Links to
    folders are followed, but no folder is listed twice below one path.

    Raises:
        UsageError: a path does not exist, cannot be reached or is a device, or there is no image
            at all.
    """
    found = Found()
    for path in paths:
        if os.path.isdir(path):
            _search(path, found)
        elif os.path.isfile(path):
            found.files.append(path)
        else:
            raise _refusal(path)
    if not found.files and not found.unreadable:
        raise UsageError(
            f"no images in {', '.join(map(str, paths))}: their names have to end in one of "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return found


def _refusal(path: Path) -> UsageError:
    """Return the error for a path that is neither a file nor a folder."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return UsageError(f"{path} does not exist")
    except OSError as error:
        return UsageError(f"cannot read {path}: {error.strerror}")
    return UsageError(f"{path} is neither a file nor a folder")


def _search(top: Path, found: Found) -> None:
    def complain(error: OSError) -> None:
        found.unreadable.append(UserError(f"cannot list {error.filename}: {error.strerror}"))

    def is_new(folder: Path) -> bool:
        if folder.name.startswith("."):
            return False
        try:
            identity = _identity(folder)
        except OSError as error:  # the folder that it is in may be listed but not entered
            complain(error)
            return False
        new = identity not in listed
        listed.add(identity)
        return new

    listed = {_identity(top)}
    for folder, folders, files in os.walk(top, onerror=complain, followlinks=True):
        # In place: this decides where os.walk goes, and in which order.
        folders[:] = [name for name in sorted(folders) if is_new(Path(folder, name))]
        images = [Path(folder, name) for name in sorted(files)]
        images = [path for path in images if _is_image(path)]
        found.files += images
        found.skipped += len(files) - len(images)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_image(path: Path) -> bool:
    """Tell by the name; a broken link is an image that is missing, a pipe or device is none."""
    named_so = path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    return named_so and (os.path.isfile(path) or not os.path.exists(path))


def image_reader(target_size: int, crop_size: int, channels: int) -> Callable[[Path], np.ndarray]:
    """Return a function that reads a file as the test images of a training run are read.

    It returns uint8 (crop_size, crop_size, channels) and raises UserError for damaged files.
    """
    prepare = Preprocessing(test_size=target_size, crop_size=crop_size).test

    def read(path: Path) -> np.ndarray:
        image = load_image(path, channels)
        short, long = sorted(image.shape[:2])
        # An image of one pixel in height would take gigabytes before it is cropped.
        if target_size**2 * long / short > MAX_PIXELS:
            raise UserError(f"cannot read {path}: {long}x{short} pixels are too long and narrow")
        return prepare(image)

    return read


def image_batches(
    paths: Sequence[Path],
    read: Callable[[Path], np.ndarray],
    batch_size: int,
    workers: int = 8,
) -> Iterator[Batch]:
    """Yield images in batches, in the given order; threads read ahead about two batches.

    All batches but the last have ``batch_size`` images: damaged files leave no gaps, because some
    backends compile the network anew for each size.

    Args:
        paths: the files.
        read: returns an array, always of the same shape; raises UserError for damaged files.
        batch_size: images per batch.
        workers: number of threads.
    """
    names, images, damaged = [], [], []
    for path, reading in _read_ahead(paths, read, workers, ahead=2 * batch_size + workers):
        try:
            images.append(reading.result())
            names.append(path)
        except UserError as error:
            damaged.append(error)
        if len(images) == batch_size:
            yield Batch(names, np.stack(images), damaged)
            names, images, damaged = [], [], []
    if images or damaged:
        yield Batch(names, np.stack(images) if images else np.empty((0, 0, 0, 0)), damaged)


def _read_ahead(
    paths: Sequence[Path], read: Callable, workers: int, ahead: int
) -> Iterator[tuple[Path, Future]]:
    pool = ThreadPoolExecutor(workers, "images")
    waiting: deque[tuple[Path, Future]] = deque()
    try:
        for path in paths:
            waiting.append((path, pool.submit(read, path)))
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        # Whoever stops listening does not want to wait for what was still to come.
        pool.shutdown(wait=False, cancel_futures=True)
