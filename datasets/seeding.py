"""Random generators for many images at once, the same as one by one but much cheaper."""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from utils import generator

_WORDS = 4  # 32-bit words of entropy that SeedSequence takes in without further rounds
_MASK_32 = 2**32 - 1
_MASK_128 = 2**128 - 1

# Constants of NumPy's SeedSequence and of PCG64, which NumPy promises never to change:
# https://numpy.org/doc/stable/reference/random/compatibility.html
_INIT_A, _MULT_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULT_B = 0x8B51F9DD, 0x58F38DED
_MIX_LEFT, _MIX_RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_SHIFT = np.uint32(16)
_PCG_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645


def generators(
    purpose: str, *numbers: int, positions: Sequence[int] | np.ndarray
) -> Iterator[np.random.Generator]:
    """The generators ``utils.generator(purpose, *numbers, position)`` of all positions.

    It is one generator that is seeded anew each time, so it has to be used before the next one is
    asked for. Seeding the usual way takes longer than augmenting an image of CIFAR.

    Args:
        purpose: what is drawn.
        *numbers: non-negative integers, e.g. seed and epoch.
        positions: non-negative integers, the last number of each generator.
    """
    words = [zlib.crc32(purpose.encode()), *numbers]
    largest = max((*words, *(int(position) for position in positions)), default=0)
    if len(words) >= _WORDS or largest > _MASK_32:
        yield from (generator(purpose, *numbers, int(position)) for position in positions)
        return
    shared = np.random.Generator(np.random.PCG64(0))
    for seed in _seeds(words, np.asarray(positions, np.uint32)):
        shared.bit_generator.state = _pcg_state(*seed)
        yield shared


def _seeds(words: list[int], positions: np.ndarray) -> list[list[int]]:
    """``SeedSequence([*words, position]).generate_state(4, uint64)`` of each position."""
    entropy = [np.full(len(positions), word, np.uint32) for word in words] + [positions]
    entropy += [np.zeros_like(positions)] * (_WORDS - len(entropy))
    hashed = _hash(_INIT_A, _MULT_A)
    pool = [hashed(word) for word in entropy]
    for source in range(_WORDS):
        for target in range(_WORDS):
            if source != target:
                pool[target] = _mix(pool[target], hashed(pool[source]))
    hashed = _hash(_INIT_B, _MULT_B)
    state = np.stack([hashed(pool[i % _WORDS]) for i in range(2 * 4)], axis=1).astype(np.uint64)
    return (state[:, ::2] | state[:, 1::2] << np.uint64(32)).tolist()


def _hash(constant: int, multiplier: int):
    """A hash function of words whose constant moves on with every call."""

    def hashed(value: np.ndarray) -> np.ndarray:
        nonlocal constant
        value = value ^ np.uint32(constant)
        constant = constant * multiplier & _MASK_32
        value = value * np.uint32(constant)
        return value ^ value >> _SHIFT

    return hashed


def _mix(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    mixed = _MIX_LEFT * left - _MIX_RIGHT * right
    return mixed ^ mixed >> _SHIFT


def _pcg_state(high: int, low: int, increment_high: int, increment_low: int) -> dict[str, object]:
    """The state of ``PCG64`` that starts from four words of 64 bits."""
    increment = (increment_high << 64 | increment_low) << 1 & _MASK_128 | 1
    state = (increment + (high << 64 | low)) * _PCG_MULTIPLIER + increment & _MASK_128
    return {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": increment},
        "has_uint32": 0,
        "uinteger": 0,
    }
