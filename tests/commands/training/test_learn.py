"""Whole runs of both commands: output and files, checked by independent computation."""

import hashlib
import re
import subprocess

import keras
import numpy as np
import pytest

import learn_classifier
import learn_image_embeddings
from datasets import get_dataset
from tests import fake_data
from tests.commands.running import TINY, history, record, same_arrays, succeed
from training.callbacks.epoch_log import format_metrics

GREP = r'grep -oP "val_(prob_)?acc: \K([0-9.]+)" | sort -n | tail -n 1'
"""The line of the published instructions that finds the best accuracy."""

TWO_HEADS = (
    "--dataset Digits-sub5 --architecture resnet-32 --repeats 1 --batch_size 20 --epochs 2 "
    "--embedding onehot --cls_weight 0.1 --top_k_acc 3 --model_dump m.keras --weight_dump w.h5 "
    "--feature_dump f.npz --history h.csv --log_dir logs"
)
SMOOTHED = (
    "--dataset Digits-sub5 --architecture simple --repeats 1 --batch_size 25 --epochs 2 "
    "--label_smoothing 0.1 --lr_schedule SGD --sgd_lr 0.01 --model_dump m.keras "
    "--feature_dump f.npz --history h.csv"
)


@pytest.fixture(scope="module")
def in_folder(tmp_path_factory):
    """A function that runs a command in a folder of its own."""

    def start(command, options):
        folder = tmp_path_factory.mktemp("run")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            return folder, succeed(command, options)

    return start


@pytest.fixture(scope="module")
def two_heads(in_folder):
    return in_folder(learn_image_embeddings, TWO_HEADS)


@pytest.fixture(scope="module")
def smoothed(in_folder):
    return in_folder(learn_classifier, SMOOTHED)


@pytest.fixture(scope="module")
def digits():
    """The raw test images and their class positions."""
    test = get_dataset("Digits").test
    return np.stack(list(test)), test.labels


def load(path):
    return keras.models.load_model(path, safe_mode=True, compile=False)


def accuracy(scores, labels, k=1):
    """Compute accuracy by counting the classes that score higher than the true one."""
    true = scores[np.arange(len(labels)), labels]
    return np.mean((scores > true[:, None]).sum(axis=1) < k)


def class_by_class(scores, labels):
    hits = [
        np.mean([np.argmax(s) == c for s in scores[labels == c]])
        for c in sorted({*labels.tolist()})
    ]
    return sum(hits) / len(hits)


def best_by_grep(text):
    done = subprocess.run(["bash", "-c", GREP], input=text, capture_output=True, text=True)
    return done.stdout.strip()


def figures_of(line):
    return dict(re.findall(r" - (\w+): ([-0-9.e]+)", " - " + line.split(" - ", 1)[1]))


def check_output(folder, out, names, judged_by):
    """Check the form of standard output and compare its figures with the CSV."""
    *epochs, final, average, best = out.splitlines()
    rows = history(folder / "h.csv")
    assert len(epochs) == len(rows) == 2
    for number, (line, row) in enumerate(zip(epochs, rows, strict=True), start=1):
        assert re.fullmatch(
            rf"Epoch {number}/2 - lr: [0-9.e-]+( - \w+: \d+\.\d{{4}}){{{2 * len(names)}}}", line
        )
        assert list(figures_of(line)) == ["lr", *names, *[f"val_{name}" for name in names]]
        assert row["epoch"] == number
        for name, text in figures_of(line).items():
            assert float(text) == pytest.approx(row[name], abs=5.01e-5), name
    assert re.fullmatch(rf"Final evaluation( - \w+: \d+\.\d{{4}}){{{len(names)}}}", final)
    assert list(figures_of(final)) == names
    assert re.fullmatch(r"Average Accuracy: [01]\.\d{4}", average)
    values = [row[judged_by] for row in rows]
    first = values.index(max(values)) + 1
    assert best == f"Best epoch: {first}/2 - {judged_by}: {max(values):.4f}"
    assert best_by_grep(out) == f"{max(values):.4f}"


