"""write_cub_splits.py: list files of CUB subsets."""

import pytest

import write_cub_splits
from datasets import get_dataset
from tests.commands.running import run, succeed
from tests.datasets.readers.test_cub_splits import CUB50, LIST, lists_only, trained_on, with_cub
from tests.fake_data import write_cub


@pytest.fixture
def cub(tmp_path):
    return lists_only(tmp_path, 25, LIST.read_text().splitlines())


def flags(path):
    return dict(line.split() for line in path.read_text().splitlines())


def test_the_files_name_the_listed_images_and_all_test_images(cub):
    outcome = succeed(write_cub_splits, "", "--data_root", cub)
    images = dict(line.split() for line in (cub / "images.txt").read_text().splitlines())
    official = flags(cub / "train_test_split.txt")
    listed = LIST.read_text().splitlines()
    for number in (1, 2, 5, 10, 15, 20, 25):
        split = flags(cub / f"train_test_split_{number}.txt")
        assert {images[i] for i, flag in split.items() if flag == "1"} == {
            path for path in listed[: 200 * number] if path[:3] in ("003", "007")
        }
        assert {i for i, f in split.items() if f == "0"} == {
            i for i, f in official.items() if f == "0"
        }
        assert f"train_test_split_{number}.txt: {2 * number} training and 2 test" in outcome.out


def test_the_files_change_nothing_and_user_files_take_precedence(cub):
    before = get_dataset("CUB-sub2", cub)
    succeed(write_cub_splits, "--per_class 2", "--data_root", cub)
    after = get_dataset("CUB-sub2", cub)
    assert list(after.train.names) == list(before.train.names)
    assert list(after.test.names) == list(before.test.names)
    images = dict(line.split() for line in (cub / "images.txt").read_text().splitlines())
    used = set(flags(cub / "train_test_split_2.txt"))
    unused = [i for i in images if i not in used]
    mine = [next(i for i in unused if images[i].startswith(name)) for name in ("003", "007")]
    (cub / "train_test_split_2.txt").write_text("".join(f"{i} 1\n" for i in mine))
    assert set(trained_on(get_dataset("CUB-sub2", cub))) == {f"images/{images[i]}" for i in mine}


def test_nothing_is_replaced_unless_asked_for(cub):
    kept = cub / "train_test_split_5.txt"
    kept.write_text("mine\n")
    outcome = run(write_cub_splits, "", "--data_root", cub)
    assert outcome.status == 2
    assert "train_test_split_5.txt: exists already" in outcome.err
    assert kept.read_text() == "mine\n"
    assert not (cub / "train_test_split_1.txt").exists()
    succeed(write_cub_splits, "--overwrite", "--data_root", cub)
    assert kept.read_text() != "mine\n"


def test_other_images_are_refused(tmp_path):
    outcome = run(write_cub_splits, "", "--data_root", write_cub(tmp_path))
    assert outcome.status == 1
    assert "001.Bird_1" in outcome.err
    assert not list(tmp_path.glob("train_test_split_*.txt"))


@pytest.mark.parametrize(
    ("options", "status", "named"),
    [
        ("--data_root nowhere", 1, "nowhere"),
        ("--data_root .", 1, "images.txt"),
        ("--data_root . --per_class 26", 2, "26"),
        ("--data_root . --per_class 0", 2, "0"),
        ("--data_root . --out nowhere", 2, "nowhere"),
        ("", 2, "--data_root"),
    ],
)
def test_unsuitable_input_gives_a_one_line_error(tmp_path, monkeypatch, options, status, named):
    monkeypatch.chdir(tmp_path)
    outcome = run(write_cub_splits, options)
    assert outcome.status == status
    assert len(outcome.err.splitlines()) == 1 and named in outcome.err


@with_cub
def test_the_real_cub_in_a_folder_of_its_own(tmp_path):
    succeed(write_cub_splits, "", "--data_root", CUB50, "--out", tmp_path)
    split = flags(tmp_path / "train_test_split_25.txt")
    assert (len(split), list(split.values()).count("1")) == (1389 + 25 * 50, 25 * 50)
