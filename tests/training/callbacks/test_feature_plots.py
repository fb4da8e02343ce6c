"""Pictures while training: epochs, contents, and unchanged weights."""

import numpy as np
import pytest
from PIL import Image

import learn_classifier
import learn_image_embeddings
from tests.commands.running import TINY, run, same_arrays, succeed
from training.callbacks import feature_plots

COSINE = f"{TINY} --embedding onehot"


def test_pictures_change_no_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = []
    plot = feature_plots.plot_scatter

    def note(path, planes, titles, labels, known, class_names):
        drawn.append((path.name, planes[0], titles, labels, class_names))
        plot(path, planes, titles, labels, known, class_names)

    monkeypatch.setattr(feature_plots, "plot_scatter", note)
    options = f"{COSINE} --epochs 3 --history"
    succeed(learn_image_embeddings, f"{options} without.csv --weight_dump without.h5")
    more = "--plot_features pictures --plot_every 2 --feature_dump f.npz"
    succeed(learn_image_embeddings, f"{options} with.csv --weight_dump with.h5 {more}")
    assert same_arrays(tmp_path / "without.h5", tmp_path / "with.h5")
    assert (tmp_path / "without.csv").read_text() == (tmp_path / "with.csv").read_text()

    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["epoch-0002.png", "epoch-0003.png", "run.json"]
    with Image.open(tmp_path / "pictures" / names[0]) as image:
        assert min(image.size) > 300
    (_, plane, titles, labels, class_names) = drawn[-1]
    assert titles == ["epoch 3 of 3"] and class_names == tuple(map(str, range(10)))
    # Principal components, computed otherwise.
    features = np.load("f.npz")["features"].astype(float)
    centered = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(centered.T))
    np.testing.assert_allclose(plane.samples.std(axis=0, ddof=1), values[:-3:-1] ** 0.5, rtol=1e-4)
    towards = (np.eye(10) - features.mean(axis=0)) @ vectors[:, :-3:-1]
    np.testing.assert_allclose(np.abs(plane.targets), np.abs(towards), atol=1e-4)
    assert np.bincount(labels).sum() == len(features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--plot_every 2", "--plot_every needs --plot_features DIR"),
        ("--plot_features new --plot_every 3 --val_every 2", "give a multiple of --val_every 2"),
        ("--plot_features full", "--plot_features full: already contains files"),
        ("--plot_features same --log_dir same", "name the same file, same"),
    ],
)
def test_refused_before_training(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.png").touch()
    outcome = run(learn_classifier, f"{TINY} --epochs 1 {options}")
    assert outcome.status == 2 and message in outcome.err
