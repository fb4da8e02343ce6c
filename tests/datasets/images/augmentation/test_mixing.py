"""CutMix and MixUp: pixels by hand, shares, and the moments of what is drawn."""

import numpy as np
import pytest

from datasets.images.augmentation import mixing
from datasets.images.augmentation.mixing import CutMix, MixUp, draw_box
from datasets.images.pixels import numba_operations, pillow_operations

RNG = np.random.default_rng(3)


def colored(count, height=12, width=20):
    """Images of one color each, which says which image a pixel is from."""
    levels = np.arange(1, count + 1, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()


def test_cutmix_pastes_one_rectangle_and_returns_its_share():
    shares = []
    for seed in range(300):
        images, partners = colored(5), np.array([2, 0, 4, 1, 3])
        mixed, share = CutMix(1.0)(images, partners, np.random.default_rng(seed))
        pasted = mixed[..., 0] != np.arange(1, 6)[:, None, None]
        for own, other in zip(range(5), partners, strict=True):
            assert set(np.unique(mixed[own, pasted[own]])) <= {other + 1}
            assert np.array_equal(pasted[own], pasted[0])
        assert share == pytest.approx(pasted[0].mean())
        rows, columns = pasted[0].any(axis=1), pasted[0].any(axis=0)
        assert pasted[0].sum() == rows.sum() * columns.sum()  # one rectangle
        for line in (rows, columns):
            assert np.abs(np.diff(np.concatenate([[0], line, [0]]))).sum() in (0, 2)
        shares.append(share)
    assert min(shares) < 0.02 and max(shares) > 0.7


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_boxes_have_the_area_that_is_drawn_before_they_are_cut(alpha):
    """Their area within the image has the mean that a simulation of the published rule has."""
    side, areas, simulated = 64, [], []
    for seed in range(4000):
        rng = np.random.default_rng(seed)
        kept = rng.beta(alpha, alpha)
        rows, columns = draw_box(side, side, kept, rng)
        areas.append((rows.stop - rows.start) * (columns.stop - columns.start) / side**2)
        length = int(side * np.sqrt(1 - RNG.beta(alpha, alpha)))
        low = RNG.integers(side, size=2) - length // 2
        spans = np.clip(low + 2 * (length // 2), 0, side) - np.clip(low, 0, side)
        simulated.append(spans.prod() / side**2)
    assert np.mean(areas) == pytest.approx(np.mean(simulated), abs=0.02)
    assert np.std(areas) == pytest.approx(np.std(simulated), abs=0.02)
    inside = draw_box(100, 50, 0.75, FixedCenter(50, 25))
    assert inside == (slice(25, 75), slice(13, 37))  # half of each side: a quarter, 25 is odd


class FixedCenter:
    def __init__(self, *centers):
        self.centers = list(centers)

    def integers(self, side):
        return self.centers.pop(0)


def test_cutmix_changes_its_share_of_the_batches():
    changed = 0
    for seed in range(2000):
        images = colored(2, 4, 4)
        mixed, share = CutMix(1.0, 0.3)(images, np.array([1, 0]), np.random.default_rng(seed))
        changed += share > 0
        assert share > 0 or np.array_equal(mixed, colored(2, 4, 4))
    # Less some boxes of no pixel.
    assert 0.2 < changed / 2000 < 0.32


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_of_mixup_have_the_moments_of_beta(alpha):
    images = colored(1, 1, 1)
    shares = [
        MixUp(alpha)(images, np.array([0]), np.random.default_rng(seed))[1] for seed in range(4000)
    ]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    variance = 1 / (4 * (2 * alpha + 1))
    assert np.var(shares) == pytest.approx(variance, rel=0.08)


@pytest.mark.parametrize("loops", [numba_operations, pillow_operations])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_mixup_is_the_weighted_sum(monkeypatch, kind, loops):
    monkeypatch.setattr(mixing, "pixel_loops", lambda: loops)
    images = RNG.integers(0, 256, (6, 5, 7, 3)).astype(kind)
    partners = np.array([4, 5, 0, 2])
    before = images.copy()
    for seed in range(20):
        mixed, share = MixUp(1.0)(images, partners, np.random.default_rng(seed))
        exact = (1 - share) * before[:4].astype(float) + share * before[partners]
        assert mixed.dtype == kind and share * 256 == int(share * 256)
        np.testing.assert_allclose(mixed, exact, atol=0.5 if kind == np.uint8 else 1e-4)
        np.testing.assert_array_equal(images, before)
