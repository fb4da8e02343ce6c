"""Exported networks against the Keras model; failures leave no file."""

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import models
from models.backbones.cifar_resnet import shortcut
from models.files import export
from models.heads import classifier_head, embedding_head
from models.initialization import initialize
from models.layers.batch_normalization import batch_normalization
from models.layers.inputs import image_input
from models.layers.network import with_plain_layers
from models.layers.outputs import average_pool, output_layer
from storage import outputs
from utils import UsageError, UserError

FACTS = {"dataset": "Folder", "labels": [1, 2], "class_names": ["Star", "Grünfink, alt"]}
TENSORFLOW = keras.backend.backend() == "tensorflow"


def needs(kind: str) -> pytest.MarkDecorator:
    missing = [
        name for name in export.FORMATS[kind].libraries if importlib.util.find_spec(name) is None
    ]
    reason = f"not installed: {', '.join(missing)}" if missing else "needs the TensorFlow backend"
    return pytest.mark.skipif(bool(missing) or not TENSORFLOW, reason=reason)


KINDS = [pytest.param(kind, marks=needs(kind)) for kind in export.FORMATS]


def images(size: int, count: int = 3, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), np.uint8)


def small(channels: int = 3) -> keras.Model:
    """Normalization, one strided convolution, one dense layer."""
    mean, std = [120.0, 110.0, 100.0][:channels], [60.0, 50.0, 40.0][:channels]
    image = keras.Input((None, None, channels), name="image")
    x = keras.layers.Normalization(mean=mean, variance=np.square(std).tolist())(image)
    x = keras.layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="conv")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    x = keras.layers.Dense(2, dtype="float32", name="embedding")(x)
    return keras.Model(image, x)


def nothing(run: export.Run) -> None:
    """A check that is content with anything."""


def write(
    kind: str, model: keras.Model, path: Path, size: int = 8, reading: bool = True, **options
) -> export.Run | None:
    """Export all outputs of a model and return a function that runs the file."""
    plain = export.exportable(model)
    tensors = {f"out_{i}": tensor for i, tensor in reversed(list(enumerate(plain.outputs)))}
    exported = export.with_pixel_input(plain.input, tensors, size, options.get("dtype", "uint8"))
    export.export(kind, exported, path, FACTS, options.get("opset", 17), nothing)
    return export.FORMATS[kind].load(path) if reading else None


def all_kinds_of_layers() -> keras.Model:
    """Build a network from the parts of residual ones: a block, reversed channels, a head."""
    image, x = image_input(3, [124, 117, 104], [60, 59, 58], bgr=True)
    x = keras.layers.ZeroPadding2D(3)(x)
    y = keras.layers.Conv2D(7, 3, 2, padding="same", name="conv")(x)
    y = batch_normalization("norm")(y)
    x = keras.layers.ReLU()(keras.layers.Add()([y, shortcut(x, 7, 2)]))
    x = keras.layers.MaxPooling2D(3, 2)(x)
    x = output_layer(average_pool(x), 4, classifier=False)
    return classifier_head(embedding_head(keras.Model(image, x), "l2norm"), 5)


