"""Fine-tuning: reports, and the layers that each stage trains."""

import keras
import numpy as np
import pytest

import learn_classifier
import learn_image_embeddings
from models.files.weights import open_weights
from tests import fake_data
from tests.commands import tiny_network
from tests.commands.running import TINY, arrays, run, succeed
from tests.models.outlines import outline
from training.finetuning import last_layers, load_pretrained, training_only
from training.optimizer import build_optimizer


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Weights and model of a classifier of three classes, and weights of an embedding."""
    folder = tmp_path_factory.mktemp("earlier")
    classes = fake_data.write_lines(folder / "classes.txt", [1, 2, 3])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        succeed(
            learn_classifier,
            f"{TINY} --epochs 1 --seed 5 --weight_dump three.h5 --model_dump three.keras",
            *("--class_list", classes),
        )
        succeed(
            learn_image_embeddings,
            f"{TINY} --epochs 1 --seed 5 --embedding onehot --weight_dump embedding.h5",
        )
    return folder


@pytest.mark.parametrize("file", ["three.h5", "three.keras"])
def test_layers_of_another_shape_are_reported_and_reinitialized(earlier, file):
    path = earlier / file
    outcome = succeed(learn_classifier, f"{TINY} --epochs 1 --finetune_init 1 --finetune", path)
    assert f"{path}: loaded 2 layers" in outcome.err
    told = [line for line in outcome.err.splitlines() if "trained from scratch" in line]
    assert told == [
        f"{path}: differs in shape, trained from scratch: prob (network (8, 10), file (8, 3))"
    ]
    assert [line.split(" - ")[0] for line in outcome.out.splitlines()[:2]] == [
        "Last layers, epoch 1/1",
        "Epoch 1/1",
    ]
    assert " - lr: 0.1 - " in outcome.out.splitlines()[0]


def test_layers_missing_from_the_file_are_reported(earlier):
    path = earlier / "embedding.h5"
    outcome = succeed(
        learn_image_embeddings,
        f"{TINY} --epochs 0 --embedding onehot --cls_weight 0.1 --finetune_init 0 --finetune",
        path,
    )
    told = [line for line in outcome.err.splitlines() if "trained from scratch" in line]
    assert told == [
        f"{path}: not in the file, trained from scratch: {name}" for name in ("prob_bn", "prob")
    ]
    assert "Last layers" not in outcome.out


def test_weights_come_from_the_file_and_the_first_stage_changes_new_layers_only(earlier, tmp_path):
    path = tmp_path / "w.h5"
    succeed(
        learn_classifier,
        f"{TINY} --epochs 0 --finetune_init 2",
        *("--finetune", earlier / "three.h5", "--weight_dump", path),
    )
    old, new = arrays(earlier / "three.h5"), arrays(path)
    kept = [name for name in old if old[name].shape == new[name].shape and old[name].size > 3]
    assert len(kept) == 6  # kernel and bias; scale, shift, mean and variance
    for name in kept:
        np.testing.assert_array_equal(new[name], old[name])
    succeed(learn_classifier, f"{TINY} --epochs 0 --weight_dump", tmp_path / "fresh.h5")
    fresh = arrays(tmp_path / "fresh.h5")
    (kernel,) = [name for name in fresh if fresh[name].shape == (8, 10)]
    assert np.abs(new[kernel] - fresh[kernel]).max() > 1e-4


@pytest.mark.parametrize(
    ("options", "file", "trained"),
    [
        ("--embedding onehot", "embedding.h5", {"embedding"}),
        ("--embedding onehot --cls_weight 0.1", "embedding.h5", {"embedding", "prob"}),
        ("--embedding onehot", "three.h5", {"embedding"}),
    ],
)
def test_the_last_layers_are_trained_first_whatever_the_file_has(
    earlier, tmp_path, options, file, trained
):
    path = tmp_path / "w.h5"
    common = f"{TINY} --epochs 0 --finetune {earlier / file} {options}"
    outcome = succeed(
        learn_image_embeddings, f"{common} --finetune_init 1 --weight_dump {path} --clipgrad 0"
    )
    assert outcome.out.startswith("Last layers, epoch 1/1 - ")
    succeed(learn_image_embeddings, f"{common} --finetune_init 0 --weight_dump {tmp_path}/0.h5")
    with open_weights(tmp_path / "0.h5") as before, open_weights(path) as after:
        different = {
            name
            for name in after
            if any(
                (a.read() != b.read()).any() for a, b in zip(after[name], before[name], strict=True)
            )
        }
    assert different == trained


def test_a_backbone_without_a_last_layer_to_train_needs_no_first_stage(tmp_path):
    common = "--dataset Digits-sub5 --repeats 1 --architecture pooled --embedding"
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(10, 8))
    np.savez(tmp_path / "e.npz", embedding=vectors, ind2label=np.arange(10))
    first = f"{common} {tmp_path / 'e.npz'} --epochs 0"
    succeed(learn_image_embeddings, f"{first} --weight_dump {tmp_path / 'w.h5'}")
    outcome = succeed(learn_image_embeddings, f"{first} --finetune {tmp_path / 'w.h5'}")
    assert "pooled has no weights in its last layer" in outcome.err
    assert "Last layers" not in outcome.out


@pytest.mark.parametrize(
    ("architecture", "loss", "cls_weight", "expected"),
    [
        ("resnet-32", "l2norm", 0.1, {"prob"}),  # pooled features: nothing but the classifier
        ("resnet-32", "l2norm", 0, set()),
        ("simple", None, 0, {"embedding"}),
        ("simple", "softmax", 0.1, {"embedding", "prob"}),
    ],
)
def test_last_layers(architecture, loss, cls_weight, expected):
    from models import build_backbone
    from models.heads import classifier_head, embedding_head

    def build():
        model = embedding_head(build_backbone(architecture, 64, classifier=False), loss)
        return classifier_head(model, 5) if cls_weight else model

    model = outline(build)
    names = last_layers(model)
    assert {
        layer.name for layer in model.layers if layer.name in names and layer.weights
    } == expected


@pytest.mark.parametrize(("architecture", "last"), [("simple", "prob"), ("rn18", "fc1000")])
def test_the_last_layer_of_a_classifier(architecture, last):
    from models import build_backbone

    model = outline(build_backbone, architecture, 5, classifier=True)
    assert last_layers(model) & {layer.name for layer in model.layers} == {last}


def test_a_file_without_any_matching_layer_is_refused(tmp_path):
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="elsewhere")])
    path = tmp_path / "other.weights.h5"
    other.save_weights(path)
    outcome = run(learn_classifier, f"{TINY} --epochs 1 --finetune", path)
    assert outcome.status == 1 and outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert last.startswith(f"learn_classifier.py: error: --finetune {path}: no layer of the file")


def weights_by_layer(model):
    return {
        layer.name: [np.array(w) for w in layer.get_weights()]
        for layer in model.layers
        if layer.weights
    }


def changed(model, before):
    return {
        name
        for name, weights in weights_by_layer(model).items()
        if any((a != b).any() for a, b in zip(weights, before[name], strict=True))
    }


def fit_one_step(model):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 8, 8, 1)).astype("float32")
    targets = np.eye(10, dtype="float32")[:6]
    model.compile(optimizer=build_optimizer(0.1), loss="categorical_crossentropy")
    model.fit(images, targets, verbose=0)


def test_frozen_layers_keep_weights_and_statistics_and_learn_afterwards(earlier):
    from models import build_backbone

    with tiny_network.registered():
        model = build_backbone("tiny", 10, classifier=True, channels=1, mean=[90], std=[50])
    load_pretrained(model, earlier / "three.h5")
    before = weights_by_layer(model)
    with training_only(model, last_layers(model)):
        fit_one_step(model)
        assert changed(model, before) == {"prob"}
    before = weights_by_layer(model)
    fit_one_step(model)
    assert changed(model, before) == {"conv0", "bn0", "prob"}


def test_frozen_batch_normalization_uses_the_statistics_of_the_batch():
    """As in Keras 2: otherwise a classifier's new normalization, 0 and 1, would do nothing."""
    from models.layers.batch_normalization import batch_normalization

    rng = np.random.default_rng(0)
    values = rng.normal(1, 0.5, (8, 5)).astype("float32")
    inputs = keras.Input((5,))
    model = keras.Model(inputs, batch_normalization("prob_bn")(inputs))
    expected = (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-3)
    with training_only(model, ["prob"]):
        frozen = keras.ops.convert_to_numpy(model(values, training=True))
        assert model.trainable_variables == []
    np.testing.assert_allclose(frozen, expected, atol=1e-4)
    statistics = [np.array(weight) for weight in model.get_weights()]
    np.testing.assert_array_equal(statistics, [np.ones(5), np.zeros(5), np.zeros(5), np.ones(5)])
    assert len(model.trainable_variables) == 2  # and learns again, at its own pace
    model(values, training=True)
    np.testing.assert_allclose(model.get_weights()[2], 0.01 * values.mean(0), rtol=1e-4)


def test_layers_are_trainable_again_after_a_failure(earlier):
    from models import build_backbone

    with tiny_network.registered():
        model = build_backbone("tiny", 10, classifier=True, channels=1)
    with pytest.raises(RuntimeError), training_only(model, ["prob"]):
        assert not model.get_layer("conv0").trainable
        raise RuntimeError
    assert model.get_layer("conv0").trainable