def test_output_of_the_embedding_command(two_heads):
    folder, outcome = two_heads
    names = ["loss", "l2norm_loss", "prob_loss"]
    names += ["l2norm_acc", "l2norm_acc3", "prob_acc", "prob_acc3"]
    check_output(folder, outcome.out, names, "val_prob_acc")


def test_output_of_the_classifier_command(smoothed):
    folder, outcome = smoothed
    check_output(folder, outcome.out, ["loss", "acc"], "val_acc")


def test_the_published_grep_is_not_misled_by_tiny_values():
    lines = [
        f"Epoch {i}/4 - {format_metrics({'lr': 1e-6, 'loss': 3.0, name: value})}"
        for i, (name, value) in enumerate(
            [("val_acc", 5e-05), ("val_acc", 0.25), ("val_prob_acc", 0.125), ("val_acc", 9e-06)], 1
        )
    ]
    assert best_by_grep("\n".join(lines)) == "0.2500"


def test_records_beside_every_file(two_heads):
    folder, _ = two_heads
    found = record(folder / "h.csv")
    for name in ("m.keras", "w.h5", "f.npz"):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert record(folder / name) == found | {"sha256": digest}
    assert (folder / "logs/run.json").read_text() == (folder / "h.csv.run.json").read_text()
    assert found["options"]["dataset"] == "Digits-sub5"
    assert found["options"]["cls_weight"] == 0.1
    assert found["options"]["sgdr_base_len"] == 12
    assert found["options"]["top_k_acc"] == [3]
    assert found["versions"]["keras"] == keras.__version__
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["backend"] == keras.backend.backend()
    assert found["dataset"]["labels"] == list(range(10))
    assert found["dataset"]["train_samples"] == 50
    assert found["dataset"]["test_samples"] == 896
    assert found["parameters"] == load(folder / "m.keras").count_params()
    best = max(history(folder / "h.csv"), key=lambda row: row["val_prob_acc"])
    assert found["best_epoch"] == best
    assert list((folder / "logs").rglob("events*"))
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_final_metrics_are_those_of_the_saved_model(two_heads, digits):
    folder, _ = two_heads
    images, labels = digits
    model = load(folder / "m.keras")
    embedding, prob = (np.asarray(p, np.float64) for p in model.predict(images, verbose=0))
    final = record(folder / "m.keras")["final"]
    at_true = np.arange(len(labels)), labels
    losses = {
        "l2norm_loss": np.mean(1 - embedding[at_true]),
        "prob_loss": np.mean(-np.log(prob[at_true])),
    }
    penalty = sum(
        (5e-4 if layer.name == "prob" else 2e-4) * np.sum(np.square(layer.get_weights()[0]))
        for layer in model.layers
        if hasattr(layer, "kernel")
    )
    expected = {
        "loss": losses["l2norm_loss"] + 0.1 * losses["prob_loss"] + penalty,
        **losses,
        "l2norm_acc": accuracy(embedding, labels),
        "l2norm_acc3": accuracy(embedding, labels, 3),
        "prob_acc": accuracy(prob, labels),
        "prob_acc3": accuracy(prob, labels, 3),
        "average_accuracy": class_by_class(prob, labels),
    }
    assert final == pytest.approx(expected, abs=2e-5)
    last = history(folder / "h.csv")[-1]
    for name in ("loss", "l2norm_acc", "l2norm_acc3", "prob_acc", "prob_acc3"):
        assert final[name] == pytest.approx(last[f"val_{name}"], abs=2e-5)


def test_final_metrics_of_the_classifier(smoothed, digits):
    folder, outcome = smoothed
    images, labels = digits
    model = load(folder / "m.keras")
    prob = np.asarray(model.predict(images, verbose=0), np.float64)
    final = record(folder / "m.keras")["final"]
    assert final["acc"] == pytest.approx(accuracy(prob, labels), abs=1e-6)
    assert final["average_accuracy"] == pytest.approx(class_by_class(prob, labels), abs=1e-6)
    assert f"Average Accuracy: {class_by_class(prob, labels):.4f}" in outcome.out
    targets = np.where(np.eye(10)[labels] == 1, 0.9, 0.1 / 9)
    smooth = np.mean(-np.sum(targets * np.log(np.maximum(prob, 1e-7)), axis=1))
    penalty = sum(
        5e-4 * np.sum(np.square(layer.get_weights()[0]))
        for layer in model.layers
        if hasattr(layer, "kernel") and layer.name != "prob"
    )
    assert final["loss"] == pytest.approx(smooth + penalty, rel=1e-4)


