"""Readers of HDF5 and Keras files: models, weights, descriptions, snapshots."""

import base64
import io
import json
import marshal
import random
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import h5py
import numpy as np

from tests.hostile.archives import ARCHIVES, appended, rewritten, within
from tests.hostile.list_readers import endless, made, no_files
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
    from models.description import ModelDescription, Output

    outputs = (Output("l2norm", "dot", VECTORS), Output("prob", "output"))
    return ModelDescription("Digits", (3, 1, 7), ("a", "b", "c"), 3, 16, 14, outputs)


@cache
def _bytes_of(suffix: str) -> bytes:
    """The file of the model."""
    import tempfile

    from models.saved import save_model, save_weights

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
    from models.saved import load_model

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
    from models.description import read_description

    return read_description(folder / file)


def _check_description(found, valid, folder: Path) -> None:
    """It is the one that was written: it has checksums."""
    for field in ("dataset", "labels", "class_names", "channels", "target_size", "crop_size"):
        assert getattr(found, field) == getattr(valid, field)
    np.testing.assert_array_equal(found.outputs[0].class_vectors, VECTORS)


def _read_weights(file: str, folder: Path):
    import keras

    from models.saved import load_weights

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

    from training.snapshots import RunState, save_snapshot

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="dense")])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    save_snapshot(folder / "s.h5", model, RunState(2, dict(_IDENTITY), [{"epoch": 1, "loss": 2.5}]))


def _read_snapshot(folder: Path):
    from training.snapshots import read_snapshot

    return read_snapshot(folder / "s.h5", dict(_IDENTITY))


def _check_snapshot(found, valid, folder: Path) -> None:
    assert type(found.epoch) is int and found.epoch >= 0
    assert found.identity["dataset"] == "Digits"
    assert all(isinstance(record, dict) for record in found.records)


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

    return harm


