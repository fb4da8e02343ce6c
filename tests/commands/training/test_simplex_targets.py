"""Class embeddings on a simplex: dimensions of the network and of its targets."""

import math

import numpy as np
import pytest

import learn_image_embeddings
from embeddings.simplex import simplex, simplex_centred
from models.files.saved import load_model
from tests import fake_data
from tests.commands.running import TINY, history, run, succeed

RUN = f"{TINY} --epochs 1 --model_dump m.keras"


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A function that trains and returns the network and what is known of its output."""
    monkeypatch.chdir(tmp_path)

    def start(options):
        succeed(learn_image_embeddings, f"{RUN} {options}")
        model, description = load_model(tmp_path / "m.keras")
        return model, description.outputs[0]

    return start


def test_an_embedding_without_dimensions_is_that_of_the_features(trained):
    """tiny-wide has 12 features and usually a dense layer behind them."""
    model, output = trained(
        "--embedding simplex --embedding_scale 3 --loss mse --architecture tiny-wide"
    )
    assert model.output_shape == (None, 12)
    assert "embedding" not in {layer.name for layer in model.layers}
    assert output.decision == "distance"
    np.testing.assert_array_equal(output.class_vectors, simplex(range(10), 12).scaled(3).vectors)


def test_dimensions_that_are_given_take_a_dense_layer(trained):
    model, output = trained("--embedding simplex-centred --embedding_dim 11 --cls_weight 0.1")
    assert model.output_names == ["l2norm", "prob"]
    assert model.get_layer("embedding").kernel.shape == (8, 11)
    np.testing.assert_array_equal(output.class_vectors, simplex_centred(range(10), 11).vectors)


def test_a_projection_has_as_many_dimensions_as_there_are_classes(trained):
    model, output = trained("--embedding simplex --projection dam --projection_layers 2 --loss dsc")
    shapes = [model.get_layer(name).kernel.shape for name in ("dam1", "dam2", "embedding")]
    assert shapes == [(8, 9), (9, 10), (10, 10)]
    np.testing.assert_array_equal(output.class_vectors, simplex(range(10), 10).scaled(1000).vectors)


def test_a_model_keeps_long_one_hot_targets(trained):
    _, output = trained("--embedding onehot --loss dsc")
    assert output.decision == "distance"
    np.testing.assert_array_equal(output.class_vectors, 1000 * np.eye(10))


def test_background_images_are_learned_from_and_known_to_the_snapshot(trained, tmp_path):
    for number in range(7):
        fake_data.write_image(tmp_path / f"others/{number}.png", number)
    options = (
        "--embedding simplex --loss dsc_open --background others --cls_weight 0.1 --snapshot s.h5 "
        "--history h.csv --embedding_dim 9 --epochs 2"
    )
    trained(options)
    (first, _) = history(tmp_path / "h.csv")
    assert 0 <= first["prob_acc"] <= 1 and math.isfinite(first["loss"])
    (tmp_path / "others" / "6.png").unlink()
    outcome = run(learn_image_embeddings, f"{RUN} {options} --overwrite")
    assert outcome.status == 1 and "background images '7 (" in outcome.err