def test_features_are_the_embeddings_of_the_test_images(two_heads, digits):
    folder, _ = two_heads
    images, labels = digits
    embedding, _ = load(folder / "m.keras").predict(images, verbose=0)
    with np.load(folder / "f.npz", allow_pickle=False) as file:
        assert file["features"].dtype == np.float32
        np.testing.assert_allclose(file["features"], embedding, atol=2e-5)
        np.testing.assert_allclose(np.linalg.norm(file["features"], axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(file["labels"], labels)
        assert file["names"].tolist() == list(get_dataset("Digits").test.names)


def test_features_of_a_classifier_are_taken_before_its_last_normalization(smoothed, digits):
    folder, _ = smoothed
    model = load(folder / "m.keras")
    below = keras.Model(model.input, model.get_layer("fc14").output)
    expected = below.predict(digits[0], verbose=0)
    with np.load(folder / "f.npz", allow_pickle=False) as file:
        assert file["features"].shape == (896, 512)
        np.testing.assert_allclose(file["features"], expected, atol=1e-4, rtol=1e-4)


def test_saved_weights_are_those_of_the_saved_model(two_heads, digits):
    folder, _ = two_heads
    model = load(folder / "m.keras")
    expected = model.get_weights()
    for weight in model.weights:
        weight.assign(keras.ops.zeros_like(weight))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "w.weights.h5").write_bytes((folder / "w.h5").read_bytes())
        model.load_weights(folder / "w.weights.h5")
    for one, two in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, two)


def test_results_depend_on_the_seed_and_not_on_the_number_of_threads(tmp_path):
    weights = {}
    for name, more in {
        "first": "--read_workers 8",
        "again": "--read_workers 8",
        "one thread": "--read_workers 1 --queue_size 1",
        "no thread": "--read_workers 0",
        "other seed": "--read_workers 8 --seed 1",
    }.items():
        weights[name] = tmp_path / f"{name}.h5"
        succeed(learn_classifier, f"{TINY} --epochs 2 {more} --weight_dump", weights[name])
    assert same_arrays(weights["first"], weights["again"])
    assert same_arrays(weights["first"], weights["one thread"])
    assert same_arrays(weights["first"], weights["no thread"])
    assert not same_arrays(weights["first"], weights["other seed"])


SEMANTIC_LABELS = ["7", "2", "5"]


@pytest.fixture(scope="module")
def semantic(tmp_path_factory):
    """A file of class embeddings that restrict and order the digits; not the unit vectors."""
    path = tmp_path_factory.mktemp("embeddings") / "semantic.npz"
    vectors = np.float64([[3, 4, 0, 0], [0, 3, 4, 0], [0, 0, -3, 4]]) / 5
    np.savez(path, embedding=vectors, ind2label=np.array(SEMANTIC_LABELS))
    return path, vectors


@pytest.mark.parametrize("loss", ["inv_corr", "unnorm_corr", "softmax_corr", "mse"])
def test_losses_on_semantic_embeddings(tmp_path, semantic, loss):
    """Loss and accuracy follow from the features, since the network has no L2 penalty."""
    path, vectors = semantic
    dump = tmp_path / "f.npz"
    succeed(
        learn_image_embeddings,
        f"{TINY} --epochs 1 --sgdr_max_lr 0.01 --loss {loss}",
        *("--embedding", path, "--feature_dump", dump),
    )
    with np.load(dump) as file:
        features, labels = file["features"].astype(float), file["labels"]
    assert record(dump)["dataset"]["labels"] == [7, 2, 5]
    assert features.shape == (sum(np.isin(get_dataset("Digits").test.labels, [2, 5, 7])), 4)
    true = np.array([SEMANTIC_LABELS.index(str(label)) for label in labels])
    distances = np.square(features[:, None] - vectors).sum(axis=2)
    dots = features @ vectors.T
    values = (
        distances[np.arange(len(true)), true]
        if loss == "mse"
        else 1 - dots[np.arange(len(true)), true]
    )
    at_largest = features[:, vectors.argmax(axis=1)]
    scores = {"mse": -distances, "softmax_corr": at_largest}.get(loss, dots)
    predicted = scores.argmax(axis=1)
    final = record(dump)["final"]
    assert final["loss"] == pytest.approx(values.mean(), abs=1e-5)
    assert final["acc"] == pytest.approx(np.mean(predicted == true), abs=1e-6)
    if loss == "inv_corr":
        np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    if loss == "softmax_corr":
        np.testing.assert_allclose(features.sum(axis=1), 1, atol=1e-5)


