"""Decoded images in one file, shared by all runs that need the same images.

A file is written under another name and renamed when it is complete, so files with the final name
are complete. Its name contains a key of everything that determines the pixels: path, size, times
and inode of every image file, the size that images are resized to and the versions of the
libraries. A file that another user could have written is written again. Files whose key is no
longer used stay until they are deleted. Layout, in little-endian order:

    index    n rows     height, width, channels, bytes per value and CRC-32 of each image, int64
    pixels              one image after the other, (height, width, channels)
"""

import hashlib
import json
import logging
import math
import os
import shutil
import stat
import time
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import PIL
import simplejpeg

from datasets.images.normalization import Normalization
from storage.files import replacing
from storage.locks import locked
from storage.outputs import check_folder
from storage.temporary import remove_leftovers
from utils import UsageError, UserError, open_regular, read_bytes

logger = logging.getLogger(__name__)

_FORMAT = 4  # version of the files, and of how pixels, mean and standard deviation are computed
_COLUMNS = 5  # of the index
_CHUNK = 64  # images in memory while a file is written
_REPORT_EVERY = 10  # seconds
_KEY_LENGTH = 16  # hexadecimal digits
_GB = 1e9
_LARGEST_JSON = 2**16  # bytes
# Errors that reading a damaged file of mean and standard deviation may raise.
_DAMAGED = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)


