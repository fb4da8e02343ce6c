"""The tables that the networks are compared with against those of the published code."""

import csv
from pathlib import Path

import pytest

from tests.models.backbones.layer_tables import TABLES, Row

SHARED = Path(__file__).parents[4] / "shared/data/backbone_layers"
COLUMNS = (
    *("type", "weight_shapes", "output_shape", "padding", "strides", "use_bias", "kernel_init"),
    *("l2", "bn_epsilon", "bn_momentum"),
)
NAMES = (
    *("wrn-28-10", "densenet-100-12", "densenet-100-24", "densenet-bc-190-40"),
    *("pyramidnet-272-200", "pyramidnet-110-270"),
)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the published layer tables are not in {SHARED}")
@pytest.mark.parametrize("name", NAMES)
def test_tables_are_the_published_ones(name):
    with open(SHARED / f"{name}.csv", encoding="utf-8", newline="") as file:
        published = {
            line["name"]: Row(*(line[column] for column in COLUMNS))
            for line in csv.DictReader(file)
            if line["type"] != "InputLayer"
        }
    ours = TABLES[name]().rows
    if name.startswith("pyramidnet"):
        for layer in ("average_pooling2d_1", "average_pooling2d_2"):
            assert published[layer].padding == "valid"  # the same as ours for even sizes
            published[layer] = published[layer]._replace(padding="same")

    assert ours == published