def test_a_class_list_restricts_and_orders_the_classes(tmp_path):
    classes = fake_data.write_lines(tmp_path / "classes.txt", ["3 three", "", "1 one more word"])
    path = tmp_path / "m.keras"
    succeed(learn_classifier, f"{TINY} --epochs 1", "--class_list", classes, "--model_dump", path)
    found = record(path)
    assert found["dataset"]["labels"] == [3, 1]
    assert found["dataset"]["train_samples"] == 10
    test = get_dataset("Digits").test
    wanted = np.isin(test.labels, [1, 3])
    assert found["dataset"]["test_samples"] == wanted.sum()
    images = np.stack(list(test))[wanted]
    prob = load(path).predict(images, verbose=0)
    assert prob.shape == (wanted.sum(), 2)
    predicted = np.array([3, 1])[prob.argmax(axis=1)]
    assert found["final"]["acc"] == pytest.approx(np.mean(predicted == test.labels[wanted]))


def test_mixed_precision_has_float32_weights_and_outputs(tmp_path, digits):
    path = tmp_path / "m.keras"
    succeed(
        learn_image_embeddings,
        f"{TINY} --epochs 1 --embedding onehot --cls_weight 0.1 --mixed_precision",
        *("--model_dump", path, "--feature_dump", tmp_path / "f.npz"),
    )
    model = load(path)
    assert model.get_layer("conv0").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    outputs = model.predict(digits[0][:50], verbose=0)
    assert all(output.dtype == np.float32 and np.isfinite(output).all() for output in outputs)
    with np.load(tmp_path / "f.npz") as file:
        assert file["features"].dtype == np.float32


@pytest.mark.parametrize("split", [fake_data.write_folder, fake_data.write_classes])
def test_a_folder_of_images_from_end_to_end(tmp_path, split):
    split(tmp_path / "data")
    succeed(
        learn_classifier,
        "--dataset Folder --architecture tiny --target_size 16 --crop_size 14 --epochs 1",
        *("--data_root", tmp_path / "data", "--feature_dump", tmp_path / "f.npz"),
    )
    found = record(tmp_path / "f.npz")
    assert found["dataset"]["class_names"] == ["kind_1", "kind_2", "kind_3"]
    assert found["dataset"]["channels"] == 3
    with np.load(tmp_path / "f.npz", allow_pickle=False) as file:
        assert file["features"].shape == (found["dataset"]["test_samples"], 8)
        for name, label in zip(file["names"], file["labels"], strict=True):
            assert (tmp_path / "data" / str(name)).is_file()
            assert f"{label}/" in str(name)


def test_no_epochs_at_all_evaluate_and_save_the_untrained_network(tmp_path):
    outcome = succeed(learn_classifier, f"{TINY} --epochs 0 --weight_dump", tmp_path / "w.h5")
    assert "Average Accuracy: " in outcome.out and "Epoch " not in outcome.out
    assert record(tmp_path / "w.h5")["best_epoch"] is None


def test_the_same_training_with_a_larger_learning_rate_is_another(tmp_path):
    """Guard the tests of equality above: they compare numbers that training does change."""
    for rate in ("0.1", "0.2"):
        succeed(
            learn_classifier,
            f"{TINY} --epochs 1 --sgdr_max_lr {rate} --weight_dump",
            tmp_path / f"{rate}.h5",
        )
    assert not same_arrays(tmp_path / "0.1.h5", tmp_path / "0.2.h5")
