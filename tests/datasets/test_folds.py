"""Stratified folds of the training images, one of which is held out."""

import hashlib

import numpy as np
import pytest

from datasets import get_dataset
from datasets.holdout import fold_indices
from tests.fake_data import write_cifar100
from utils import UsageError


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    return write_cifar100(tmp_path_factory.mktemp("cifar"), classes=4, train=7)


def by_the_page(dataset, folds, seed):
    """Names of the images in each fold by the documented rule."""
    found, turn = [set() for _ in range(folds)], 0
    for position in range(dataset.num_classes):
        pairs = zip(dataset.train.names, dataset.train.labels, strict=True)
        names = [name for name, label in pairs if label == position]
        names.sort(key=lambda n: hashlib.sha256(f"fold {seed} {n}".encode()).digest())
        for name in names:
            found[turn % folds].add(name)
            turn += 1
    return found


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_the_rule_is_the_documented_one(cifar, folds):
    full = get_dataset("CIFAR-100", cifar)
    expected = by_the_page(full, folds, 5)
    sizes = []
    for fold in range(folds):
        dataset = get_dataset("CIFAR-100", cifar, folds=folds, fold=fold, subset_seed=5)
        assert {*dataset.validation.names} == expected[fold]
        assert sorted([*dataset.train.names, *dataset.validation.names]) == sorted(full.train.names)
        assert dataset.test.names == full.test.names
        assert {*np.bincount(dataset.validation.labels).tolist()} <= {7 // folds, -(-7 // folds)}
        sizes.append(len(dataset.validation))
    assert sum(sizes) == 28 and max(sizes) - min(sizes) <= 1


def test_the_seed_decides(cifar):
    folds = [
        get_dataset("CIFAR-100", cifar, folds=3, fold=0, subset_seed=seed).validation.names
        for seed in (0, 0, 1)
    ]
    assert folds[0] == folds[1] != folds[2]


def test_image_order_does_not_matter_and_duplicates_stay_together():
    labels, names = np.repeat([0, 1], 8), [*"aabcdefg", *"hhijklmn"]
    order = np.random.default_rng(0).permutation(16)
    shuffled = [names[i] for i in order]
    for fold in range(3):
        chosen = [names[i] for i in fold_indices(labels, names, 3, fold, 4)]
        again = [shuffled[i] for i in fold_indices(labels[order], shuffled, 3, fold, 4)]
        assert sorted(chosen) == sorted(again)
        assert chosen.count("a") in (0, 2) and chosen.count("h") in (0, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 8, "fold": 0}, "--folds 8: every fold needs .* 0 of CIFAR-100 has 7 training"),
        ({"folds": 5, "fold": 5}, "--fold 5: of 5 folds, give one from 0 to 4"),
        ({"folds": 5}, "--folds K and --fold I"),
        ({"fold": 0}, "--folds K and --fold I"),
    ],
)
def test_too_few_images_for_the_folds_are_refused(cifar, options, message):
    with pytest.raises(UsageError, match=message):
        get_dataset("CIFAR-100", cifar, **options)
