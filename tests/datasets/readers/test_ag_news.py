"""AG News, as its archive has it."""

from pathlib import Path

import numpy as np
import pytest

from datasets import get_dataset
from tests.fake_data import write_ag_news, write_lines, write_word_vectors
from utils import UsageError, UserError

SHARED = Path(__file__).parents[4] / "shared" / "data" / "ag_news"


def test_a_document_is_title_and_description(tmp_path):
    dataset = get_dataset("AG-News", write_ag_news(tmp_path))
    assert dataset.labels == (1, 2, 3, 4)
    assert dataset.class_names == ("World", "Sports", "Business", "Sci/Tech")
    assert (len(dataset.train), len(dataset.test)) == (24, 12)
    assert dataset.train[5] == "The game today,\\train no. 1"
    assert dataset.train.names[5] == "train.csv:6"
    np.testing.assert_array_equal(dataset.test.labels, [0, 1, 2, 3] * 3)


def test_word_vectors_make_the_input_of_a_network(tmp_path):
    vectors = write_word_vectors(tmp_path / "v.txt")
    dataset = get_dataset("AG-News", write_ag_news(tmp_path), word_vectors=vectors, max_length=5)
    # the , war game bank web today: numbers 2 to 8.
    np.testing.assert_array_equal(dataset.train_transform(dataset.train[0]), [2, 4, 8, 1, 1])
    assert dataset.input_shape == (5,)
    assert dataset.input_options == {"words": 9, "dimensions": 3}
    (weights,) = dataset.input_weights
    assert weights.shape == (9, 3) and not weights[:2].any() and weights[2:].all()
    few = get_dataset("AG-News", tmp_path, word_vectors=vectors, max_words=3)
    np.testing.assert_array_equal(few.test_transform(few.train[1])[:4], [2, 1, 1, 1])


def test_subsets_are_passed_over_once_unless_told_otherwise(tmp_path):
    root = write_ag_news(tmp_path)
    dataset = get_dataset("AG-News-sub2", root, subset_seed=1)
    np.testing.assert_array_equal(np.bincount(dataset.train.labels), [2, 2, 2, 2])
    assert dataset.repeats == 1 and len(dataset.test) == 12
    assert get_dataset("AG-News-sub2", root, repeats=3).repeats == 3
    other = get_dataset("AG-News-sub2", root, subset_seed=2)
    assert dataset.train.names != other.train.names


def test_held_out_documents_are_not_trained_on(tmp_path):
    dataset = get_dataset("AG-News", write_ag_news(tmp_path), val_fraction=0.5)
    assert (len(dataset.train), len(dataset.validation)) == (12, 12)
    assert not {*dataset.train.names} & {*dataset.validation.names}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 9, "fold": 0}, "needs documents of each class, .* has 6 training documents$"),
        ({"val_fraction": 0.01}, "no class of AG-News has enough training documents to hold out"),
    ],
)
def test_documents_are_not_called_images(tmp_path, caplog, options, message):
    root = write_ag_news(tmp_path)
    get_dataset("AG-News-sub7", root)
    assert "4 classes have fewer than 7 training documents and keep all: 1, 2" in caplog.text
    with pytest.raises(UsageError, match=message):
        get_dataset("AG-News", root, **options)
    (root / "train.csv").write_text("")
    with pytest.raises(UserError, match="AG-News has no training documents"):
        get_dataset("AG-News", root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"1","only a title"', r"train\.csv:1: expected class, title and description, found 2"),
        ('"5","a","b"', r"train\.csv:1: expected a class from 1 to 4, found '5'"),
        (f'"{"9" * 5000}","a","b"', r"train\.csv:1: expected a class from 1 to 4, found '9{20}'"),
        ('"x","a","b"', r"train\.csv:1: expected a class from 1 to 4, found 'x'"),
        ('"1","a","b', r"train\.csv:1: unexpected end of data, in the row that b"),
        ('"1","a"b,"c"', r"train\.csv:1: .*expected after"),
        ("", r"train\.csv:1: expected class, title and description, found 0 columns"),
    ],
)
def test_a_wrong_line_is_reported_with_its_number(tmp_path, line, message):
    root = write_ag_news(tmp_path)
    whole = (root / "train.csv").read_text()
    (root / "train.csv").write_text(f"{line}\n{whole if line.count(chr(34)) % 2 == 0 else ''}")
    with pytest.raises(UserError, match=message):
        get_dataset("AG-News", root)


@pytest.mark.parametrize("names", ["", "World\nSports\nWorld\nSci/Tech\n"])
def test_classes_have_distinct_names(tmp_path, names):
    root = write_ag_news(tmp_path)
    (root / "classes.txt").write_text(names)
    with pytest.raises(UserError, match=r"classes\.txt: expected a line with a distinct name"):
        get_dataset("AG-News", root)


@pytest.mark.parametrize("number", [9, 24])
@pytest.mark.parametrize("quote", ['"', '""'])
def test_the_line_with_an_unclosed_quote_is_reported(tmp_path, number, quote):
    """Report neither the next line, where a quote is out of place, nor the last one."""
    root = write_ag_news(tmp_path)
    lines = (root / "train.csv").read_text().splitlines()
    lines[number - 1] = lines[number - 1].removesuffix('"')
    lines[number:] = [line.replace('"', quote) for line in lines[number:]]
    write_lines(root / "train.csv", lines)
    with pytest.raises(UserError, match=rf"train\.csv:{number}: .* in the row that begins here"):
        get_dataset("AG-News", root)


def test_an_empty_document_is_one(tmp_path):
    root = write_ag_news(tmp_path)
    with open(root / "test.csv", "a") as file:
        file.write('"1","",""\n')
    assert len(get_dataset("AG-News", root).test) == 13


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("AG-News-large", {}, "only images"),
        ("AG-News-caffe", {}, "only images"),
        ("AG-News", {"target_size": 32}, "documents, not images"),
        ("Digits", {"word_vectors": "kumo"}, "--word_vectors kumo: .* images, not documents"),
        ("Digits", {"max_words": 9}, "--max_words 9: Digits has images, not documents"),
        ("Digits", {"max_length": 9}, "--max_length 9: Digits has images, not documents"),
    ],
)
def test_options_for_the_other_kind_are_refused(tmp_path, name, options, message):
    with pytest.raises(UsageError, match=message):
        get_dataset(name, write_ag_news(tmp_path), **options)


def test_the_real_files():
    if not SHARED.is_dir():
        pytest.skip("needs the files of AG News")
    dataset = get_dataset("AG-News", SHARED)
    np.testing.assert_array_equal(np.bincount(dataset.test.labels), [1900] * 4)
    assert dataset.test[0].startswith("Fears for T N pension after talks Unions representing")
