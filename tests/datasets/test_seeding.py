"""Generators made for many positions at once are those made one by one."""

import numpy as np
import pytest

from datasets.seeding import generators
from utils import generator

LARGEST = 2**32 - 1


@pytest.mark.parametrize("numbers", [(), (0,), (7, 371), (LARGEST, LARGEST), (1, 2, 3), (2**40, 5)])
@pytest.mark.parametrize("positions", [range(300), [0, 1, LARGEST, 5], [2**33], np.array([4, 2])])
def test_states_are_the_same(numbers, positions):
    made = 0
    each = generators("purpose", *numbers, positions=positions)
    for position, rng in zip(positions, each, strict=True):
        expected = generator("purpose", *numbers, int(position))
        assert rng.bit_generator.state == expected.bit_generator.state
        np.testing.assert_array_equal(
            rng.integers(0, 99, 5, np.uint8), expected.integers(0, 99, 5, np.uint8)
        )
        assert rng.random() == expected.random()
        made += 1
    assert made == len(positions)


def test_purposes_differ_and_none_is_asked_for_in_vain():
    (first,) = (rng.random() for rng in generators("a", 1, positions=[2]))
    (second,) = (rng.random() for rng in generators("b", 1, positions=[2]))
    assert first != second
    assert list(generators("a", 1, positions=[])) == []
