"""All backbones: names, sizes, inputs and outputs."""

import gc
import importlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

import models
from models.backbones import (
    cifar_resnet,
    densenet,
    imagenet_resnet,
    plain,
    pyramidnet,
    resnet,
    wide_resnet,
)
from models.files.configurations import LAYERS, read_configuration
from models.files.saved import load_weights, save_model
from models.layers.inputs import image_input
from models.layers.network import Network
from models.registry import BACKBONES
from tests.models.backbones.layer_tables import TABLES, layers_of
from tests.models.outlines import outline
from utils import UsageError

# All parameters with so many outputs, as counted in the networks of the published code.
PARAMETERS = {
    "simple": (100, 3_386_404),
    "resnet-110": (100, 1_745_956),
    "resnet-110-fc": (100, 1_745_956),
    "resnet-110-wfc": (100, 6_929_380),
    "resnet-110-selu": (100, 1_745_956),
    "resnet-110-fc-selu": (100, 1_745_956),
    "resnet-110-wfc-selu": (100, 6_929_380),
    "wrn-28-10": (100, 36_554_836),
    "densenet-100-12": (100, 7_202_068),
    "densenet-100-24": (100, 27_689_236),
    "densenet-bc-190-40": (100, 26_078_580),
    "pyramidnet-272-200": (100, 26_562_812),
    "pyramidnet-110-270": (100, 28_577_699),
    "resnet-50": (1000, 25_636_712),
    "resnet-101": (1000, 44_707_176),
    "resnet-152": (1000, 60_419_944),
    "rn18": (100, 11_241_764),
    "rn34": (100, 21_357_348),
    "rn50": (100, 23_766_052),
    "rn101": (100, 42_810_404),
    "rn152": (100, 58_500_132),
    "rn200": (100, 63_005_732),
    "nasnet-a": (100, 85_320_118),
}

