"""Preprocessing and augmentation of images: draw parameters, then compute only what they need.

Images are arrays (height, width, channels), uint8 or, if they are multispectral, uint16, unless
stated otherwise. Inputs are never changed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from datasets.base import Transform
from datasets.images.augmentation.parameters import (
    Patch,
    TransformParams,
    center_crop,
    draw_crop,
    draw_erased,
    draw_moved,
    draw_part,
    draw_shape,
)
from datasets.images.augmentation.randaugment import RandAugment, draw_jitter
from datasets.images.pixels.resizing import Region, resize_region, resized_shape
from datasets.images.pixels.shifting import resample


@dataclass(frozen=True)
class Preprocessing:
    """Sizes and augmentation of images."""

    # pixels of the shorter side in training; a pair (low, high) is drawn from low to high - 1 for
    # each image; None: not resized
    train_size: int | tuple[int, int] | None = None
    test_size: int | None = None  # pixels of the shorter side in testing; None: not resized
    crop_size: int | None = None  # height and width of the crop in pixels; None: not cropped
    flip: float = 0.5  # probability of a horizontal flip, in training
    erasing: float = 0.0  # probability of random erasing, in training
    shift: float = 0.0  # largest shift in training, as a fraction of height and width
    zoom: tuple[float, float] | None = None  # range of the scale factors in training, or None
    # range of the relative area of a random region in training, which is resized to ``crop_size``
    # or, without that, to the size of the image; replaces resizing, shifting, zooming and cropping
    crop_scale: tuple[float, float] | None = None
    vflip: float = 0.0  # probability of a vertical flip, in training
    randaugment: RandAugment | None = None  # in training
    jitter: float = 0.0  # largest relative change of brightness, contrast, color, in training
    pad: int = 0  # pixels to pad on every side, by reflection, before cropping in training
    white: int = 255  # the largest value that random erasing draws

    @property
    def train(self) -> "ImageTransform":
        """The random augmentation.

        The order is: resize, flip, RandAugment, color jitter, erase, shift and zoom, crop.

        The result has the type of the image or, if ``shift`` or ``zoom`` is set, is float32 with
        the same range of values. Images smaller than the crop are padded by reflection, at a random
        offset.
        """
        return ImageTransform(self.train_params)

    @property
    def test(self) -> "ImageTransform":
        """Resizing and the center crop; the generator is not used."""
        return ImageTransform(self.test_params)

    def train_params(
        self, shape: tuple[int, int, int], rng: np.random.Generator
    ) -> TransformParams:
        """Draw the parameters for a training image.

        Disabled steps draw nothing from the generator. Changing the order of the draws would change
        the images of every seed.
        """
        part = draw_part(*shape[:2], self.crop_scale, rng) if self.crop_scale else None
        height, width = self._train_shape(shape, rng)
        mirrored = bool(self.flip) and rng.random() < self.flip
        flipped = bool(self.vflip) and rng.random() < self.vflip
        resized = (height, width, shape[2])
        erased = draw_erased(resized, self.erasing, rng, self.white) if self.erasing else None
        moves = (self.shift or self.zoom) and not part
        moved = draw_moved(height, width, self.shift, self.zoom, rng) if moves else None
        cropped = self.crop_size and not part
        crop = draw_crop(height, width, self.crop_size, rng, self.pad) if cropped else None
        params = TransformParams((height, width), mirrored, erased, moved, crop, part, flipped)
        if not (self.randaugment or self.jitter):
            return params
        return params._replace(changes=self._draw_changes(params.visible, shape[2], rng))

    def _train_shape(
        self, shape: tuple[int, int, int], rng: np.random.Generator
    ) -> tuple[int, int]:
        if self.crop_scale:
            return (self.crop_size, self.crop_size) if self.crop_size else shape[:2]
        return draw_shape(*shape[:2], self.train_size, rng)

    def _draw_changes(
        self, visible: Region, channels: int, rng: np.random.Generator
    ) -> list[Callable[[np.ndarray], None]]:
        shape = (visible.rows, visible.columns, channels)
        changes = self.randaugment.draw(shape, rng) if self.randaugment else []
        return changes + (draw_jitter(self.jitter, rng) if self.jitter else [])

    def test_params(
        self, shape: tuple[int, int, int], rng: np.random.Generator | None = None
    ) -> TransformParams:
        """Return the parameters for a test image."""
        height, width = shape[:2]
        if self.test_size:
            height, width = resized_shape(height, width, self.test_size)
        crop = center_crop(height, width, self.crop_size) if self.crop_size else None
        return TransformParams((height, width), crop=crop)


class ResizedImages(Sequence):
    """Images that are resized by the shorter side, and cropped, on access; None: they are not."""

    def __init__(self, images: Sequence, size: int | None, crop_size: int | None = None):
        self.images = images
        self._transform = Preprocessing(test_size=size, crop_size=crop_size).test

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._transform(self.images[index])


@dataclass(frozen=True)
class ImageTransform(Transform):
    """Draw the parameters of images and apply them.

    Attributes:
        draw: function that returns parameters, given an image's shape and a random generator.
    """

    draw: Callable[[tuple[int, int, int], np.random.Generator | None], TransformParams]

    def __call__(self, image: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        return apply(image, self.draw(image.shape, rng))

    def batch(
        self, images: Sequence | np.ndarray, generators: Iterable[np.random.Generator]
    ) -> np.ndarray:
        """Transform many images, with the same results, into (b, height, width, channels)."""
        if isinstance(images, np.ndarray):
            all_params = [self.draw(images.shape[1:], rng) for rng in generators]
            shape = images.shape[1:3]
            if all(p.shape == shape and not (p.crop or p.part) for p in all_params):
                return _apply_all(images, all_params)
            return _apply_each(zip(images, all_params, strict=True), len(images))
        pairs = zip(images, generators, strict=True)
        return _apply_each(((i, self.draw(i.shape, rng)) for i, rng in pairs), len(images))


def apply(image: np.ndarray, params: TransformParams, out: np.ndarray | None = None) -> np.ndarray:
    """Apply the parameters to an image (height, width, channels).

    The result is written to ``out``, if given, which has the shape ``params.result_shape`` and the
    type ``params.result_type(image)``.
    """
    if out is None:
        out = np.empty((*params.result_shape, image.shape[2]), params.result_type(image))
    if params.part:
        top, left, rows, columns = params.part
        image = image[top : top + rows, left : left + columns]
    region = params.visible
    direct = params.moved is None and not params.padded
    shape = (region.rows, region.columns, image.shape[2])
    canvas = out if direct else np.empty(shape, image.dtype)
    resize_region(image, params.shape, _source(params), params.mirrored, canvas)
    _change(canvas, params)
    if not direct:
        out[...] = _finish(canvas, params)
    return out


def _apply_each(pairs: Iterator[tuple[np.ndarray, TransformParams]], count: int) -> np.ndarray:
    """Apply the parameters image by image, writing into the batch."""
    batch = None
    for i, (image, params) in enumerate(pairs):
        if batch is None:
            shape = (count, *params.result_shape, image.shape[2])
            batch = np.empty(shape, params.result_type(image))
        apply(image, params, batch[i])
    return batch


def _apply_all(images: np.ndarray, all_params: list[TransformParams]) -> np.ndarray:
    """Apply the parameters to an array of images that are neither resized nor cropped."""
    canvas = images.copy()
    mirrored = np.flatnonzero([params.mirrored for params in all_params])
    canvas[mirrored] = images[mirrored, :, ::-1]
    for image, params in zip(canvas, all_params, strict=True):
        _change(image, params)
    if all_params[0].moved is None:
        return canvas
    ys, xs = (np.stack(axis) for axis in zip(*(params.moved for params in all_params), strict=True))
    return resample(canvas, ys, xs)


def _source(params: TransformParams) -> Region:
    """Return the region that becomes the visible one when the image is flipped."""
    (height, width), region = params.shape, params.visible
    if params.mirrored:
        region = region._replace(left=width - region.left - region.columns)
    return region._replace(top=height - region.top - region.rows) if params.flipped else region


def _change(canvas: np.ndarray, params: TransformParams) -> None:
    """Flip the visible region vertically, apply the changes, and erase."""
    if params.flipped:
        canvas[...] = canvas[::-1].copy()
    for change in params.changes:
        change(canvas)
    if params.erased:
        _erase(canvas, params.erased, params.visible)


def _erase(canvas: np.ndarray, patch: Patch, region: Region) -> None:
    """Paste the patch into the region that the canvas shows."""
    top, left = patch.top - region.top, patch.left - region.left
    pixels = patch.pixels[max(0, -top) :, max(0, -left) :]
    shown = canvas[max(0, top) :, max(0, left) :][: pixels.shape[0], : pixels.shape[1]]
    shown[...] = pixels[: shown.shape[0], : shown.shape[1]]


def _finish(canvas: np.ndarray, params: TransformParams) -> np.ndarray:
    """Shift, zoom, pad and crop a whole image."""
    if params.moved:
        ys, xs = params.moved
        canvas = resample(canvas[np.newaxis], ys[np.newaxis], xs[np.newaxis])[0]
    if params.crop is None:
        return canvas
    top, left, side, _ = params.crop
    if params.padded:
        height, width = canvas.shape[:2]
        widths = [
            (max(0, -start), max(0, start + side - end))
            for start, end in ((top, height), (left, width))
        ]
        canvas = np.pad(canvas, [*widths, (0, 0)], mode="reflect")
    top, left = max(0, top), max(0, left)
    return canvas[top : top + side, left : left + side]
