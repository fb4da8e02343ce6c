"""Each augmentation option, given alone, changes what it names and nothing else."""

import argparse
from dataclasses import asdict

import pytest

from cli.augmentation_options import add_augmentation_options, augmented, check_augmentation_options
from datasets import get_dataset
from datasets.images.augmentation.mixing import CutMix, MixUp
from datasets.images.augmentation.randaugment import RandAugment
from tests.fake_data import write_folder

CHANGES = {
    "": {},
    "--erasing off": {"erasing": 0.0},
    "--erasing 0.3": {"erasing": 0.3},
    "--vflip": {"vflip": 0.5},
    "--color_jitter": {"jitter": 0.4},
    "--randaugment 2 9": {"randaugment": asdict(RandAugment(2, 9))},
    "--randaugment timm:1:5": {"randaugment": asdict(RandAugment(1, 5, "timm"))},
    "--crop_scale 0.4 1": {"crop_scale": (0.4, 1), "train_size": None},
    "--cutmix 1": {"mixing": CutMix(1, 1)},
    "--cutmix 1 --cutmix_prob 0.5": {"mixing": CutMix(1, 0.5)},
    "--mixup 0.2": {"mixing": MixUp(0.2)},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return get_dataset("Folder", write_folder(tmp_path_factory.mktemp("images")))


@pytest.mark.parametrize("options", CHANGES)
def test_each_option_changes_only_what_it_names(dataset, options):
    parser = argparse.ArgumentParser()
    add_augmentation_options(parser)
    args = parser.parse_args(options.split())
    check_augmentation_options(args)
    before, after = (
        {**asdict(each.preprocessing), "mixing": each.mixing}
        for each in (dataset, augmented(args, dataset))
    )
    assert before["erasing"] == 0.5  # so that "off" makes a difference
    assert {name: after[name] for name in after if after[name] != before[name]} == CHANGES[options]
