"""Shell blocks of the pages, run by bash as they are written, with short runs.

``python`` in them is a script that shortens training and sweeps by further options; ``pip`` only
looks for the file of requirements.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from embeddings import load_class_embeddings
from tests.datasets.readers.test_cub_splits import LIST, lists_only
from tests.docs.documents import ROOT, block
from tests.fake_data import write_classes, write_lines

PYTHON = f"""#!/bin/sh
case $1 in
learn_*)
    set -- "$@" --architecture simple --target_size 40 --crop_size 32 --epochs 1 --gpus 1 ;;
sweep.py)
    shift; set -- sweep.py --dry_run "$@" ;;
esac
exec {sys.executable} "$@"
"""
PIP = """#!/bin/sh
test "$1 $2" = "install -r" && test -f "$3"
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A function that runs a block in a folder with the project's scripts, and that folder."""
    folder = tmp_path_factory.mktemp("project")
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    programs = tmp_path_factory.mktemp("bin")
    for name, script in (("python", PYTHON), ("pip", PIP)):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "KERAS_BACKEND": "tensorflow",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run, folder


def test_five_lines_train_evaluate_predict_and_export(shell):
    run, folder = shell
    write_classes(folder / "photos")
    out = run(block("README.md", "--data_root photos/"))
    assert "Average Accuracy: " in out
    assert out.count("photos/kind_") == 18
    assert (folder / "model.onnx").stat().st_size > 10_000
    record = json.loads((folder / "model.keras.run.json").read_text())
    assert record["options"]["cls_weight"] == 0.1


def test_class_embeddings_of_a_taxonomy_and_its_picture(shell):
    run, folder = shell
    write_lines(folder / "hierarchy.txt", ["1 0", "2 0", "3 1", "4 1", "5 2"])
    names = ["0 animal", "1 bird", "2 mammal", "3 robin", "4 wren", "5 dog"]
    write_lines(folder / "classes.txt", names)
    run(block("docs/class-embeddings.md", "compute_class_embedding.py"))
    embeddings = load_class_embeddings(str(folder / "mine.npz"))
    assert list(embeddings.labels) == [3, 4, 5]
    np.testing.assert_allclose(
        embeddings.vectors @ embeddings.vectors.T, [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]], atol=1e-6
    )
    assert "wren" in (folder / "mine.svg").read_text()


def test_subsets_of_cub(shell):
    run, folder = shell
    lists_only(folder / "CUB_200_2011", 25, LIST.read_text().splitlines())
    run(block("CUB-splits/README.md", "write_cub_splits.py"))
    written = {path.name for path in (folder / "CUB_200_2011").glob("train_test_split_*.txt")}
    assert written == {f"train_test_split_{x}.txt" for x in (1, 2, 5, 10, 15, 20, 25)}


def test_a_sweep_names_the_runs_of_its_grid(shell):
    run, folder = shell
    for name in ("CUB_200_2011", "nabirds"):
        (folder / name).mkdir(exist_ok=True)
    lines = run(block("docs/sweeps.md", "sweep.py")).splitlines()
    data_sets, losses, rates, seeds, protocols = 2, 4, 8, 3, 2
    assert len(lines) == data_sets * losses * rates * seeds * protocols
    assert all("learn_" in line and "--architecture resnet-50" in line for line in lines)


def test_retrieval_by_two_feature_dumps(shell):
    run, folder = shell
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(100), 3)  # more images than the 250 of AHP@250
    for name in ("onehot", "semantic"):
        features = generator.normal(size=(len(labels), 8)).astype("float32")
        names = [f"{i}.png" for i in range(len(labels))]
        np.savez(folder / f"{name}.npz", features=features, labels=labels, names=names)
    out = run(block("docs/evaluation.md", "evaluate_retrieval.py"))
    assert "one-hot" in out and "mAP" in out
    assert (folder / "retrieval.csv").is_file() and (folder / "retrieval.png").is_file()
