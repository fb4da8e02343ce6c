"""Files of class embeddings: both kinds alike, faulty ones refused, classes matched by label."""

import os
import pickle

import numpy as np
import pytest

from embeddings import ClassEmbeddings, load_class_embeddings, onehot
from embeddings.class_embeddings import save_class_embeddings
from utils import UsageError, UserError

VECTORS = np.random.default_rng(0).normal(size=(3, 4))
LABELS = [7, 2, 5]


def write_npz(path, vectors=VECTORS, labels=LABELS):
    np.savez(path, embedding=vectors, ind2label=np.array(labels))
    return path


def write_pickle(path, vectors=VECTORS, labels=LABELS, protocol=2):
    content = {
        "embedding": vectors,
        "ind2label": labels,
        "label2ind": {label: i for i, label in enumerate(labels)},
    }
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("labels", [LABELS, ["c", "a", "b"]])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_both_kinds_of_files_mean_the_same(tmp_path, labels, protocol):
    from_pickle = load_class_embeddings(
        write_pickle(tmp_path / "e.pickle", labels=labels, protocol=protocol)
    )
    from_npz = load_class_embeddings(write_npz(tmp_path / "e.npz", labels=labels))
    for loaded in (from_pickle, from_npz):
        assert loaded.vectors.dtype == np.float32
        np.testing.assert_array_equal(loaded.vectors, VECTORS.astype(np.float32))
        assert loaded.labels == tuple(labels)
        assert [type(label) for label in loaded.labels] == [type(label) for label in labels]
        assert not loaded.is_onehot
        assert loaded.dimensions == 4


def test_the_ending_of_the_name_does_not_matter(tmp_path):
    write_npz(tmp_path / "e.npz").rename(tmp_path / "e.pickle")
    assert load_class_embeddings(tmp_path / "e.pickle").labels == tuple(LABELS)


def test_labels_may_be_a_table_by_index(tmp_path):
    path = tmp_path / "e.pickle"
    path.write_bytes(pickle.dumps({"embedding": VECTORS, "ind2label": {2: "c", 0: "a", 1: "b"}}))
    assert load_class_embeddings(path).labels == ("a", "b", "c")


