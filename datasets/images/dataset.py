"""Data sets of images."""

import logging
from dataclasses import dataclass, replace

import numpy as np

from datasets.base import Dataset, RawDataset, numbered
from datasets.images.augmentation.preprocessing import ImageTransform, Preprocessing
from datasets.images.normalization import BY_SUFFIX, Normalization, measure
from datasets.images.published import PUBLISHED, PublishedInput
from datasets.names import DatasetName, parse_name
from utils import UsageError

logger = logging.getLogger(__name__)

_LARGE = (512, 448)  # size, crop
_CROP_RATIO = 7 / 8  # as in all published sizes: 448 of 512, 224 of 256


@dataclass(frozen=True, kw_only=True)
class RawImageDataset(RawDataset):
    """Return value of a reader of images, see ``ImageDataset`` for its samples."""

    preprocessing: Preprocessing  # default sizes and augmentation
    channels: int = 3  # 3 for RGB, 1 for gray; others are bands
    # published mean and standard deviation, or None to measure them
    normalization: Normalization | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageDataset(Dataset):
    """A data set for image classification.

    Samples are (height, width, channels), uint8 or, if they are multispectral, uint16.
    """

    noun = "images"
    channels: int  # 3 for RGB, 1 for gray; others are bands
    preprocessing: Preprocessing  # sizes and augmentation
    # mean and standard deviation, or None if not yet measured
    normalization: Normalization | None = None

    @property
    def train_transform(self) -> ImageTransform:
        augment = self.preprocessing.randaugment
        if augment is None or self.normalization is None:
            return self.preprocessing.train
        filled = augment.with_mean(self.normalization.mean)
        return replace(self.preprocessing, randaugment=filled).train

    @property
    def test_transform(self) -> ImageTransform:
        return self.preprocessing.test

    @property
    def input_shape(self) -> tuple[int, int, int]:
        side = self.preprocessing.crop_size
        if side is None:
            return tuple(int(length) for length in self.train[0].shape)
        return side, side, self.channels

    @property
    def input_options(self) -> dict[str, object]:
        if self.normalization is None:
            raise ValueError("mean and standard deviation have not been measured")
        values = self.normalization
        return {
            "channels": self.channels,
            "mean": list(values.mean),
            "std": list(values.std),
            "bgr": values.bgr,
        }

    @property
    def inference_options(self) -> dict[str, object]:
        side = min(self.input_shape[:2])  # for images that are neither resized nor cropped
        return {
            "channels": self.channels,
            "target_size": self.preprocessing.test_size or side,
            "crop_size": self.preprocessing.crop_size or side,
        }


def image_dataset(
    name: str,
    parsed: DatasetName,
    raw: RawImageDataset,
    target_size: int | tuple[int, int] | None,
    crop_size: int | None,
) -> ImageDataset:
    """Return the data set of images that a reader found, with the requested preprocessing.

    ``parsed`` are the parts of the name; for the sizes, see ``get_dataset``.

    Raises:
        UsageError: a size or a suffix does not fit the images.
    """
    return ImageDataset(
        **numbered(name, raw),
        channels=raw.channels,
        preprocessing=_sizes(parsed, raw.preprocessing, target_size, crop_size),
        normalization=_normalization(parsed, raw),
    )


def measured_normalization(dataset: ImageDataset) -> Normalization:
    """Return mean and standard deviation of the training images.

    Every distinct image is read once, whole and without augmentation.
    """
    train = dataset.train
    return measure(train.samples, np.unique(train.positions), dataset.channels)


def _sizes(parsed: DatasetName, default: Preprocessing, target_size, crop_size) -> Preprocessing:
    if not parsed.large and target_size is None and crop_size is None:
        return default
    if default.train_size is None:
        raise UsageError(f"the images of {parsed.base} have a fixed size")
    if parsed.large and target_size is not None:
        raise UsageError(
            f"--target_size {target_size}: -large sets the size; leave out one of them"
        )
    if parsed.large:
        default = replace(default, train_size=_LARGE[0], test_size=_LARGE[0], crop_size=_LARGE[1])
    if target_size is not None:
        smallest = target_size[0] if isinstance(target_size, tuple) else target_size
        derived = max(1, round(smallest * _CROP_RATIO))
        default = replace(default, train_size=target_size, test_size=smallest, crop_size=derived)
    if crop_size is not None:
        default = replace(default, crop_size=crop_size)
    _check_sizes(default)
    return default


def published_input(name: str) -> PublishedInput | None:
    """Return sizes and normalization given only the name; None if they depend on the images.

    Raises:
        UsageError: the name does not exist.
    """
    parsed = parse_name(name)
    key = parsed.base if parsed.part is None else f"iNat_{parsed.part}"
    if key not in PUBLISHED:
        return None
    published = PUBLISHED[key]
    normalization = BY_SUFFIX.get(parsed.normalization, published.normalization)
    return PublishedInput(_sizes(parsed, published.preprocessing, None, None), normalization)


def _check_sizes(sizes: Preprocessing) -> None:
    if sizes.test_size < 1 or sizes.crop_size < 1:
        raise UsageError(
            f"images need at least one pixel: target size {sizes.train_size}, "
            f"crop size {sizes.crop_size}"
        )
    if isinstance(sizes.train_size, tuple) and sizes.train_size[0] >= sizes.train_size[1]:
        raise UsageError(f"the range of target sizes is empty: {sizes.train_size}")
    if sizes.crop_size > sizes.test_size:
        logger.warning(
            "images of %d pixels are padded to %d by reflection", sizes.test_size, sizes.crop_size
        )


def _normalization(parsed: DatasetName, raw: RawImageDataset) -> Normalization | None:
    if parsed.normalization is None:
        return raw.normalization
    if raw.channels != 3:
        raise UsageError(
            f"-{parsed.normalization} is for RGB images, "
            f"but those of {parsed.base} have {raw.channels} channel{'s' * (raw.channels > 1)}"
        )
    return BY_SUFFIX[parsed.normalization]
