"""predict.py: classes and scores of the training run, damaged files, output formats."""

import contextlib
import csv
import io
import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import learn_classifier
import learn_image_embeddings
import predict
from tests import fake_data
from tests.commands.running import DATA, USAGE, Outcome, check_refused, run, succeed
from tests.docs.documents import block
from utils import UserError

DATA_OPTIONS = "--dataset Folder --target_size 16 --crop_size 14 --architecture tiny"
TRAINING = f"{DATA_OPTIONS} --epochs 1 --batch_size 12 --read_workers 0"
VECTORS = np.random.default_rng(3).normal(size=(3, 5))
LABELS = [f"kind_{i}" for i in (1, 2, 3)]

# Objective → command, options, kind of the scores.
OBJECTIVES = {
    "classifier": (learn_classifier, "", "probability"),
    "cosine": (learn_image_embeddings, "--embedding onehot", "cosine similarity"),
    "head": (learn_image_embeddings, "--embedding unit.npz --cls_weight 0.1", "probability"),
    "semantic": (learn_image_embeddings, "--embedding unit.npz", "cosine similarity"),
    "mse": (
        learn_image_embeddings,
        "--embedding plain.npz --loss mse",
        "negative squared distance",
    ),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with images, and for each objective NAME.keras, NAME.npz and NAME.txt."""
    folder = tmp_path_factory.mktemp("trained")
    fake_data.write_folder(folder / "data", test=8)
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    for name, vectors in (("unit", unit), ("plain", VECTORS)):
        np.savez(folder / f"{name}.npz", embedding=vectors, ind2label=np.array(LABELS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, (command, options, _) in OBJECTIVES.items():
            outputs = f"--model_dump {name}.keras --feature_dump {name}_features.npz"
            outcome = succeed(command, f"{TRAINING} --data_root data {options} {outputs}")
            (folder / f"{name}.txt").write_text(outcome.out)
    return folder


@pytest.fixture(autouse=True)
def inside(trained, monkeypatch) -> None:
    monkeypatch.chdir(trained)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def scores_from_dump(name: str) -> dict[str, np.ndarray]:
    """File name → scores of all classes, from what the training run wrote, in NumPy."""
    with np.load(f"{name}_features.npz") as dump:
        features, names = dump["features"].astype(float), [Path(n).name for n in dump["names"]]
    unit = np.load("unit.npz")["embedding"]
    if name in ("classifier", "head"):
        model = keras.models.load_model(f"{name}.keras")
        if name == "head":
            gamma, beta, mean, variance = model.get_layer("prob_bn").get_weights()
            features = np.maximum(features, 0)
            features = (features - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        weights, bias = model.get_layer("prob").get_weights()
        logits = np.exp(features @ weights + bias)
        scores = logits / logits.sum(axis=1, keepdims=True)
    elif name == "mse":
        scores = -((features[:, np.newaxis] - VECTORS) ** 2).sum(axis=2)
    else:
        scores = features @ unit.T if name == "semantic" else features
    return dict(zip(names, scores, strict=True))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_as_in_the_final_evaluation(name):
    outcome = succeed(predict, f"--model {name}.keras data/test --format csv --top_k 3")
    found = rows(outcome.out)
    expected = scores_from_dump(name)
    assert {Path(row["image"]).name for row in found} == expected.keys()
    assert {row["score_kind"] for row in found} == {OBJECTIVES[name][2]}
    for row in found:
        assert row["class_name"] == row["label"]
        score = expected[Path(row["image"]).name][LABELS.index(row["label"])]
        assert float(row["score"]) == pytest.approx(score, rel=1e-3, abs=1e-4)

    best = [row for row in found if row["rank"] == "1"]
    accuracy = np.mean([row["label"] == Path(row["image"]).parts[-2] for row in best])
    final = Path(f"{name}.txt").read_text().split("Final evaluation")[1]
    assert accuracy == pytest.approx(float(re.findall(r"acc: ([\d.]+)", final)[-1]), abs=1e-4)


def test_another_output_and_files_in_the_order_given():
    files = [f"data/test/kind_2/{path.name}" for path in sorted(Path("data/test/kind_2").iterdir())]
    files = files[::-1]
    outcome = succeed(predict, "--model head.keras --output l2norm --format jsonl", *files)
    found = [json.loads(line) for line in outcome.out.splitlines()]
    assert [each["image"] for each in found] == files
    assert {each["score_kind"] for each in found} == {"cosine similarity"}
    assert all(len(each["predictions"]) == 1 for each in found)
    assert outcome.err == ""


@pytest.mark.parametrize("name", ["cosine", "head"])
def test_the_example_in_python_agrees_with_the_command(name, tmp_path, monkeypatch, capsys):
    shutil.copy(f"{name}.keras", tmp_path / "model.keras")
    fake_data.write_image(tmp_path / "bird.jpg", 4)
    monkeypatch.chdir(tmp_path)
    outcome = succeed(predict, "--model model.keras bird.jpg --format csv --top_k 3")
    expected = [(row["class_name"], float(row["score"])) for row in rows(outcome.out)]
    capsys.readouterr()
    exec(block("docs/prediction-and-export.md", "Classifier"), {})
    found = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(class_name, pytest.approx(float(score))) for class_name, score in found] == expected


def write_mixture(folder: Path) -> None:
    """Good, gray, damaged and huge images, and files that are none."""
    fake_data.write_image(folder / "good.png", 1)
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(folder / "gray.png")
    jpeg = fake_data.write_image(folder / "cut.jpg", 2, (80, 80))
    jpeg.write_bytes(jpeg.read_bytes()[:900])
    Image.new("1", (9500, 9500)).save(folder / "huge.png")
    fake_data.write_lines(folder / "text.jpeg", ["no image"])
    fake_data.write_lines(folder / "notes.txt", ["no image"])
    fake_data.write_image(folder / ".hidden.png")
    fake_data.write_image(folder / "thin.png", 3, (3, 90))


def test_damaged_files_are_named_and_the_others_done(tmp_path):
    write_mixture(tmp_path / "mix")
    good = [str(tmp_path / "mix" / name) for name in ("good.png", "gray.png", "thin.png")]

    outcome = run(predict, "--model cosine.keras --format csv --batch_size 2", tmp_path / "mix")
    assert outcome.status == DATA
    assert [row["image"] for row in rows(outcome.out)] == good
    *told, last = outcome.err.splitlines()
    assert last == "predict.py: error: 3 of 6 images could not be read"
    for name in ("cut.jpg", "huge.png", "text.jpeg"):
        assert len([line for line in told if f"cannot read {tmp_path / 'mix' / name}" in line]) == 1
    assert "Skipped in folders, not images: 2" in told

    # Each alone, by one thread: the same scores.
    for row in rows(outcome.out):
        alone = succeed(predict, "--model cosine.keras --format csv --read_workers 1", row["image"])
        (only,) = rows(alone.out)
        assert only["label"] == row["label"]
        assert float(only["score"]) == pytest.approx(float(row["score"]), rel=1e-5)


def test_only_damaged_images(tmp_path):
    fake_data.write_lines(tmp_path / "a.png", ["no image"])
    outcome = run(predict, "--model cosine.keras", tmp_path)
    assert outcome.status == DATA
    assert outcome.err.splitlines()[-1].endswith("1 of 1 images could not be read")
    assert len(outcome.out.splitlines()) == 1  # the heading


def test_the_table_is_aligned_and_survives_odd_names(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake_data.write_image(Path("two\nlines \udcff.png"))
    fake_data.write_image(Path("z/a rather long name, with a comma.png"))
    model = f"--model {trained}/classifier.keras"
    heading, *lines = succeed(predict, f"{model} --top_k 2 .").out.splitlines()
    assert heading.split() == ["image", "class", "probability"]
    assert [line.split("  ")[0] for line in lines] == [
        "two\\nlines \\xff.png",
        "",
        "z/a rather long name, with a comma.png",
        "",
    ]
    assert {line.index("kind_") for line in lines} == {heading.index("class")}

    found = rows(succeed(predict, f"{model} --format csv", "two\nlines \udcff.png").out)
    assert found[0]["image"] == "two\nlines \\xff.png"


def test_a_file_instead_of_the_screen(tmp_path):
    out = tmp_path / "out.csv"
    options = f"--model cosine.keras data/test --format csv --out {out}"
    assert succeed(predict, options).out == ""
    content = out.read_text()
    assert len(rows(content)) == 24

    out.write_text("older")
    outcome = run(predict, options)
    check_refused(outcome, "predict.py", USAGE, str(out))
    assert out.read_text() == "older"
    succeed(predict, f"{options} --overwrite")
    assert out.read_text() == content
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_results_until_an_interruption_are_kept(tmp_path, monkeypatch, error):
    from evaluation.prediction import Classifier

    out, partial = tmp_path / "out.csv", tmp_path / "out.csv.partial"
    options = f"--model cosine.keras data/test --format csv --batch_size 5 --out {out}"
    succeed(predict, options)
    complete = out.read_text()
    out.unlink()
    top, calls = Classifier.top, []

    def fail_the_third_time(*args):
        calls.append(args)
        if len(calls) == 3:
            raise error("of the computation")
        return top(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "top", fail_the_third_time)
        if error is KeyboardInterrupt:
            outcome = run(predict, options)
            assert outcome.status == 130
            assert f"The incomplete output is in {partial}" in outcome.err
        else:
            with pytest.raises(error, match="of the computation"):
                run(predict, options)
    assert not out.exists()
    lines = complete.splitlines(keepends=True)
    assert partial.read_text() == "".join(lines[:11])

    check_refused(run(predict, options), "predict.py", USAGE, str(partial))
    assert partial.read_text() == "".join(lines[:11])
    succeed(predict, f"{options} --overwrite")
    assert out.read_text() == complete
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("buffering", [1, -1])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_standard_output_that_cannot_be_written(monkeypatch, buffering):
    with contextlib.suppress(OSError), open("/dev/full", "w", buffering) as full:
        monkeypatch.setattr(predict.sys, "stdout", full)
        args = predict.build_parser().parse_args(["--model", "cosine.keras", "data/test"])
        with pytest.raises(UserError, match="cannot write standard output: No space left"):
            predict.predict(args)


def test_json_stays_json_where_letters_are_missing():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="backslashreplace")
    predict.json_lines(stream, "image", "probability")(
        "é€.png", [predict.Prediction(1, "größer", 0.5)]
    )
    stream.flush()
    found = json.loads(stream.buffer.getvalue())
    assert found["image"] == "é€.png" and found["predictions"][0]["class_name"] == "größer"


BAD = [
    ("--model cosine.keras data missing.png", USAGE, "missing.png"),
    ("--model cosine.keras empty", USAGE, "empty"),
    ("--model cosine.keras data --top_k 4", USAGE, "3 classes"),
    ("--model cosine.keras data --top_k 0", USAGE, "--top_k"),
    ("--model cosine.keras data --output prob", USAGE, "l2norm"),
    ("--model cosine.keras data --format xml", USAGE, "xml"),
    ("--model cosine.keras data --out nowhere/a.csv", USAGE, "nowhere"),
    ("--model cosine.keras", USAGE, "PATH"),
    ("--model missing.keras data", DATA, "missing.keras"),
    ("--model unit.npz data", DATA, "unit.npz"),
]


@pytest.mark.parametrize(("options", "status", "named"), BAD, ids=[row[0] for row in BAD])
def test_refused_in_one_line(options, status, named):
    outcome: Outcome = run(predict, options)
    check_refused(outcome, "predict.py", status, named)
