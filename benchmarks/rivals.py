"""Other ways to make the same batches, to measure ours against."""

import json
import math
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from utils import UserError

SIZE, CROP = 512, 448  # pixels
MEAN = np.array([123.82988, 127.351166, 110.25606], np.float32)
STD = np.array([59.223095, 58.07361, 67.80252], np.float32)
SHIFT = 0.15


def published(path: Path) -> np.ndarray:
    """Make one training image like the published code: by Pillow, then by float32 arrays."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    scale = SIZE / min(picture.size)
    size = tuple(round(side * scale) for side in picture.size)
    image = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    if np.random.random() < 0.5:
        image = image[:, ::-1]
    image = _erased(image)
    top = np.random.randint(image.shape[0] - CROP + 1)
    left = np.random.randint(image.shape[1] - CROP + 1)
    return (image[top : top + CROP, left : left + CROP] - MEAN) / STD


def published_batches(paths: Sequence[Path], batch_size: int) -> Iterator[np.ndarray]:
    """Yield batches of float32 (b, 448, 448, 3)."""
    for start in range(0, len(paths), batch_size):
        yield np.stack([published(path) for path in paths[start : start + batch_size]])


def _erased(image: np.ndarray) -> np.ndarray:
    if np.random.random() < 0.5:
        return image
    height, width = image.shape[:2]
    while True:
        area = np.random.uniform(0.02, 0.3) * height * width
        aspect = np.random.uniform(0.3, 1 / 0.3)
        rows, columns = int(math.sqrt(area * aspect)), int(math.sqrt(area / aspect))
        top, left = np.random.randint(height), np.random.randint(width)
        if top + rows <= height and left + columns <= width:
            image = image.copy()
            noise = np.random.uniform(0, 255, (rows, columns, 3))
            image[top : top + rows, left : left + columns] = noise
            return image


def published_cifar(images: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Yield batches of CIFAR like the published code: one SciPy transform per channel."""
    mean, std = images.mean((0, 1, 2)), images.std((0, 1, 2))
    for start in range(0, len(images), batch_size):
        yield np.stack(
            [(_moved(image) - mean) / std for image in images[start : start + batch_size]]
        )


def _moved(image: np.ndarray) -> np.ndarray:
    image = image.astype(np.float32)
    if np.random.random() < 0.5:
        image = image[:, ::-1]
    offset = np.random.uniform(-SHIFT, SHIFT, 2) * image.shape[:2]
    channels = [
        ndimage.affine_transform(image[..., c], np.eye(2), offset, order=1, mode="nearest")
        for c in range(3)
    ]
    return np.stack(channels, axis=-1)


def tf_data(paths: Sequence[Path], batch_size: int, workers: int, keep: bool = False):
    """Return a tf.data pipeline: ``decode_and_crop_jpeg`` of the crop, resizing, flip; no erasing.

    Args:
        paths: JPEG files.
        batch_size: images per batch.
        workers: parallel calls; 0: one at a time.
        keep: keep the whole decoded images in memory (then nothing is decoded but not needed).
    """
    import tensorflow as tf

    def window(shape) -> tuple:
        side = tf.cast(tf.minimum(shape[0], shape[1]) * CROP // SIZE, tf.int32)
        top = tf.random.uniform((), 0, shape[0] - side + 1, tf.int32)
        left = tf.random.uniform((), 0, shape[1] - side + 1, tf.int32)
        return top, left, side, side

    def finish(image):
        image = tf.image.resize(image, (CROP, CROP), antialias=True)
        return tf.cast(tf.image.random_flip_left_right(image) + 0.5, tf.uint8)

    def decode_part(path):
        content = tf.io.read_file(path)
        part = window(tf.io.extract_jpeg_shape(content))
        return finish(tf.io.decode_and_crop_jpeg(content, tf.stack(part), channels=3))

    def decode_whole(path):
        return tf.io.decode_jpeg(tf.io.read_file(path), channels=3)

    def cut(image):
        top, left, rows, columns = window(tf.shape(image))
        return finish(image[top : top + rows, left : left + columns])

    calls = max(1, workers)
    data = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    if keep:
        data = data.map(decode_whole, calls).cache().map(cut, calls)
    else:
        data = data.map(decode_part, calls)
    options = tf.data.Options()
    options.threading.private_threadpool_size = calls
    return data.batch(batch_size).prefetch(2).with_options(options)


class Torchvision:
    """``torchvision_loader`` in another environment; a context that ends its process.

    Args:
        python: interpreter of the environment.
        paths: image files.
        batch_size: images per batch.
    """

    def __init__(self, python: Path, paths: Sequence[Path], batch_size: int):
        script = Path(__file__).with_name("torchvision_loader.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([python, "-W", "ignore", script], **pipes)
        self._say({"paths": [str(path.resolve()) for path in paths], "batch_size": batch_size})

    def __enter__(self) -> "Torchvision":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.__exit__(*exception)  # closes the pipes, whereupon the process ends

    def measure(self, way: str, workers: int) -> dict:
        """Return the seconds ``wall`` and ``cpu`` of one pass.

        Raises:
            UserError: the process has ended; standard error says why.
        """
        try:
            print(way, workers, file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            raise UserError("torchvision cannot be measured") from error

    def _say(self, message: dict) -> None:
        try:
            print(json.dumps(message), file=self._process.stdin, flush=True)
        except OSError as error:
            raise UserError("torchvision cannot be measured") from error
