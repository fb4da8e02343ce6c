"""Model files of the published code in the commands: predictions, accuracy, export."""

import json
import lzma
import pickle
import resource
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

import evaluate_classification_accuracy
import export_model
import predict
from cli import model_options
from models import build_network
from models.backbones.cifar_resnet import VARIANTS as RESNETS
from models.backbones.cifar_resnet import cifar_resnet
from models.backbones.densenet import VARIANTS as DENSENETS
from models.backbones.densenet import densenet
from models.files.published import Facts, describe, open_model
from models.files.saved import save_model
from models.heads import classifier_head, embedding_head
from models.registry import BACKBONES
from tests.commands.running import run, succeed
from tests.models.files.test_export import needs
from tests.models.files.test_weights import write_keras_2
from utils import UserError

DATA = Path(__file__).parents[2] / "data"
# Normalized images are multiples of 1/16, so these pixels are whole numbers.
MEAN, STD = 128, 16
PIXELS = "--mean 128 128 128 --std 16 16 16"
GIVEN = f"--model m.h5 --architecture resnet-32 --classes_from e.pickle {PIXELS}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder with the published files, and images one by one and by true class."""
    monkeypatch.chdir(tmp_path)
    Path("m.h5").write_bytes(lzma.decompress((DATA / "published-resnet-32.h5.xz").read_bytes()))
    Path("e.pickle").write_bytes((DATA / "published-resnet-32.embedding.pickle").read_bytes())
    pixels = (expected()["images"] * STD + MEAN).astype(np.uint8)
    assert ((pixels - np.float32(MEAN)) / STD == expected()["images"]).all()
    for i, label in enumerate([3, 1, 3, 0]):
        for place in (Path("one"), Path("photos", str(label))):
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[i]).save(place / f"{i}.png")
    return tmp_path


def expected():
    return np.load(DATA / "published-resnet-32.npz")


def class_embeddings():
    with open("e.pickle", "rb") as file:
        return pickle.load(file)["embedding"]  # noqa: S301 (of this project)


def predicted(options):
    outcome = succeed(predict, f"one {GIVEN} {options} --top_k 5 --format jsonl")
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    scores = np.zeros((4, 5))
    for i, line in enumerate(lines):
        for one in line["predictions"]:
            scores[i, one["label"]] = one["score"]
    return scores, lines[0]["score_kind"]


def test_predictions_are_the_published_outputs(folder):
    scores, kind = predicted("")
    assert kind == "probability"
    np.testing.assert_allclose(scores, expected()["prob"], atol=1e-5)
    scores, kind = predicted("--output l2norm")
    assert kind == "cosine similarity"
    np.testing.assert_allclose(scores, expected()["l2norm"] @ class_embeddings().T, atol=1e-5)


@pytest.mark.parametrize(
    ("node", "taken"), [([["avg_pool", 0, 0, {}]], "the layer avg_pool"), ([], "an unknown layer")]
)
def test_classifiers_on_other_layers_are_refused(folder, node, taken):
    with h5py.File("m.h5", "a") as file:
        network = json.loads(file.attrs["model_config"])
        (relu,) = [one for one in network["config"]["layers"] if one["name"] == "re_lu_31"]
        relu["inbound_nodes"] = [node]
        file.attrs["model_config"] = json.dumps(network)
    outcome = run(predict, f"one {GIVEN}")
    assert outcome.status == 1
    assert f"m.h5 takes {taken} (--cls_base): only those" in outcome.err


TRUTH = np.array([3, 1, 3, 0])


