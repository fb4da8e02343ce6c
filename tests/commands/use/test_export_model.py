"""export_model.py: files that classify as predict.py does, and errors."""

import csv
import io
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import export_model
import predict
from models.files import export
from models.files.description import ModelDescription, Output
from models.files.saved import save_model
from tests.commands.running import DATA, USAGE, check_refused, run, succeed
from tests.fake_data import write_image
from tests.models.files.test_export import needs
from tests.permissions import folder_for_all, ordinary_user
from utils import UserError

VECTORS = np.random.default_rng(4).normal(size=(3, 5)).astype(np.float32)
LABELS = (11, 5, 8)
NAMES = ("Star", "Amsel", "Kohlmeise")


def save(path: Path, decision: str, head: bool = False) -> None:
    """A small model with random weights, an embedding of 5 dimensions, and a head if wanted."""
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Normalization(mean=[120.0] * 3, variance=[2500.0] * 3)(image)
    x = keras.layers.Conv2D(6, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(5, name="embedding")(x)
    tensors, outputs = [x], [Output("embedding", decision, VECTORS)]
    if head:
        tensors.append(keras.layers.Dense(3, activation="softmax", name="prob")(x))
        outputs.append(Output("prob", "output"))
    description = ModelDescription("Folder", LABELS, NAMES, 3, 12, 10, tuple(outputs))
    save_model(keras.Model(image, tensors), path, description)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three models and images that need no resizing."""
    folder = tmp_path_factory.mktemp("export")
    save(folder / "distance.keras", "distance")
    save(folder / "dot.keras", "dot")
    save(folder / "head.keras", "dot", head=True)
    for i in range(4):
        write_image(folder / f"images/{i}.png", i, (12, 15))
    (folder / "old.onnx").write_bytes(b"older")
    return folder


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)


def cropped() -> np.ndarray:
    return np.stack([np.asarray(Image.open(f"images/{i}.png"))[1:11, 2:12] for i in range(4)])


CASES = [
    pytest.param("onnx", "distance", "scores", marks=needs("onnx")),
    pytest.param("onnx", "dot", "scores", marks=needs("onnx")),
    pytest.param("onnx", "head", "probabilities", marks=needs("onnx")),
    pytest.param("saved_model", "distance", "scores", marks=needs("saved_model")),
    pytest.param("saved_model", "head", "probabilities", marks=needs("saved_model")),
]


@pytest.mark.parametrize(("kind", "name", "scores"), CASES)
def test_as_predict_says(kind, name, scores, tmp_path):
    out = tmp_path / "exported"
    told = succeed(
        export_model,
        f"--model {name}.keras --format {kind} --output both --check_images images --out {out}",
    )
    first, second, _ = told.out.splitlines()
    assert first.startswith(f"{scores}: largest difference from the Keras model on 8 samples: ")
    assert second.startswith("embedding: largest difference")
    assert told.err == ""

    found = export.FORMATS[kind].load(out)(cropped())
    assert found.keys() == {scores, "embedding"}
    csv_text = succeed(predict, f"--model {name}.keras --top_k 3 --format csv images").out
    for row in csv.DictReader(io.StringIO(csv_text)):
        values = found[scores][int(Path(row["image"]).stem)]
        position = LABELS.index(int(row["label"]))
        assert row["class_name"] == NAMES[position]
        assert float(row["score"]) == pytest.approx(values[position], rel=1e-4, abs=1e-4)


@needs("onnx")
@pytest.mark.parametrize("name", ["dot", "head"])
def test_outputs_are_in_the_order_that_the_command_says(name, tmp_path):
    """Programs that take outputs by position get the scores first."""
    import onnxruntime

    out = tmp_path / "both.onnx"
    told = succeed(export_model, f"--model {name}.keras --format onnx --output both --out {out}")
    order = ["probabilities" if name == "head" else "scores", "embedding"]
    assert [line.split(":")[0] for line in told.out.splitlines()[:2]] == order
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == order
    scores, embedding = session.run(None, {"image": cropped()})
    assert scores.shape == (4, len(LABELS))
    both = dict(zip(order, (scores, embedding), strict=True))
    alone = tmp_path / "one.onnx"
    for output in order:
        wanted = "scores" if output != "embedding" else output
        succeed(
            export_model,
            f"--model {name}.keras --format onnx --output {wanted} --out {alone} --overwrite",
        )
        found = export.FORMATS["onnx"].load(alone)(cropped())[output]
        np.testing.assert_allclose(both[output], found, rtol=1e-5, atol=1e-6)


@needs("onnx")
def test_one_output_and_the_names_of_the_classes(tmp_path):
    import onnx

    options = f"--model head.keras --format onnx --out {tmp_path / 'a.onnx'}"
    for output, name in (("embedding", "embedding"), ("probabilities", "probabilities")):
        succeed(export_model, f"{options} --output {output} --overwrite")
        proto = onnx.load(tmp_path / "a.onnx")
        assert [each.name for each in proto.graph.output] == [name]
    texts = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(texts["labels"]) == list(LABELS)
    assert json.loads(texts["class_names"]) == list(NAMES)
    assert (texts["target_size"], texts["crop_size"]) == ("12", "10")
    assert texts["score_kind"] == "probability"


@needs("onnx")
def test_too_large_a_difference_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(export_model, "TOLERANCE", -1.0)  # any difference is too large
    out = tmp_path / "a.onnx"
    outcome = run(export_model, f"--model dot.keras --format onnx --out {out}")
    assert outcome.status == DATA
    assert outcome.err.startswith("export_model.py: error: exported scores differ by ")
    assert list(tmp_path.iterdir()) == []


def test_checks_detect_differences():
    """A converter that gets one value wrong by 0.1 % of the largest."""

    def reference(images: np.ndarray) -> dict[str, np.ndarray]:
        return {"scores": np.array([[-2.0, 1.0]])}

    def check(values: list[float]) -> None:
        found = {"scores": np.array([values])}
        export_model._check(lambda _: found, reference, iter([np.zeros((1, 4, 4, 3))]))

    check([-2.0, 1.0001])
    for wrong in ([-2.0, 1.002], [float("nan"), 1.0]):
        with pytest.raises(UserError, match="scores differ"):
            check(wrong)
    with pytest.raises(UserError, match="right shape"):
        check([1.0])


def test_the_formats_are_those_that_can_be_written():
    assert tuple(export.FORMATS) == export_model.FORMATS


BAD = [
    ("--model dot.keras --format onnx --out old.onnx", USAGE, "old.onnx"),
    ("--model dot.keras --format onnx --out nowhere/a.onnx", USAGE, "nowhere"),
    ("--model dot.keras --format onnx --out images", USAGE, "images"),
    ("--model dot.keras --format saved_model --out images --overwrite", USAGE, "images"),
    ("--model dot.keras --format onnx --out a.onnx --opset 12", USAGE, "13 to 18"),
    ("--model dot.keras --format saved_model --out a --opset 17", USAGE, "is for --format onnx"),
    ("--model dot.keras --format onnx --out a.onnx --output probabilities", USAGE, "dot product"),
    ("--model dot.keras --format onnx --out a.onnx --check_images none", USAGE, "none"),
    ("--model dot.keras --format tflite --out a.tflite", USAGE, "tflite"),
    ("--model none.keras --format saved_model --out a", DATA, "none.keras"),
]


@pytest.mark.parametrize(("options", "status", "named"), BAD, ids=[row[0] for row in BAD])
def test_refused_in_one_line(folder, options, status, named):
    if "onnx" in options:
        for library in export.FORMATS["onnx"].libraries:
            pytest.importorskip(library)
    before = sorted(folder.rglob("*"))
    check_refused(run(export_model, options), "export_model.py", status, named)
    assert sorted(folder.rglob("*")) == before
    assert Path("old.onnx").read_bytes() == b"older"


@needs("saved_model")
def test_a_folder_of_unreadable_images_is_reported():
    with folder_for_all() as parent:
        save(parent / "m.keras", "dot")
        (parent / "closed").mkdir(mode=0)
        with ordinary_user():
            outcome = run(
                export_model,
                f"--model {parent}/m.keras --format saved_model --out {parent}/m",
                "--check_images",
                parent / "closed",
            )
    check_refused(outcome, "export_model.py", DATA, "cannot read the folder")
