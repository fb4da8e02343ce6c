"""End of training: damaged test images, a single class, divergence."""

import keras
import numpy as np
import pytest

import learn_classifier
import learn_image_embeddings
from datasets.base import Split
from datasets.batches import Batches
from embeddings import onehot
from evaluation.classification.evaluator import Evaluator
from models.files.saved import load_model, load_weights
from storage.records import record_path
from tests import fake_data
from tests.commands.running import TINY, history, record, run, succeed
from training.objectives.metrics import ClassAccuracy
from training.objectives.objective import embedding_objective
from utils import UserError

SAVED = ("m.keras", "w.h5", "h.csv", "s.h5")
FOLDER = (
    "--dataset Folder --data_root data --target_size 8 --crop_size 8 --architecture tiny "
    "--batch_size 6 --val_fraction 0.5 --epochs 1 --model_dump m.keras --weight_dump w.h5 "
    "--history h.csv --snapshot s.h5 --feature_dump f.npz"
)


def dangle(image):
    image.unlink()
    image.symlink_to("nowhere")


def truncate(image):
    image.write_bytes(image.read_bytes()[:40])


@pytest.mark.parametrize("damage", [dangle, truncate])
@pytest.mark.parametrize("mend", ["remove", "replace"])
def test_a_damaged_test_image_loses_nothing_and_allows_resuming(
    tmp_path, monkeypatch, damage, mend
):
    monkeypatch.chdir(tmp_path)
    fake_data.write_folder(tmp_path / "data", train=6, test=4)
    image = next((tmp_path / "data" / "test").glob("*/*.png"))
    damage(image)
    outcome = run(learn_classifier, FOLDER)
    assert outcome.status == 1 and str(image.relative_to(tmp_path)) in outcome.err.splitlines()[-1]
    assert "Final evaluation" not in outcome.out
    keras.models.load_model("m.keras")
    for name in SAVED:
        assert (tmp_path / name).exists() and record_path(tmp_path / name).exists()
        assert "final" not in record(tmp_path / name)
    assert record(tmp_path / "m.keras")["last_epoch"]["epoch"] == 1
    assert not (tmp_path / "f.npz").exists()

    image.unlink()
    if mend == "replace":
        fake_data.write_image(image)
    outcome = succeed(learn_classifier, FOLDER)
    assert "Resuming from s.h5 after epoch 1" in outcome.err and "Final evaluation" in outcome.out
    assert (tmp_path / "f.npz").exists() and record(tmp_path / "w.h5")["final"]


def test_other_validation_images_prevent_resuming(tmp_path, monkeypatch):
    """Without --val_fraction, those are the test images."""
    monkeypatch.chdir(tmp_path)
    fake_data.write_folder(tmp_path / "data", train=6, test=4)
    options = FOLDER.replace("--val_fraction 0.5", "")
    succeed(learn_classifier, options)
    next((tmp_path / "data" / "test").glob("*/*.png")).unlink()
    outcome = run(learn_classifier, options)
    assert outcome.status == 1 and "with test images" in outcome.err


DIVERGING = f"{TINY} --epochs 2 --sgdr_max_lr 1e15 --clipgrad 0"


@pytest.mark.parametrize("head", ["", "--cls_weight 0.1"])
def test_divergence_is_reported(tmp_path, monkeypatch, head):
    monkeypatch.chdir(tmp_path)
    options = f"{DIVERGING} --embedding onehot --loss mse {head} --history h.csv"
    outcome = run(
        learn_image_embeddings, f"{options} --weight_dump w.h5 --model_dump m.keras --top_k_acc 2"
    )
    assert outcome.status == 1
    assert "error: the training diverged" in outcome.err.splitlines()[-1]
    assert "Diverged: " in outcome.out
    for name in ("Average Accuracy", "Best epoch"):
        assert name not in outcome.out
    found = record(tmp_path / "h.csv")
    assert found["diverged"] and found["best_epoch"] is None and found["epochs_judged_by"] is None
    accuracies = [v for k, v in found["final"].items() if "acc" in k]
    accuracies += [row[k] for row in history(tmp_path / "h.csv") for k in row if "acc" in k]
    assert np.isnan(np.float64(accuracies)).all()
    outcome = run(learn_image_embeddings, f"{TINY} --embedding onehot --finetune w.h5 --epochs 1")
    assert outcome.status == 1 and "w.h5 has weights of the layer" in outcome.err
    with pytest.raises(UserError, match=r"not finite: its training diverged"):
        load_model(tmp_path / "m.keras")


