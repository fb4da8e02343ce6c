"""Images of many bands, from training to prediction."""

import csv
import io
from pathlib import Path

import keras
import numpy as np
import pytest

import evaluate_classification_accuracy
import export_model
import learn_classifier
import predict
from tests.commands.running import DATA, USAGE, check_refused, run, succeed
from tests.fake_data import write_gem_eurosat, write_image

tifffile = pytest.importorskip("tifffile", reason="needs the package tifffile")

DATASET = "--dataset GEM-EuroSAT_train1 --data_root data"
TRAINING = f"{DATASET} --architecture tiny --epochs 1 --batch_size 5 --read_workers 0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Images with their lists, and a network trained on them from a cache, cut and erased."""
    folder = tmp_path_factory.mktemp("bands")
    write_gem_eurosat(folder / "data", train=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        more = "--cache cache --cutmix 1 --erasing 0.5 --model_dump model.keras"
        succeed(learn_classifier, f"{TRAINING} {more}")
    return folder


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)


def listed(name: str) -> dict[str, int]:
    pairs = (line.split() for line in Path("data", name).read_text().splitlines())
    return {f"data/images/{path}.tif": int(label) for path, label in pairs}


def pixels(paths) -> np.ndarray:
    return np.stack([tifffile.imread(path) for path in paths])


def test_the_saved_network_takes_files_as_they_are():
    model = keras.saving.load_model("model.keras")
    numbers = pixels(listed("train1.txt")).astype(float)
    means = model.get_layer("normalization").mean
    np.testing.assert_allclose(np.ravel(means), numbers.mean(axis=(0, 1, 2)), rtol=1e-6)

    photograph = write_image(Path("photograph.tif"))
    outcome = run(predict, f"--model model.keras data/images {photograph} --format csv")
    assert outcome.status == DATA
    assert f"cannot read {photograph}: it has 3 bands of uint8, not 13 of uint16" in outcome.err
    rows = csv.DictReader(io.StringIO(outcome.out))
    found = {row["image"]: (int(row["label"]), float(row["score"])) for row in rows}
    assert {*found} == {*listed("trainval0.txt"), *listed("test0.txt")}
    scores = np.asarray(model(pixels(found).astype("float32")))
    assert [label for label, _ in found.values()] == scores.argmax(axis=1).tolist()
    np.testing.assert_allclose([s for _, s in found.values()], scores.max(axis=1), rtol=1e-4)

    options = f"{DATASET} --model model.keras --csv metrics.csv"
    succeed(evaluate_classification_accuracy, options)
    with open("metrics.csv", newline="") as file:
        (metrics,) = csv.DictReader(file)
    right = [found[path][0] == label for path, label in listed("test0.txt").items()]
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(right))


REFUSED = [
    (learn_classifier, f"{TRAINING} --randaugment 2 9", USAGE, "--randaugment: the images of GEM-"),
    (learn_classifier, f"{TRAINING} --color_jitter", USAGE, "--color_jitter: the images of GEM-Eu"),
    (learn_classifier, TRAINING.replace("n1", "n2"), DATA, "GEM-EuroSAT: there is no train2.txt"),
    (
        export_model,
        "--model model.keras --format saved_model --out a --input_type uint8",
        USAGE,
        "--input_type uint8: model.keras takes images of 13 bands",
    ),
]


@pytest.mark.parametrize(("command", "options", "status", "named"), REFUSED)
def test_refused_in_one_line(command, options, status, named):
    check_refused(run(command, options), f"{command.__name__}.py", status, named)
