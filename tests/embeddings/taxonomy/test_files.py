"""Taxonomy files: outlines, pairs, and errors with line numbers."""

import pytest

from embeddings import read_taxonomy, shipped
from tests.fake_data import write_lines
from tests.permissions import folder_for_all, ordinary_user
from utils import UsageError, UserError

OUTLINE = """\
#taxonomy animals
# a comment

animal
  bird
    [3] blackbird (Turdus merula)
    # another
    [7] robin
  [12]
"""


def write(tmp_path, text):
    path = tmp_path / "classes.txt"
    path.write_text(text, encoding="utf-8")
    return path


def edges_by_name(tree):
    return {(tree.names[p], tree.names[c]) for p in range(len(tree)) for c in tree.children[p]}


def test_pairs(tmp_path):
    tree = read_taxonomy(write_lines(tmp_path / "h.txt", ["10 3", "10 9", "", " 3\t1 "]))
    assert edges_by_name(tree) == {("10", "3"), ("10", "9"), ("3", "1")}
    assert tree.leaf_labels == (1, 9) and tree.height == 2


def test_pairs_the_other_way_round(tmp_path):
    tree = read_taxonomy(write_lines(tmp_path / "h.txt", ["3 10", "9 10", "1 3"]), is_a=True)
    assert edges_by_name(tree) == {("10", "3"), ("10", "9"), ("3", "1")}


def test_ids_as_text(tmp_path):
    path = write_lines(tmp_path / "h.txt", ["#n01 dog", "#n01 10", "#n01 9"])
    assert read_taxonomy(path, str_ids=True).leaf_labels == ("10", "9", "dog")


def test_an_outline(tmp_path):
    tree = read_taxonomy(write(tmp_path, OUTLINE))
    robin, blackbird = "robin", "blackbird (Turdus merula)"
    expected = {("animal", "bird"), ("bird", blackbird), ("bird", robin), ("animal", "12")}
    assert edges_by_name(tree) == expected
    assert tree.leaf_labels == (3, 7, 12)
    assert tree.names[tree.nodes([3])[0]] == blackbird
    assert tree.labels[tree.roots[0]] is None


def test_an_outline_with_text_labels(tmp_path):
    assert read_taxonomy(write(tmp_path, OUTLINE), str_ids=True).leaf_labels == ("12", "3", "7")
    mixed = OUTLINE.replace("[7]", "[x y]")
    assert read_taxonomy(write(tmp_path, mixed)).leaf_labels == ("12", "3", "x y")


def test_names_may_repeat_and_inner_nodes_may_be_classes(tmp_path):
    tree = read_taxonomy(
        write(tmp_path, "#taxonomy\nlife\n  [1] seal\n    [2] seal\n  seal\n    [3] seal\n")
    )
    assert tree.labels == (None, 1, 2, None, 3) and tree.leaf_labels == (2, 3)
    assert tree.similarities([1, 2, 3])[0].tolist() == [1, 0.5, 0]


@pytest.mark.parametrize(
    ("lines", "options", "fault"),
    [
        (["1 2", "1 2 3"], {}, "line 2: '1 2 3' is not a pair"),
        (["1 2", "", "x 3"], {}, "line 3: 'x' is not a whole number.*--str_ids"),
        ([], {}, "is empty"),
        (["1 2", "2 3", "3 1"], {}, "cycle"),
        (["2 1", "3 1"], {}, "2 roots .* give --is_a"),
        (["1 2", "1 3"], {"is_a": True}, "2 roots .* leave out --is_a"),
        (["1 1"], {}, "cycle"),
    ],
)
def test_faulty_pairs(tmp_path, lines, options, fault):
    path = write_lines(tmp_path / "faulty.txt", lines)
    with pytest.raises(UserError, match=rf"faulty\.txt.*{fault}") as caught:
        read_taxonomy(path, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("a\n  [1] b\nc\n  [2] d\n", "line 4: 'c' is a second root"),
        ("a\n    [1] b\n", "line 3: .* more than one level"),
        ("  a\n", "line 2: 'a' is indented by more"),
        ("a\n   [1] b\n", "line 3: .* 2 spaces per level"),
        ("a\n\t[1] b\n", "line 3: .* 2 spaces per level"),
        ("a\n  [1] b\n  c\n", "'c' has nothing below it and no .label."),
        ("a\n  [1] b\n  [1] c\n", "class '1' occurs twice"),
        ("a\n  [01] b\n  [1] c\n", "class '1' occurs twice"),
        ("", "has no nodes"),
        ("[1] a\n", "no node below another one"),
    ],
)
def test_faulty_outlines(tmp_path, body, fault):
    with pytest.raises(UserError, match=rf"classes\.txt.*{fault}"):
        read_taxonomy(write(tmp_path, "#taxonomy\n" + body))


def test_is_a_does_not_apply_to_outlines(tmp_path):
    with pytest.raises(UsageError, match="leave it out"):
        read_taxonomy(write(tmp_path, OUTLINE), is_a=True)


def test_binary_files_and_folders_are_refused(tmp_path):
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        read_taxonomy(tmp_path / "b.txt")
    with pytest.raises(UserError, match="there is no file"):
        read_taxonomy(tmp_path)


def test_an_unreadable_file_is_reported_with_the_reason(monkeypatch):
    # The project itself may lie where an ordinary user sees nothing.
    names = shipped.taxonomy_names()
    monkeypatch.setattr(shipped, "taxonomy_names", lambda: names)
    with folder_for_all() as folder:
        (folder / "closed").mkdir()
        write(folder / "closed", OUTLINE)
        (folder / "closed").chmod(0)
        denied = r"cannot read .*: Permission denied"
        with ordinary_user(), pytest.raises(UserError, match=denied):
            read_taxonomy(folder / "closed/classes.txt")
    with pytest.raises(UserError, match=r"cannot read .*: File name too long"):
        read_taxonomy(300 * "n")


def test_shipped_ones_are_found_by_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.taxonomy_names() == ["cifar100", "cub_deep", "cub_flat", "cub_wikispecies"]
    assert read_taxonomy("cub_deep").height == 7
    with pytest.raises(UserError, match=r"no file cub_deeper .* cifar100, cub_deep, cub_flat"):
        read_taxonomy("cub_deeper")
