"""HDF5 files that are damaged or refer to others are refused, whatever the library does."""

import struct

import h5py
import numpy as np
import pytest

from storage.hdf5 import open_hdf5, text, text_list
from utils import UserError

TEXTS = ["conv/kernel", "conv/bias", "a longer text " * 10]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["group/numbers"] = np.arange(512, dtype=np.float32)
        file.attrs["names"] = TEXTS
        file.attrs["short"] = np.array(TEXTS, "S")
        file.attrs["none"] = np.empty(0)
        file.attrs["name"] = "ü"
        file.attrs["number"] = 3
        file.attrs["numbers"] = [1, 2]
    return path


def read(path):
    with open_hdf5(path) as file:
        return text_list(file, "names"), file["group/numbers"][()].sum()


def change(path, place, new):
    content = path.read_bytes()
    path.write_bytes(content[:place] + new + content[place + len(new) :])


def heap(path):
    return path.read_bytes().index(b"GCOL\x01")


def test_a_whole_file_is_read(path):
    assert read(path) == (TEXTS, 512 * 511 / 2)
    with open_hdf5(path) as file:
        assert text_list(file, "short") == TEXTS and text_list(file, "none") == []
        assert text(file, "name") == "ü"
        for name in ("name", "number", "numbers"):
            with pytest.raises(ValueError, match="not a list of names"):
                text_list(file, name)
        for name in ("names", "number", "numbers"):
            with pytest.raises(ValueError, match="not text"):
                text(file, name)


def lengthen_reference(path):
    place = path.read_bytes().index(struct.pack("<QI", heap(path), 1)) - 4
    change(path, place, struct.pack("<I", 2**31))


DAMAGES = {
    "a text longer than the file": lengthen_reference,
    "a heap larger than the file": lambda p: change(p, heap(p) + 8, struct.pack("<Q", 2**40)),
    "a text without end": lambda p: change(p, heap(p) + 16, struct.pack("<HHxxxxQ", 0, 1, 0)),
    "cut off": lambda p: p.write_bytes(p.read_bytes()[:-100]),
    "a zip archive": lambda p: p.write_bytes(b"PK\3\4"),
    "empty": lambda p: p.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused(path, damage):
    DAMAGES[damage](path)
    with pytest.raises(UserError, match=r"file\.h5"):
        read(path)


def edit(change):
    def edited(path):
        with h5py.File(path, "a") as file:
            change(file)

    return edited


def put(name, value):
    return edit(lambda file: file.__setitem__(name, value))


def external(file):
    file.create_dataset("outside", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file):
    layout = h5py.VirtualLayout((512,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "numbers", (512,))
    file.create_virtual_dataset("outside", layout)


REFERENCES = {
    "a link to another file": put("link", h5py.ExternalLink("other.h5", "/numbers")),
    "a link to another place": put("group/link", h5py.SoftLink("/group/numbers")),
    "an array in another file": edit(external),
    "an array of other arrays": edit(virtual),
}


@pytest.mark.parametrize("reference", REFERENCES)
def test_external_links_are_refused(path, reference):
    REFERENCES[reference](path)
    with pytest.raises(UserError, match=r"file\.h5: \S+ refers to another (file|place)"):
        read(path)


def test_groups_within_themselves_are_refused(path, monkeypatch):
    monkeypatch.setattr("storage.rehearsal.SECONDS", 1)
    edit(lambda file: file["group"].__setitem__("again", file["group"]))(path)
    with pytest.raises(UserError, match=r"file\.h5 is refused"):
        read(path)


def test_terabytes_are_refused(path):
    edit(lambda file: file.create_dataset("much", (2**40,), "f4", chunks=(2**20,)))(path)
    with pytest.raises(UserError, match=r"file\.h5 is refused: .* too much memory"):
        read(path)