@pytest.mark.parametrize(
    ("command", "options"),
    [(learn_classifier, ""), (learn_image_embeddings, "--embedding onehot --cls_weight 0.1")],
)
def test_a_single_class_is_reported_in_one_line(tmp_path, command, options):
    fake_data.write_folder(tmp_path, classes=1, train=4, test=2)
    common = f"--dataset Folder --data_root {tmp_path} --target_size 8 --crop_size 8 --epochs 1"
    files = f"--architecture tiny --model_dump {tmp_path}/m.keras"
    outcome = succeed(command, f"{common} {files} {options}")
    assert [line for line in outcome.err.splitlines() if "class" in line] == [
        "There is only one class, kind_1: every accuracy is 1 and means nothing"
    ]
    assert "Warning" not in outcome.err and "softmax" not in outcome.err


def test_a_single_class_of_many_is_reported(tmp_path):
    classes = fake_data.write_lines(tmp_path / "classes.txt", [3])
    outcome = succeed(learn_classifier, f"{TINY} --epochs 0 --class_list {classes}")
    assert "There is only one class, 3: every accuracy is 1" in outcome.err


@pytest.mark.parametrize(("batch_size", "told"), [(8, True), (9, False), (5, False)])
def test_a_very_small_last_batch_is_reported(tmp_path, batch_size, told):
    fake_data.write_folder(tmp_path, classes=3, train=3, test=1)
    common = f"--dataset Folder --data_root {tmp_path} --target_size 8 --crop_size 8 --epochs 0"
    options = f"{common} --architecture tiny --batch_size {batch_size}"
    outcome = succeed(learn_classifier, options)
    assert ("Of 9 training samples, 1 would be the last batch" in outcome.err) == told


def test_a_sound_training_is_recorded_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed(learn_classifier, f"{TINY} --epochs 1 --history h.csv")
    assert record(tmp_path / "h.csv")["diverged"] is False


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_image_without_an_output_leaves_no_accuracy(bad):
    """Count infinite scores of finite outputs (2e38 times 2) as missing, too."""
    image = keras.Input((1, 1, 3))
    flat = keras.layers.Flatten(name="embedding")(image)
    model = keras.Model(image, flat)
    objective = embedding_objective(onehot(range(3)), "mse")
    images = np.eye(3, dtype=np.float32)[:, None, None, :]

    def evaluate():
        split = Split.whole(images, np.arange(3), ["a", "b", "c"])
        batches = Batches(split, lambda sample, rng: sample, 2)
        return Evaluator(model, objective.heads(model), top_k=(2,))(batches)

    assert not evaluate().diverged and evaluate().values["acc"] == 1
    images[2, 0, 0, 1] = bad
    metrics = evaluate()
    assert metrics.diverged and np.isnan([metrics.values["acc"], metrics.values["acc2"]]).all()


@pytest.mark.parametrize("k", [1, 2])
def test_the_accuracy_of_training_is_no_number_either(k):
    vectors = np.float32([[1, 0], [0, 1], [1, 1]])
    metric = ClassAccuracy(vectors, "distance", k)
    metric.update_state(np.array([0, 1]), vectors[:2])
    assert float(metric.result()) == 1
    metric.update_state(np.array([0]), np.float32([[np.nan, 1]]))
    assert np.isnan(float(metric.result()))
    metric.reset_state()
    metric.update_state(np.array([0]), np.float32([[2e38, 1]]))  # times 2 it overflows
    assert np.isnan(float(metric.result()))


def test_weights_of_a_training_that_diverged_are_refused_whole(tmp_path):
    def network():
        image = keras.Input((2,))
        x = keras.layers.Dense(2, name="first")(image)
        return keras.Model(image, keras.layers.Dense(2, name="last")(x))

    source, model = network(), network()
    source.get_layer("last").set_weights([np.eye(2), np.array([0, np.inf])])
    source.save_weights(tmp_path / "w.weights.h5")
    before = [np.array(w) for w in model.get_weights()]
    with pytest.raises(UserError, match=r"layer last that are not finite"):
        load_weights(model, tmp_path / "w.weights.h5")
    np.testing.assert_equal(model.get_weights(), before)
