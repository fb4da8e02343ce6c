"""Mix each image of a batch with another one: CutMix and MixUp."""

import math
from dataclasses import dataclass

import numpy as np

from datasets.base import Mixing
from datasets.images.pixels.operations import pixel_loops

_STEPS = 256  # MixUp's shares are multiples of 1/256, see ``pillow_operations.mix``


@dataclass(frozen=True)
class CutMix(Mixing):
    """Replace a rectangle of each image by the same one of another image.

    As in Yun et al., https://arxiv.org/abs/1905.04899, its relative area is drawn from Beta(alpha,
    alpha) and its center uniformly. Then it is cut at the borders of the image; the share is the
    remaining relative area.
    """

    alpha: float
    probability: float = 1.0  # probability of mixing a batch

    def __call__(
        self, images: np.ndarray, partners: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, float]:
        mixed = images[: len(partners)]
        if rng.random() >= self.probability:
            return mixed, 0.0
        height, width = images.shape[1:3]
        rows, columns = draw_box(height, width, rng.beta(self.alpha, self.alpha), rng)
        pasted = images[partners, rows, columns]  # a copy
        mixed[:, rows, columns] = pasted
        return mixed, pasted.shape[1] * pasted.shape[2] / (height * width)


def draw_box(height: int, width: int, kept: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """Draw rows and columns of a rectangle with the aspect ratio of the image.

    It covers 1 - ``kept`` of the image unless the borders cut it.
    """
    ratio = math.sqrt(1 - kept)

    def span(side: int) -> slice:
        half, center = int(side * ratio) // 2, int(rng.integers(side))
        return slice(max(0, center - half), min(side, center + half))

    return span(height), span(width)


@dataclass(frozen=True)
class MixUp(Mixing):
    """Blend each image with another one.

    As in Zhang et al., https://arxiv.org/abs/1710.09412, the weight is drawn from Beta(alpha,
    alpha); it is rounded so that uint8 images are blended in integers. Other types give float32.
    """

    alpha: float

    def __call__(
        self, images: np.ndarray, partners: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, float]:
        weight = round(rng.beta(self.alpha, self.alpha) * _STEPS)
        levels = images.dtype == np.uint8
        mixed = np.empty(images[: len(partners)].shape, np.uint8 if levels else np.float32)
        blend = pixel_loops().mix if levels else _blend_numbers
        for i, partner in enumerate(partners.tolist()):
            blend(images[i], images[partner], weight, mixed[i])
        return mixed, weight / _STEPS


def _blend_numbers(image: np.ndarray, other: np.ndarray, weight: int, out: np.ndarray) -> None:
    share = np.float32(weight / _STEPS)
    np.multiply(image, 1 - share, out=out)
    out += other * share
