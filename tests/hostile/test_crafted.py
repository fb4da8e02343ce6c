"""Crafted files: nothing is executed or overwritten, and the error is one line."""

import os

import h5py
import numpy as np
import pytest

from storage import rehearsal
from tests.hostile.crafted import CRAFTED, appended
from tests.hostile.models import content
from tests.hostile.reader import outcome, prepare
from tests.hostile.table import READERS

CASES = [(name, title) for name, titles in CRAFTED.items() for title in titles]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The valid example of each reader: its folder and what was read."""
    found = {}

    def example(name):
        if name not in found:
            folder = tmp_path_factory.mktemp("example")
            found[name] = folder, prepare(READERS[name], folder)
        return found[name]

    return example


def state(*folders):
    """Size, type and time of everything in some folders."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    return {path: (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in paths}


def read(name, example, file_content, tmp_path, monkeypatch):
    """Read a folder with another first file; return the message of the refusal."""
    folder, valid = example
    path = folder / READERS[name].files[0]
    old = path.read_bytes()
    monkeypatch.chdir(tmp_path)
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.ones((4, 3), "f4")
    path.write_bytes(file_content)
    before = state(folder, tmp_path)
    try:
        message = outcome(READERS[name], folder, valid).message
        assert state(folder, tmp_path) == before
    finally:
        path.write_bytes(old)
    return message


@pytest.mark.parametrize(("name", "title"), CASES, ids=[" - ".join(case) for case in CASES])
def test_crafted_files_are_refused(examples, tmp_path, monkeypatch, name, title):
    monkeypatch.setattr(rehearsal, "SECONDS", 1)  # some of these have no end
    file_content = CRAFTED[name][title]()
    assert read(name, examples(name), file_content, tmp_path, monkeypatch)


@pytest.mark.parametrize("member", ["../outside.txt", "assets/../../outside.txt", "{}/outside.txt"])
def test_archives_write_nothing_outside(examples, tmp_path, monkeypatch, member):
    archive = appended(content(".keras"), member.format(tmp_path))
    assert read("model .keras", examples("model .keras"), archive, tmp_path, monkeypatch) is None


def pipe(path):
    os.mkfifo(path)


def endless(path):
    with open(path, "wb") as file:
        file.truncate(2**40)


NO_FILES = {
    "a pipe": pipe,
    "zeros without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a folder": lambda path: path.mkdir(),
    "nothing": lambda path: None,
    "1 TB of zeros": endless,
}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize(
    "name",
    [
        "CUB lists",
        "Flowers .mat",
        "PNG",
        "CIFAR-10 pickles",
        "taxonomy of pairs",
        "embeddings .npz, numbers",
        "features .npz",
        "model .keras",
        "model .h5",
        "weights of Keras 3",
        "snapshot",
        "cached images",
    ],
)
def test_non_regular_files_are_refused(examples, tmp_path, name, kind):
    folder, valid = examples(name)
    path = folder / READERS[name].files[0]
    path.rename(tmp_path / "regular")
    try:
        NO_FILES[kind](path)
        assert outcome(READERS[name], folder, valid).message
    finally:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        (tmp_path / "regular").rename(path)
