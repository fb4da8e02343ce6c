"""The tables that the networks are compared with against those of the published code."""

import csv
from pathlib import Path

import pytest

from models import build_network
from models.heads import layer_output
from tests.models.backbones.layer_tables import TABLES, Row
from tests.models.outlines import outline

SHARED = Path(__file__).parents[4] / "shared/data/backbone_layers"
COLUMNS = (
    *("type", "weight_shapes", "output_shape", "padding", "strides", "use_bias", "kernel_init"),
    *("l2", "bn_epsilon", "bn_momentum"),
)
NAMES = (
    *("wrn-28-10", "densenet-100-12", "densenet-100-24", "densenet-bc-190-40"),
    *("pyramidnet-272-200", "pyramidnet-110-270"),
)


needs_tables = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the published layer tables are not in {SHARED}"
)


def published_lines(name):
    with open(SHARED / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@needs_tables
@pytest.mark.parametrize("name", NAMES)
def test_tables_are_the_published_ones(name):
    published = {
        line["name"]: Row(*(line[column] for column in COLUMNS))
        for line in published_lines(name)
        if line["type"] != "InputLayer"
    }
    ours = TABLES[name]().rows
    if name.startswith("pyramidnet"):
        for layer in ("average_pooling2d_1", "average_pooling2d_2"):
            assert published[layer].padding == "valid"  # the same as ours for even sizes
            published[layer] = published[layer]._replace(padding="same")

    assert ours == published


@needs_tables
@pytest.mark.parametrize("name", ["wrn-28-10", "densenet-100-12", "pyramidnet-110-270"])
def test_layers_have_the_published_indices(name):
    model = outline(build_network, name, 100, classifier=True, input_shape=(32, 32, 3))

    for index, line in enumerate(published_lines(name)[1:], start=1):
        assert layer_output(model, str(index)) is model.get_layer(line["name"]).output
