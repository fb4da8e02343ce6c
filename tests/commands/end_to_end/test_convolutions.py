"""A network of full, harmonic convolutions, from training to the exported file."""

import keras
import pytest

import evaluate_classification_accuracy
import export_model
import learn_classifier
import learn_image_embeddings
import models
from models.backbones.cifar_resnet import Variant, cifar_resnet
from models.files.saved import load_model
from models.registry import BACKBONES
from tests.commands.running import TINY, record, run, same_arrays, succeed
from tests.models.files.test_export import needs

OPTIONS = (
    f"{TINY.rsplit(maxsplit=1)[0]} residual --epochs 1 --fconv --harmonic --harmonic_level 2 "
    "--top_k_acc 5 --snapshot s"
)


@BACKBONES.register("residual")
def residual(*args):
    return cifar_resnet(*args, variant=Variant(1, (4, 8, 8), dense=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained network, its weights and its snapshot."""
    folder = tmp_path_factory.mktemp("convolutions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.FAMILIES, __name__, ("residual",))
        patch.setattr(models, "RESIDUAL", (*models.RESIDUAL, __name__))
        patch.chdir(folder)
        succeed(learn_classifier, f"{OPTIONS} --model_dump m.keras --weight_dump w.h5")
        yield folder


def test_the_saved_model_has_layers_of_keras_and_the_accuracy_of_the_training(folder):
    told = succeed(evaluate_classification_accuracy, "--dataset Digits --model m.keras").out

    model, _ = load_model(folder / "m.keras")
    assert type(model.get_layer("res2-1x")) is keras.layers.Conv2D
    final = record(folder / "m.keras")["final"]
    shown = " ".join(told.splitlines()[-1].split())
    assert shown.startswith(f"m probability {100 * final['acc']:.2f} {100 * final['acc5']:.2f}")


def test_the_snapshot_holds_the_weights(folder):
    succeed(learn_classifier, f"{OPTIONS} --weight_dump again.h5")

    assert same_arrays(folder / "w.h5", folder / "again.h5")


def test_a_snapshot_of_other_convolutions_is_refused(folder):
    outcome = run(learn_classifier, OPTIONS.replace("--fconv ", ""))

    assert outcome.status == 1
    assert "fconv" in outcome.err


@needs("onnx")
def test_exported(folder):
    """The command itself compares what the file computes with the network."""
    succeed(export_model, "--model m.keras --format onnx --out m.onnx")

    assert (folder / "m.onnx").stat().st_size > 1000


@pytest.mark.parametrize(
    ("command", "more"), [(learn_classifier, ""), (learn_image_embeddings, "--embedding onehot")]
)
def test_networks_without_them_are_refused_before_data_are_read(command, more):
    outcome = run(command, f"--dataset CUB --data_root nowhere --fconv {more}")

    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].endswith("--fconv: simple is not a residual network")