def test_accuracies_are_those_of_the_published_outputs(folder):
    options = f"--dataset Folder --data_root photos --all --target_size 32 --crop_size 32 {GIVEN}"
    methods = {
        "": expected()["prob"],
        "--layer prob --prob_features yes": expected()["prob"],
        "--layer l2norm --centroids e.pickle": -(
            (expected()["l2norm"][:, None] - class_embeddings()) ** 2
        ).sum(axis=-1),
    }
    for method, scores in methods.items():
        outcome = succeed(evaluate_classification_accuracy, f"{options} {method}")
        truth = 100 * np.mean(scores.argmax(axis=1) == TRUTH)
        assert f"{truth:.2f}" in outcome.out.splitlines()[-1].split(), method
        assert "2 classes of Folder have no test images: 2, 4" in outcome.err
        assert outcome.out.startswith("4 test images of 5 classes")


def test_the_evaluation_takes_mean_and_deviation_of_its_data_set(folder):
    """Measured on the training images where none are published."""
    rng = np.random.default_rng(2)
    images = {"train": [], "test": []}
    for part, found in images.items():
        for label in range(5):
            for i in range(3):
                pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
                pixels = (pixels * rng.uniform(0.2, 1, 3)).astype(np.uint8)
                place = Path("data", part, str(label))
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(place / f"{i}.png")
                found.append(pixels)
    pixels = np.stack(images["train"]).astype(float)
    mean = pixels.mean(axis=(0, 1, 2))
    std = np.sqrt(((pixels - mean) ** 2).mean(axis=(1, 2)).sum(axis=0) / (len(pixels) - 1))
    given = FACTS | {"mean": mean, "std": std}
    network, _ = open_model(Path("m.h5"), Facts(**given, vectors=np.float32(class_embeddings())))
    scores = network.predict_on_batch(np.stack(images["test"]).astype(np.float32))[1]
    sizes = "--dataset Folder --data_root data --target_size 32 --crop_size 32"
    model = "--model m.h5 --architecture resnet-32 --classes_from e.pickle"
    succeed(evaluate_classification_accuracy, f"{sizes} {model} --confusion c.csv")
    found = np.loadtxt("c.csv", int, delimiter=",", skiprows=1, usecols=range(2, 7))
    expected = np.zeros((5, 5), int)
    np.add.at(expected, (np.repeat(range(5), 3), scores.argmax(axis=1)), 1)
    assert (found == expected).all() and (expected > 0).sum() > 5


@needs("onnx")
def test_export(folder):
    outcome = succeed(
        export_model, f"{GIVEN} --format onnx --output both --out m.onnx --check_images one"
    )
    assert "probabilities: largest difference" in outcome.out
    import onnxruntime

    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    pixels = (expected()["images"] * STD + MEAN).astype(np.uint8)
    found = dict(
        zip(
            [o.name for o in session.get_outputs()],
            session.run(None, {"image": pixels}),
            strict=True,
        )
    )
    np.testing.assert_allclose(found["probabilities"], expected()["prob"], atol=1e-5)
    np.testing.assert_allclose(found["embedding"], expected()["l2norm"], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "status", "named"),
    [
        ("--model m.h5", 1, "give --architecture"),
        (f"--model m.h5 {PIXELS}", 2, "--mean is for"),
        ("--model m.h5 --architecture resnet-32", 2, "--mean R G B --std R G B"),
        ("--model m.h5 --architecture resnet-32 --dataset CIFAR-100", 2, "CIFAR-100 are not pub"),
        ("--model m.h5 --architecture resnet-32 --mean 1 2 3", 2, "--mean is alone"),
        ("--model m.h5 --architecture resnet-32 --mean 1 2 --std 1 2", 2, "one number per channel"),
        ("--model m.h5 --architecture resnet-32 --mean 1 2 3 --std 1 0 1", 2, "--std 0"),
        (GIVEN.replace("resnet-32", "resnet-33"), 2, "resnet-33"),
        (GIVEN.replace("resnet-32", "resnet-110"), 1, "does not fill the resnet-110"),
        (GIVEN.replace("resnet-32", "simple"), 1, "does not fill the simple"),
        (GIVEN.replace("e.pickle", "six.npz"), 2, "distinguishes 5 classes, not 6"),
        (
            GIVEN.replace("e.pickle", "flat.npz"),
            2,
            "64 dimensions, but the class embeddings have 5",
        ),
        (GIVEN.replace("e.pickle", "absent.npz"), 1, "absent.npz"),
        (GIVEN.replace("m.h5", "cut.h5"), 1, "cut.h5"),
        (GIVEN.replace("m.h5", "e.pickle"), 1, "e.pickle"),
        (GIVEN.replace("m.h5", "absent.h5"), 1, "absent.h5"),
    ],
)
def test_unsuitable_files_give_a_one_line_error(folder, options, status, named):
    np.savez("six.npz", embedding=np.ones((6, 64)), ind2label=np.arange(6))
    np.savez("flat.npz", embedding=np.eye(5), ind2label=np.arange(5))
    Path("cut.h5").write_bytes(Path("m.h5").read_bytes()[:100_000])
    outcome = run(predict, f"one {options}")
    assert outcome.status == status, outcome.err
    assert outcome.out == "" and len(outcome.err.splitlines()) == 1
    assert named in outcome.err