def test_labels_of_python_2_may_be_bytes(tmp_path):
    path = tmp_path / "e.pickle"
    path.write_bytes(pickle.dumps({b"embedding": VECTORS, b"ind2label": [b"c", b"a", b"b"]}))
    assert load_class_embeddings(path).labels == ("c", "a", "b")


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_calls_a_function_is_refused(tmp_path):
    content = {"embedding": VECTORS, "ind2label": LABELS, "more": Evil(tmp_path / "marker")}
    (tmp_path / "evil.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"evil\.pickle is refused"):
        load_class_embeddings(tmp_path / "evil.pickle")
    assert not (tmp_path / "marker").exists()


def test_an_npz_with_a_pickle_inside_is_refused(tmp_path):
    evil = np.array([Evil(tmp_path / "marker")], dtype=object)
    np.savez(tmp_path / "evil.npz", embedding=evil, ind2label=np.array([1]))
    with pytest.raises(UserError, match=r"evil\.npz"):
        load_class_embeddings(tmp_path / "evil.npz")
    assert not (tmp_path / "marker").exists()


NAN = np.where(np.arange(12).reshape(3, 4) == 5, np.nan, VECTORS)


@pytest.mark.parametrize("write", [write_npz, write_pickle])
@pytest.mark.parametrize(
    ("vectors", "labels", "fault"),
    [
        (VECTORS, [1, 2], "2 labels do not fit"),
        (VECTORS[:, 0], LABELS, "do not fit embeddings of shape"),
        (VECTORS[None], [1], "do not fit embeddings of shape"),
        (np.zeros((0, 4)), [], "0 labels do not fit"),
        (NAN, LABELS, "not finite"),
        (VECTORS * np.inf, LABELS, "not finite"),
        (VECTORS, [1, 2, 1], "a class label occurs twice"),
        (VECTORS, [[1, 2], [3, 4], [5, 6]], "label"),
        (VECTORS, [1.5, 2.5, 3.5], "a label must be a number or text"),
        (np.array([["a", "b"]]), [1], "cannot read the class embeddings"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_faulty_content_gives_a_one_line_error(tmp_path, write, vectors, labels, fault):
    path = tmp_path / "faulty.npz"
    if write is write_pickle:
        content = {"embedding": vectors, "ind2label": labels}
        path.write_bytes(pickle.dumps(content))
    else:
        write(path, vectors, labels)
    with pytest.raises(UserError, match=fault) as caught:
        load_class_embeddings(path)
    assert "faulty.npz" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("lacking", ["embedding", "ind2label"])
@pytest.mark.parametrize("kind", ["npz", "pickle"])
def test_a_part_that_is_missing_is_named(tmp_path, lacking, kind):
    content = {"embedding": VECTORS, "ind2label": np.array(LABELS)}
    del content[lacking]
    path = tmp_path / f"e.{kind}"
    if kind == "npz":
        np.savez(path, **content)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=f"lacks '{lacking}'"):
        load_class_embeddings(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and no more"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"other\.npz"):
        load_class_embeddings(path)


def test_a_pickle_of_something_else_is_refused(tmp_path):
    path = tmp_path / "list.pickle"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(UserError, match="contains list, not class"):
        load_class_embeddings(path)


def test_a_truncated_npz_is_refused(tmp_path):
    path = write_npz(tmp_path / "e.npz")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"e\.npz"):
        load_class_embeddings(path)


@pytest.mark.parametrize(
    "labels",
    [
        (3, -1),
        (2**63 - 1, -(2**63)),
        (2**64 - 1, 0),
        ("a", "b c"),
        ("18446744073709551616", "2"),
        tuple(np.array([3, 4])),
    ],
)
def test_saved_embeddings_are_read_again_and_are_no_pickle(tmp_path, labels):
    save_class_embeddings(tmp_path / "e.npz", VECTORS[:2], labels)
    with np.load(tmp_path / "e.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["embedding"], VECTORS[:2])
        assert file["ind2label"].tolist() == list(labels)
    found = load_class_embeddings(tmp_path / "e.npz").labels
    assert found == labels and all(type(label) in (int, str) for label in found)


@pytest.mark.parametrize("labels", [(1, 2**64), (-1, 2**63), (-(2**63) - 1, 0), (2**70, "a")[:1]])
def test_numbers_beyond_64_bits_are_not_saved(tmp_path, labels):
    with pytest.raises(UserError, match=r"beyond 64 bits, such as .*; give --str_ids"):
        save_class_embeddings(tmp_path / "e.npz", VECTORS[: len(labels)], labels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("labels", [{1, 2, 5}, [True, False, 2], "abc", [1, 2, None]])
def test_labels_must_be_numbers_or_text(tmp_path, labels):
    path = tmp_path / "e.pickle"
    path.write_bytes(pickle.dumps({"embedding": VECTORS, "ind2label": labels}))
    with pytest.raises(UserError, match=r"cannot read the class embeddings in .*e\.pickle"):
        load_class_embeddings(path)


def test_numbers_beyond_64_bits_in_a_pickle_stay_numbers(tmp_path):
    path = write_pickle(tmp_path / "e.pickle", labels=[2**63, -1, 2**70])
    assert load_class_embeddings(path).labels == (2**63, -1, 2**70)


def test_a_file_that_cannot_be_opened(tmp_path):
    loop = tmp_path / "loop.npz"
    loop.symlink_to(loop)
    for path in (loop, tmp_path / ("long" * 100), write_npz(tmp_path / "e.npz") / "below"):
        with pytest.raises(UserError, match="cannot read"):
            load_class_embeddings(path)
    with pytest.raises(UserError, match="is a folder"):
        load_class_embeddings(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz"):
        load_class_embeddings(tmp_path / "none.npz")


def test_restrict_takes_the_rows_of_the_labels_in_their_order():
    classes = ClassEmbeddings(VECTORS.astype(np.float32), (7, 2, 5))
    restricted = classes.restrict(["5", "7"])
    np.testing.assert_array_equal(restricted.vectors, VECTORS[[2, 0]].astype(np.float32))
    assert restricted.labels == ("5", "7")


def test_restrict_names_missing_classes():
    classes = ClassEmbeddings(VECTORS.astype(np.float32), (7, 2, 5))
    with pytest.raises(UsageError, match="no vector for 4, 6;"):
        classes.restrict([7, 4, 6])


@pytest.mark.parametrize(
    ("ours", "theirs", "shared"),
    [
        ((7, 2, 5), (2, 5, 7), [7, 2, 5]),  # the same classes: our order
        ((7, 2), (1, 2, 3, 7), [7, 2]),  # we restrict the data set
        ((7, 2, 5, 1), (1, 2), [2, 1]),  # the data set lacks some of ours
        (("7", "2"), (2, 7, 8), [7, 2]),  # numbers and text are the same, theirs are returned
        ((2, 7), ("2", "7"), ["2", "7"]),
    ],
)
def test_shared_labels_are_in_our_order_and_their_type(ours, theirs, shared):
    found = ClassEmbeddings(np.eye(len(ours), dtype=np.float32), ours).shared_labels(theirs)
    assert found == shared
    assert [type(label) for label in found] == [type(label) for label in shared]


@pytest.mark.parametrize(
    ("ours", "theirs"), [((1, 2, 3), (2, 3, 4)), ((1, 2), (3, 4)), ((1, 2), (2, 3, 4, 5))]
)
def test_other_classes_are_refused(ours, theirs):
    embeddings = ClassEmbeddings(np.eye(len(ours), dtype=np.float32), ours)
    with pytest.raises(UsageError, match=f"only {len({*ours} & {*theirs})}"):
        embeddings.shared_labels(theirs)


def test_onehot_vectors():
    classes = onehot(["b", "a", "c"])
    np.testing.assert_array_equal(classes.vectors, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert classes.vectors.dtype == np.float32
    assert classes.labels == ("b", "a", "c") and classes.is_onehot and classes.dimensions == 3
