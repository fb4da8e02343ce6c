"""What holds for every backbone: its name, its size, its input and its output."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import models
from models.registry import BACKBONES
from utils import UsageError

# All parameters with so many outputs; those of ResNet-50 to -152 as keras.applications gives them,
# the others of CIFAR as Barz and Denzler do.
PARAMETERS = {
    "simple": (100, 3_386_404),
    "resnet-110": (100, 1_745_956),
    "resnet-110-fc": (100, 1_745_956),
    "resnet-110-wfc": (100, 6_929_380),
    "resnet-50": (1000, 25_636_712),
    "resnet-101": (1000, 44_707_176),
    "resnet-152": (1000, 60_419_944),
}

# Trainable parameters, as torchvision and timm count them. Where the first stage has basic blocks
# it has a projection that theirs lacks: 64 x 64 weights and 2 x 64 of the batch normalization.
TRAINABLE = {
    "rn18": (1000, 11_689_512 + 4_224),
    "rn34": (1000, 21_797_672 + 4_224),
    "rn50": (1000, 25_557_032),
    "rn101": (1000, 44_549_160),
    "rn152": (1000, 60_192_808),
    "rn200": (1000, 64_673_832),
    "wrn-28-10": (100, 36_536_884),
    # Convolutions with their biases, 31 batch normalizations, the dense layer.
    "resnet-32": (
        100,
        (27 * 16 + 16)
        + 10 * (144 * 16 + 16)
        + (144 * 32 + 32)
        + 9 * (288 * 32 + 32)
        + (288 * 64 + 64)
        + 9 * (576 * 64 + 64)
        + 2 * (11 * 16 + 10 * 32 + 10 * 64)
        + 6500,
    ),
}

# Their forward pass would take longer than all other tests together, and shows nothing new.
DEEPEST = ("resnet-152", "rn152", "rn200")


def build(name, num_outputs=10, classifier=True, **options):
    return models.build_backbone(name, num_outputs, classifier=classifier, **options)


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def without_outputs(model, total, outputs):
    """The parameters of the last layer taken off a total that was counted with more outputs."""
    features = model.layers[-1].kernel.shape[0]
    return total - (features + 1) * (outputs - 10)


@pytest.mark.parametrize("name", models.architecture_names())
def test_classifier(name):
    model = build(name)

    if name in PARAMETERS:
        outputs, total = PARAMETERS[name]
        assert model.count_params() == without_outputs(model, total, outputs)
    else:
        outputs, total = TRAINABLE[name]
        assert count(model.trainable_weights) == without_outputs(model, total, outputs)
    assert model.layers[-1].name == "prob"
    assert_weights_are_named(model)
    if name not in DEEPEST:
        image = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
        probabilities = keras.ops.convert_to_numpy(model(image))
        assert probabilities.shape == (2, 10)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", models.architecture_names())
def test_embedding(name):
    model = build(name, 80, classifier=False)

    assert model.layers[-1].name == "embedding"
    assert model.output.shape == (None, 80)
    assert model.output.dtype == "float32"
    assert_weights_are_named(model)
    assert model.layers[-1].activation is keras.activations.linear


def assert_weights_are_named(model):
    """Names that Keras counts up would differ from one build to the next."""
    generated = re.compile(r"(conv2d|dense|batch_normalization)(_\d+)?")
    assert not [
        layer.name for layer in model.layers if layer.weights and generated.fullmatch(layer.name)
    ]


@pytest.mark.parametrize("module", models.FAMILIES)
def test_the_table_lists_what_the_module_registers(module, monkeypatch):
    importlib.import_module(module)
    monkeypatch.setattr(BACKBONES, "_entries", {})
    importlib.reload(sys.modules[module])

    assert tuple(BACKBONES.names()) == models.FAMILIES[module]


def test_every_module_of_a_family_is_in_the_table():
    folder = Path(models.__file__).parent / "backbones"
    registering = {
        f"models.backbones.{path.stem}"
        for path in folder.glob("*.py")
        if "BACKBONES.register" in path.read_text(encoding="utf-8")
    }

    assert registering == set(models.FAMILIES)


def test_listing_names_imports_nothing_heavy():
    code = (
        "import sys, models; models.architecture_names();"
        "sys.exit(any(m in sys.modules for m in ('keras', 'tensorflow', 'jax', 'torch', 'h5py')))"
    )
    root = Path(models.__file__).parents[1]

    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_names_are_case_insensitive():
    assert build("ResNet-32").count_params() == build("resnet-32").count_params()


def test_unknown_name_lists_the_known():
    with pytest.raises(UsageError, match=r"'resnet-33'.*simple.*resnet-110-wfc.*rn200"):
        build("resnet-33")


@pytest.mark.parametrize("size", [(32, 32), (33, 40), (15, 9)])
@pytest.mark.parametrize("name", ["simple", "resnet-32", "rn18"])
def test_input_size_is_free(name, size):
    model = build(name, 70, classifier=False)

    assert model(np.zeros((1, *size, 3), np.float32)).shape == (1, 70)


def test_input_takes_raw_images_of_the_given_channels():
    model = build("simple", channels=1, mean=[33.3], std=[78.5])

    assert model.input.name == "image"
    assert model.input.dtype == "float32"
    assert model.input.shape == (None, None, None, 1)
    assert model.layers[1].name == "normalization"
    assert model.get_layer("conv1").kernel.shape == (3, 3, 1, 64)
    # Given means are settings, not weights: the count is that of the bare network.
    assert model.count_params() == 3_386_404 - 513 * 90 - 2 * 9 * 64


@pytest.fixture
def bfloat16_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(("name", "classifier"), [("simple", True), ("resnet-32", False)])
def test_mixed_precision_computes_in_bfloat16_and_returns_float32(
    bfloat16_policy, name, classifier
):
    model = build(name, 64, classifier=classifier, mean=[1, 2, 3])

    assert keras.backend.standardize_dtype(model(np.ones((1, 16, 16, 3))).dtype) == "float32"
    convolution = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert convolution.compute_dtype == "bfloat16"
    assert convolution.output.dtype == "bfloat16"
