"""Damages HDF5 files as h5py can: arrays, links and attributes that no writer makes."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests.hostile.readers import Harm


def hdf5(rng: random.Random, content: bytes) -> bytes:
    """An HDF5 file with an array or attribute changed as h5py can change it."""
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as opened:
        names: list[str] = []
        opened.visit(names.append)
        name = rng.choice(names)
        rng.choice((_gone, _other, _linked, _attribute, _attribute, _moved))(
            rng, opened, name, names
        )
    return file.getvalue()


def _gone(rng: random.Random, file: h5py.File, name: str, names: list[str]) -> None:
    del file[name]


def _other(rng: random.Random, file: h5py.File, name: str, names: list[str]) -> None:
    """Another array, or none, in its place."""
    del file[name]
    shape = rng.choice(((), (0,), (3,), (10**9, 10**9), (2**20,), (3, 4, 5, 6, 7)))
    kind = rng.choice(("f4", "f8", "u1", "S5", "V3", "c8", h5py.string_dtype()))
    file.create_dataset(
        name,
        shape,
        kind,
        chunks=(1,) * len(shape) if rng.random() < 0.3 and shape and 0 not in shape else None,
    )


def _linked(rng: random.Random, file: h5py.File, name: str, names: list[str]) -> None:
    del file[name]
    other = rng.choice(names)
    file[name] = rng.choice(
        (
            h5py.SoftLink("/"),
            h5py.SoftLink(name),
            h5py.SoftLink(other),
            h5py.ExternalLink("other.h5", "/secret"),
        )
    )


def _attribute(rng: random.Random, file: h5py.File, name: str, names: list[str]) -> None:
    holders = [file[one] for one in names if len(file[one].attrs)] + [file] * bool(len(file.attrs))
    holder = rng.choice(holders) if holders else file[name]
    attribute = rng.choice([*holder.attrs, "name"])
    values = ("", "x" * 5000, 0, [1, 2], ["a", "b"], [b"a" * 100] * 500, h5py.Empty("f4"), "dense")
    holder.attrs[attribute] = rng.choice(values)


def _moved(rng: random.Random, file: h5py.File, name: str, names: list[str]) -> None:
    """The same thing under a second name, maybe within itself."""
    target = rng.choice(names)
    if isinstance(file[target], h5py.Group):
        file[target]["again"] = file[name]


def secret(folder: Path) -> None:
    """Writes the file that others refer to."""
    with h5py.File(folder / "other.h5", "w") as file:
        file["secret"] = np.arange(12, dtype="f4").reshape(4, 3)


def external(path: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = h5py.ExternalLink("other.h5", "/secret")

    return change


def elsewhere(path: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        shape = file[path].shape
        del file[path]
        size = int(np.prod(shape)) * 4
        file.create_dataset(path, shape, "f4", external=[("/etc/passwd", 0, size)])

    return change


def virtual(path: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        shape = file[path].shape
        del file[path]
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource("other.h5", "secret", shape)
        file.create_virtual_dataset(path, layout)

    return change


def huge(path: str, **options) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file.create_dataset(path, (2**20, 2**20), "f4", **options)

    return change


def loop(file: h5py.File) -> None:
    group = file.get("model_weights", file)
    group["loop"] = group


def soft(path: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = h5py.SoftLink(path)

    return change


def long_names(file: h5py.File) -> None:
    """3,000 names that are the same 100,000 letters."""
    root = file.get("model_weights", file)
    del root.attrs["layer_names"]
    group = root["conv"]
    del group.attrs["weight_names"]
    group.attrs.create("weight_names", ["x" * 10] * 3000, dtype=h5py.string_dtype())
    root.attrs.create("layer_names", ["conv"], dtype=h5py.string_dtype())


def harms(path: str, edit: Callable) -> dict[str, Harm]:
    """HDF5 files that refer to others, or have more than they have bytes."""
    return {
        "a link to another file": edit(external(path)),
        "an array in /etc/passwd": edit(elsewhere(path)),
        "an array of another file": edit(virtual(path)),
        "4 TB that are not there": edit(huge(path)),
        "4 TB in pieces": edit(huge(path, chunks=(2**10, 2**10), compression="gzip")),
        "a link to itself": edit(soft(path)),
        "a group in itself": edit(loop),
    }