def _legacy(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def edit(file: h5py.File) -> None:
        plain = json.loads(file.attrs["model_config"])
        change(plain)
        file.attrs["model_config"] = json.dumps(plain)

    return _with_hdf5(edit)


def _layer(plain: dict, kind: str) -> dict:
    return next(layer for layer in plain["config"]["layers"] if layer["class_name"] == kind)


def _replaced(**entries) -> Callable[[dict], None]:
    """Another layer in the place of the activation."""

    def change(plain: dict) -> None:
        _layer(plain, "ReLU").update(entries)

    return change


def _set(kind: str, **entries) -> Callable[[dict], None]:
    return lambda plain: _layer(plain, kind)["config"].update(entries)


def _code() -> str:
    code = compile("lambda x: __import__('os').system('touch executed') and x", "evil", "eval")
    return base64.b64encode(marshal.dumps(code)).decode()


_LAMBDA = {
    "class_name": "__lambda__",
    "config": {"value": [_code(), None, None], "code": _code(), "defaults": None, "closure": None},
}


def _function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _many_layers(plain: dict) -> None:
    layer = _layer(plain, "ReLU")
    layers = plain["config"]["layers"]
    layers[3:3] = [{**layer, "name": f"x{i}"} for i in range(20_000)]


def _backwards(plain: dict) -> None:
    plain["config"]["layers"].reverse()


def _itself(plain: dict) -> None:
    nodes = _layer(plain, "ReLU")["inbound_nodes"]
    nodes[0]["args"][0]["config"]["keras_history"] = ["relu", 0, 0]


def _unsafe(plain: dict) -> None:
    call = {**_function("keras.config", "enable_unsafe_deserialization")}
    _layer(plain, "ReLU").update(class_name="Activation", config={"activation": call})


_CONFIGS: dict[str, Callable[[dict], None]] = {
    "a lambda": _replaced(class_name="Lambda", config={"name": "relu", "function": _LAMBDA}),
    "a lambda as activation": _set("Dense", activation=_LAMBDA),
    "a lambda as initializer": _set("Conv2D", kernel_initializer=_LAMBDA),
    "any module": _replaced(module="os", class_name="system", config={"command": "touch executed"}),
    "subprocess": _replaced(
        module="subprocess", class_name="Popen", config={"args": ["touch", "executed"]}
    ),
    "a registered name": _replaced(registered_name="evil>ReLU"),
    "builtins": _set("Dense", activation=_function("builtins", "eval")),
    "a download": _set("Dense", activation=_function("keras.utils", "get_file")),
    "NumPy's loader": _set("Dense", activation=_function("numpy", "load")),
    "the safe mode is switched off": _unsafe,
    "a SavedModel": _replaced(class_name="TFSMLayer", config={"filepath": "/etc", "name": "relu"}),
    "PyTorch's pickle": _replaced(
        class_name="TorchModuleWrapper", config={"module": "x", "name": "relu"}
    ),
    "JAX": _replaced(class_name="JaxLayer", config={"call_fn": _LAMBDA, "name": "relu"}),
    "a vocabulary in a file": _replaced(
        class_name="StringLookup", config={"vocabulary": "/etc/passwd", "name": "relu"}
    ),
    "a vectorizer": _replaced(
        class_name="TextVectorization", config={"vocabulary": "/etc/passwd", "name": "relu"}
    ),
    "a wrapped layer": _replaced(
        class_name="TimeDistributed", config={"layer": {"class_name": "Lambda", "config": {}}}
    ),
    "a model within": _replaced(class_name="Sequential", config={"layers": []}),
    "a type": _set(
        "Dense",
        units={
            "class_name": "__typespec__",
            "spec_name": "x",
            "module": "os",
            "registered_name": None,
            "config": [],
        },
    ),
    "a tensor": _set(
        "Dense", units={"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}}
    ),
    "another kind of network": lambda plain: plain.update(class_name="Sequential"),
    "a network of another module": lambda plain: plain.update(
        class_name="Popen", module="subprocess"
    ),
    "10**12 units": _set("Dense", units=10**12),
    "10**5 units": _set("Dense", units=10**5),
    "10**400 units": _set("Dense", units=10**400),
    "-1 units": _set("Dense", units=-1),
    "10**9 filters": _set("Conv2D", filters=10**9),
    "kernels of 10**5": _set("Conv2D", kernel_size=[10**5, 10**5]),
    "other channels": _set("InputLayer", batch_shape=[None, None, None, 10**9]),
    "pixels without end": _set("InputLayer", batch_shape=[None, 10**6, 10**6, 3]),
    "a million images at a time": _set("InputLayer", batch_shape=[10**9, 14, 14]),
    "padding of 10**6": _replaced(
        module="keras.layers",
        class_name="ZeroPadding2D",
        config={"name": "relu", "padding": [[10**6, 10**6], [10**6, 10**6]]},
    ),
    "images made larger": _replaced(
        module="keras.layers",
        class_name="UpSampling2D",
        config={"name": "relu", "size": [10**5, 10**5]},
    ),
    "20,000 layers": _many_layers,
    "layers from last to first": _backwards,
    "a layer of itself": _itself,
    "no layers": lambda plain: plain["config"].update(layers=[]),
    "two layers of a name": lambda plain: plain["config"]["layers"].append(_layer(plain, "ReLU")),
    "fewer outputs": lambda plain: plain["config"].update(output_layers=[["prob", 0, 0]]),
}


def _inner(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    """The model with other weights in its archive."""

    def edit(name: str, data: bytes) -> bytes:
        if name != "model.weights.h5":
            return data
        content = io.BytesIO(data)
        with h5py.File(content, "r+") as opened:
            change(opened)
        return content.getvalue()

    return lambda folder: (folder / "m.keras").write_bytes(rewritten(_bytes_of(".keras"), edit))


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


def _secret(folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as file:
        file["secret"] = np.arange(12, dtype="f4").reshape(4, 3)


def _external(path: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = h5py.ExternalLink("other.h5", "/secret")

    return change


def _elsewhere(path: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        shape = file[path].shape
        del file[path]
        size = int(np.prod(shape)) * 4
        file.create_dataset(path, shape, "f4", external=[("/etc/passwd", 0, size)])

    return change


def _virtual(path: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        shape = file[path].shape
        del file[path]
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource("other.h5", "secret", shape)
        file.create_virtual_dataset(path, layout)

    return change


def _huge(path: str, **options) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file.create_dataset(path, (2**20, 2**20), "f4", **options)

    return change


def _loop(file: h5py.File) -> None:
    group = file.get("model_weights", file)
    group["loop"] = group


def _soft(path: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = h5py.SoftLink(path)

    return change


def _long_names(file: h5py.File) -> None:
    """3,000 names that are the same 100,000 letters."""
    root = file.get("model_weights", file)
    del root.attrs["layer_names"]
    group = root["conv"]
    del group.attrs["weight_names"]
    group.attrs.create("weight_names", ["x" * 10] * 3000, dtype=h5py.string_dtype())
    root.attrs.create("layer_names", ["conv"], dtype=h5py.string_dtype())


def _harms(path: str, edit: Callable) -> dict[str, Harm]:
    """HDF5 files that refer to others, or have more than they have bytes."""
    return {
        "a link to another file": edit(_external(path)),
        "an array in /etc/passwd": edit(_elsewhere(path)),
        "an array of another file": edit(_virtual(path)),
        "4 TB that are not there": edit(_huge(path)),
        "4 TB in pieces": edit(_huge(path, chunks=(2**10, 2**10), compression="gzip")),
        "a link to itself": edit(_soft(path)),
        "a group in itself": edit(_loop),
    }


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
    **{title: _with(change) for title, change in _CONFIGS.items()},
    **_harms("layers/dense/vars/0", _inner),
    "100,000 levels of JSON": _deep_json(100_000),
    "no archive": b"PK\3\4 and nothing more",
    "a pickle": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0etouch executed\x85R.",
}
_OLD_MODELS: dict[str, Harm] = {
    **no_files("m.h5"),
    **{
        title: _legacy(change)
        for title, change in _CONFIGS.items()
        if title != "a network of another module"
    },
    "a link to another file": _at_dense(_external),
    "an array in /etc/passwd": _at_dense(_elsewhere),
    "an array of another file": _at_dense(_virtual),
    "4 TB that are not there": _at_dense(_huge),
    "a link to itself": _at_dense(_soft),
    "a group in itself": _with_hdf5(_loop),
    "3,000 names of arrays": _with_hdf5(_long_names),
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
        crafted=no_files("s.h5"),
        keras=True,
    ),
}
