"""Texts of variable length in HDF5 files: whole ones pass, what the library would choke on not."""

import io
import struct

import h5py
import numpy as np
import pytest

from storage.hdf5 import check_heaps

TEXTS = ["conv/kernel", "conv/bias", "a longer text " * 10]


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("hdf5") / "file.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(512, dtype=np.float32)  # 2048 bytes, as is the heap's place
        file.attrs["names"] = TEXTS
    return path.read_bytes()


def changed(content: bytes, place: int, new: bytes) -> io.BytesIO:
    return io.BytesIO(content[:place] + new + content[place + len(new) :])


def heap(content: bytes) -> int:
    return content.index(b"GCOL\x01")


def reference(content: bytes) -> int:
    """Where the file refers to the first text: its length, its heap, its number there."""
    return content.index(struct.pack("<QI", heap(content), 1)) - 4


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_a_whole_file_passes(tmp_path, content, version):
    check_heaps(io.BytesIO(content))
    path = tmp_path / "file.h5"
    with h5py.File(path, "w", libver=version) as file:
        file.attrs["names"] = TEXTS
    with open(path, "rb") as file:
        check_heaps(file)


def test_a_heap_larger_than_the_file(content):
    with pytest.raises(ValueError, match="heap of texts does not fit"):
        check_heaps(changed(content, heap(content) + 8, struct.pack("<Q", 2**40)))


@pytest.mark.parametrize(("number", "size"), [(1, 2**40), (0, 0), (0, 2**40)])
def test_a_text_larger_than_its_heap_and_one_without_end(content, number, size):
    damaged = changed(content, heap(content) + 16, struct.pack("<HHxxxxQ", number, 1, size))
    with pytest.raises(ValueError, match="text does not fit"):
        check_heaps(damaged)


def test_two_texts_of_one_number(content):
    first = heap(content) + 16
    one, size = struct.unpack_from("<HxxxxxxQ", content, first)
    second = first + 16 + -(-size // 8) * 8
    assert struct.unpack_from("<H", content, second)[0] not in (0, one)
    with pytest.raises(ValueError, match="text does not fit"):
        check_heaps(changed(content, second, struct.pack("<H", one)))


def test_a_text_longer_than_the_file(content):
    place = reference(content)
    with pytest.raises(ValueError, match="longer than the file"):
        check_heaps(changed(content, place, struct.pack("<I", 2**31)))


def test_a_file_that_ends_within_a_heap(content):
    with pytest.raises(ValueError, match="heap of texts"):
        check_heaps(io.BytesIO(content[: heap(content) + 9]))


def test_places_of_another_width(content):
    with pytest.raises(ValueError, match="8 bytes"):
        check_heaps(changed(content, 13, b"\x04"))


def test_more_heaps_than_could_be_looked_at(content):
    with pytest.raises(ValueError, match="too many"):
        check_heaps(io.BytesIO(content + 300 * content[heap(content) : heap(content) + 4096]))
