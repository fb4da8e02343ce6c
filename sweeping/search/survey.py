"""Survey of image files before training: damage, sizes, colors."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.images.files import load_image
from utils import UserError


@dataclass(frozen=True, eq=False)
class Survey:
    """Statistics of image files."""

    sizes: np.ndarray  # int (readable images, 2), width and height
    gray: int  # readable images without any color
    damaged: dict[Path, UserError]  # files that cannot be read, with the reason

    @property
    def shorter_side(self) -> int:
        """Median of the shorter sides in pixels."""
        return int(np.median(self.sizes.min(axis=1)))

    def lines(self) -> Iterator[str]:
        """Yield lines of a summary."""
        if len(self.sizes):
            (width, height), sides = np.median(self.sizes, axis=0), self.sizes.min(axis=1)
            yield (
                f"{width:.0f}x{height:.0f} pixels (median); shorter sides from {sides.min()} to "
                f"{sides.max()}"
            )
            yield f"{len(self.sizes) - self.gray} in color, {self.gray} in gray"
        yield f"{len(self.damaged)} damaged"


def survey(paths: Sequence[Path], workers: int = 8) -> Survey:
    """Read all files once, like a training run.

    Args:
        paths: image files.
        workers: number of threads.
    """

    def look(path: Path) -> tuple[int, int, bool] | UserError:
        try:
            image = load_image(path)
        except UserError as error:
            return error
        height, width, _ = image.shape
        return width, height, bool((image == image[..., :1]).all())

    with ThreadPoolExecutor(workers, "survey") as pool:
        found = dict(zip(paths, pool.map(look, paths), strict=True))
    read = [facts for facts in found.values() if isinstance(facts, tuple)]
    sizes = np.array([facts[:2] for facts in read], dtype=np.int64).reshape(-1, 2)
    damaged = {path: facts for path, facts in found.items() if isinstance(facts, UserError)}
    return Survey(sizes, sum(facts[2] for facts in read), damaged)