# Trainable parameters; of rn… as torchvision and timm count them. Where the first stage has basic
# blocks it has a projection that theirs lacks: 64 x 64 weights and 2 x 64 of the normalization.
TRAINABLE = {
    "wrn-28-10": (100, 36_536_884),
    "densenet-100-12": (100, 7_084_852),
    "densenet-100-24": (100, 27_457_972),
    "densenet-bc-190-40": (100, 25_821_620),
    "pyramidnet-272-200": (100, 26_351_948),
    "pyramidnet-110-270": (100, 28_527_901),
    "rn18": (1000, 11_689_512 + 4_224),
    "rn34": (1000, 21_797_672 + 4_224),
    "rn50": (1000, 25_557_032),
    "rn101": (1000, 44_549_160),
    "rn152": (1000, 60_192_808),
    "rn200": (1000, 64_673_832),
    "nasnet-a": (100, 85_123_450),
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
TRAINABLE["resnet-32-selu"] = TRAINABLE["resnet-32"]

# The others compute what small networks of the same functions compute, see SMALL, and their
# weights alone would take longer than all other tests together.
COMPUTED = ("simple", "resnet-32", "resnet-32-selu", "resnet-50", "rn18")

# Built in tests of their own: NASNet takes as long as ten others, and these variants differ from
# one that is built in an entry of a table. Networks for documents take another input.
ELSEWHERE = (
    *("nasnet-a", "resnet-110-selu", "resnet-110-fc-selu", "resnet-110-wfc-selu"),
    *models.FOR_WORDS,
)

# Of PyTorch, see test_torch_networks.py and test_convolutions.py.
TORCH = (
    *("cifar-resnet-18", "lenet-2d", "lenet", "classifier32", "iresnet-50", "iresnet-100"),
    *("wrn-16-8", "resnet-50-v1.5"),
)


@pytest.fixture(autouse=True)
def _no_garbage_collection():
    """Spare a third of the time, in which Python looks for garbage among all layers."""
    gc.disable()
    yield
    gc.enable()


def build(name, num_outputs=10, classifier=True, **options):
    return models.build_backbone(name, num_outputs, classifier=classifier, **options)


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def with_100_outputs(model, total, outputs):
    """A total that was counted with another number of outputs."""
    features = model.layers[-1].kernel.shape[0]
    return total - (features + 1) * (outputs - 100)


@pytest.mark.parametrize(
    "name", [n for n in models.architecture_names() if n not in (*ELSEWHERE, *TORCH)]
)
def test_classifier(name):
    """Check a whole network at once: building it takes seconds."""
    model = build(name, 100) if name in COMPUTED else outline(build, name, 100)

    for totals, weights in (
        (PARAMETERS, model.weights),
        (TRAINABLE, model.trainable_weights),
    ):
        if name in totals:
            outputs, total = totals[name]
            assert count(weights) == with_100_outputs(model, total, outputs)
    assert_has_layers(model, TABLES[name]())
    assert model.layers[-1].activation is keras.activations.softmax
    if name in COMPUTED:
        image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
        probabilities = keras.ops.convert_to_numpy(model(image))
        assert probabilities.shape == (1, 100)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def assert_has_layers(model, table):
    side, *_ = table.shapes["image"]
    rows, inputs = layers_of(model, side)
    assert {row.type for row in rows.values()} <= LAYERS | {"ChannelPadding"}
    assert {name: rows.get(name) for name in table.rows} == table.rows
    if table.unnamed:
        assert inputs == table.inputs
    else:
        assert {layer.name for layer in model.layers if layer.weights} <= table.rows.keys()


# Small networks of the functions that build the families, for what all variants have in common.
DENSE = densenet.Variant(growth=4, depth=1, first=8, bottleneck=True, compression=0.5)
PYRAMID = pyramidnet.Variant(pyramidnet.basic, blocks=1, widening=12)
WIDE = wide_resnet.Variant(blocks=1, width=1)
SMALL = {
    "simple": (plain.simple, "embedding", "prob"),
    "resnet-110-fc": (
        partial(cifar_resnet.cifar_resnet, variant=cifar_resnet.Variant(1, (4, 8, 8), dense=True)),
        *("embedding", "prob"),
    ),
    "wrn": (partial(wide_resnet.wide_resnet, variant=WIDE), "embedding", "prob"),
    "densenet": (partial(densenet.densenet, variant=DENSE), "dense_1", "dense_1"),
    "pyramidnet": (partial(pyramidnet.pyramidnet, variant=PYRAMID), "embedding", "prob"),
    "resnet-50": (
        partial(
            resnet.residual_network,
            variant=resnet.VARIANTS["resnet-50"]._replace(blocks=(1, 1, 1, 1)),
        ),
        *("embedding", "prob"),
    ),
    "rn18": (
        partial(
            resnet.residual_network,
            variant=imagenet_resnet.VARIANTS["rn18"]._replace(blocks=(1, 1, 1, 1)),
        ),
        *("embedding", "fc1000"),
    ),
}


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("classifier", [False, True])
def test_last_layer(family, classifier):
    body, *names = SMALL[family]
    image, x = image_input(3)
    model = keras.Model(image, body(x, 80, classifier))

    last = model.layers[-1]
    assert last.name == names[classifier]
    assert model.output.shape == (None, 80)
    assert model.output.dtype == "float32"
    activations = keras.activations
    assert last.activation is (activations.softmax if classifier else activations.linear)


@pytest.mark.parametrize("family", SMALL)
def test_saved_networks_are_accepted_and_compute_the_same(family, tmp_path):
    """Save in the old format, which has less of Keras; test_saved.py compares the two."""
    body, *_ = SMALL[family]
    image, x = image_input(3)
    model = Network(image, body(x, 5, True))
    path = tmp_path / "model.h5"
    save_model(model, path)

    again = keras.Model.from_config(read_configuration(path))
    assert not load_weights(again, path).missing
    images = np.random.default_rng(0).uniform(size=(1, 32, 32, 3)).astype(np.float32)
    one, other = (keras.ops.convert_to_numpy(network(images)) for network in (model, again))
    np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-7)


def test_every_architecture_has_its_tables():
    names = set(models.architecture_names()) - {*TORCH, *models.FOR_WORDS}

    assert PARAMETERS.keys() | TRAINABLE.keys() == names
    # NASNet is compared with Keras'.
    assert TABLES.keys() == names - {"nasnet-a"}


def test_selu_is_the_only_difference_of_its_variants():
    for name, variant in cifar_resnet.VARIANTS.items():
        if not name.endswith("-selu"):
            assert variant.activation == "relu"
            selu = variant._replace(activation="selu")
            assert cifar_resnet.VARIANTS[f"{name}-selu"] == selu
    activations = [
        layer.activation
        for layer in outline(build, "resnet-32-selu").layers
        if isinstance(layer, keras.layers.Activation)
    ]

    assert activations == 31 * [keras.activations.selu]


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
    one, other = (outline(build, name).count_params() for name in ("ResNet-32", "resnet-32"))
    assert one == other


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
