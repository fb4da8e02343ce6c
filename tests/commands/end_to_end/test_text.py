"""Documents from end to end: training, resuming, and use of the saved model."""

import csv
import json

import numpy as np
import pytest

import evaluate_classification_accuracy
import export_model
import learn_classifier
import learn_image_embeddings
import plot_embeddings
import predict
from models.files.export import FORMATS
from models.files.saved import load_model
from tests.commands.running import arrays, history, run, same_arrays, succeed
from tests.fake_data import write_ag_news, write_word_vectors
from training.callbacks.epoch_log import EpochReporter

TEXT = (
    "--dataset AG-News --data_root news --word_vectors v.txt --max_length 4 --architecture gru "
    "--batch_size 12 --sgdr_max_lr 0.5"
)
TRAINED = f"{TEXT} --embedding onehot --cls_weight 0.1 --epochs 3 --weight_dump w.h5"


def write_data(folder):
    write_ag_news(folder / "news")
    write_word_vectors(folder / "v.txt")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    write_data(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        succeed(learn_image_embeddings, f"{TRAINED} --model_dump m.keras --history h.csv")
    return folder


def test_the_saved_model_has_words_and_vectors(trained):
    model, description = load_model(trained / "m.keras")
    assert description.words == ("the", ",", "war", "game", "bank", "web", "today")
    assert description.length == 4 and description.channels is None
    given = np.loadtxt(trained / "v.txt", usecols=(1, 2, 3), comments=None)
    vectors = model.get_layer("word_vectors").get_weights()[0]
    np.testing.assert_allclose(vectors, np.vstack([np.zeros((2, 3)), given]), rtol=1e-6)
    # What is padded is no part of a document.
    numbers = np.array([[2, 4, 8, 1], [1, 0, 0, 0]], np.int32)
    longer = np.pad(numbers, ((0, 0), (0, 3)))
    for one, two in zip(model(numbers), model(longer), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_dropout_resumes_where_it_was(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    command = f"{TRAINED} --history h.csv --snapshot s.h5"
    whole = EpochReporter.on_epoch_end

    def interrupted(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        whole(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(EpochReporter, "on_epoch_end", interrupted)
        assert run(learn_image_embeddings, command).status == 130
    succeed(learn_image_embeddings, command)
    assert (tmp_path / "h.csv").read_text() == (trained / "h.csv").read_text()
    assert same_arrays(tmp_path / "w.h5", trained / "w.h5")
    (tmp_path / "v.txt").write_text((tmp_path / "v.txt").read_text().replace("0.", "1."))
    outcome = run(learn_image_embeddings, f"{command} --overwrite")
    assert outcome.status == 1 and outcome.err.splitlines()[-1].endswith(
        "--snapshot s.h5: belongs to another run, with other word vectors than those given "
        "(resume with the --word_vectors it began with)"
    )
    write_word_vectors(tmp_path / "v.txt")
    lines = (tmp_path / "news/train.csv").read_text()
    (tmp_path / "news/train.csv").write_text(lines.replace("war", "peace"))
    outcome = run(learn_image_embeddings, f"{command} --overwrite")
    assert outcome.status == 1 and "with training documents '24 (" in outcome.err.splitlines()[-1]


def test_word_vectors_are_not_trained_and_the_seed_decides_on_dropout(trained):
    weights = arrays(trained / "w.h5")
    (vectors,) = (v for k, v in weights.items() if "embedding" in k and v.shape == (9, 3))
    np.testing.assert_allclose(vectors[2:, 0], np.loadtxt(trained / "v.txt", usecols=1))
    losses = [row["loss"] for row in history(trained / "h.csv")]
    assert len(set(losses)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--architecture simple", "--architecture simple is for images; the data set has docu"),
        ("--dataset Digits --word_vectors v.txt", "Digits has images, not documents"),
        ("--randaugment 2 9", "--randaugment: AG-News has documents, not images"),
        ("--word_vectors missing.txt", "missing.txt"),
        ("--early_stopping 1", "by the test documents; hold out training documents with"),
        ("--data_root v.txt", "v.txt"),
    ],
)
def test_unsuitable_options_are_refused(trained, monkeypatch, options, message):
    monkeypatch.chdir(trained)
    outcome = run(learn_classifier, f"{TEXT} {options}")
    assert outcome.status in (1, 2) and message in outcome.err.splitlines()[-1]


def test_epochs_may_be_evaluated_on_held_out_documents(trained, monkeypatch):
    monkeypatch.chdir(trained)
    outcome = succeed(learn_classifier, f"{TEXT} --val_fraction 0.5 --epochs 1")
    assert outcome.out.endswith("(of the documents held out for validation)\n")


def test_word_vectors_are_required(trained, monkeypatch):
    monkeypatch.chdir(trained)
    command = "--dataset AG-News --data_root news --architecture gru"
    outcome = run(learn_classifier, command)
    assert outcome.status == 2 and "give --word_vectors FILE" in outcome.err.splitlines()[-1]
    outcome = run(learn_classifier, "--dataset Digits --architecture gru")
    assert outcome.status == 2 and "gru is for documents" in outcome.err.splitlines()[-1]


DOCUMENTS = ("The war today", "game, game", "", "Bank!")


def expected_scores(folder):
    """Probabilities by the saved model, of words that are numbered here."""
    numbers = {w: i for i, w in enumerate(["the", ",", "war", "game", "bank", "web", "today"], 2)}
    rows = [["the", "war", "today"], ["game", "game"], ["?"], ["bank"]]
    coded = np.zeros((4, 4), np.int32)
    for row, words in zip(coded, rows, strict=True):
        row[: len(words)] = [numbers.get(word, 1) for word in words]
    return coded, np.asarray(load_model(folder / "m.keras")[0](coded)[-1])


def test_documents_are_classified_from_text_files_and_columns(trained, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "docs"
    folder.mkdir()
    for i, text in enumerate(DOCUMENTS):
        (folder / f"{i}.txt").write_text(text)
    (folder / "no text.bin").write_bytes(b"\xff")
    with open("d.csv", "w", newline="") as file:
        csv.writer(file).writerows([("id", "body"), *enumerate(DOCUMENTS)])
    _, scores = expected_scores(trained)
    model = f"--model {trained / 'm.keras'} --format jsonl --top_k 4"
    for options in ("docs", "d.csv --columns body"):
        found = [
            json.loads(line) for line in succeed(predict, f"{options} {model}").out.split("\n")[:-1]
        ]
        assert len(found) == 4
        for one, row in zip(found, scores, strict=True):
            by_label = {p["label"]: p["score"] for p in one["predictions"]}
            np.testing.assert_allclose([by_label[i] for i in range(1, 5)], row, rtol=1e-5)
        assert found[0]["predictions"][0]["class_name"] in (
            "World",
            "Sports",
            "Business",
            "Sci/Tech",
        )
    assert found[1]["document"] == "d.csv:3"


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ("d.csv", 2, "d.csv: give --columns, which of its columns are the documents"),
        ("d.csv --columns text", 1, "d.csv:1: there is no column 'text', only id, body"),
        ("d.csv --columns body --columns body", 2, "--columns: body is given twice"),
        ("d.csv --columns 0", 2, "--columns: numbers start at 1"),
        ("d.csv --columns id --columns 3", 1, "d.csv:1: there is no column '3', only id, body"),
        ("d.csv --columns 3", 1, "d.csv:1: expected at least 3 columns, found 2"),
        ("empty", 2, "no documents in empty"),
        ("b.txt", 1, "1 of 1 documents could not be read"),
    ],
)
def test_unsuitable_documents_give_errors(trained, monkeypatch, tmp_path, options, status, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "d.csv").write_text("id,body\n1,war\n")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    outcome = run(predict, f"{options} --model {trained / 'm.keras'}")
    assert outcome.status == status and message in outcome.err.splitlines()[-1]


def test_evaluation_needs_no_word_vectors(trained, monkeypatch):
    monkeypatch.chdir(trained)
    evaluate = evaluate_classification_accuracy
    outcome = succeed(
        evaluate, "--dataset AG-News --data_root news --model m.keras --csv a.csv --overwrite"
    )
    with open("a.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert outcome.out.startswith("12 test documents of 4 classes")
    last = history(trained / "h.csv")[-1]
    assert float(row["accuracy"]) == pytest.approx(last["val_prob_acc"], abs=1e-6), outcome.out
    outcome = run(evaluate, "--dataset Digits --model m.keras")
    assert outcome.status == 2 and "classifies documents; Digits has im" in outcome.err


def test_documents_are_plotted(trained, monkeypatch):
    monkeypatch.chdir(trained)
    options = "--dataset AG-News --data_root news --model m.keras --csv p.csv"
    assert succeed(plot_embeddings, options).out == "12 test documents of 4 classes\n"


@pytest.mark.parametrize("kind", ["onnx", "saved_model"])
def test_an_exported_model_takes_word_numbers(trained, tmp_path, kind):
    if kind == "onnx":
        pytest.importorskip("tf2onnx")
    command = f"--model {trained / 'm.keras'} --format {kind} --out {tmp_path / 'out'}"
    outcome = succeed(export_model, command)
    assert "int32 (None, 4) -> {'probabilities': (None, 4)}" in outcome.out
    coded, scores = expected_scores(trained)
    found = FORMATS[kind].load(tmp_path / "out")(coded)["probabilities"]
    np.testing.assert_allclose(found, scores, rtol=1e-4)