def test_the_published_normalization_and_size_of_a_data_set(folder):
    """Everything after the normalization and the size depends on them alone."""

    def facts(options):
        model = "b.png --model m.h5 --architecture resnet-32"
        args = predict.build_parser().parse_args(f"{model} {options}".split())
        return model_options.facts_from_options(args)

    mean = "123.82988033 127.35116805 110.25606303"
    std = "59.2230949 58.0736071 67.80251684"
    named = facts("--dataset CUB --crop_size 32 --target_size 36")
    given = facts(f"--mean {mean} --std {std} --crop_size 32 --target_size 36")
    assert named == replace(given, dataset="CUB")
    assert (given.mean, given.std, given.bgr) == (numbers(mean), numbers(std), False)
    assert (given.channels, given.crop_size, given.target_size) == (3, 32, 36)
    whole = facts("--dataset CUB")
    assert (whole.crop_size, whole.target_size) == (448, 512)
    caffe = facts("--dataset CUB-caffe")
    assert caffe.bgr and caffe.std == (1, 1, 1) and caffe.mean != named.mean


def numbers(text):
    return tuple(map(float, text.split()))


def test_no_layer_of_the_file_is_made(folder, monkeypatch):
    """A file whose Lambda layer Keras would have to execute; only names are read of it."""
    with h5py.File("m.h5", "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1] |= {"class_name": "Lambda", "config": {"function": "evil"}}
        file.attrs["model_config"] = json.dumps(config)
    monkeypatch.setattr(keras.layers, "Lambda", None)
    predicted("")


def test_options_for_published_files_are_refused_for_one_of_this_project(folder):
    network = build_network("simple", 5, classifier=True, input_shape=(8, 8, 3))
    facts = FACTS | {"architecture": "simple", "crop_size": 8, "target_size": 8}
    with h5py.File("plain.h5", "w") as file:
        write_keras_2(file, by_layer(network))
    save_model(network, "own.h5", describe(Path("plain.h5"), Facts(**facts)))
    outcome = run(predict, "one --model own.h5 --architecture simple --mean 1 2 3")
    assert outcome.status == 2 and outcome.out == ""
    assert outcome.err.endswith("published code; own.h5 is of this project\n")


FACTS = {
    "architecture": "resnet-32",
    "dataset": "some",
    "channels": 3,
    "mean": (0, 0, 0),
    "std": (1, 1, 1),
    "bgr": False,
    "target_size": 32,
    "crop_size": 32,
}


def by_layer(network):
    """Shapes of the weights of a network as Keras 2 would name them."""
    return {
        layer.name: {
            f"{layer.name}/{i}:0": tuple(weight.shape) for i, weight in enumerate(layer.weights)
        }
        for layer in network.layers
    }


def saved(path, network, names=()):
    """A file of Keras 2 with these layers, some under other names."""
    layers = by_layer(network)
    layers.pop("normalization", None)
    renamed = dict(names)
    with h5py.File(path, "w") as file:
        write_keras_2(file, {renamed.get(name, name): w for name, w in layers.items()})


def embedding_network(dimensions, normalization, classes, architecture="resnet-32"):
    network = build_network(architecture, dimensions, classifier=False, input_shape=(32, 32, 3))
    network = embedding_head(network, normalization)
    return classifier_head(network, classes) if classes else network


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A working folder where ResNet-32 and DenseNet have fewer layers, of the same names."""
    monkeypatch.chdir(tmp_path)
    few = {
        "resnet-32": partial(cifar_resnet, variant=RESNETS["resnet-32"]._replace(blocks=1)),
        "densenet-100-12": partial(
            densenet, variant=DENSENETS["densenet-100-12"]._replace(depth=2)
        ),
    }
    for name, build in few.items():
        monkeypatch.setitem(BACKBONES._entries, name, (name, build))


VECTORS = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
AUTOMATIC = {"prob_bn": "batch_normalization_7", "prob_relu": "re_lu_3"}


@pytest.mark.parametrize(
    ("network", "vectors", "outputs"),
    [
        ((64, "l2norm", 5), VECTORS, [("l2norm", "dot"), ("prob", "output")]),
        ((64, "l2norm", 0), VECTORS, [("l2norm", "dot")]),
        ((64, None, 0), VECTORS, [("embedding", "distance")]),
        ((64, None, 5), VECTORS, [("embedding", "distance"), ("prob", "output")]),
        ((5, "softmax", 0), VECTORS[:, :5], [("softmax", "largest")]),
        ((5, "softmax", 0), None, [("softmax", "output")]),
        ((64, "l2norm", 5, "densenet-100-12"), VECTORS, [("l2norm", "dot"), ("prob", "output")]),
        ((64, None, 0, "densenet-100-12"), VECTORS, [("embedding", "distance")]),
        ((5, "l2norm", 0), None, [("l2norm", "output")]),
        ((64, None, 0, "simple"), VECTORS, [("embedding", "distance")]),
        (None, None, [("prob", "output")]),
    ],
)
def test_heads_are_read_off_the_names_of_the_layers(small, network, vectors, outputs):
    if network is None:
        model = build_network("resnet-32", 5, classifier=True, input_shape=(32, 32, 3))
    else:
        model = embedding_network(*network)
    architecture = network[3] if network and len(network) > 3 else "resnet-32"
    # This DenseNet has 9 unnamed batch normalizations of its own, the published one 99.
    own = {"prob_bn": "batch_normalization_10"} if "densenet" in architecture else {}
    saved("other.h5", model, AUTOMATIC | own)
    facts = Facts(**FACTS | {"architecture": architecture}, vectors=vectors, labels=range(5))
    description = describe(Path("other.h5"), facts)
    assert [(one.name, one.decision) for one in description.outputs] == outputs
    rebuilt, _ = open_model(Path("other.h5"), facts)
    assert len(rebuilt.outputs) == len(outputs)
    assert rebuilt.count_params() == model.count_params()


def test_layers_of_another_network_are_reported(small, caplog):
    saved("less.h5", embedding_network(64, "l2norm", 0), {"conv0": "conv99"})
    with pytest.raises(UserError, match=r"less\.h5 does not fill the resnet-32: 1 layers .* conv0"):
        open_model(Path("less.h5"), Facts(**FACTS, vectors=VECTORS, labels=range(5)))


@pytest.mark.parametrize("shape", [(0, 10**9), (64, 10**7), (1, 500_000)])
def test_a_file_that_declares_far_too_many_classes_takes_no_memory(folder, shape):
    """Nothing is stored of the array; the network would take up to 256 GB."""
    with h5py.File("m.h5", "a") as file:
        group = file["model_weights/prob/prob"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", shape, "f4", chunks=(1, 1000) if shape[0] else None)
    given = Facts(**FACTS, vectors=VECTORS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"m\.h5 "):
        open_model(Path("m.h5"), given)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # kilobytes