def simple() -> keras.Model:
    return models.build_backbone("simple", 4, classifier=True, mean=[1, 2, 3], std=[4, 5, 6])


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        pytest.param("onnx", all_kinds_of_layers, marks=needs("onnx")),
        pytest.param("saved_model", all_kinds_of_layers, marks=needs("saved_model")),
        pytest.param("onnx", simple, marks=needs("onnx")),
    ],
)
def test_networks_of_this_project(kind, build, tmp_path):
    """Export at an odd size, at which strides and pooling pad unevenly."""
    model = build()
    initialize(model, 0)
    model = with_plain_layers(model)
    run = write(kind, model, tmp_path / "model", size=17)
    expected = keras.tree.flatten(model.predict_on_batch(images(17)))
    found = run(images(17))
    assert found.keys() == {f"out_{i}" for i in range(len(expected))}
    for i, values in enumerate(expected):
        np.testing.assert_allclose(found[f"out_{i}"], values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_either_type_and_any_number(kind, dtype, tmp_path):
    model = small()
    run = write(kind, model, tmp_path / "model", dtype=dtype)
    for count in (1, 5):
        expected = model.predict_on_batch(images(8, count))
        np.testing.assert_allclose(run(images(8, count))["out_0"], expected, rtol=1e-4, atol=1e-5)


@needs("onnx")
@pytest.mark.parametrize("opset", [13, 18])
def test_onnx_files_describe_themselves(opset, tmp_path):
    import onnx

    write("onnx", small(1), tmp_path / "a.onnx", opset=opset)
    proto = onnx.load(tmp_path / "a.onnx")
    texts = {entry.key: entry.value for entry in proto.metadata_props}
    assert texts.pop("dataset") == "Folder"
    assert {name: json.loads(text) for name, text in texts.items()} == {
        "labels": [1, 2],
        "class_names": ["Star", "Grünfink, alt"],
    }
    (source,) = proto.graph.input
    sides = [side.dim_param or side.dim_value for side in source.type.tensor_type.shape.dim]
    assert (source.name, sides) == ("image", ["batch", 8, 8, 1])
    assert [entry.version for entry in proto.opset_import if not entry.domain] == [opset]


@needs("saved_model")
def test_a_saved_model_describes_itself(tmp_path):
    write("saved_model", small(), tmp_path / "model")
    about = json.loads((tmp_path / "model/assets.extra/model.json").read_text("utf-8"))
    assert about == FACTS


@needs("onnx")
def test_half_precision_becomes_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = small()
    finally:
        keras.config.set_dtype_policy("float32")
    full = small()
    full.set_weights(half.get_weights())
    assert export.is_half_precision(half)
    assert not export.is_half_precision(full)
    assert not export.is_half_precision(export.exportable(half))
    run = write("onnx", half, tmp_path / "a.onnx")
    expected = full.predict_on_batch(images(8))
    np.testing.assert_allclose(run(images(8))["out_0"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_exports_that_fail_the_check_are_removed(kind, tmp_path):
    def refuse(run: export.Run) -> None:
        assert run(images(8))["out"].shape == (3, 2)
        raise UserError("too different")

    plain = export.exportable(small())
    exported = export.with_pixel_input(plain.input, {"out": plain.output}, 8)
    with pytest.raises(UserError, match="too different"):
        export.export(kind, exported, tmp_path / "model", FACTS, 17, refuse)
    assert list(tmp_path.iterdir()) == []


@needs("onnx")
def test_unconvertible_models_give_a_one_line_error(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ValueError("no such\noperator")

    plain = export.exportable(small())
    exported = export.with_pixel_input(plain.input, {"out": plain.output}, 8)
    monkeypatch.setattr(keras.Model, "export", fail)
    with pytest.raises(UserError, match=r"^cannot convert the model to onnx: no such operator$"):
        export.export("onnx", exported, tmp_path / "a.onnx", FACTS, 17, nothing)
    assert list(tmp_path.iterdir()) == []


@needs("saved_model")
def test_a_saved_model_replaces_only_saved_models(tmp_path):
    path = tmp_path / "model"
    claim = export.FORMATS["saved_model"].claim

    def check(*arguments):
        try:
            claim(*arguments)
        finally:
            outputs.release()

    check("--out", path, False)
    path.mkdir()
    check("--out", path, False)  # empty
    write("saved_model", small(), path)
    with pytest.raises(UsageError, match="--overwrite"):
        check("--out", path, False)
    check("--out", path, True)
    theirs = ("notes.txt", "assets/words.txt", "assets.extra/notes.txt")
    for foreign in (*theirs, "variables/notes.txt", "variables/variables.mine"):
        (path / foreign).touch()
        with pytest.raises(UsageError, match=f"do not belong to a SavedModel, like {foreign}"):
            check("--out", path, True)
        (path / foreign).unlink()
    (path / "variables" / "variables.data-00001-of-00002").touch()
    check("--out", path, True)
    write("saved_model", small(), path)
    assert not (path / "variables" / "variables.data-00001-of-00002").exists()
    assert list(tmp_path.iterdir()) == [path]

    (path / "saved_model.pb").unlink()
    with pytest.raises(UsageError, match="something else in it"):
        check("--out", path, True)
    with pytest.raises(UsageError, match="is a file"):
        check("--out", path / "fingerprint.pb", True)
    with pytest.raises(UsageError, match="no folder"):
        check("--out", tmp_path / "nowhere/model", False)


def test_missing_libraries_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    expected = r"needs onnx, onnxruntime, tf2onnx: pip install -r requirements-export\.txt"
    with pytest.raises(UsageError, match=expected):
        export.check_export("onnx", "--out", tmp_path / "a.onnx", False)


@pytest.mark.parametrize("kind", KINDS)
def test_other_backends_are_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UsageError, match=r"not jax: set KERAS_BACKEND=tensorflow"):
        export.check_export(kind, "--out", tmp_path / "a", False)
