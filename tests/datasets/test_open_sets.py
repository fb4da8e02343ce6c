"""Published splits, against the lists as they were read from the published code."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from datasets import get_dataset
from datasets.open_sets import parse_split, split_classes
from utils import UsageError

LISTS = Path(__file__).parents[3] / "shared/data/osr/arpl_splits_2020.json"
DIGITS = get_dataset("Digits")
TINY = tuple(f"n{i:08d}" for i in range(200))


def named(name, labels=tuple(range(10))):
    """A data set of another name, with other labels."""
    return replace(DIGITS, name=name, labels=labels, class_names=tuple(map(str, labels)))


def test_known_classes_are_in_the_published_order():
    assert split_classes("arpl:0", named("MNIST")).known == (2, 4, 5, 9, 8, 3)
    found = split_classes("arpl:4", named("SVHN"))
    assert (found.known, found.unknown) == ((4, 9, 2, 7, 1, 0), (3, 5, 6, 8))
    assert found.source is None
    assert split_classes("arpl:1", named("CIFAR-10-sub50")).known == (7, 6, 4, 9, 0, 1)


def test_classes_of_tiny_imagenet_are_counted_by_sorted_synset():
    found = split_classes("arpl:1", named("Tiny-ImageNet", TINY))
    assert found.known[:3] == ("n00000198", "n00000161", "n00000091")
    assert len(found.known) == 20 and len(found.unknown) == 180
    assert not {*found.known} & {*found.unknown}


def test_unknown_classes_of_cifar_100():
    ten, fifty = (split_classes(f"arpl+{n}:3", named("CIFAR-10")) for n in (10, 50))
    assert ten.known == fifty.known == (6, 4, 9, 1)
    assert ten.source == fifty.source == "CIFAR-100"
    assert ten.unknown == (95, 60, 30, 73, 46, 49, 68, 99, 8, 71) == fifty.unknown[40:]
    assert fifty.unknown[:3] == (92, 82, 77) and len({*fifty.unknown}) == 50


def test_the_first_classes_of_any_data_set():
    found = split_classes("first:3", named("CUB", ("b", "a", "d", "c")))
    assert (found.known, found.unknown, found.source) == (("b", "a", "d"), ("c",), None)
    with pytest.raises(UsageError, match="the split first:5 is of 5 classes, but CUB has 4"):
        split_classes("first:5", named("CUB", ("b", "a", "d", "c")))


@pytest.mark.parametrize(
    "text",
    [
        "first:0",
        "first:-1",
        "first",
        "arpl",
        "arpl:5",
        "arpl:-1",
        "arpl+20:0",
        "other:0",
        "arpl:00",
    ],
)
def test_other_splits_are_refused(text):
    with pytest.raises(UsageError, match="unknown split"):
        parse_split(text)


def test_data_sets_without_such_splits_or_classes():
    with pytest.raises(UsageError, match="no split arpl:0 of CUB, but of MNIST, SVHN, CIFAR-10, "):
        split_classes("arpl:0", named("CUB"))
    with pytest.raises(UsageError, match=r"no split arpl\+10:0 of MNIST, but of CIFAR-10$"):
        split_classes("arpl+10:0", named("MNIST"))
    with pytest.raises(UsageError, match="of the 10 classes of SVHN, but here there are 3"):
        split_classes("arpl:0", named("SVHN", (0, 1, 2)))


@pytest.mark.skipif(not LISTS.is_file(), reason=f"the published lists are not in {LISTS}")
def test_all_lists_are_the_published_ones():
    lists = json.loads(LISTS.read_text())
    wanted = [
        ("arpl", "MNIST", lists["mnist"], None),
        ("arpl", "SVHN", lists["svhn"], None),
        ("arpl", "CIFAR-10", lists["cifar10"], None),
        ("arpl+10", "CIFAR-10", lists["cifar_plus_known"], lists["cifar_plus10_unknown"]),
        ("arpl+50", "CIFAR-10", lists["cifar_plus_known"], lists["cifar_plus50_unknown"]),
    ]
    for kind, name, known, unknown in wanted:
        for trial in range(5):
            found = split_classes(f"{kind}:{trial}", named(name))
            assert list(found.known) == known[trial]
            if unknown:
                assert list(found.unknown) == unknown[trial]
    for trial, positions in enumerate(lists["tiny_imagenet"]):
        found = split_classes(f"arpl:{trial}", named("Tiny-ImageNet", TINY))
        assert [int(label[1:]) for label in found.known] == positions
