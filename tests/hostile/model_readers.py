"""Readers of HDF5 and Keras files: models, weights, descriptions, snapshots."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import h5py
import numpy as np

from tests.hostile.archives import ARCHIVES, appended, rewritten, within
from tests.hostile.configurations import CONFIGS
from tests.hostile.file_harms import endless, made, no_files
from tests.hostile.hdf5_changes import (
    elsewhere,
    external,
    harms,
    hdf5,
    huge,
    long_names,
    loop,
    secret,
    soft,
    virtual,
)
from tests.hostile.mutators import BYTES, json_value
from tests.hostile.readers import Harm, Reader

VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
_IDENTITY = {"dataset": "Digits"}


@cache
def _network():
    """One of each of the layers that matter: a convolution, normalization, both kinds of heads."""
    import keras

    image = keras.Input((None, None, 3), dtype="float32", name="image")
    x = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0], name="n")(image)
    x = keras.layers.Conv2D(5, 3, kernel_initializer="he_normal", name="conv")(x)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="bn")(x))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(1e-4), name="embedding")(x)
    unit = keras.layers.UnitNormalization(name="l2norm")(x)
    prob = keras.layers.Dense(3, activation="softmax", name="prob")(x)
    return keras.Model(image, [unit, prob], name="tiny")


def _description():
    from models.files.description import ModelDescription, Output

    outputs = (Output("l2norm", "dot", VECTORS), Output("prob", "output"))
    return ModelDescription("Digits", (3, 1, 7), ("a", "b", "c"), 3, 16, 14, outputs)


@cache
def _bytes_of(suffix: str) -> bytes:
    """The file of the model."""
    import tempfile

    from models.files.saved import save_model, save_weights

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"m{suffix}")
        if suffix == ".weights.h5":
            save_weights(_network(), path)
        else:
            save_model(_network(), path, _description())
        return path.read_bytes()


def _write(file: str, suffix: str, folder: Path) -> None:
    (folder / file).write_bytes(_bytes_of(suffix))


def _read_model(file: str, folder: Path) -> tuple:
    from models.files.saved import load_model

    return load_model(folder / file)


def _check_model(found: tuple, valid: tuple, folder: Path) -> None:
    """It classifies an image of the size that it says."""
    import keras

    model, description = found
    size, channels = description.crop_size, description.channels
    if size > 200:  # which would take long, and says nothing new
        return
    outputs = model(np.zeros((1, size, size, channels), np.float32))
    assert len(outputs) == len(description.outputs)
    for value, output in zip(outputs, description.outputs, strict=True):
        value = keras.ops.convert_to_numpy(value)
        vectors = output.class_vectors
        assert value.shape == (1, len(description.labels) if vectors is None else vectors.shape[1])
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}


def _read_description(file: str, folder: Path):
    from models.files.description import read_description

    return read_description(folder / file)


def _check_description(found, valid, folder: Path) -> None:
    """It is the one that was written: it has checksums."""
    for field in ("dataset", "labels", "class_names", "channels", "target_size", "crop_size"):
        assert getattr(found, field) == getattr(valid, field)
    np.testing.assert_array_equal(found.outputs[0].class_vectors, VECTORS)


def _read_weights(file: str, folder: Path):
    import keras

    from models.files.saved import load_weights

    network = keras.models.clone_model(_network())
    return network, load_weights(network, folder / file)


def _check_weights(found: tuple, valid: tuple, folder: Path) -> None:
    """Each layer is loaded, missing or of another shape, and has arrays of its own shape still."""
    network, report = found
    names = [*report.loaded, *report.missing, *(name for name, *_ in report.mismatched)]
    assert sorted(names) == sorted(layer.name for layer in network.layers if layer.weights)
    for one, other in zip(network.weights, _network().weights, strict=True):
        assert one.shape == other.shape


def _write_snapshot(folder: Path) -> None:
    import keras

    from training.snapshots.file import RunState, save_snapshot

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="dense")])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    save_snapshot(folder / "s.h5", model, RunState(2, dict(_IDENTITY), [{"epoch": 1, "loss": 2.5}]))


def _read_snapshot(folder: Path):
    from training.snapshots.file import read_snapshot

    return read_snapshot(folder / "s.h5", dict(_IDENTITY))


def _with_table(epochs: int, columns: list[str]) -> Callable[[Path], None]:
    """A snapshot with other figures, all zero."""

    def harm(folder: Path) -> None:
        with h5py.File(folder / "s.h5", "r+") as file:
            state = json.loads(file["run_state"][()])
            del file["run_state"], file["run_records"]
            file["run_state"] = np.bytes_(json.dumps(state | {"records": columns}))
            file.create_dataset("run_records", (epochs, len(columns)), np.float64)

    return harm


def _check_snapshot(found, valid, folder: Path) -> None:
    assert type(found.epoch) is int and found.epoch >= 0
    assert found.identity["dataset"] == "Digits"
    assert all(isinstance(record, dict) for record in found.records)


def _config_of(content: bytes) -> dict:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return json.loads(archive.read("config.json"))


def _with(change: Callable[[dict], None], file: str = "m.keras") -> Callable[[Path], None]:
    """The model with another configuration."""

    def harm(folder: Path) -> None:
        content = _bytes_of(".keras")
        plain = _config_of(content)
        change(plain)
        new = json.dumps(plain).encode()
        (folder / file).write_bytes(
            rewritten(content, lambda name, data: new if name == "config.json" else data)
        )

    return harm


def _with_hdf5(change: Callable[[h5py.File], None], file: str = "m.h5") -> Callable[[Path], None]:
    """The model in the old format, changed."""

    def harm(folder: Path) -> None:
        content = io.BytesIO(_bytes_of(".h5"))
        with h5py.File(content, "r+") as opened:
            change(opened)
        (folder / file).write_bytes(content.getvalue())
        secret(folder)

    return harm


def _legacy(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def edit(file: h5py.File) -> None:
        plain = json.loads(file.attrs["model_config"])
        change(plain)
        file.attrs["model_config"] = json.dumps(plain)

    return _with_hdf5(edit)


def _inner(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    """The model with other weights in its archive."""

    def edit(name: str, data: bytes) -> bytes:
        if name != "model.weights.h5":
            return data
        content = io.BytesIO(data)
        with h5py.File(content, "r+") as opened:
            change(opened)
        return content.getvalue()

    def harm(folder: Path) -> None:
        (folder / "m.keras").write_bytes(rewritten(_bytes_of(".keras"), edit))
        secret(folder)

    return harm


def _deep_json(levels: int) -> Callable[[Path], None]:
    new = b'{"class_name":' + b"[" * levels + b"]" * levels + b"}"
    return lambda folder: (folder / "m.keras").write_bytes(
        rewritten(_bytes_of(".keras"), lambda name, data: new if name == "config.json" else data)
    )


def _bomb(member: str) -> Callable[[], bytes]:
    def content() -> bytes:
        file = io.BytesIO(rewritten(_bytes_of(".keras"), lambda n, d: None if n == member else d))
        with (
            zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(member, "w", force_zip64=True) as out,
        ):
            for _ in range(38):
                out.write(bytes(2**24))
        return file.getvalue()

    return content


_DENSE = "model_weights/prob/tiny/prob/kernel"


def _dense_path() -> str:
    with h5py.File(io.BytesIO(_bytes_of(".h5"))) as file:
        names: list[str] = []
        file.visit(names.append)
    return next(name for name in names if "prob" in name and name.endswith("kernel"))


def _at_dense(change: Callable[[str], Callable]) -> Callable[[Path], None]:
    return lambda folder: _with_hdf5(change(_dense_path()))(folder)


_MODELS: dict[str, Harm] = {
    **no_files("m.keras"),
    **{title: _with(change) for title, change in CONFIGS.items()},
    **harms("layers/dense/vars/0", _inner),
    "100,000 levels of JSON": _deep_json(100_000),
    "no archive": b"PK\3\4 and nothing more",
    "a pickle": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0etouch executed\x85R.",
}
_OLD_MODELS: dict[str, Harm] = {
    **no_files("m.h5"),
    **{
        title: _legacy(change)
        for title, change in CONFIGS.items()
        if title != "a network of another module"
    },
    "a link to another file": _at_dense(external),
    "an array in /etc/passwd": _at_dense(elsewhere),
    "an array of another file": _at_dense(virtual),
    "4 TB that are not there": _at_dense(huge),
    "a link to itself": _at_dense(soft),
    "a group in itself": _with_hdf5(loop),
    "3,000 names of arrays": _with_hdf5(long_names),
}
_OUTSIDE: dict[str, Harm] = {
    f"a member {name[:20]!r}": lambda folder, name=name: (folder / "m.keras").write_bytes(
        appended(_bytes_of(".keras"), name, b"written outside")
    )
    for name in ("../outside.txt", "/tmp/outside.txt", "assets/../../outside.txt")
}


def _read(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name)


_CONFIG = within("config.json", json_value)


def _config_attribute(rng: random.Random, content: bytes) -> bytes:
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as opened:
        plain = opened.attrs["model_config"].encode()
        opened.attrs["model_config"] = json_value(rng, plain).decode()
    return file.getvalue()


def _weights_within(rng: random.Random, content: bytes) -> bytes:
    change = rng.choice((hdf5, hdf5, rng.choice(BYTES)))
    return within("model.weights.h5", change)(rng, content)


def _description_within(rng: random.Random, content: bytes) -> bytes:
    return within("description.npz", rng.choice((*BYTES, *ARCHIVES)))(rng, content)


def _keras_reader(
    file: str, suffix: str, read: Callable, check: Callable, mutators, **more
) -> Reader:
    return Reader(
        partial(_write, file, suffix),
        (file,),
        partial(read, file),
        check,
        mutators,
        keras=True,
        **more,
    )


READERS = {
    "model .keras": _keras_reader(
        "m.keras",
        ".keras",
        _read_model,
        _check_model,
        (*BYTES, *ARCHIVES, *[_CONFIG] * 10, *[_weights_within] * 5, *[_description_within] * 3),
        crafted=_MODELS,
        harmless=_OUTSIDE,
        large={
            "600 MB of configuration": made("m.keras", _bomb("config.json")),
            "600 MB of weights": made("m.keras", _bomb("model.weights.h5")),
            "600 MB of description": made("m.keras", _bomb("description.npz")),
            "an endless file": partial(endless, "m.keras"),
        },
    ),
    "model .h5": _keras_reader(
        "m.h5",
        ".h5",
        _read_model,
        _check_model,
        (*BYTES, *[_config_attribute] * 8, *[hdf5] * 8),
        crafted=_OLD_MODELS,
        large={"an endless file": partial(endless, "m.h5")},
    ),
    "description in .keras": _keras_reader(
        "m.keras",
        ".keras",
        _read_description,
        _check_description,
        BYTES,
        crafted=no_files("m.keras"),
    ),
    "description in .h5": _keras_reader(
        "m.h5", ".h5", _read_description, _check_description, BYTES, crafted=no_files("m.h5")
    ),
    "weights of Keras 3": _keras_reader(
        "w.h5",
        ".weights.h5",
        _read_weights,
        _check_weights,
        (*BYTES, *[hdf5] * 8),
        crafted=no_files("w.h5"),
    ),
    "weights of Keras 2": _keras_reader(
        "w.h5",
        ".h5",
        _read_weights,
        _check_weights,
        (*BYTES, *[hdf5] * 8),
        crafted=no_files("w.h5"),
    ),
    "weights in .keras": _keras_reader(
        "w.keras",
        ".keras",
        _read_weights,
        _check_weights,
        (*BYTES, *ARCHIVES, *[_weights_within] * 5),
        crafted=no_files("w.keras"),
        large={"600 MB of weights": made("w.keras", _bomb("model.weights.h5"))},
    ),
    "snapshot": Reader(
        _write_snapshot,
        ("s.h5",),
        _read_snapshot,
        _check_snapshot,
        (*BYTES, *[hdf5] * 5),
        crafted=no_files("s.h5")
        | {
            "a hundred million epochs without figures": _with_table(10**8, []),
            "two million epochs": _with_table(2 * 10**6, ["epoch"]),
        },
        keras=True,
    ),
}
