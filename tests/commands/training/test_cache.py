"""--cache: the same weights wherever images are kept."""

import pytest

import learn_classifier
import learn_image_embeddings
from datasets.cache import choice
from tests.commands.running import run, same_arrays, succeed
from tests.fake_data import write_folder

TRAIN = "--dataset Folder --target_size 12 --crop_size 10 --batch_size 5 --epochs 2 --no_progress"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data"))


def train(root, weights, *options):
    return succeed(
        learn_classifier,
        f"{TRAIN} --architecture tiny",
        *("--data_root", root, "--weight_dump", weights, *options),
    )


def test_the_weights_are_the_same_wherever_images_are_kept(root, tmp_path):
    folder = tmp_path / "cache"
    expected = {
        "off": None,
        "auto": "Keeping decoded images in memory, about 0 MB",
        "ram": "Keeping decoded images in memory, about 0 MB",
        folder: f"Keeping decoded images in {folder}",
    }
    for i, (where, line) in enumerate(expected.items()):
        outcome = train(root, tmp_path / f"{i}.h5", "--cache", where)
        assert same_arrays(tmp_path / f"{i}.h5", tmp_path / "0.h5")
        assert ("decoded images" in outcome.err) == (line is not None)
        assert (line or "") in outcome.err
    again = train(root, tmp_path / "again.h5", "--cache", folder)
    assert same_arrays(tmp_path / "again.h5", tmp_path / "0.h5")
    assert "Writing" not in again.err
    assert "Measuring" not in again.err


@pytest.mark.parametrize("command", [learn_classifier, learn_image_embeddings])
def test_impossible_caches_give_a_one_line_error(root, tmp_path, monkeypatch, command):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(choice, "available_memory", lambda: 1)
    more = ["--embedding", "onehot"] if command is learn_image_embeddings else []
    for where in ("ram", tmp_path / "file"):
        outcome = run(command, TRAIN, "--data_root", root, "--cache", where, *more)
        assert outcome.status == 2
        assert outcome.err.splitlines()[-1].startswith(f"{command.__name__}.py: error: --cache")
