"""The five commands in the README of the sibling paper, as they are written there.

Only the sizes differ: few images, a small network, one epoch.
"""

import csv
import pickle
import shlex

import numpy as np
import pytest

import compute_class_embedding
import evaluate_classification_accuracy
import evaluate_retrieval
import learn_image_embeddings
from embeddings import read_taxonomy
from tests.commands.running import record, succeed
from tests.fake_data import write_cifar100, write_lines

COMMANDS = """
compute_class_embedding.py --hierarchy H --out E.pickle
learn_image_embeddings.py --dataset CIFAR-100 --data_root D --embedding E.pickle --architecture A
    --cls_weight 0.1 --model_dump M.h5 --feature_dump F.pickle
evaluate_retrieval.py --dataset CIFAR-100 --data_root D --hierarchy H --classes_from E.pickle
    --feat F.pickle --label "Semantic Embeddings"
evaluate_classification_accuracy.py --dataset CIFAR-100 --data_root D --hierarchy H
    --classes_from E.pickle --architecture A --batch_size 100 --model M.h5 --layer prob
    --prob_features yes --label "Semantic Embeddings"
evaluate_classification_accuracy.py --dataset CIFAR-100 --data_root D --hierarchy H
    --classes_from E.pickle --architecture A --batch_size 100 --model M.h5 --layer l2norm
    --centroids E.pickle --label "Semantic Embeddings"
"""
MODULES = {
    f"{module.__name__}.py": module
    for module in (
        compute_class_embedding,
        learn_image_embeddings,
        evaluate_retrieval,
        evaluate_classification_accuracy,
    )
}


def commands():
    """The name of the module and the options of each, as text."""
    for text in COMMANDS.replace("\n    ", " ").strip().splitlines():
        yield text.split(maxsplit=1)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Outcomes of the commands, run one after the other in one folder."""
    folder = tmp_path_factory.mktemp("sibling")
    # The published hierarchy is a file of pairs, of classes in the order of their labels.
    taxonomy = read_taxonomy("cifar100")
    number = {node: node + 1000 for node in range(len(taxonomy))} | {
        node: label for node, label in enumerate(taxonomy.labels) if label is not None
    }
    pairs = [
        f"{number[parent]} {number[child]}"
        for parent, below in enumerate(taxonomy.children)
        for child in below
    ]
    write_lines(folder / "H", pairs)
    write_cifar100(folder / "D", classes=100, train=2, test=2)
    more = {
        "learn_image_embeddings.py": ["--epochs", "1"],
        "evaluate_retrieval.py": ["--csv", "R.csv"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = []
        for name, options in commands():
            words = shlex.split(options.replace(" A ", " tiny "))
            found.append(succeed(MODULES[name], "", *words, *more.get(name, [])))
        yield folder, found


def test_class_embeddings_are_the_published_pickle(outcomes):
    folder, _ = outcomes
    content = pickle.loads((folder / "E.pickle").read_bytes())  # noqa: S301 (of this project)
    assert content["embedding"].shape == (100, 100) and content["ind2label"] == list(range(100))
    whole = read_taxonomy("cifar100").similarities(range(100))
    np.testing.assert_allclose(content["embedding"] @ content["embedding"].T, whole, atol=1e-12)


def test_features_are_the_published_pickle(outcomes):
    folder, _ = outcomes
    content = pickle.loads((folder / "F.pickle").read_bytes())  # noqa: S301 (of this project)
    assert list(content["feat"]) == list(range(200))
    lengths = [np.linalg.norm(vector) for vector in content["feat"].values()]
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_retrieval_ranks_the_features_by_distance(outcomes):
    folder, found = outcomes
    assert "Semantic Embeddings" in found[2].out and "200 images of 100 classes" in found[2].out
    features = np.stack(list(pickle.loads((folder / "F.pickle").read_bytes())["feat"].values()))  # noqa: S301
    labels = np.tile(np.arange(100), 2)
    similar = read_taxonomy("cifar100").similarities(range(100))
    distances = ((features[:, None].astype(float) - features[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(distances, np.inf)
    hits = [
        similar[labels[i], labels[distances[i].argmin()]]  # the best of all is of the same class
        for i in range(200)
    ]
    with open(folder / "R.csv", newline="") as file:
        (row,) = [
            r
            for r in csv.DictReader(file)
            if (r["similarity"], r["measure"], r["k"]) == ("LCS height", "HP", "1")
        ]
    assert float(row["value"]) == pytest.approx(np.mean(hits), abs=1e-6)


@pytest.mark.parametrize(
    ("position", "metric", "method"),
    [(3, "prob_acc", "largest of prob"), (4, "l2norm_acc", "centroid")],
)
def test_accuracies_are_those_at_the_end_of_training(outcomes, position, metric, method):
    folder, found = outcomes
    final = record(folder / "M.h5")["final"][metric]
    last = found[position].out.splitlines()[-1]
    assert "Semantic Embeddings" in last and method in last
    assert f"{100 * final:.2f}" in last.split()
    assert found[position].out.startswith("200 test images of 100 classes")
