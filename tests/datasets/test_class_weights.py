"""--class_weights: balanced weights against scikit-learn, and files."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from datasets import get_dataset
from datasets.class_weights import BALANCED, class_weights
from tests.fake_data import write_ag_news, write_folder, write_image, write_lines
from utils import UsageError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three classes of unequal size, kind_1 to kind_3."""
    root = write_folder(tmp_path_factory.mktemp("images"))
    for number in range(5):
        write_image(root / "train" / "kind_2" / f"more_{number}.png")
    return get_dataset("Folder", root, target_size=16)


def test_balanced_are_those_of_scikit_learn(dataset):
    labels = dataset.train.labels
    found = class_weights(BALANCED, dataset)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert found.dtype == np.float32 and len({*found.tolist()}) > 1
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[labels].mean() == pytest.approx(1)


def test_a_class_without_training_images_cannot_be_balanced(dataset):
    train = dataset.train.select(np.flatnonzero(dataset.train.labels != 1))
    with pytest.raises(UsageError, match=r"balanced: no training images of kind_2$"):
        class_weights(BALANCED, replace(dataset, train=train))


def test_documents_are_not_called_images(tmp_path):
    documents = get_dataset("AG-News", write_ag_news(tmp_path))
    train = documents.train.select(np.flatnonzero(documents.train.labels != 1))
    with pytest.raises(UsageError, match=r"balanced: no training documents of Sports$"):
        class_weights(BALANCED, replace(documents, train=train))


def test_none_without_the_option(dataset):
    assert class_weights(None, dataset) is None


@pytest.mark.parametrize("header", [[], ["Class, weight"]])
def test_a_file_has_the_classes_in_any_order(dataset, tmp_path, header):
    lines = [*header, "kind_3,0.5", '"kind_1", 2', "kind_2,1e1"]
    path = write_lines(tmp_path / "weights.csv", lines)
    assert class_weights(path, dataset).tolist() == [2, 10, 0.5]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["kind_1,1", "kind_2,1"], "has no weight for kind_3$"),
        (["kind_1,1", "kind_2,1", "kind_3,1", "kind_4,1"], "'kind_4' is not a class"),
        (["kind_1,1", "kind_1,1"], "'kind_1' is listed twice"),
        (["kind_1,0"], "'kind_1,0' is not CLASS,WEIGHT, with a weight above 0"),
        (["kind_1,nan"], "'kind_1,nan' is not"),
        (["kind_1,inf"], "'kind_1,inf' is not"),
        (["kind_1,1e39"], "'kind_1,1e39' is not"),
        (["kind_1,1e-60"], "'kind_1,1e-60' is not"),
        (["kind_1,1,2"], "'kind_1,1,2' is not"),
        (["kind_1"], "'kind_1' is not"),
        ([], "has no weight for kind_1"),
    ],
)
def test_other_files_are_refused(dataset, tmp_path, lines, message):
    path = write_lines(tmp_path / "weights.csv", lines)
    with pytest.raises(UsageError, match=f"--class_weights {path}: {message}"):
        class_weights(path, dataset)