class StoredImages(Sequence):
    """Images in a file, read on access.

    The file is not mapped into memory: if it were truncated then, a signal would kill the process.

    Args:
        path: the file.
        positions: positions in the data set of the images that it contains, ascending.
        count: number of images in the data set.

    Raises:
        ValueError: the file is damaged or has other content, or others can write to it.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, positions: np.ndarray, count: int):
        self.path = path
        self._count = count
        with open_regular(path) as file:
            _check_writers(os.fstat(file.fileno()))
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        index = os.pread(self._file, len(positions) * _COLUMNS * 8, 0)
        self._rows = np.frombuffer(index, "<i8").reshape(len(positions), _COLUMNS)
        # As floating-point numbers, damaged sizes cannot overflow.
        ends = len(index) + np.cumsum(self._rows[:, :4].prod(axis=1, dtype=float))
        known = self._rows[:, :4].min() > 0 and self._rows[:, 3].max() <= 2
        if not known or ends[-1] != os.fstat(self._file).st_size:
            raise ValueError("it is too short or too long, or its index is damaged")
        self._starts = np.append(len(index), ends[:-1]).astype(np.int64)
        self._row_of = {int(position): row for row, position in enumerate(positions)}
        self._checked = np.zeros(len(positions), bool)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> np.ndarray:
        """Return image ``index`` of the data set, read-only.

        Raises:
            UserError: its pixels are not those that were written.
        """
        row = self._row_of[index]
        *shape, size, crc = self._rows[row].tolist()
        length = math.prod(shape) * size
        pixels = os.pread(self._file, length, self._starts[row])
        whole = len(pixels) == length
        if whole and not self._checked[row]:  # only once, since it takes longer than all the rest
            whole = self._checked[row] = _checksum(self._rows[row], pixels) == crc
        if not whole:
            raise UserError(f"{self.path} is damaged; delete it, and it will be written again")
        return np.frombuffer(pixels, f"<u{size}").reshape(shape)


def stored_images(
    folder: Path,
    name: str,
    images: Sequence,
    paths: Sequence[Path],
    positions: np.ndarray,
    estimate: Callable[[], float],
    threads: int,
) -> StoredImages:
    """Return the images from a file in the folder, which is written unless it exists.

    Another run that needs the same file waits while it is being written.

    Args:
        folder: folder of the file, created if missing.
        name: prefix of the file name; contains everything that the pixels depend on besides image
            files and libraries.
        images: ``images[i]`` is (height, width, channels), uint8 or uint16.
        paths: file of each image.
        positions: positions of the required images, ascending.
        estimate: function that returns the approximate number of bytes.
        threads: number of threads that read images.

    Raises:
        UsageError: the folder cannot be written to.
        UserError: the file cannot be written, or an image cannot be read.
    """
    path = folder / f"{name}-{_key([paths[i] for i in positions])}.images"
    if found := _open(path, positions, len(images), logging.DEBUG):
        return found
    _make(folder)
    text = "Waiting for another run that is writing %s; --cache off needs no file"
    waiting = partial(logger.info, text, path)
    with locked(path.with_suffix(".lock"), waiting) as lock:
        if lock.locked:
            remove_leftovers(path)  # the lock proves that no process uses them
        if found := _open(path, positions, len(images), logging.WARNING):
            return found
        _check_space(path, estimate())
        _write(path, images, positions, threads)
    return StoredImages(path, positions, len(images))


def stored_normalization(
    folder: Path, name: str, paths: Sequence[Path], measure: Callable[[], Normalization]
) -> Normalization:
    """Return mean and standard deviation of the images, measured unless an earlier run did so.

    The file is in the folder, which is created, and its name begins with ``name``.
    """
    path = folder / f"{name}-{_key(paths)}.normalization.json"
    stored = read_normalization(path)
    if stored:
        return stored
    _make(folder)
    measured = measure()
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"mean": measured.mean, "std": measured.std}) + "\n")
        _protect(temporary)
    return measured


def read_normalization(path: Path) -> Normalization | None:
    """Read mean and standard deviation; None if the file is missing, damaged or untrusted."""
    with suppress(*_DAMAGED):
        _check_writers(os.stat(path))
        values = json.loads(read_bytes(path, _LARGEST_JSON))
        mean, std = (tuple(float(x) for x in values[name]) for name in ("mean", "std"))
        if 0 < len(mean) == len(std) and np.isfinite([*mean, *std]).all() and min(std) > 0:
            return Normalization(mean, std)
    return None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--cache {folder}: cannot create it: {error.strerror}") from error
    check_folder("--cache", folder)


def _key(paths: Sequence[Path]) -> str:
    """Return a digest of image files and of the libraries that decode and resize."""
    digest = hashlib.sha256()
    versions = _FORMAT, PIL.__version__, simplejpeg.__version__
    digest.update(repr(versions).encode())
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        # Other content may come with the same size and modification time, but not with the same
        # inode and time of its last change.
        times = status.st_mtime_ns, status.st_ctime_ns
        facts = os.path.realpath(path), status.st_size, *times, status.st_ino
        digest.update(repr(facts).encode())
    return digest.hexdigest()[:_KEY_LENGTH]


def _checksum(row: np.ndarray, pixels: bytes | np.ndarray) -> int:
    """Return the CRC-32 of an image and the sizes in its row of the index."""
    return zlib.crc32(pixels, zlib.crc32(row[:4]))


def _check_writers(status: os.stat_result) -> None:
    """Raise ValueError if another user than root can write to the file."""
    strangers = status.st_uid not in (0, os.geteuid())
    if strangers or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError("others can write to it")


def _protect(path: Path) -> None:
    """Let only this user write to the file, whatever the umask."""
    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))


def _open(path: Path, positions: np.ndarray, count: int, level: int) -> StoredImages | None:
    """Open the file; return None if it is missing, and also log it if damaged or untrusted."""
    try:
        return StoredImages(path, positions, count)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.log(level, "%s cannot be used (%s): it is written again", path, error)
        return None


def _check_space(path: Path, estimate: float) -> None:
    free = shutil.disk_usage(path.parent).free
    if estimate > free:
        raise UserError(
            f"cannot write {path}: it needs about {estimate / _GB:.1f} GB, "
            f"{free / _GB:.1f} GB are free"
        )


def _write(path: Path, images: Sequence, positions: np.ndarray, threads: int) -> None:
    logger.info("Writing %s: %d images", path, len(positions))
    rows = np.zeros((len(positions), _COLUMNS), "<i8")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.seek(rows.nbytes)
        for row, pixels in enumerate(_read_all(images, positions, threads)):
            rows[row, :4] = *pixels.shape, pixels.itemsize
            rows[row, 4] = _checksum(rows[row], pixels)
            file.write(pixels)
        file.seek(0)
        file.write(rows.tobytes())
        _protect(temporary)


def _read_all(images: Sequence, positions: np.ndarray, threads: int) -> Iterator[np.ndarray]:
    """Yield all images in order, read by several threads but only a few in advance."""
    reported = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(positions), _CHUNK):
            chunk = positions[start : start + _CHUNK].tolist()
            yield from map(np.ascontiguousarray, pool.map(images.__getitem__, chunk))
            if time.monotonic() - reported > _REPORT_EVERY:
                reported = time.monotonic()
                logger.info("Wrote %d of %d", start + len(chunk), len(positions))
