"""--val_fraction: held-out images evaluate the epochs, test images the trained network."""

import keras
import numpy as np
import pytest

import learn_classifier
import learn_image_embeddings
from datasets import get_dataset
from tests.commands.running import TINY, arrays, history, record, run, succeed

OPTIONS = f"{TINY} --epochs 2 --val_fraction 0.4"
FILES = "--model_dump m.keras --history h.csv --feature_dump f.npz"


@pytest.fixture(scope="module")
def held_out():
    """The splits as the data set gives them."""
    return get_dataset("Digits-sub5", val_fraction=0.4, repeats=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, succeed(learn_image_embeddings, f"{OPTIONS} --embedding onehot {FILES}")


def cosine_figures(folder, split):
    """Accuracy and loss of the saved model on a split, computed here."""
    model = keras.models.load_model(folder / "m.keras", safe_mode=True, compile=False)
    vectors = np.asarray(model.predict(np.stack(list(split)), verbose=0), np.float64)
    loss = np.mean(1 - vectors[np.arange(len(split.labels)), split.labels])
    return np.mean(vectors.argmax(axis=1) == split.labels), loss


def test_epochs_are_evaluated_on_the_held_out_images(finished, held_out):
    folder, outcome = finished
    accuracy, loss = cosine_figures(folder, held_out.validation)
    last = history(folder / "h.csv")[-1]
    assert last["val_acc"] == pytest.approx(accuracy, abs=1e-6)
    assert last["val_loss"] == pytest.approx(loss, abs=1e-5)
    best = max(row["val_acc"] for row in history(folder / "h.csv"))
    assert outcome.out.splitlines()[-1].endswith(
        f"val_acc: {best:.4f} (of the images held out for validation)"
    )


def test_the_final_metrics_are_those_of_the_test_images(finished, held_out):
    folder, outcome = finished
    accuracy, loss = cosine_figures(folder, held_out.test)
    final = record(folder / "m.keras")["final"]
    assert final["acc"] == pytest.approx(accuracy, abs=1e-6)
    assert final["loss"] == pytest.approx(loss, abs=1e-5)
    assert f"Final evaluation - loss: {final['loss']:.4f} - acc: {accuracy:.4f}" in outcome.out
    with np.load(folder / "f.npz", allow_pickle=False) as file:
        assert file["names"].tolist() == list(held_out.test.names)


def test_the_record_has_both(finished):
    folder, _ = finished
    found, rows = record(folder / "m.keras"), history(folder / "h.csv")
    assert found["dataset"]["train_samples"] == 30
    assert found["dataset"]["validation_samples"] == 20
    assert found["dataset"]["test_samples"] == 896
    assert found["options"]["val_fraction"] == 0.4
    assert found["epochs_judged_on"] == "validation" and found["epochs_judged_by"] == "val_acc"
    assert found["last_epoch"] == rows[-1]
    assert found["best_epoch"] == max(rows, key=lambda row: row["val_acc"])


def test_without_held_out_images_epochs_are_evaluated_on_the_test_images(tmp_path):
    path = tmp_path / "h.csv"
    outcome = succeed(learn_classifier, f"{TINY} --epochs 1 --history", path)
    found = record(path)
    assert found["epochs_judged_on"] == "test"
    assert found["dataset"]["validation_samples"] == 0
    assert found["last_epoch"]["val_acc"] == pytest.approx(found["final"]["acc"], abs=1e-6)
    assert outcome.out.endswith(f"val_acc: {found['final']['acc']:.4f}\n")


def test_a_snapshot_belongs_to_its_share(tmp_path):
    path = tmp_path / "s.h5"
    succeed(learn_classifier, f"{TINY} --epochs 1 --val_fraction 0.4 --snapshot", path)
    before = arrays(path)
    for other in ("", "--val_fraction 0.2"):
        outcome = run(learn_classifier, f"{TINY} --epochs 2 {other} --snapshot", path)
        assert outcome.status == 1
        assert "with val_fraction '0.4' instead of" in outcome.err.splitlines()[-1]
    assert arrays(path).keys() == before.keys()
    going_on = run(learn_classifier, f"{TINY} --epochs 2 --val_fraction 0.4 --snapshot", path)
    assert going_on.status == 0 and "after epoch 1" in going_on.err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--val_fraction 0", "'0' is not a number above 0 and below 1"),
        ("--val_fraction 1", "'1' is not a number above 0 and below 1"),
        ("--val_fraction nan", "'nan'"),
        ("--val_fraction 0.05", "--val_fraction 0.05"),
    ],
)
def test_shares_that_cannot_be_held_out_are_refused(options, named):
    outcome = run(learn_classifier, f"{TINY} {options}")
    assert outcome.status == 2 and outcome.out == ""
    assert named in outcome.err.splitlines()[-1] and "Traceback" not in outcome.err
