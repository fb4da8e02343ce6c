"""Image files in folders and their subfolders."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets.images.files import IMAGE_SUFFIXES
from utils import UsageError, UserError


@dataclass
class Found:
    """Image files."""

    files: list[Path] = field(default_factory=list)  # images, in the order of the arguments
    skipped: list[Path] = field(default_factory=list)  # hidden and other files in folders
    unreadable: list[UserError] = field(default_factory=list)  # folders that cannot be listed


def find_images(paths: Sequence[Path]) -> Found:
    """Find image files given by name, and those in folders and their subfolders.

    A file given by name may have any suffix. In folders, the suffix decides whether a file is an
    image; the files of each folder come first, then its subfolders, both sorted by name. Links to
    folders are followed, but no folder is listed twice below one path.

    Raises:
        UsageError: a path does not exist, cannot be reached or is a device, or there are no images.
    """
    found = Found()
    for path in paths:
        if os.path.isdir(path):
            files, skipped, unreadable = images_below(path)
            found.files += [path / name for name in files]
            found.skipped += [path / name for name in skipped]
            found.unreadable += unreadable
        elif os.path.isfile(path):
            found.files.append(path)
        else:
            raise _refusal(path)
    if not found.files and not found.unreadable:
        raise UsageError(
            f"no images in {', '.join(map(str, paths))}: their names must end in one of "
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


def images_below(top: Path) -> tuple[list[str], list[str], list[UserError]]:
    """Find the image files in a folder and its subfolders, see ``find_images``.

    There may be millions of files, so they are strings here, which are much faster than paths.

    Returns:
        Paths of images and of other files, relative to ``top``; errors of unreadable folders.
    """
    images, others, unreadable = [], [], []

    def complain(error: OSError) -> None:
        message = f"cannot read the folder {error.filename}: {error.strerror}"
        unreadable.append(UserError(message))

    def is_new(folder: Path) -> bool:
        if folder.name.startswith("."):
            return False
        try:
            identity = _identity(folder)
        except OSError as error:  # its parent may be readable but not searchable
            complain(error)
            return False
        new = identity not in listed
        listed.add(identity)
        return new

    listed = {_identity(top)}
    for folder, folders, files in os.walk(top, onerror=complain, followlinks=True):
        # In place, which determines where os.walk goes, and in which order.
        folders[:] = [name for name in sorted(folders) if is_new(Path(folder, name))]
        below = "" if folder == str(top) else f"{Path(folder).relative_to(top).as_posix()}/"
        for name in sorted(files):
            is_image = _is_image(name, os.path.join(folder, name))
            (images if is_image else others).append(below + name)
    return images, others, unreadable


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_image(name: str, path: str) -> bool:
    """Decide by the name; a broken link is a missing image, and pipes and devices are no images."""
    named_so = os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")
    return named_so and (os.path.isfile(path) or not os.path.exists(path))
