"""MNIST and Fashion-MNIST: idx files, compressed or not, whole or damaged; the real digits."""

import gzip
import tarfile
from pathlib import Path

import numpy as np
import pytest

from datasets import get_dataset
from datasets.readers.mnist import read_idx
from tests.fake_data import write_mnist
from utils import UserError

PACK = Path(__file__).parents[4] / "shared/data/mnist/mnist-idx.tar.xz"
BYTES = bytes(range(24))
HEADER = bytes((0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_idx(tmp_path, compress):
    path = tmp_path / ("x.gz" if compress is gzip.compress else "x")
    path.write_bytes(compress(HEADER + BYTES))
    found = read_idx(path, 3)
    assert found.shape == (2, 3, 4) and found.dtype == np.uint8
    assert found.tolist() == [
        [[12 * i + 4 * j + k for k in range(4)] for j in range(3)] for i in (0, 1)
    ]


DAMAGED = {
    "empty": (b"", "it begins with $"),
    "text": (b"a text", "it begins with 61207465"),
    "other numbers": (b"\0\0\x0d\3" + HEADER[4:] + BYTES, "it begins with 00000d03"),
    "other dimensions": (b"\0\0\x08\1\0\0\0\x18" + BYTES, "not an idx file of bytes with 3 dim"),
    "half a header": (HEADER[:10], "ends within its header"),
    "cut off": (HEADER + BYTES[:-1], "24 bytes after its header, it has 23"),
    "too long": (HEADER + BYTES + b"x", "24 bytes after its header, it has more"),
    "endless": (HEADER[:4] + b"\xff" * 12 + BYTES, r"claims to have the shape \[4294967295, "),
    "no images": (HEADER[:4] + bytes(12), r"claims to have the shape \[0, 0, 0\]"),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_idx(tmp_path, content, message, suffix):
    path = tmp_path / f"images{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(UserError, match=message) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(HEADER + BYTES)[:-9]], ids=["no gzip", "cut"]
)
def test_damaged_gzip(tmp_path, content):
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*x\.gz: "):
        read_idx(tmp_path / "x.gz", 3)


def test_other_numbers_of_labels_and_missing_files(tmp_path):
    write_mnist(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(b"\0\0\x08\1\0\0\0\1\5"))
    with pytest.raises(UserError, match="has 6 images, but there are 1 labels"):
        get_dataset("MNIST", tmp_path)
    labels.unlink()
    with pytest.raises(UserError, match="there is no t10k-labels-idx1-ubyte, nor"):
        get_dataset("Fashion-MNIST", tmp_path)


def test_clothes_have_names(tmp_path):
    dataset = get_dataset("Fashion-MNIST", write_mnist(tmp_path, classes=10))
    assert dataset.class_names[0] == "T-shirt/top" and dataset.class_names[9] == "Ankle boot"
    assert get_dataset("MNIST", tmp_path).class_names == tuple("0123456789")


@pytest.mark.skipif(not PACK.is_file(), reason=f"the real digits are not in {PACK}")
def test_the_real_digits(tmp_path):
    """Read the test images, which come first in the archive."""
    with tarfile.open(PACK) as archive:
        for _ in range(2):
            archive.extract(archive.next(), tmp_path, filter="data")
    labels = read_idx(tmp_path / "t10k-labels-idx1-ubyte", 1)
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(labels).tolist() == counts and labels[:5].tolist() == [7, 2, 1, 0, 4]
    images = read_idx(tmp_path / "t10k-images-idx3-ubyte", 3)
    assert images.shape == (10_000, 28, 28)
    assert images.mean() == pytest.approx(33.79, abs=0.005)
